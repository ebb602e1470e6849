# class: quotas
# layer: wall-time
# met: time
# lane: short
from kit import *

time.sleep(4)
through()
