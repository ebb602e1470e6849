# class: network and sockets
# layer: filesystem
# met: ENOENT
from kit import *

os.symlink(target["docker"], "s")
connect(socket.AF_UNIX, "s")
