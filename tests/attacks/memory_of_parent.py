# class: other processes
# layer: first-process
# met: EACCES|EPERM
from kit import *

open(f"/proc/{os.getppid()}/mem", "rb").close()
through()
