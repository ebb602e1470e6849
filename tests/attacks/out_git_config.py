# class: what comes out
# layer: export gate
# met: 
# export: yes
from kit import *

os.makedirs("sub/.git")
open("sub/.git/config", "w").write("[core]\nfsmonitor = touch /tmp/x\n")
print("attempted")
