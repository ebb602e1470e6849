# class: what comes out
# layer: export gate
# met: 
# export: yes
from kit import *

open("a\nb  c", "w").write("x")
print("attempted")
