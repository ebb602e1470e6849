# class: the kernel and the machine
# layer: user-namespace
# met: EPERM
# control: root
from kit import *

modes = ctypes.create_string_buffer(256)
call(159, modes)
struct.pack_into("I", modes, 0, 0x4000)  # the tick, as it is
call(159, modes)
through()
