# class: what comes out
# layer: export gate
# met: 
# export: yes
from kit import *

open(".gitmodules", "w").write("[submodule \"-x\"]\n")
print("attempted")
