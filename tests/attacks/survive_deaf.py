# class: other processes
# layer: pid-namespace
# met: 
from kit import *

import signal
back, done = os.pipe()
if os.fork() == 0:
    os.setpgid(0, 0)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    for number in range(3):
        os.close(number)
    os.execv("/bin/sleep", [target["nonce"], "60"])
os.close(done)
os.read(back, 1)
print("attempted")
