# class: the kernel and the machine
# layer: capabilities
# met: EPERM
# control: root
from kit import *

header, data = struct.pack("Ii", 0x20080522, 0), struct.pack("IIIIII", 1, 1, 0, 0, 0, 0)
call(126, header, data)
through()
