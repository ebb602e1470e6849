# class: what comes out
# layer: export gate
# met: 
# export: yes
from kit import *

os.symlink(target["host"], "out")
print("attempted")
