# class: what comes out
# layer: export gate
# met: 
# export: yes
from kit import *

open("out", "w").write("x")
os.chmod("out", 0o4755)
print("attempted")
