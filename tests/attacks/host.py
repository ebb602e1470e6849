"""What lies on the host for the attacks to reach: told as JSON, held until standard input ends.

    python3 host.py DIRECTORY NONCE
"""

import ctypes, json, os, pathlib, socket, sys, threading

place, nonce = pathlib.Path(sys.argv[1]), sys.argv[2]
libc = ctypes.CDLL(None, use_errno=True)
value = f"canary-{nonce}"


def write(name, text, mode=0o644):
    path = place / name
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def serve(s):
    """Answers whoever asks."""
    def loop():
        while True:
            try:
                if s.type == socket.SOCK_DGRAM:
                    s.sendto(b"answer", s.recvfrom(64)[1])
                else:
                    c = s.accept()[0]
                    c.recv(64)
                    c.sendall(b"answer")
                    c.close()
            except OSError:
                pass
    threading.Thread(target=loop, daemon=True).start()
    return s.getsockname()


def listen(family, address, kind=socket.SOCK_STREAM):
    s = socket.socket(family, kind)
    s.bind(address)
    if kind == socket.SOCK_STREAM:
        s.listen(8)
    name = serve(s)
    if isinstance(address, str) and not address.startswith("\0"):
        os.chmod(address, 0o777)
    return name


def own_address():
    """An address of this machine that is no loopback, if it has one; nothing is sent."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        s.connect(("192.0.2.1", 9))
        return s.getsockname()[0]
    except OSError:
        return None


def ip6():
    try:
        return listen(socket.AF_INET6, ("::1", 0))[1]
    except OSError:
        return None


key = os.getpid()
libc.semget(key, 1, 0o1666)
libc.msgget(key, 0o1666)
libc.shmget(key, 4096, 0o1666)
libc.mq_open(f"/{nonce}".encode(), os.O_CREAT | os.O_RDWR, 0o666, None)
secret_key = libc.syscall(248, b"user", value.encode(), value.encode(), len(value), -4)  # add_key, the user's keyring
libc.syscall(250, 15, secret_key, 3600)  # KEYCTL_SET_TIMEOUT: keys outlive their maker, and each user may have 200
address = own_address()
secret = write("secret", value)
os.set_inheritable(os.open(secret, os.O_RDONLY), False)
print(json.dumps({
    "host": str(place), "nonce": nonce, "value": value, "secret": secret, "pid": os.getpid(), "key": key,
    "ssh_key": write("home/.ssh/id_ed25519", value), "hostname": os.uname().nodename,
    "docker": listen(socket.AF_UNIX, str(place / "docker.sock")), "agent": listen(socket.AF_UNIX, str(place / "agent")),
    "bus": listen(socket.AF_UNIX, str(place / "bus")), "abstract": listen(socket.AF_UNIX, f"\0{nonce}").decode()[1:],
    "port": listen(socket.AF_INET, ("127.0.0.1", 0))[1], "port6": ip6(),
    "udp": listen(socket.AF_INET, ("127.0.0.1", 0), socket.SOCK_DGRAM)[1],
    "address": address, "address_port": listen(socket.AF_INET, (address, 0))[1] if address else None,
    "shm": f"/dev/shm/{nonce}", "tmp": f"/tmp/{nonce}",
}), flush=True)
sys.stdin.read()
libc.semctl(libc.semget(key, 1, 0), 0, 0)
libc.msgctl(libc.msgget(key, 0), 0, None)
libc.shmctl(libc.shmget(key, 4096, 0), 0, None)
libc.mq_unlink(f"/{nonce}".encode())
libc.syscall(250, 9, secret_key, -4)  # KEYCTL_UNLINK
