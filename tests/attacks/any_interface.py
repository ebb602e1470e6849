# class: network and sockets
# layer: network
# met: nothing
# control: may: nothing
from kit import *

expect([name for _, name in socket.if_nameindex() if name != "lo"])
