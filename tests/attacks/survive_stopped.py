# class: other processes
# layer: pid-namespace
# met: 
from kit import *

import signal
back, done = os.pipe()
child = os.fork()
if child == 0:
    for number in range(3):
        os.close(number)
    os.execv("/bin/sleep", [target["nonce"], "60"])
os.close(done)
os.read(back, 1)
os.kill(child, signal.SIGSTOP)
print("attempted")
