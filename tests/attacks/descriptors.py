# class: quotas
# layer: descriptors
# met: EMFILE|ENFILE
# control: may: EMFILE
from kit import *

import resource
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
for _ in range(9000):
    os.open("/dev/null", os.O_RDONLY)
through()
