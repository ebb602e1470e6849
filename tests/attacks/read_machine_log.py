# class: files of the host
# layer: filesystem
# met: ENOENT
from kit import *

expect(os.listdir("/var"))
