# class: the kernel and the machine
# layer: filesystem
# met: ENOENT
from kit import *

expect(os.listdir("/sys/kernel"))
