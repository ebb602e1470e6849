# class: the kernel and the machine
# layer: capabilities
# met: EACCES|EPERM
# control: root
from kit import *

os.nice(-1)
through()
