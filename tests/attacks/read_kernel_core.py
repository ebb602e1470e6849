# class: files of the host
# layer: filesystem
# met: EPERM|EACCES|ENOENT
# control: root, may: ENOENT
from kit import *

expect(open("/proc/kcore", "rb").read(4) == b"\x7fELF")
