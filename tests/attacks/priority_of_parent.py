# class: other processes
# layer: first-process
# met: EPERM|EACCES|ESRCH
from kit import *

os.setpriority(os.PRIO_PROCESS, os.getppid(), os.getpriority(os.PRIO_PROCESS, os.getppid()))
through()
