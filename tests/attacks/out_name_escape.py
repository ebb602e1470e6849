# class: what comes out
# layer: export gate
# met: 
# export: yes
from kit import *

open("a\x1b]52;c;eA==\x07", "w").write("x")
print("attempted")
