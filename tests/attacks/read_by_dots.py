# class: files of the host
# layer: filesystem
# met: ENOENT
from kit import *

expect(open("../" * 40 + target["secret"][1:]).read() == target["value"])
