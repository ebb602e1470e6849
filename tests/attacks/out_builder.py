# class: what comes out
# layer: export gate
# met: 
# export: yes
from kit import *

os.makedirs(".cargo")
open(".cargo/config.toml", "w").write("[build]\nrustc = \"x\"\n")
print("attempted")
