# class: the kernel and the machine
# layer: user-namespace
# met: EACCES|EPERM|EROFS
# control: root, may: EACCES
from kit import *

open("/proc/self/oom_score_adj", "w").write("-1000")
through()
