# class: quotas
# layer: disk
# met: disk|EFBIG|ENOSPC
# lane: tight
from kit import *

with open("sparse", "wb") as file:
    os.ftruncate(file.fileno(), 1 << 30)
through()
