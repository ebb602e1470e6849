# class: what comes out
# layer: export gate
# met: 
# export: yes
from kit import *

os.makedirs(".vscode")
open(".vscode/tasks.json", "w").write("{}")
print("attempted")
