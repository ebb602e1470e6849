# class: files of the host
# layer: filesystem
# met: ENOENT
from kit import *

expect(open(target["ssh_key"]).read() == target["value"])
