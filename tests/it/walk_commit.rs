//! The walk of a commit (ARCHITECTURE.md, "A commit"): the real daemon follows the real git.

use std::{fs, path::Path, process::Command};

use carnet_testkit::TestRepo;

use crate::support::{Followed, Walk, Who, everyone};

const SOURCES: &str = "\
printf 'def greet(name):\\n    return name\\n\\ndef main():\\n    greet(1)\\n' >app.py
printf 'export function greetTs(): void {}\\ngreetTs();\\n' >app.ts
printf 'fn greet_rs() {}\\nfn main() { greet_rs(); }\\n' >app.rs
printf 'package app\\n\\nfunc GreetGo() {}\\n\\nfunc Main() { GreetGo() }\\n' >app.go
";

fn indexed(who: Who) -> Followed {
    Followed(Walk::initialised(SOURCES, who))
}

#[test]
fn the_daemon_starts_by_itself_and_the_index_follows_each_commit() {
    for who in everyone() {
        let walk = indexed(*who);
        for (name, path, line) in [
            ("greet", "app.py", 1),
            ("greetTs", "app.ts", 1),
            ("greet_rs", "app.rs", 1),
            ("GreetGo", "app.go", 3),
        ] {
            let answer = walk.json(&["where-defined", name, "--json"], 0);
            assert_eq!(answer["definitions"][0]["path"], path);
            assert_eq!(answer["definitions"][0]["line"], line);
            let callers = walk.json(&["who-calls", name, "--json"], 0);
            assert_eq!(callers["resolved"].as_array().unwrap().len(), 1, "{callers}");
        }
        walk.0.write("more.py", "def added_later():\n    pass\n");
        let commit = walk.commit();
        let answer = walk.json(&["where-defined", "added_later", "--json"], 0);
        assert_eq!(answer["index"]["commit"], commit.as_str());
        assert_eq!(answer["index"]["behind_commits"], 0);
        let status = walk.json(&["status", "--json"], 0);
        assert_eq!(status["daemon"]["running"], true);
        assert_eq!(status["index"]["n_files_indexed"], 5);
        let refreshes = status["refreshes"].as_array().unwrap();
        assert_eq!(refreshes.last().unwrap()["commit"], commit.as_str());
        assert_eq!(refreshes.last().unwrap()["n_parsed"], 1);
        assert!(status["sizes"]["vectors"].as_u64().unwrap() > 0, "{status}");
        let page = walk.carnet(&["status"]).expect_code(0).stdout;
        assert!(page.contains('█') && page.contains("MiB on the disk"), "{page}");
        let logs = walk.carnet(&["daemon", "logs", "-n", "500"]).expect_code(0).stdout;
        assert!(logs.contains(&format!("index at {commit} after")), "{logs}");
        let last = walk.carnet(&["daemon", "logs", "-n", "1"]).expect_code(0).stdout;
        assert!(logs.ends_with(&last) && last.lines().count() == 1, "{last}");
    }
}

#[test]
fn a_name_that_is_not_there_is_said_and_a_stale_answer_says_so() {
    let walk = indexed(everyone()[0]);
    walk.carnet(&["where-defined", "no_such_name"]).expect_code(3);
    walk.carnet(&["who-calls", "no_such_name"]).expect_code(3);
    let ran = walk.carnet(&["who-calls", "Main"]).expect_code(0);
    assert!(ran.stderr.contains("no call of it"), "{}", ran.stderr);
    walk.carnet(&["daemon", "stop"]).expect_code(0);
    walk.0.write("more.py", "def added_later():\n    pass\n");
    walk.0.git(&["add", "-A"]).expect_code(0);
    walk.0.git(&["commit", "-qm", "without a daemon"]).expect_code(0);
    let ran = walk.carnet(&["where-defined", "--no-wait", "greet"]).expect_code(4);
    assert!(ran.stderr.contains("behind HEAD by 1 commit"), "{}", ran.stderr);
    walk.carnet(&["where-defined", "added_later"]).expect_code(0);
}

