# class: environment and descriptors
# layer: environment
# met: nothing|ENOENT
from kit import *

expect("SSH_AUTH_SOCK" in os.environ) if "SSH_AUTH_SOCK" not in os.environ else connect(socket.AF_UNIX, os.environ["SSH_AUTH_SOCK"])
