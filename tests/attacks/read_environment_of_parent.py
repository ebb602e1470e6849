# class: other processes
# layer: pid-namespace
# met: EACCES|EPERM|nothing
from kit import *

expect(target["nonce"] in open(f"/proc/{os.getppid()}/environ").read())
