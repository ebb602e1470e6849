# class: the kernel and the machine
# layer: seccomp
# met: EPERM
# control: private
from kit import *

answered(libc.umount2(b"/proc", 2))
through()
