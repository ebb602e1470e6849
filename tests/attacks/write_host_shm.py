# class: files of the host
# layer: filesystem
# met: 
from kit import *

open(target["shm"], "w").write("x")
print("attempted")
