# class: the kernel and the machine
# layer: seccomp
# met: EPERM
# control: root
from kit import *

answered(libc.klogctl(3, ctypes.create_string_buffer(64), 64))
through()
