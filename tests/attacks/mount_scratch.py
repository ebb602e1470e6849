# class: the kernel and the machine
# layer: seccomp
# met: EPERM
# control: private
from kit import *

answered(libc.mount(b"none", b"/tmp", b"tmpfs", 0, None))
through()
