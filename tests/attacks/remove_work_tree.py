# class: files of the host
# layer: overlay
# met: 
from kit import *

os.unlink("present")
print("attempted")
