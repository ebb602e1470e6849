# class: the kernel and the machine
# layer: filesystem
# met: ENOENT
# control: root
from kit import *

os.open("/dev/kmsg", os.O_RDONLY)
through()
