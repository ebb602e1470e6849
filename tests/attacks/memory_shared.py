# class: quotas
# layer: memory
# met: memory|disk|ENOSPC|EFBIG
# lane: tight
from kit import *

for idx in range(20):
    with open(f"/dev/shm/{target['nonce']}-{idx}", "wb") as file:
        os.unlink(file.name)
        globals().setdefault("held", []).append(os.dup(file.fileno()))
        for _ in range(8):
            file.write(bytes(1 << 20))
time.sleep(0.5)
through()
