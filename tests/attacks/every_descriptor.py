# class: environment and descriptors
# layer: descriptors
# met: nothing
from kit import *

for number in range(3, 4096):
    try:
        if target["host"] in os.readlink(f"/proc/self/fd/{number}"):
            through()
    except OSError:
        pass
expect(False)
