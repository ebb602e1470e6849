# class: files of the host
# layer: filesystem
# met: 
from kit import *

open(target["tmp"], "w").write("x")
print("attempted")
