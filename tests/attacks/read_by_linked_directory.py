# class: files of the host
# layer: filesystem
# met: ENOENT
from kit import *

os.symlink(target["host"], "dir")
expect(open("dir/secret").read() == target["value"])
