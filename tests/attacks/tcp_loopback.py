# class: network and sockets
# layer: network
# met: ECONNREFUSED
from kit import *

connect(socket.AF_INET, ("127.0.0.1", target["port"]))
