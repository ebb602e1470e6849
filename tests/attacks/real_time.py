# class: the kernel and the machine
# layer: capabilities
# met: EPERM
# control: root, may: EPERM
from kit import *

os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
through()
