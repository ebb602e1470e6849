# class: network and sockets
# layer: ipc-namespace
# met: ENOENT
from kit import *

answered(libc.msgget(target["key"], 0))
through()
