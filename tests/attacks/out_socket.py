# class: what comes out
# layer: export gate
# met: 
# export: yes
from kit import *

socket.socket(socket.AF_UNIX).bind("out")
print("attempted")
