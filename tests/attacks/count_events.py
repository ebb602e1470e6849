# class: the kernel and the machine
# layer: seccomp
# met: EPERM
# control: may: EACCES, may: EPERM, may: ENOENT, may: EOPNOTSUPP
from kit import *

# PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, of this process.
call(298, struct.pack("II", 1, 112) + bytes(104), 0, -1, -1, 0)
through()
