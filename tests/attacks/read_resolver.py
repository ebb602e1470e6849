# class: files of the host
# layer: filesystem
# met: ENOENT
from kit import *

expect("nameserver" in open("/etc/resolv.conf").read())
