//! Every limit against every backend that this machine can show, each beside a control that stays within it.
//!
//! The machine as it is gives the best backend; as root its cgroups are also taken away, all of them or one, in a mount
//! namespace of the supervisor's own. Nothing but a shell is needed inside, so these tests also run in a small VM
//! (`cargo xtask vm-limits`), which says with `CARNET_EXPECT_HELD` what must hold there.

use std::{
    fs,
    io::Read as _,
    os::fd::AsFd,
    path::Path,
    process::{Child, Command, Stdio},
    time::Instant,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::OwnedFd,
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};

use crate::kit::{bench, is_root, trial};

/// What the supervisor finds of cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ground {
    /// What the machine has.
    AsItIs,
    /// None at all.
    WithoutCgroups,
    /// All but the v1 memory controller.
    WithoutMemory,
}

const V1_MEMORY: &str = "/sys/fs/cgroup/memory";
/// Holds 48 MB in a shell's memory.
const HOG: &str = "held=$(head -c 48000000 /dev/zero | tr '\\0' a)";

/// The grounds that can be shown here.
fn grounds() -> Vec<Ground> {
    let mut grounds = vec![Ground::AsItIs];
    // The VM is slow, and is there for what it has.
    if is_root() && std::env::var_os("CARNET_EXPECT_HELD").is_none() {
        grounds.push(Ground::WithoutCgroups);
        if Path::new(V1_MEMORY).exists() {
            grounds.push(Ground::WithoutMemory);
        }
    }
    grounds
}

/// What a supervisor said of one run.
struct Told {
    stdout: String,
    stderr: String,
}

impl Told {
    fn ended(&self, how: &str) -> bool {
        self.stderr.lines().any(|line| line == how)
    }

    fn is_over(&self, limit: &str) -> bool {
        self.ended(&format!("OutOfQuota {{ limit: {limit} }}"))
    }

    /// Level and detail of one line of the receipt.
    fn held(&self, limit: &str) -> (&str, &str) {
        let lines = self.stderr.lines();
        let of_limit = |line: &'_ str| line.split_once(' ').is_some_and(|(name, _)| name == limit);
        let line = lines.into_iter().find(|line| of_limit(line));
        let (_, told) =
            line.unwrap_or_else(|| panic!("{limit}: {}", self.stderr)).split_once(' ').unwrap();
        let (level, detail) = told.trim_start().split_once(": ").unwrap();
        (level, detail)
    }

    /// One figure of the usage.
    fn used(&self, name: &str) -> u64 {
        let (_, rest) = self.stderr.split_once(&format!("{name}: ")).unwrap();
        rest.split([',', ' ']).next().unwrap().parse().unwrap()
    }
}

fn command(ground: Ground, limits: &str, workspace: &Path, wall_ms: &str, script: &str) -> Command {
    let take_away = match ground {
        Ground::AsItIs => None,
        Ground::WithoutCgroups => Some("/sys/fs/cgroup"),
        Ground::WithoutMemory => Some(V1_MEMORY),
    };
    let mut command = match take_away {
        None => Command::new(trial()),
        Some(mount) => {
            let mut unshared = Command::new("unshare");
            unshared.args(["-m", "/bin/sh", "-c", "umount -l \"$0\" && exec \"$@\"", mount]);
            unshared.arg(trial());
            unshared
        }
    };
    let account = if is_root() { "65534:65534" } else { "-" };
    command.arg("limited").arg(limits).arg(workspace);
    command.args([account, wall_ms, "/bin/sh", "-c", script]);
    command
}

fn run(ground: Ground, limits: &str, script: &str) -> Option<Told> {
    run_for("120000", ground, limits, script)
}

fn run_for(wall_ms: &str, ground: Ground, limits: &str, script: &str) -> Option<Told> {
    let bench = bench()?;
    let output = command(ground, limits, bench.workspace.path(), wall_ms, script).output().unwrap();
    Some(Told {
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    })
}

/// The same over a layer, which the kernel bounds.
fn run_in_layer(limits: &str, script: &str) -> Option<Told> {
    let bench = bench()?;
    let mount_point = tempfile::tempdir().unwrap();
    let place = format!("{}+{}", bench.workspace.path().display(), mount_point.path().display());
    let everyone = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(mount_point.path(), everyone).unwrap();
    let output =
        command(Ground::AsItIs, limits, Path::new(&place), "120000", script).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    if stderr.starts_with("failed to") {
        eprintln!("not enforced here: {stderr}");
        return None;
    }
    Some(Told { stdout: String::from_utf8(output.stdout).unwrap(), stderr })
}

