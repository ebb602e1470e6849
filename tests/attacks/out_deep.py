# class: what comes out
# layer: export gate
# met: 
# export: yes
from kit import *

# Longer than any path that a program could be given.
for _ in range(40):
    os.mkdir("d" * 200)
    os.chdir("d" * 200)
open("out", "w").write("x")
print("attempted")
