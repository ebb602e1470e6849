# class: the kernel and the machine
# layer: filesystem
# met: EROFS|EACCES|EPERM|ENOENT
# control: root
from kit import *

os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY)
through()
