# class: the kernel and the machine
# layer: seccomp
# met: EPERM
# control: root, may: EPERM, may: ENOSYS
from kit import *

reaches(lambda: call(175, 0, 0, b"\0"), errno.EFAULT, errno.ENOEXEC, errno.EINVAL)
