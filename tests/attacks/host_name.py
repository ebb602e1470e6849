# class: the kernel and the machine
# layer: seccomp
# met: EPERM
# control: private
from kit import *

socket.sethostname(os.uname().nodename)
through()
