# class: network and sockets
# layer: filesystem
# met: ENOENT
from kit import *

connect(socket.AF_UNIX, target["docker"])
