# class: what comes out
# layer: export gate
# met: 
# export: yes
from kit import *

os.makedirs(".github/workflows")
open(".github/workflows/x.yml", "w").write("on: push\n")
print("attempted")
