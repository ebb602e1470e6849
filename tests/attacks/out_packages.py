# class: what comes out
# layer: export gate
# met: 
# export: yes
from kit import *

open(".npmrc", "w").write("script-shell=x\n")
print("attempted")
