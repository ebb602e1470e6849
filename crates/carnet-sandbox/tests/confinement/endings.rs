//! How a run ends: exact codes and signals, and every limit by its name.

use std::{
    os::unix::net::UnixListener,
    sync::atomic::{AtomicBool, Ordering},
};

use carnet_core::{LimitKind, Outcome};

use crate::kit::{bench, stdout, told};

#[test]
fn exit_codes_are_exact() {
    let Some(bench) = bench() else { return };
    for exit_code in [0, 1, 42, 126, 127, 137, 255] {
        let confined = bench.sh(&format!("exit {exit_code}"));
        assert_eq!(confined.outcome, Outcome::Exited { exit_code });
    }
}

#[test]
fn signals_are_exact_and_told_apart_from_codes() {
    let Some(bench) = bench() else { return };
    for signal in [9, 15, 6, 11] {
        let confined = bench.sh(&format!("kill -{signal} $$"));
        assert_eq!(confined.outcome, Outcome::Signalled { signal });
    }
}

#[test]
fn arguments_and_their_name_arrive_as_they_are() {
    let Some(bench) = bench() else { return };
    let mut spec = bench.spec(&[
        "/usr/bin/python3",
        "-c",
        "import sys; print(sys.argv[1:])",
        "",
        "a b",
        "é\n",
        "--",
        "*",
    ]);
    let confined = carnet_sandbox::run(&spec, &AtomicBool::new(false)).unwrap();
    assert_eq!(stdout(&confined), "['', 'a b', 'é\\n', '--', '*']\n");
    spec.tool = "/bin/sh".into();
    spec.argv = ["another-name", "-c", "cat /proc/$$/cmdline"].map(str::to_owned).to_vec();
    let confined = carnet_sandbox::run(&spec, &AtomicBool::new(false)).unwrap();
    assert!(stdout(&confined).starts_with("another-name\0"));
}

#[test]
fn orphans_that_outlive_the_command_are_ended_with_it() {
    let Some(bench) = bench() else { return };
    // The orphan holds standard output open: were it left alive, the run would not end before it.
    let confined = bench.sh("setsid sleep 100000 & echo done");
    assert_eq!((confined.outcome.is_success(), stdout(&confined).as_str()), (true, "done\n"));
}

#[test]
fn out_of_time_ends_grandchildren_in_sessions_of_their_own() {
    let Some(mut bench) = bench() else { return };
    bench.quota.wall_ms = 700;
    let confined = bench.sh("trap '' TERM INT HUP; setsid sh -c 'setsid sleep 100000 & sleep 100000' & echo begun; wait");
    assert_eq!(confined.outcome, Outcome::TimedOut { wall_ms_max: 700 }, "{}", told(&confined));
    assert_eq!(stdout(&confined), "begun\n");
    assert!(confined.usage.wall_ms >= 700);
}

#[test]
fn a_fork_bomb_is_bounded_and_named() {
    let Some(mut bench) = bench() else { return };
    bench.quota.processes = 24;
    let script = "import os,signal
while True:
    try:
        if os.fork() == 0:
            signal.pause()
    except OSError:
        pass";
    let confined = bench.python(script);
    let expect = Outcome::OutOfQuota { limit: LimitKind::Processes };
    assert_eq!(confined.outcome, expect, "{}", told(&confined));
}

#[test]
fn as_many_processes_as_granted_may_run_and_more_end_the_run() {
    let Some(mut bench) = bench() else { return };
    bench.quota.processes = 8;
    let script = "import os,signal
children = []
for _ in range(7):
    child = os.fork()
    if child == 0:
        signal.pause()
    children.append(child)
for child in children:
    os.kill(child, 9); os.waitpid(child, 0)
print(len(children))";
    let confined = bench.python(script);
    assert_eq!(stdout(&confined), "7\n", "{}", told(&confined));
    let beyond = "import os,signal
n = 0
try:
    while True:
        if os.fork() == 0:
            signal.pause()
        n += 1
except OSError:
    print(n, flush=True)
signal.pause()";
    let confined = bench.python(beyond);
    // A controller refuses the child above the quota; rlimits let two come, and they end the run. The look may come
    // before the print.
    assert!(["7\n", "8\n", "9\n", ""].contains(&stdout(&confined).as_str()), "{}", told(&confined));
    assert_eq!(confined.outcome, Outcome::OutOfQuota { limit: LimitKind::Processes });
}

#[test]
fn a_memory_hog_is_ended_and_named() {
    let Some(mut bench) = bench() else { return };
    bench.quota.memory_bytes = 96 << 20;
    let script = "import signal
held = [bytearray(1 << 20) for _ in range(160)]
signal.pause()";
    let confined = bench.python(script);
    assert_eq!(
        confined.outcome,
        Outcome::OutOfQuota { limit: LimitKind::Memory },
        "{}",
        told(&confined)
    );
    assert!(confined.usage.memory_peak_bytes > 90 << 20, "{:?}", confined.usage);
}

#[test]
fn memory_is_counted_over_the_whole_tree() {
    let Some(mut bench) = bench() else { return };
    bench.quota.memory_bytes = 128 << 20;
    let script = "import os,signal
for _ in range(4):
    if os.fork() == 0:
        held = bytearray(40 << 20)
        signal.pause()
signal.pause()";
    let confined = bench.python(script);
    assert_eq!(
        confined.outcome,
        Outcome::OutOfQuota { limit: LimitKind::Memory },
        "{}",
        told(&confined)
    );
}

