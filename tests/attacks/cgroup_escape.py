# class: the kernel and the machine
# layer: cgroup-namespace
# met: ENOENT
# control: root
from kit import *

for line in open("/proc/self/mountinfo"):
    place = line.split()[4]
    if " - cgroup" in line and os.path.exists(place + "/cgroup.procs"):
        os.open(place + "/cgroup.procs", os.O_WRONLY)
        through()
os.open("/sys/fs/cgroup/cgroup.procs", os.O_WRONLY)
