# class: files of the host
# layer: filesystem
# met: ENOENT
# control: root
from kit import *

expect(":" in open("/etc/shadow").read())
