# class: network and sockets
# layer: network
# met: nothing
from kit import *

expect(f":{target['port']:04X} " in open("/proc/net/tcp").read())
