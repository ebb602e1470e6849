# class: quotas
# layer: inodes
# met: inodes|disk|ENOSPC
# lane: tight
from kit import *

os.mkdir("many")
for idx in range(6000):
    os.close(os.open(f"many/{idx}", os.O_CREAT | os.O_WRONLY))
through()
