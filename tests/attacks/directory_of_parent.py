# class: other processes
# layer: first-process
# met: EACCES|EPERM
from kit import *

expect(os.listdir(f"/proc/{os.getppid()}/cwd/.."))
