# class: the kernel and the machine
# layer: seccomp
# met: EPERM
# control: root
from kit import *

answered(libc.unshare(0x20000))
through()
