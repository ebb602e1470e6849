# class: files of the host
# layer: filesystem
# met: nothing|ENOENT
from kit import *

done = subprocess.run(["git", "-c", "safe.directory=*", "update-ref", "refs/carnet/attack", "HEAD"], stderr=subprocess.DEVNULL)
expect(done.returncode == 0)
