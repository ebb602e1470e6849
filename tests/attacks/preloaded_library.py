# class: environment and descriptors
# layer: environment
# met: nothing
from kit import *

expect("CARNET_ATTACK_PRELOAD" in os.environ or target["nonce"] in os.environ.get("LD_LIBRARY_PATH", ""))
