# class: files of the host
# layer: filesystem
# met: ENOENT|nothing
# control: root, may: EPERM, may: nothing
from kit import *

import glob
for device in glob.glob("/dev/vd*") + glob.glob("/dev/sd*") + glob.glob("/dev/loop0"):
    open(device, "rb").close()
    through()
expect(False)
