# class: network and sockets
# layer: seccomp
# met: EAFNOSUPPORT
# control: may: EAFNOSUPPORT
from kit import *

# vsock: to the host of this machine.
answered(libc.socket(40, 1, 0))
through()
