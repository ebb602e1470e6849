# class: other processes
# layer: seccomp
# met: EPERM
from kit import *

class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
here = ctypes.create_string_buffer(8)
start = int(open(f"/proc/{os.getppid()}/maps").readline().split("-")[0], 16) if os.getppid() != 1 else 0x400000
local, remote = Vector(ctypes.addressof(here), 8), Vector(start, 8)
call(310, os.getppid(), ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
through()
