# class: the kernel and the machine
# layer: uts-namespace
# met: nothing
from kit import *

expect(os.uname().nodename == target["hostname"])
