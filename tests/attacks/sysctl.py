# class: the kernel and the machine
# layer: filesystem
# met: EROFS|EACCES|EPERM|ENOENT
# control: private
from kit import *

name = open("/proc/sys/kernel/hostname").read()
open("/proc/sys/kernel/hostname", "w").write(name)
through()
