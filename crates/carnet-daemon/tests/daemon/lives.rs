//! How daemons begin and end.

use std::{
    fs,
    io::Read as _,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Barrier,
};

use carnet_core::Timestamp;
use carnet_daemon::{Client, DaemonState, Running, connect_within, ensure_running, status};
use carnet_git::Repo;

use crate::home::{Home, NO_POLL, NO_WATCH, PATIENCE, assert_fresh, harness, until};

fn socket(home: &Home) -> PathBuf {
    let text = fs::read_to_string(home.daemon_file("lock")).unwrap();
    let (_, rest) = text.split_once("\"socket\":\"").unwrap();
    PathBuf::from(rest.split_once('"').unwrap().0)
}

#[test]
fn a_second_daemon_is_refused_and_told_the_pid_of_the_first() {
    let mut home = Home::new();
    let (pid, _) = home.start(&[]).ping().unwrap();
    let output = home.command(&[]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(error.contains(&format!("pid {pid}")), "{error}");
    assert_eq!(home.status().pid, pid);
}

#[test]
fn socket_and_lock_are_private() {
    let mut home = Home::new();
    home.start(&[]);
    let socket = socket(&home);
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    assert!(fs::symlink_metadata(&socket).unwrap().file_type().is_socket());
    assert_eq!(mode(&socket), 0o600);
    assert_eq!(mode(socket.parent().unwrap()), 0o700);
    assert_eq!(mode(&home.daemon_file("lock")), 0o600);
    home.until_indexed(&home.head());
    assert_eq!(mode(&home.daemon_file("log")), 0o600);
}

#[test]
fn a_killed_daemon_leaves_nothing_that_the_next_one_minds() {
    let mut home = Home::new();
    home.start(&[NO_POLL]);
    home.until_indexed(&home.head());
    let stale = socket(&home);
    let mut child = home.child();
    let pid = child.id();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(fs::symlink_metadata(&stale).unwrap().file_type().is_socket());
    assert!(Client::connect(&home.repo()).unwrap().is_none());
    let seen = status(&home.repo(), Timestamp::from_millis(0)).unwrap();
    assert!(matches!(seen.daemon, DaemonState::Away { last_pid: Some(last) } if last == pid));
    assert!(seen.freshness.is_level());

    let second = home.commit("second");
    let mut client = home.start(&[NO_POLL]);
    assert_eq!(socket(&home), stale);
    assert_fresh(&mut client, &second);
}

#[test]
fn a_daemon_killed_in_the_middle_of_a_refresh_is_healed_by_the_next() {
    let mut home = Home::new();
    for idx in 0..200 {
        let source: String = (0..50).map(|f| format!("def f{idx}_{f}():\n    g()\n")).collect();
        home.git.write(&format!("many/m{idx}.py"), source);
    }
    let many = home.commit("many");
    home.start(&[NO_POLL, NO_WATCH]);
    until(|| home.status().is_refreshing || home.status().indexed == Some(many));
    let mut child = home.child();
    child.kill().unwrap();
    child.wait().unwrap();
    let mut client = home.start(&[NO_POLL]);
    assert_fresh(&mut client, &many);
    assert_eq!(home.defined("f199_49"), ["many/m199.py"]);
}

#[test]
fn stop_gives_up_socket_and_lock_before_it_returns() {
    let mut home = Home::new();
    for _ in 0..5 {
        let mut client = home.start(&[NO_POLL]);
        assert_fresh(&mut client, &home.head());
        let socket = socket(&home);
        client.stop().unwrap();
        assert!(!socket.exists());
        assert_eq!(fs::read_to_string(home.daemon_file("lock")).unwrap(), "");
        let mut child = home.child();
        assert!(child.wait().unwrap().success());
        let mut reason = String::new();
        child.stdout.take().unwrap().read_to_string(&mut reason).unwrap();
        assert_eq!(reason, "Requested\n");
    }
}

#[test]
fn a_signal_ends_it_in_order() {
    let mut home = Home::new();
    home.start(&[]);
    let socket = socket(&home);
    let mut child = home.child();
    Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(child.wait().unwrap().success());
    assert!(!socket.exists());
    let log = fs::read_to_string(home.daemon_file("log")).unwrap();
    assert!(log.ends_with("ended: Signalled\n"), "{log}");
}

#[test]
fn a_daemon_that_nobody_needs_ends_by_itself() {
    let home = Home::new();
    let output = home.command(&[("HARNESS_IDLE_MS", "1")]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "Idle\n");
}

#[test]
fn a_deleted_repository_ends_its_daemon_and_is_not_made_again() {
    let mut home = Home::new();
    home.start(&[NO_POLL]);
    home.until_indexed(&home.head());
    fs::remove_dir_all(home.git.path()).unwrap();
    let mut child = home.child();
    assert!(child.wait().unwrap().success());
    assert!(!home.git.path().exists());
}

#[test]
fn a_repository_made_anew_in_the_same_place_is_not_the_same_one() {
    let mut home = Home::new();
    home.start(&[("HARNESS_POLL_MS", "20"), NO_WATCH]);
    home.until_indexed(&home.head());
    fs::rename(home.git.path().join(".git"), home.git.root().join("old")).unwrap();
    home.git.git(&["init", "-q"]);
    assert!(home.child().wait().unwrap().success());
    assert!(!home.git.path().join(".git/carnet").exists());
}

#[test]
fn many_starters_at_once_make_one_daemon() {
    let home = Home::new();
    let barrier = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let repo = Repo::discover(home.git.path()).unwrap();
                barrier.wait();
                ensure_running(&repo, harness()).unwrap();
                connect_within(&repo, PATIENCE).unwrap().expect("no daemon").ping().unwrap();
            });
        }
    });
    let pid = home.status().pid;
    assert_eq!(ensure_running(&home.repo(), harness()).unwrap(), Running::Already);
    assert_eq!(home.status().pid, pid);
}

