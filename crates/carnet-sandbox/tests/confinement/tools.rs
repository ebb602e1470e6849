//! What the layers must leave alone: the tools of everyday work. One that this machine lacks is named aloud.

use std::path::Path;

use crate::kit::{bench, stdout, told};

/// Tells whether all of `tools` are under `/usr`, where the sandbox sees them.
fn has(tools: &[&str]) -> bool {
    let is_there = |tool: &&&str| {
        ["/usr/local/bin", "/usr/bin"].iter().any(|place| Path::new(place).join(tool).exists())
    };
    let lacking: Vec<_> = tools.iter().filter(|tool| !is_there(tool)).collect();
    if !lacking.is_empty() {
        eprintln!("not tried here, for want of {lacking:?}");
    }
    lacking.is_empty()
}

fn check(tools: &[&str], script: &str, expect: &str) {
    let Some(mut bench) = bench() else { return };
    if !has(tools) {
        return;
    }
    bench.quota.memory_bytes = 4 << 30;
    let confined = bench.sh(script);
    assert!(confined.outcome.is_success(), "{}", told(&confined));
    assert_eq!(stdout(&confined), expect, "{}", told(&confined));
}

#[test]
fn files_move_between_directories() {
    let script = "set -e
for place in /workspace /tmp /dev/shm; do
    cd $place; mkdir -p a/b c; echo x > a/b/f; ln a/b/f c/g; mv a/b c/b; cat c/b/f; truncate -s 0 c/g; rm -r a c
done
echo y > /tmp/y; mv /tmp/y /workspace/y; cat /workspace/y; : > /dev/null; head -c 3 /dev/urandom | wc -c";
    check(&["mv", "truncate"], script, "x\nx\nx\ny\n3\n");
}

#[test]
fn archives_are_packed_and_unpacked() {
    let script = "set -e
mkdir in out; echo x > in/f; chmod 640 in/f; ln in/f in/g; ln -s f in/h
tar -czf in.tar.gz in; tar -C out -xzf in.tar.gz; cat out/in/h; stat -c %a,%h out/in/f";
    check(&["tar", "gzip"], script, "x\n640,2\n");
}

#[test]
fn programs_are_compiled_in_parallel_and_run() {
    let script = r#"set -e
for n in 1 2 3 4 5 6; do echo "int f$n(void) { return $n; }" > f$n.c; done
cat > main.c <<'END'
#include <pthread.h>
#include <stdio.h>
int f1(void), f6(void);
static void *work(void *sum) { *(int *)sum = f1() + f6(); return 0; }
int main(void) { pthread_t t; int sum; pthread_create(&t, 0, work, &sum); pthread_join(t, 0); printf("%d\n", sum); }
END
printf 'main: main.o f1.o f2.o f3.o f4.o f5.o f6.o\n\t$(CC) -pthread -o $@ $^\n' > Makefile
make -s -j4 CC=gcc
./main"#;
    check(&["make", "gcc"], script, "7\n");
}

#[test]
fn git_keeps_a_repository() {
    let script = "set -e
export GIT_CONFIG_GLOBAL=/tmp/config; git config --global user.name a; git config --global user.email a@example.invalid
git config --global init.defaultBranch main
git init -q r; cd r; echo x > f; git add f; git commit -qm one; git checkout -qb other; git mv f g; git commit -qm two
git gc -q; git fsck --no-progress; git clone -q . ../c; git -C ../c log --format=%s; git worktree add -q ../w main; ls ../w";
    check(&["git"], script, "two\none\nf\n");
}

#[test]
fn python_has_threads_processes_terminals_and_sockets() {
    let script = r#"exec python3 - <<'END'
import asyncio, multiprocessing, os, pty, socket, subprocess, tempfile, threading
def work(n):
    return n * n
if __name__ == "__main__":
    with multiprocessing.Pool(2) as pool:
        print(pool.map(work, [1, 2, 3]))
    thread = threading.Thread(target=print, args=("thread",)); thread.start(); thread.join()
    print(subprocess.run(["echo", "sub"], capture_output=True, text=True).stdout.strip())
    left, right = socket.socketpair(); left.send(b"pair"); print(right.recv(4).decode())
    print(socket.getaddrinfo("localhost", 80, socket.AF_INET, socket.SOCK_STREAM)[0][4])
    async def both():
        process = await asyncio.create_subprocess_exec("true"); return await process.wait()
    print(asyncio.run(both()))
    pid, end = pty.fork()
    if pid == 0:
        os.execlp("tty", "tty")
    print(os.read(end, 64).decode().startswith("/dev/pts/")); os.waitpid(pid, 0)
    with tempfile.TemporaryDirectory() as place:
        os.rename(tempfile.mkstemp(dir=place)[1], "/tmp/renamed")
    print(os.path.exists("/tmp/renamed"))
END"#;
    let expect = "[1, 4, 9]\nthread\nsub\npair\n('127.0.0.1', 80)\n0\nTrue\nTrue\n";
    check(&["python3"], script, expect);
}

#[test]
fn node_has_workers_children_and_files() {
    let script = r#"cat > main.js <<'END'
const { Worker, isMainThread, parentPort } = require("worker_threads");
const fs = require("fs");
if (!isMainThread) { parentPort.postMessage("worker"); return; }
console.log(require("child_process").execFileSync("echo", ["child"]).toString().trim());
fs.promises.writeFile("/workspace/f", "x")
  .then(() => fs.promises.readFile("/workspace/f", "utf8"))
  .then(text => { console.log(text); new Worker(__filename).on("message", said => console.log(said)); });
END
exec node main.js"#;
    check(&["node"], script, "child\nx\nworker\n");
}
