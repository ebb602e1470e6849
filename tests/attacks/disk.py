# class: quotas
# layer: disk
# met: disk|ENOSPC|EFBIG
# lane: tight
from kit import *

fill("filler")
through()