#[test]
fn a_layer_that_is_full_ends_the_run_by_name() {
    let files = "i=0; while [ $i -lt 40 ]; do head -c 1000000 /dev/zero > f$i; i=$((i+1)); done";
    let Some(told) = run_in_layer("disk=16777216", &format!("{files}; exec sleep 100000")) else {
        return;
    };
    assert!(told.is_over("Disk") && told.held("disk").0 == "Full", "{}", told.stderr);
    let names = "i=0; while [ $i -lt 5000 ]; do : > f$i; i=$((i+1)); done";
    let told =
        run_in_layer("disk=1048576", &format!("({names}) 2>/dev/null; exec sleep 100000")).unwrap();
    assert!(told.is_over("Inodes") && told.held("inodes").0 == "Full", "{}", told.stderr);
    let told = run_in_layer("disk=16777216,require:disk=full", "echo done | tee f").unwrap();
    assert_eq!(told.stdout, "done\n", "{}", told.stderr);
}

/// In every ground, `beyond` must end by `limit` and `within`, under the same limits, by itself.
fn ends_by(limit: &str, limits: &str, beyond: &str, within: &str) {
    for ground in grounds() {
        let Some(told) = run(ground, limits, beyond) else { return };
        assert!(told.is_over(limit), "{ground:?}: {}", told.stderr);
        let told = run(ground, limits, within).unwrap();
        assert!(told.ended("Exited { exit_code: 0 }"), "{ground:?}: {}", told.stderr);
        assert_eq!(told.stdout, "done\n");
    }
}

#[test]
fn memory_ends_a_run_that_needs_more() {
    let beyond = format!("{HOG}; exec sleep 100000");
    ends_by("Memory", "memory=33554432", &beyond, "echo done");
    // The same hog within its limit.
    for ground in grounds() {
        let Some(told) = run(ground, "memory=1073741824", &format!("{HOG}; echo done")) else {
            return;
        };
        assert_eq!(told.stdout, "done\n", "{ground:?}: {}", told.stderr);
        assert!(told.used("memory_peak_bytes") > 40 << 20, "{}", told.stderr);
    }
}

#[test]
fn a_hog_that_ends_at_once_is_named_where_the_kernel_holds_memory() {
    let Some(told) = run(Ground::AsItIs, "memory=33554432", HOG) else { return };
    if told.held("memory").0 == "Full" {
        assert!(told.is_over("Memory"), "{}", told.stderr);
    } else {
        eprintln!(
            "not enforced here: memory is polled, and what is over between two looks goes by"
        );
    }
}

#[test]
fn processes_end_a_run_that_forks_more() {
    let forks = |n: u32| format!("(i=0; while [ $i -lt {n} ]; do sleep 100000 & i=$((i+1)); done)");
    let beyond = format!("{} 2>/dev/null; exec sleep 100000", forks(30));
    ends_by("Processes", "processes=12", &beyond, &format!("{}; echo done", forks(8)));
}

#[test]
fn processes_are_counted() {
    for ground in grounds() {
        // Five sleep until the sixth, which is the shell, has been looked at: it ends on its own clock.
        let script = "for i in 1 2 3 4 5; do sleep 100000 & done; sleep 1; echo done";
        let Some(told) = run(ground, "processes=64", script) else { return };
        let peak = told.used("processes_peak");
        assert!((6..=8).contains(&peak), "{ground:?}: {}", told.stderr);
    }
}

#[test]
fn disk_ends_a_run_that_fills_it_with_many_files() {
    let fills = |n: u32| {
        format!("i=0; while [ $i -lt {n} ]; do head -c 1000000 /dev/zero > f$i; i=$((i+1)); done")
    };
    let beyond = format!("{}; exec sleep 100000", fills(40));
    ends_by("Disk", "disk=16777216", &beyond, &format!("{}; echo done", fills(4)));
    let at_once = format!("{}; echo done", fills(40));
    let Some(told) = run(Ground::AsItIs, "disk=16777216", &at_once) else { return };
    assert!(told.is_over("Disk"), "seen at the end as well: {}", told.stderr);
}

