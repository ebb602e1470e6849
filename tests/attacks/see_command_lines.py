# class: other processes
# layer: pid-namespace
# met: nothing
from kit import *

for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        if target["host"] in open(f"/proc/{pid}/cmdline").read():
            through()
    except OSError:
        pass
expect(False)
