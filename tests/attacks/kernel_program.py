# class: the kernel and the machine
# layer: seccomp
# met: EPERM
# control: may: EPERM, may: ENOSYS
from kit import *

# BPF_MAP_CREATE: an array of one number.
call(321, 0, struct.pack("IIIII", 2, 4, 4, 1, 0) + bytes(100), 120)
through()
