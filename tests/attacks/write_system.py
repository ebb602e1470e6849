# class: files of the host
# layer: filesystem
# met: EROFS|EACCES
# control: private
from kit import *

open("/usr/local/bin/" + target["nonce"], "w").write("x")
through()
