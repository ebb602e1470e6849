# class: the kernel and the machine
# layer: nested-user-namespaces
# met: EPERM|ENOSPC
from kit import *

answered(libc.unshare(0x10000000))
through()
