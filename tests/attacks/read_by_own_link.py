# class: files of the host
# layer: filesystem
# met: ENOENT
from kit import *

os.symlink(target["secret"], "link")
expect(open("link").read() == target["value"])
