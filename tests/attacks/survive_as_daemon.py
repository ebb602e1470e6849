# class: other processes
# layer: pid-namespace
# met: 
from kit import *

# The pipe ends for the reader when the one who shall survive is executed.
back, done = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in range(3):
            os.close(number)
        os.execv("/bin/sleep", [target["nonce"], "60"])
    os._exit(0)
os.close(done)
os.read(back, 1)
print("attempted")
