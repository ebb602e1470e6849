# class: the kernel and the machine
# layer: user-namespace
# met: EPERM|EINVAL
# control: root
from kit import *

open("f", "w").close()
os.chown("f", 0, 0)
os.chmod("f", 0o4755)
through()
