# class: files of the host
# layer: filesystem
# met: EROFS|EACCES
# control: private
from kit import *

open("/etc/" + target["nonce"], "w").write("x")
through()