/// The variables of git in a process's environment.
fn git_variables(pid: u32) -> Vec<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
    let variables = environment.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let local = ["GIT_DIR=", "GIT_INDEX_FILE=", "GIT_WORK_TREE=", "GIT_PREFIX="];
    let is_local = |text: &String| local.iter().any(|name| text.starts_with(name));
    variables.map(|text| text.into_owned()).filter(is_local).collect()
}

#[test]
fn a_hook_starts_a_daemon_that_keeps_neither_its_pipes_nor_its_environment() {
    let home = Home::new();
    let hook = home.git.path().join(".git/hooks/post-commit");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, format!("#!/bin/sh\nexec '{}' hook\n", harness().display())).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    home.git.write("second.py", "def second():\n    return 1\n");
    // `output` reads git's pipes to their end: it would not return while a child held them.
    let output = home.git.try_git(&["commit", "-q", "-m", "empty", "--allow-empty"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    home.until_indexed(&home.head());
    let pid = home.status().pid;
    assert!(git_variables(pid).is_empty(), "{:?}", git_variables(pid));
    // The second time the hook finds it and gives the hint.
    let third = home.commit("third");
    home.until_indexed(&third);
    assert_eq!(home.status().pid, pid);
}

#[test]
fn started_by_hand_in_a_hook_it_leaves_the_environment_too() {
    let mut home = Home::new();
    let git_dir = home.git.path().join(".git");
    let variables = [("GIT_DIR", git_dir.to_str().unwrap()), ("GIT_INDEX_FILE", "elsewhere")];
    let mut client = home.start(&variables);
    assert_fresh(&mut client, &home.head());
    assert_eq!(git_variables(home.status().pid), Vec::<String>::new());
}

#[test]
fn it_stands_in_the_git_directory_with_low_priority() {
    let mut home = Home::new();
    home.start(&[]);
    let pid = home.status().pid;
    let cwd = fs::metadata(format!("/proc/{pid}/cwd")).unwrap();
    let common_dir = fs::metadata(home.git.path().join(".git")).unwrap();
    assert_eq!((cwd.dev(), cwd.ino()), (common_dir.dev(), common_dir.ino()));
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    assert!(fields[16].parse::<i32>().unwrap() >= 10, "nice is {}", fields[16]);
    assert_eq!(fields[3], pid.to_string(), "it leads its own session");
}

#[test]
fn a_daemon_with_another_runtime_directory_is_found() {
    let mut home = Home::new();
    let elsewhere = home.git.root().join("run");
    fs::create_dir(&elsewhere).unwrap();
    let mut command = home.command(&[]);
    command.env("XDG_RUNTIME_DIR", &elsewhere).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    let pid = home.status().pid;
    assert_eq!(pid, child.id());
    assert!(socket(&home).starts_with(&elsewhere));
    home.client().stop().unwrap();
    assert!(child.wait().unwrap().success());
    home.start(&[]);
}
