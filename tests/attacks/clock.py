# class: the kernel and the machine
# layer: seccomp
# met: EPERM
# control: root, may: EPERM
from kit import *

now = time.time_ns()
call(227, 0, struct.pack("qq", now // 10**9, now % 10**9))
through()
