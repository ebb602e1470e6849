# class: files of the host
# layer: filesystem
# met: ENOENT|EXDEV
from kit import *

os.link(target["secret"], os.path.join(target["host"], "hard"))
expect(open(os.path.join(target["host"], "hard")).read() == target["value"])
