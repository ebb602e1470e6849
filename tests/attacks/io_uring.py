# class: the kernel and the machine
# layer: seccomp
# met: EPERM
# control: may: EPERM, may: ENOSYS
from kit import *

call(425, 4, ctypes.create_string_buffer(256))
through()
