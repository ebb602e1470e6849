# class: what comes out
# layer: export gate
# met: 
# export: yes
from kit import *

open(".env", "w").write("A=1\n")
print("attempted")
