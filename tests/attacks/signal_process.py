# class: other processes
# layer: pid-namespace
# met: ESRCH
from kit import *

os.kill(target["pid"], 0)
through()
