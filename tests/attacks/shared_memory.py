# class: network and sockets
# layer: ipc-namespace
# met: ENOENT
from kit import *

answered(libc.shmget(target["key"], 1, 0))
through()
