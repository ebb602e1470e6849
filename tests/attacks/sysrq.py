# class: the kernel and the machine
# layer: filesystem
# met: EROFS|EACCES|EPERM|ENOENT
# control: root, may: ENOENT
from kit import *

os.open("/proc/sysrq-trigger", os.O_WRONLY)
through()
