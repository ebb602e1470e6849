# class: what comes out
# layer: export gate
# met: 
# export: yes
from kit import *

open("out", "w").write("key = '" + "AK" + "IA" + "QYLPMN5HHHFPZAM2" + "'\n")
print("attempted")
