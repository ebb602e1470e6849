# class: network and sockets
# layer: seccomp
# met: EPERM
from kit import *

call(250, 10, -4, b"user\0", target["value"].encode() + b"\0", 0)
through()
