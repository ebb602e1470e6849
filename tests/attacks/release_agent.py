# class: the kernel and the machine
# layer: seccomp
# met: EPERM
# control: private
from kit import *

answered(libc.mount(b"none", b"/tmp", b"cgroup", 0, b"none,name=carnet-attack"))
through()
