# class: what comes out
# layer: export gate
# met: 
# export: yes
from kit import *

os.mkfifo("out")
print("attempted")
