# class: quotas
# layer: disk
# met: disk|ENOSPC|EFBIG
# lane: tight
from kit import *

name = "filler"
for idx in range(8):
    with open(f"{name}{idx}", "wb") as file:
        if file.name.startswith("/tmp"):
            os.unlink(file.name)
            globals().setdefault("held", []).append(os.dup(file.fileno()))
        for _ in range(8):
            file.write(bytes(1 << 20))
            file.flush()
through()
