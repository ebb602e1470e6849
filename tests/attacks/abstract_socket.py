# class: network and sockets
# layer: network
# met: ECONNREFUSED|EPERM
from kit import *

connect(socket.AF_UNIX, "\0" + target["abstract"])
