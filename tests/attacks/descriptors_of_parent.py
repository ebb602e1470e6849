# class: other processes
# layer: first-process
# met: EACCES|EPERM
from kit import *

for number in os.listdir(f"/proc/{os.getppid()}/fd"):
    if os.readlink(f"/proc/{os.getppid()}/fd/{number}") == target["secret"]:
        through()
expect(False)
