# class: files of the host
# layer: seccomp
# met: EPERM|ENOENT
# control: root
from kit import *

# name_to_handle_at of a directory that everyone sees, then open_by_handle_at.
handle = ctypes.create_string_buffer(struct.pack("II", 128, 0) + bytes(128))
mount = ctypes.c_int()
call(303, -100, b"/usr\0", handle, ctypes.byref(mount), 0)
call(304, os.open("/usr", os.O_RDONLY), handle, os.O_RDONLY)
through()
