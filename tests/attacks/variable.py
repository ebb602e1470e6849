# class: environment and descriptors
# layer: environment
# met: nothing
from kit import *

expect(target["nonce"] in os.environ.get("AWS_SECRET_ACCESS_KEY", ""))
