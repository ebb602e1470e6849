# class: quotas
# layer: memory
# met: memory|MemoryError
# lane: tight
from kit import *

held = bytearray(b"x") * (160 << 20)
through()
