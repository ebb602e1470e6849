# class: files of the host
# layer: filesystem
# met: ENOENT
from kit import *

open(target["repo"] + "/.git/hooks/post-commit-" + target["nonce"], "w").write("x")
through()
