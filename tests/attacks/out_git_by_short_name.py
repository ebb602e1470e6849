# class: what comes out
# layer: export gate
# met: 
# export: yes
from kit import *

os.makedirs("sub/git~1")
open("sub/git~1/config", "w").write("x")
print("attempted")
