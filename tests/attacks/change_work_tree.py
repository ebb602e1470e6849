# class: files of the host
# layer: overlay
# met: 
from kit import *

open("present", "a").write("changed")
print("attempted")
