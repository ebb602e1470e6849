# class: quotas
# layer: memory
# met: memory|MemoryError
# lane: tight
from kit import *

back, done = os.pipe()
waits, goes = os.pipe()
for _ in range(8):
    if os.fork() == 0:
        os.close(goes)
        held = bytearray(b"x") * (24 << 20)
        os.write(done, b"x")
        os.read(waits, 1)
        os._exit(0)
os.close(done)
for _ in range(8):
    if os.read(back, 1) != b"x":
        raise MemoryError
time.sleep(0.5)
through()
