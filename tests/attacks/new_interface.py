# class: network and sockets
# layer: network
# met: EPERM
# control: root
from kit import *

s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
# RTM_NEWLINK of the loopback, up, as it is.
s.send(struct.pack("IHHII", 32, 16, 5, 1, 0) + struct.pack("BxHiII", 0, 0, 1, 1, 1))
error = struct.unpack_from("i", s.recv(4096), 16)[0]
if error:
    raise OSError(-error, "")
through()
