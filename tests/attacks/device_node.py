# class: the kernel and the machine
# layer: capabilities
# met: EPERM|EACCES
# control: root
from kit import *

os.mknod("zero", 0o20666, os.makedev(1, 5))
through()
