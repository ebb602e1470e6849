import os

with open("log", "w"):
    pass
pids = []
for name in ("a", "b"):
    pid = os.fork()
    if pid == 0:
        log = os.open("log", os.O_WRONLY | os.O_APPEND)
        for step in range(2000):
            os.write(log, f"{name} {step}\n".encode())
        os._exit(0)
    pids.append(pid)
for pid in pids:
    os.waitpid(pid, 0)
