# class: other processes
# layer: pid-namespace
# met: ESRCH
from kit import *

os.kill(-1, 0)
through()
