# class: what comes out
# layer: export gate
# met: 
# export: yes
from kit import *

os.makedirs("sub/.GiT")
open("sub/.GiT/config", "w").write("x")
print("attempted")
