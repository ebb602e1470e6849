# class: other processes
# layer: first-process
# met: EACCES|EPERM
from kit import *

# Busy, for it runs: but it could be reached.
reaches(lambda: os.close(os.open(f"/proc/{os.getppid()}/exe", os.O_RDONLY)), errno.ETXTBSY)
