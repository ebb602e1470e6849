# class: the kernel and the machine
# layer: seccomp
# met: EPERM
# control: root
from kit import *

os.chroot(".")
through()
