# class: the kernel and the machine
# layer: capabilities
# met: ValueError|EPERM
# control: root, may: ValueError
from kit import *

import resource
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard + 1))
through()
