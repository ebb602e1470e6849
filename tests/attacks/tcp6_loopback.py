# class: network and sockets
# layer: network
# met: ECONNREFUSED|EADDRNOTAVAIL|ENETUNREACH
# control: may: nothing
from kit import *

connect(socket.AF_INET6, ("::1", target["port6"])) if target["port6"] else expect(False)
