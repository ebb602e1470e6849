# class: other processes
# layer: first-process
# met: EPERM|EACCES
from kit import *

import resource
resource.prlimit(os.getppid(), resource.RLIMIT_CORE, resource.prlimit(os.getppid(), resource.RLIMIT_CORE))
through()
