# class: the kernel and the machine
# layer: seccomp
# met: EPERM
# control: private
from kit import *

answered(libc.mount(None, b"/", None, 32 | 4096, None))
through()
