# class: files of the host
# layer: filesystem
# met: ENOENT
from kit import *

open(target["host"] + "/planted", "w").write("x")
