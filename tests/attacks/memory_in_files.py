# class: quotas
# layer: memory
# met: memory|disk|ENOSPC|EFBIG
# lane: tight
from kit import *

held = []
for _ in range(10):
    held.append(os.memfd_create("held"))
    for _ in range(16):
        os.write(held[-1], bytes(1 << 20))
time.sleep(0.5)
through()
