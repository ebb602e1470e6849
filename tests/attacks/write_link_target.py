# class: files of the host
# layer: filesystem
# met: ENOENT
from kit import *

os.symlink(target["host"] + "/planted-by-link", "link")
open("link", "w").write("x")
