# class: what comes out
# layer: export gate
# met: 
# export: yes
from kit import *

os.makedirs("sub/.g\u200cit")
open("sub/.g\u200cit/config", "w").write("x")
print("attempted")
