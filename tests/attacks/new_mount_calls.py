# class: the kernel and the machine
# layer: seccomp
# met: EPERM
# control: root
from kit import *

call(430, b"tmpfs\0", 0)
through()
