# class: other processes
# layer: seccomp
# met: EPERM
# control: may: EIO, may: EPERM
from kit import *
import fcntl, pty

# A terminal of its own stands for that of a person.
child, terminal = pty.fork()
if child == 0:
    try:
        fcntl.ioctl(0, 0x5412, b"x")
        os._exit(0)
    except OSError as error:
        os._exit(error.errno)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
if code:
    raise OSError(code, "")
through()
