# class: quotas
# layer: memory
# met: memory|MemoryError
# lane: tight
from kit import *

held = b"x" * (160 << 20)
through()
