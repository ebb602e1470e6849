# class: network and sockets
# layer: ipc-namespace
# met: ENOENT
from kit import *

answered(libc.mq_open(("/" + target["nonce"]).encode(), os.O_RDWR))
through()
