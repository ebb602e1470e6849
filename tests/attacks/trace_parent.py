# class: other processes
# layer: seccomp
# met: EPERM
from kit import *

call(101, 0x4206, os.getppid(), 0, 0)
through()
