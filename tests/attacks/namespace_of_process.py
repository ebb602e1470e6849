# class: other processes
# layer: pid-namespace
# met: ENOENT|EPERM|EACCES
# control: root
from kit import *

answered(libc.setns(os.open(f"/proc/{target['pid']}/ns/mnt", os.O_RDONLY), 0))
through()
