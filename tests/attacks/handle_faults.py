# class: the kernel and the machine
# layer: seccomp
# met: EPERM
# control: may: EPERM, may: ENOSYS
from kit import *

call(323, 1)
through()
