# class: what comes out
# layer: export gate
# met: 
# export: yes
# control: may: EXDEV
from kit import *

os.link(target["secret"], "out")
print("attempted")
