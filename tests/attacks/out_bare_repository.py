# class: what comes out
# layer: export gate
# met: 
# export: yes
from kit import *

os.makedirs("inner/objects")
os.makedirs("inner/refs")
open("inner/HEAD", "w").write("ref: refs/heads/main\n")
open("inner/config", "w").write("[core]\nfsmonitor = x\n")
print("attempted")
