# class: quotas
# layer: wall-time
# met: time
# lane: short
from kit import *

import signal
for number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
    signal.signal(number, signal.SIG_IGN)
os.setpgid(0, 0) if os.getsid(0) != os.getpid() else None
time.sleep(4)
through()
