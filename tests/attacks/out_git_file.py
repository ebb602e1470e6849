# class: what comes out
# layer: export gate
# met: 
# export: yes
from kit import *

os.makedirs("sub")
open("sub/.git", "w").write("gitdir: /tmp/x\n")
print("attempted")
