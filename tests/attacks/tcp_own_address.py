# class: network and sockets
# layer: network
# met: ENETUNREACH
# control: may: nothing
from kit import *

connect(socket.AF_INET, (target["address"], target["address_port"])) if target["address"] else expect(False)
