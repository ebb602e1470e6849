# class: other processes
# layer: landlock
# met: EPERM
from kit import *

os.kill(os.getppid(), 0)
through()