#[test]
fn inodes_end_a_run_that_makes_too_many() {
    let makes = |n: u32| format!("i=0; while [ $i -lt {n} ]; do : > f$i; i=$((i+1)); done");
    let beyond = format!("{}; exec sleep 100000", makes(5000));
    ends_by("Inodes", "disk=1048576", &beyond, &format!("{}; echo done", makes(40)));
}

#[test]
fn a_share_of_the_processors_is_held_back() {
    for ground in grounds() {
        let spin = "while :; do :; done & while :; do :; done";
        let Some(told) = run_for("3000", ground, "cpu=5", spin) else { return };
        assert!(told.ended("TimedOut { wall_ms_max: 3000 }"), "{ground:?}: {}", told.stderr);
        assert!(told.used("throttled_ms") > 0, "{ground:?}: {}", told.stderr);
        // The whole machine: on one that is slow enough, anything less holds back even this.
        let told = run_for("60000", ground, "cpu=100", "echo done").unwrap();
        assert_eq!((told.stdout.as_str(), told.used("throttled_ms")), ("done\n", 0), "{ground:?}");
    }
}

#[test]
fn what_a_command_has_stopped_itself_stays_stopped() {
    // The sleeper is stopped by the command, the spinners by the supervisor, again and again; the command then
    // asks the kernel whether the sleeper still stands.
    let script = "sleep 100000 & s=$!; kill -STOP $s; (while :; do :; done) & p=$!; i=0
while [ $i -lt 20000 ]; do i=$((i+1)); done; kill -9 $p
while read -r name state rest; do [ \"$name\" = State: ] && echo $state; done < /proc/$s/status; kill -9 $s";
    for ground in grounds() {
        let Some(told) = run(ground, "cpu=10", script) else { return };
        assert_eq!(told.stdout, "T\n", "{ground:?}: {}", told.stderr);
    }
}

#[test]
fn a_requirement_that_is_not_met_starts_nothing_and_one_that_is_runs() {
    for limit in ["cpu", "memory", "processes"] {
        let Some(told) = run(Ground::AsItIs, "", "echo done") else { return };
        let is_full = told.held(limit).0 == "Full";
        let bench = bench().unwrap();
        let required = format!("require:{limit}=full");
        let tried = |ground| {
            let script = "echo started > started";
            let output = command(ground, &required, bench.workspace.path(), "60000", script)
                .output()
                .unwrap();
            let started = fs::remove_file(bench.workspace.path().join("started")).is_ok();
            (output.status.success(), started, String::from_utf8(output.stderr).unwrap())
        };
        let (ended_well, started, told) = tried(Ground::AsItIs);
        assert_eq!((ended_well, started), (is_full, is_full), "{limit}: {told}");
        if is_root() && limit != "processes" {
            let (ended_well, started, told) = tried(Ground::WithoutCgroups);
            assert_eq!((ended_well, started), (false, false), "{limit}: {told}");
            let reason =
                format!("failed to meet requirement `{limit}:full`: the kernel offers partial");
            assert!(told.starts_with(&reason) && told.contains("hint: "), "{told}");
        }
    }
}

#[test]
fn each_limit_is_held_by_the_best_there_is_and_the_receipt_says_by_what() {
    let Some(told) = run(Ground::AsItIs, "", "echo done") else { return };
    for limit in ["cpu", "memory", "processes"] {
        let (level, detail) = told.held(limit);
        eprintln!("held here: {limit} {level}: {detail}");
        if let Ok(expect) = std::env::var("CARNET_EXPECT_HELD") {
            assert!(level == "Full" && detail.starts_with(&expect), "{limit}: {level} {detail}");
        }
    }
    if !is_root() {
        return;
    }
    let told = run(Ground::WithoutCgroups, "", "echo done").unwrap();
    for limit in ["cpu", "memory"] {
        let (level, detail) = told.held(limit);
        assert!(level == "Partial" && detail.starts_with("polling"), "{limit}: {level} {detail}");
    }
    if grounds().contains(&Ground::WithoutMemory) {
        let told = run(Ground::WithoutMemory, "", "echo done").unwrap();
        assert!(told.held("memory").1.starts_with("polling"), "{}", told.stderr);
        assert!(told.held("cpu").1.starts_with("cgroup v1"), "{}", told.stderr);
    }
}

/// Starts a run that does not end, waits until its command says that it runs; returns all processes of it, the
/// supervisor's excluded, from the outermost in.
fn endless(workspace: &Path) -> (Child, Vec<(i32, OwnedFd)>) {
    let mut supervisor = command(
        Ground::AsItIs,
        "",
        workspace,
        "3600000",
        "setsid sleep 100000 & echo runs >&2; echo runs > runs; exec sleep 100000",
    )
    .stdout(Stdio::null())
    .stderr(Stdio::null())
    .spawn()
    .unwrap();
    while fs::read(workspace.join("runs")).unwrap_or_default().is_empty() {
        assert!(supervisor.try_wait().unwrap().is_none(), "the run ended before it began");
        std::thread::yield_now();
    }
    let mut found = Vec::new();
    descendants(supervisor.id(), &mut found);
    (supervisor, found)
}

fn descendants(pid: u32, into: &mut Vec<(i32, OwnedFd)>) {
    let children =
        fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    for child in children.split_ascii_whitespace() {
        let child: i32 = child.parse().unwrap();
        if let Ok(handle) = pidfd_open(Pid::from_raw(child).unwrap(), PidfdFlags::empty()) {
            into.push((child, handle));
        }
        descendants(u32::try_from(child).unwrap(), into);
    }
}

fn ends(handle: &OwnedFd) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(handle.as_fd(), PollFlags::IN)];
    poll(&mut polled, Some(&Timespec { tv_sec: 60, tv_nsec: 0 })).unwrap() == 1
}

