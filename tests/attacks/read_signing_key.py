# class: files of the host
# layer: filesystem
# met: ENOENT
from kit import *

expect("PRIVATE" in open(target["repo"] + "/.git/carnet/signing-key.pem").read())
