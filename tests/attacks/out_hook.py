# class: what comes out
# layer: export gate
# met: 
# export: yes
from kit import *

os.makedirs(".git/hooks")
open(".git/hooks/pre-commit", "w").write("#!/bin/sh\n")
print("attempted")