#[test]
fn pages_shared_by_children_are_counted_once() {
    let Some(mut bench) = bench() else { return };
    bench.quota.memory_bytes = 128 << 20;
    // Five processes with the same 60 MiB: 300 MiB of resident sets, 60 MiB of memory. The parent ends only
    // after its children were looked at long enough for many looks, which the processor time itself measures.
    let script = "import os,time
held = bytearray(60 << 20)
children = []
for _ in range(4):
    child = os.fork()
    if child == 0:
        while time.process_time() < 0.2:
            pass
        os._exit(0)
    children.append(child)
print([os.waitpid(child, 0)[1] for child in children])";
    let confined = bench.python(script);
    assert_eq!(
        (confined.outcome.is_success(), stdout(&confined).as_str()),
        (true, "[0, 0, 0, 0]\n"),
        "{}",
        told(&confined)
    );
}

#[test]
fn scratch_files_count_as_memory_and_are_capped() {
    let Some(mut bench) = bench() else { return };
    bench.quota.disk_bytes = 8 << 20;
    let confined = bench.sh("head -c 20000000 /dev/zero > /tmp/a; head -c 6000000 /dev/zero > /tmp/b; stat -c %s /tmp/a /tmp/b");
    let sizes = stdout(&confined);
    let total: u64 = sizes.lines().map(|line| line.parse::<u64>().unwrap()).sum();
    assert!(total <= 8 << 20, "{sizes}");
}

#[test]
fn a_file_above_the_disk_quota_is_named() {
    let Some(mut bench) = bench() else { return };
    bench.quota.disk_bytes = 1 << 20;
    let confined = bench.sh("exec head -c 2000000 /dev/zero > /workspace/big");
    assert_eq!(
        confined.outcome,
        Outcome::OutOfQuota { limit: LimitKind::Disk },
        "{}",
        told(&confined)
    );
    assert!(std::fs::metadata(bench.workspace.path().join("big")).unwrap().len() <= 1 << 20);
}

#[test]
fn an_output_flood_is_cut_at_the_bound_and_ended() {
    let Some(mut bench) = bench() else { return };
    bench.quota.output_bytes = 100_000;
    let confined = bench.sh("yes flood >&2 & exec yes flood");
    assert_eq!(confined.outcome, Outcome::OutOfQuota { limit: LimitKind::Output });
    assert_eq!(confined.stdout.bytes.len() + confined.stderr.bytes.len(), 100_000);
    assert!(confined.stdout.truncated || confined.stderr.truncated);
    assert!(confined.usage.output_bytes > 100_000);
}

#[test]
fn output_written_just_before_the_end_is_kept_whole() {
    let Some(bench) = bench() else { return };
    let confined = bench.sh("head -c 600000 /dev/zero");
    assert_eq!((confined.stdout.bytes.len(), confined.stdout.truncated), (600_000, false));
    assert_eq!(confined.usage.output_bytes, 600_000);
}

#[test]
fn an_interrupt_ends_the_whole_tree() {
    let Some(bench) = bench() else { return };
    // The command says that it runs by connecting to a socket in the workspace; then it is interrupted.
    let listener = UnixListener::bind(bench.workspace.path().join("ready")).unwrap();
    #[expect(
        clippy::permissions_set_readonly_false,
        reason = "everyone may connect, whoever the run is"
    )]
    {
        let mut permissions =
            std::fs::metadata(bench.workspace.path().join("ready")).unwrap().permissions();
        permissions.set_readonly(false);
        std::fs::set_permissions(bench.workspace.path().join("ready"), permissions).unwrap();
    }
    let spec = bench.spec(&[
        "/usr/bin/python3",
        "-c",
        "import signal,socket; s = socket.socket(socket.AF_UNIX); s.connect('/workspace/ready'); signal.pause()",
    ]);
    let interrupt = AtomicBool::new(false);
    let confined = std::thread::scope(|scope| {
        let run = scope.spawn(|| carnet_sandbox::run(&spec, &interrupt));
        let _connection = listener.accept().unwrap();
        interrupt.store(true, Ordering::Relaxed);
        run.join().unwrap()
    });
    assert_eq!(confined.unwrap().outcome, Outcome::Interrupted);
}

#[test]
fn usage_counts_what_was_killed_as_well() {
    let Some(mut bench) = bench() else { return };
    bench.quota.wall_ms = 1_000;
    let confined = bench.sh("while :; do :; done & while :; do :; done");
    assert_eq!(confined.outcome, Outcome::TimedOut { wall_ms_max: 1_000 });
    assert!(confined.usage.user_ms + confined.usage.system_ms > 50, "{:?}", confined.usage);
}

#[test]
fn usage_counts_orphans_as_well() {
    let Some(bench) = bench() else { return };
    // The orphan uses 200 ms of processor time, says so through a pipe, and goes on; then the command ends.
    let script = "import os,time
reader, writer = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        while time.process_time() < 0.2:
            pass
        os.write(writer, b'x')
        while True:
            pass
    os._exit(0)
os.wait()
os.read(reader, 1)";
    let confined = bench.python(script);
    assert!(confined.outcome.is_success(), "{}", told(&confined));
    assert!(confined.usage.user_ms + confined.usage.system_ms >= 190, "{:?}", confined.usage);
}
