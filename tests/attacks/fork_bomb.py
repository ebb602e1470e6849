# class: quotas
# layer: processes
# met: processes|EAGAIN
# lane: tight
from kit import *

back, held = os.pipe()
for _ in range(90):
    if os.fork() == 0:
        os.close(held)
        for number in range(3):
            os.close(number)
        os.read(back, 1)
        os._exit(0)
through()
