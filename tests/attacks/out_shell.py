# class: what comes out
# layer: export gate
# met: 
# export: yes
from kit import *

open(".envrc", "w").write("touch /tmp/x\n")
print("attempted")
