# class: environment and descriptors
# layer: descriptors
# met: EBADF
from kit import *

os.lseek(9, 0, 0)
expect(os.read(9, 64).decode() == target["value"])
