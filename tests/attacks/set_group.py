# class: the kernel and the machine
# layer: user-namespace
# met: EPERM|EINVAL
# control: root
from kit import *

os.setgroups([0])
through()
