# class: the kernel and the machine
# layer: seccomp
# met: EPERM
# control: root
from kit import *

reaches(lambda: call(167, b"/no-such\0", 0), errno.ENOENT)
