# class: network and sockets
# layer: capabilities
# met: EPERM
# control: root
from kit import *

socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
through()