/// Groups of the supervisor `pid` that are there now.
fn groups_of(pid: u32) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![std::path::PathBuf::from("/sys/fs/cgroup")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name().to_string_lossy().starts_with(&format!("run-{pid}-")) {
                    found.push(entry.path());
                }
                dirs.push(entry.path());
            }
        }
    }
    found
}

#[test]
fn whichever_part_is_killed_by_force_nothing_of_the_run_is_left() {
    // The supervisor; then, after the warden, bwrap and the inner stage.
    for part in 0..3 {
        let Some(bench) = bench() else { return };
        let (mut supervisor, processes) = endless(bench.workspace.path());
        assert!(processes.len() >= 5, "{}", processes.len());
        let victim = match part {
            0 => i32::try_from(supervisor.id()).unwrap(),
            part => processes[part].0,
        };
        kill_process(Pid::from_raw(victim).unwrap(), Signal::KILL).unwrap();
        supervisor.wait().unwrap();
        assert!(processes.iter().all(|(_, handle)| ends(handle)), "part {part}");
        // A supervisor that was killed cannot tidy up; its warden does, and is not waited for by anyone.
        let begun = Instant::now();
        while part == 0 && !groups_of(supervisor.id()).is_empty() {
            assert!(begun.elapsed().as_secs() < 60, "{:?}", groups_of(supervisor.id()));
            std::thread::yield_now();
        }
        assert_eq!(groups_of(supervisor.id()), Vec::<std::path::PathBuf>::new(), "part {part}");
    }
}

#[test]
fn without_its_warden_the_next_run_removes_what_a_killed_supervisor_left() {
    let Some(bench) = bench() else { return };
    let (mut supervisor, processes) = endless(bench.workspace.path());
    for victim in [processes[0].0, i32::try_from(supervisor.id()).unwrap()] {
        kill_process(Pid::from_raw(victim).unwrap(), Signal::KILL).unwrap();
    }
    supervisor.wait().unwrap();
    assert!(processes.iter().skip(1).all(|(_, handle)| ends(handle)));
    assert!(bench.sh("exit 0").outcome.is_success());
    assert_eq!(groups_of(supervisor.id()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_run_takes_its_groups_away() {
    let Some(bench) = bench() else { return };
    let mut supervisor =
        command(Ground::AsItIs, "", bench.workspace.path(), "60000", "read line; echo done")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
    let pid = supervisor.id();
    let mut said = String::new();
    supervisor.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    supervisor.wait().unwrap();
    assert_eq!((said.as_str(), groups_of(pid).len()), ("done\n", 0));
}
