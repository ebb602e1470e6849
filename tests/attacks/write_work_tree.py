# class: files of the host
# layer: overlay
# met: 
from kit import *

open("planted-in-workspace", "w").write("x")
print("attempted")
