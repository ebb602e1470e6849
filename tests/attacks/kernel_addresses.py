# class: the kernel and the machine
# layer: capabilities
# met: nothing
# control: root
from kit import *

expect(any(int(line.split()[0], 16) for line in open("/proc/kallsyms")))
