# class: the kernel and the machine
# layer: seccomp
# met: EPERM
# control: root, may: ENOSYS
from kit import *

reaches(lambda: call(246, 0, 100, 0, 0), errno.EINVAL)
