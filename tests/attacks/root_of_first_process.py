# class: other processes
# layer: first-process
# met: EACCES|EPERM|ENOENT
# control: private
from kit import *

expect(open("/proc/1/root" + target["secret"]).read() == target["value"])
