# class: other processes
# layer: pid-namespace
# met: nothing
from kit import *

expect(os.path.exists(f"/proc/{target['pid']}"))
