# class: quotas
# layer: processes
# met: processes|EAGAIN
# lane: tight
from kit import *

for depth in range(90):
    child = os.fork()
    if child != 0:
        os._exit(0 if os.waitpid(child, 0)[1] == 0 else 1)
print("through", flush=True)
