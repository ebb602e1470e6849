# class: files of the host
# layer: filesystem
# met: ENOENT
from kit import *

open(target["repo"] + "/allowlists/deny.toml", "a").write("\n")
through()
