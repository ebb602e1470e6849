# class: quotas
# layer: processes
# met: processes|EAGAIN|RuntimeError
# lane: tight
from kit import *

import threading
done = threading.Event()
for _ in range(90):
    threading.Thread(target=done.wait, daemon=True).start()
through()
