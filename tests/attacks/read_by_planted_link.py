# class: files of the host
# layer: filesystem
# met: ENOENT
from kit import *

expect(open("planted-link").read() == target["value"])
