# class: environment and descriptors
# layer: environment
# met: nothing|ENOENT
from kit import *

expect("DBUS_SESSION_BUS_ADDRESS" in os.environ) if "DBUS_SESSION_BUS_ADDRESS" not in os.environ else connect(socket.AF_UNIX, os.environ["DBUS_SESSION_BUS_ADDRESS"].removeprefix("unix:path="))
