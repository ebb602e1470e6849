# class: quotas
# layer: output
# met: output
# lane: tight
from kit import *

for _ in range(64):
    os.write(1, b"x" * 65535 + b"\n")
through()
