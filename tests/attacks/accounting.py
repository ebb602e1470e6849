# class: the kernel and the machine
# layer: seccomp
# met: EPERM
# control: root, may: ENOSYS
from kit import *

reaches(lambda: call(163, b"/no-such\0"), errno.ENOENT)
