# class: other processes
# layer: pid-namespace
# met: nothing
from kit import *

for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        if int(pid) != os.getpid() and target["nonce"] in open(f"/proc/{pid}/environ").read():
            through()
    except OSError:
        pass
expect(False)
