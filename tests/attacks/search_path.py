# class: environment and descriptors
# layer: environment
# met: nothing
from kit import *

expect(target["host"] in os.environ["PATH"])
