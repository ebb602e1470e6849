//! What must not be left behind, and what must not come in with the supervisor.

use std::{
    fs,
    os::fd::{AsFd, OwnedFd},
    process::{Command, Stdio},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

use crate::kit::{bench, is_root, trial};

const ACCOUNT: [&str; 2] = ["-", "65534:65534"];

/// All descendants of `pid`, as handles that stay theirs.
fn descendants(pid: u32) -> Vec<OwnedFd> {
    let mut handles = Vec::new();
    let children =
        fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    for child in children.split_ascii_whitespace() {
        let child: u32 = child.parse().unwrap();
        let child_pid = Pid::from_raw(i32::try_from(child).unwrap()).unwrap();
        handles.push(pidfd_open(child_pid, PidfdFlags::empty()).unwrap());
        handles.extend(descendants(child));
    }
    handles
}

fn ends_within(handle: &OwnedFd, seconds: i64) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(handle.as_fd(), PollFlags::IN)];
    poll(&mut polled, Some(&Timespec { tv_sec: seconds, tv_nsec: 0 })).unwrap() == 1
}

#[test]
fn a_supervisor_killed_by_force_leaves_no_process() {
    let Some(bench) = bench() else { return };
    let fifo = bench.workspace.path().join("ready");
    let made = Command::new("/usr/bin/mkfifo").args(["-m", "666"]).arg(&fifo).status().unwrap();
    assert!(made.success());
    let mut supervisor = Command::new(trial())
        .arg("run")
        .arg(bench.workspace.path())
        .args([ACCOUNT[usize::from(is_root())], "3600000", "/bin/sh", "-c"])
        .arg("setsid sh -c 'sleep 100000 & sleep 100000' & sleep 100000 & echo ready > ready; wait")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(fs::read_to_string(&fifo).unwrap(), "ready\n");
    let left = descendants(supervisor.id());
    // bwrap, the inner stage, the shell and at least one sleep.
    assert!(left.len() >= 4, "{}", left.len());
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    assert!(left.iter().all(|process| ends_within(process, 30)));
}

#[test]
fn nothing_is_left_when_a_run_returns() {
    let Some(bench) = bench() else { return };
    // In a process of its own, whose children are those of this one run only.
    let output = Command::new("/bin/sh")
        .args(["-c", "\"$@\" 2>/dev/null; cat /proc/$$/task/$$/children", "sh"])
        .arg(trial())
        .arg("run")
        .arg(bench.workspace.path())
        .args([
            ACCOUNT[usize::from(is_root())],
            "60000",
            "/bin/sh",
            "-c",
            "setsid sleep 100000 & echo ended",
        ])
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let (said, children) = told.split_once('\n').unwrap();
    assert_eq!(said, "ended");
    // The one child is `cat` itself.
    assert_eq!(children.split_ascii_whitespace().count(), 1, "{told}");
}

#[test]
fn descriptors_the_supervisor_inherited_do_not_reach_the_command() {
    let Some(bench) = bench() else { return };
    let outer = tempfile::NamedTempFile::new().unwrap();
    let script = "exec 7<\"$0\" 8>>\"$0\" 150<\"$0\"; \"$@\"";
    let run = |argv: &[&str]| {
        Command::new("/bin/bash")
            .args(["-c", script])
            .arg(outer.path())
            .args(argv)
            .output()
            .unwrap()
    };
    let listing = "ls /proc/self/fd | tr '\\n' ' '";
    let control = run(&["/bin/sh", "-c", listing]);
    assert!(
        String::from_utf8_lossy(&control.stdout).contains("150"),
        "the control must inherit them"
    );

    let workspace = bench.workspace.path().to_str().unwrap();
    let account = ACCOUNT[usize::from(is_root())];
    let output = run(&[
        trial().to_str().unwrap(),
        "run",
        workspace,
        account,
        "60000",
        "/bin/sh",
        "-c",
        listing,
    ]);
    // The fourth is the directory that `ls` reads.
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0 1 2 3 ");
}

#[test]
fn variables_of_the_supervisor_do_not_reach_the_command_or_its_ancestors() {
    let Some(bench) = bench() else { return };
    let output = Command::new(trial())
        .arg("run")
        .arg(bench.workspace.path())
        .args([ACCOUNT[usize::from(is_root())], "60000", "/bin/sh", "-c"])
        .arg("cat /proc/*/environ; cat /proc/*/cmdline | tr '\\0' ' '")
        .env("CARNET_TEST_LEAK", "leaked-value")
        .env("LD_PRELOAD", "")
        .output()
        .unwrap();
    let seen = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(seen.contains("HOME=/tmp/home"), "{seen}");
    assert!(!seen.contains("leaked-value") && !seen.contains("LD_PRELOAD"), "{seen}");
    assert!(!seen.contains(bench.workspace.path().to_str().unwrap()), "{seen}");
}

#[test]
fn runs_at_once_do_not_disturb_each_other() {
    let Some(bench) = bench() else { return };
    std::thread::scope(|scope| {
        let bench = &bench;
        let run =
            |exit_code: i32| scope.spawn(move || bench.sh(&format!("exit {exit_code}")).outcome);
        let runs: Vec<_> = (1..=8).map(|exit_code| (exit_code, run(exit_code))).collect();
        for (exit_code, run) in runs {
            assert_eq!(run.join().unwrap(), carnet_core::Outcome::Exited { exit_code });
        }
    });
}
