# class: other processes
# layer: pid-namespace
# met: ENOENT|EACCES|EPERM
from kit import *

expect(open(f"/proc/{target['pid']}/root{target['secret']}").read() == target["value"])
