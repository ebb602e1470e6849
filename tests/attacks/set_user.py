# class: the kernel and the machine
# layer: user-namespace
# met: EPERM|EINVAL
# control: root
from kit import *

os.setuid(0)
through()