#[test]
fn a_second_daemon_is_refused_and_a_killed_one_is_replaced() {
    let walk = indexed(everyone()[0]);
    walk.carnet(&["daemon", "start"]).expect_code(0);
    let ran = walk.carnet(&["daemon", "run"]).expect_code(1);
    let pid = walk.json(&["daemon", "status", "--json"], 0)["pid"].as_u64().unwrap().to_string();
    assert!(ran.stderr.contains(&pid) && ran.stderr.contains("hint:"), "{}", ran.stderr);
    let kill = crate::support::which("kill");
    walk.0.runner(&kill).args(["-9", &pid]).run().expect_code(0);
    walk.0.write("more.py", "def added_later():\n    pass\n");
    walk.commit();
    walk.carnet(&["where-defined", "added_later"]).expect_code(0);
    let now = walk.json(&["daemon", "status", "--json"], 0)["pid"].as_u64().unwrap().to_string();
    assert_ne!(now, pid);
    let stopped = walk.carnet(&["daemon", "stop"]).expect_code(0).stdout;
    assert!(stopped.contains(&format!("has ended (process {now})")), "{stopped}");
    walk.carnet(&["daemon", "status"]).expect_code(69);
}

#[test]
fn once_refreshes_without_a_daemon() {
    let walk = Walk::initialised(SOURCES, everyone()[0]);
    walk.carnet(&["daemon", "--once"]).expect_code(0);
    walk.carnet(&["where-defined", "--no-wait", "greet"]).expect_code(0);
    walk.carnet(&["daemon", "status"]).expect_code(69);
    let again = walk.carnet(&["daemon", "--once"]).expect_code(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
}

#[test]
fn units_are_understood_by_those_who_start_them() {
    let repo = TestRepo::init();
    let walk = Walk::new(repo, everyone()[0]);
    let unit = walk.carnet(&["daemon", "unit", "--system", "systemd"]).expect_code(0);
    assert!(unit.stderr.contains("systemctl --user enable --now carnet-repo-"), "{}", unit.stderr);
    let path = walk.repo.root().join("carnet-test.service");
    fs::write(&path, &unit.stdout).unwrap();
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--user"]).arg(&path).env("XDG_RUNTIME_DIR", walk.repo.root());
    match verify.output() {
        Ok(said) => assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr)),
        Err(error) => eprintln!("NOT CHECKED HERE: systemd-analyze: {error}"),
    }
    let list = walk.carnet(&["daemon", "unit", "--system", "launchd"]).expect_code(0).stdout;
    let path = walk.repo.root().join("carnet.plist");
    fs::write(&path, list).unwrap();
    let program =
        "import plistlib, sys; print(plistlib.load(open(sys.argv[1], 'rb'))['ProgramArguments'])";
    match Command::new("python3").args(["-c", program]).arg(&path).output() {
        Ok(said) => {
            let said = String::from_utf8_lossy(&said.stdout).into_owned();
            assert!(said.ends_with("'daemon', 'run', '--stay']\n"), "{said}");
        }
        Err(error) => eprintln!("NOT CHECKED HERE: python3: {error}"),
    }
}

#[test]
fn a_damaged_snapshot_is_noticed_and_made_anew() {
    let walk = Walk::initialised(SOURCES, everyone()[0]);
    walk.carnet(&["daemon", "--once"]).expect_code(0);
    for snapshot in snapshots(walk.repo.path()) {
        fs::write(snapshot, b"no snapshot at all").unwrap();
    }
    walk.carnet(&["where-defined", "--no-wait", "greet"]).expect_code(4);
    walk.carnet(&["where-defined", "greet"]).expect_code(0);
}

fn snapshots(repo: &Path) -> Vec<std::path::PathBuf> {
    let dir = repo.join(".git/carnet/index/snapshots");
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let found: Vec<_> = entries.filter(|path| path.is_file()).collect();
    assert!(!found.is_empty());
    found
}

#[test]
fn before_the_first_commit_there_is_nothing_to_ask() {
    let repo = TestRepo::init();
    let walk = Walk::new(repo, everyone()[0]);
    walk.carnet(&["init"]).expect_code(0);
    walk.carnet(&["where-defined", "anything"]).expect_code(3);
    walk.carnet(&["daemon", "--once"]).expect_code(3);
    walk.carnet(&["status"]).expect_code(0);
}
