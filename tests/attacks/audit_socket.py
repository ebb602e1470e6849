# class: network and sockets
# layer: seccomp
# met: EAFNOSUPPORT
# control: may: EPROTONOSUPPORT
from kit import *

answered(libc.socket(16, 3, 9))
through()
