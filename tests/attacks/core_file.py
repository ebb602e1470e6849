# class: quotas
# layer: disk
# met: nothing
from kit import *

import resource
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
expect(resource.getrlimit(resource.RLIMIT_CORE)[0] != 0)
