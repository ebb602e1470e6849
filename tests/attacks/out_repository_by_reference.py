# class: what comes out
# layer: export gate
# met: 
# export: yes
from kit import *

os.makedirs("a")
os.makedirs("b/objects")
os.makedirs("b/refs")
open("a/HEAD", "w").write("ref: refs/heads/main\n")
open("a/commondir", "w").write("../b\n")
print("attempted")
