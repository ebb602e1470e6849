# class: the kernel and the machine
# layer: seccomp
# met: ENOSYS
# control: may: ENOSYS, may: EFAULT, may: ENOTSUP
from kit import *
import mmap, platform

if platform.machine() != "x86_64":
    raise OSError(errno.ENOTSUP, "")
# mov eax, 20; int 0x80; movsxd rax, eax; ret: getpid as a program of 32 bits asks for it.
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes.fromhex("b814000000cd804863c0c3"))
place = ctypes.addressof(ctypes.c_char.from_buffer(code))
answer = ctypes.CFUNCTYPE(ctypes.c_long)(place)()
if answer < 0:
    raise OSError(-answer, "")
expect(answer == os.getpid())
