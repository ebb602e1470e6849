# class: environment and descriptors
# layer: descriptors
# met: EBADF|EACCES|EPERM
from kit import *

os.write(0, b"x")
through()
