# class: what comes out
# layer: export gate
# met: 
# export: yes
from kit import *

open(b"a\xff", "w").write("x")
print("attempted")
