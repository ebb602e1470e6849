//! The daemon follows uncommitted edits once somebody asks about them: in directories that are there, in fresh ones, and not in
//! those that git ignores; where the system grants no watches, it says what to type and answers all the same.

use std::{fs, path::PathBuf};

use carnet_testkit::is_root;
use serde_json::Value;

use crate::support::{Followed, Walk, carnet_path, everyone, which};

const SOURCES: &str = r#"
mkdir -p src/deep target/debug
printf 'target/\n' >.gitignore
printf 'def low():\n    return 1\n' >src/core.py
printf 'from src.core import low\n\n\ndef top():\n    return low()\n' >src/deep/top.py
printf 'int main(void) { return 0; }\n' >target/debug/ignored.c
ln -s .. src/loop
"#;

fn edits(status: &Value) -> &Value {
    &status["daemon"]["edits"]
}

/// The indexes of edits that are made already.
fn made(walk: &Walk) -> Vec<PathBuf> {
    let dir = walk.repo.path().join(".git/carnet/index/snapshots");
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.to_string_lossy().contains("/overlay-")).collect()
}

#[test]
fn edits_are_followed_once_somebody_asks_and_are_made_before_the_next_question() {
    for who in everyone() {
        let walk = Followed(Walk::initialised(SOURCES, *who));
        walk.carnet(&["daemon", "start"]).expect_code(0);
        walk.carnet(&["where-defined", "low", "--wait-fresh"]).expect_code(0);
        walk.0.write("src/core.py", "def low():\n    return 2\n");
        let status = walk.0.json(&["status", "--json"]);
        assert!(edits(&status).is_null(), "nobody asked: {status:#}");
        walk.0.write("src/core.py", "def low():\n    return 1\n");

        walk.carnet(&["where-defined", "low", "--dirty"]).expect_code(0);
        let status = walk.status_when(|it| edits(it)["n_files"] == 0);
        // The top, src and src/deep; neither target nor what the link leads to.
        let status = match edits(&status)["watch"] == "watching 3 directories" {
            true => status,
            false => walk.status_when(|it| edits(it)["watch"] == "watching 3 directories"),
        };
        assert!(made(&walk.0).is_empty(), "{status:#}");

        walk.0.write("src/core.py", "def low():\n    return 3\n");
        walk.status_when(|it| edits(it)["n_files"] == 1);
        assert_eq!(made(&walk.0).len(), 1, "the index of the edits is made before anybody asks");
        let page = walk.carnet(&["status"]).expect_code(0).stdout;
        assert!(page.contains("1 file changed since the commit"), "{page}");

        for n in 0..20 {
            let dir = format!("fresh/{n}/a/b/c");
            walk.0.write(&format!("{dir}/new.py"), format!("def fresh_{n}():\n    return 0\n"));
        }
        walk.0.write("target/debug/more.c", "int more(void) { return 1; }\n");
        walk.status_when(|it| edits(it)["n_files"] == 21);
        // The top, src, src/deep, fresh, and four for each of twenty.
        walk.status_when(|it| edits(it)["watch"] == "watching 84 directories");
        // In a directory that was not there when watching began, and that no notice named.
        walk.0.write("fresh/7/a/b/c/new.py", "def fresher():\n    return 0\n");
        let found = walk.json(&["where-defined", "fresher", "--dirty", "--json"], 0);
        assert_eq!(found["definitions"][0]["uncommitted"], true);

        let commit = walk.commit();
        walk.status_when(|it| {
            edits(it)["n_files"] == 0 && it["index"]["commit"] == commit.as_str()
        });
        walk.0.git(&["rm", "-rq", "fresh"]).expect_code(0);
        walk.status_when(|it| edits(it)["n_files"] == 20);
        walk.0.git(&["reset", "-q", "--hard"]).expect_code(0);
        walk.status_when(|it| edits(it)["n_files"] == 0);
    }
}

#[test]
fn notices_that_overflow_are_healed() {
    let walk = Followed(Walk::initialised(SOURCES, everyone()[0]));
    let pid = walk.json(&["daemon", "start", "--json"], 0)["pid"].as_u64().unwrap().to_string();
    walk.carnet(&["where-defined", "low", "--dirty"]).expect_code(0);
    walk.status_when(|it| edits(it)["watch"] == "watching 3 directories");
    let signal = |name: &str| walk.0.runner(&which("kill")).args([name, &pid]).run().expect_code(0);
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    // While it stands still the kernel's queue fills up: each write is at least two notices, and what comes after them is lost.
    signal("-STOP");
    for n in 0..limit.trim().parse::<usize>().unwrap().min(100_000) {
        // By turns: the same notice twice in a row is one.
        fs::write(walk.0.repo.path().join(format!("turn{}.py", n % 2)), "def turn(): pass\n")
            .unwrap();
    }
    for n in 0..5 {
        walk.0.write(&format!("after/{n}/lost.py"), format!("def lost_{n}(): pass\n"));
    }
    signal("-CONT");
    walk.status_when(|it| edits(it)["n_files"] == 7);
    walk.status_when(|it| edits(it)["watch"] == "watching 9 directories");
    walk.0.write("after/4/lost.py", "def lost(): pass\n");
    fs::remove_file(walk.0.repo.path().join("turn0.py")).unwrap();
    walk.status_when(|it| edits(it)["n_files"] == 6);
}

#[test]
fn what_is_touched_or_added_by_git_at_the_same_moment_is_no_edit_and_no_obstacle() {
    let walk = Followed(Walk::initialised(SOURCES, everyone()[0]));
    walk.carnet(&["where-defined", "low", "--dirty"]).expect_code(0);
    let index = walk.0.repo.path().join(".git/index");
    walk.0.write("src/core.py", "def low():\n    return 1\n");
    let before = fs::metadata(&index).unwrap();
    // The index of git is neither locked nor written: `git add` would fail meanwhile.
    fs::write(walk.0.repo.path().join(".git/index.lock"), "").unwrap();
    let answer = walk.json(&["where-defined", "low", "--dirty", "--json"], 0);
    fs::remove_file(walk.0.repo.path().join(".git/index.lock")).unwrap();
    assert!(answer["index"]["uncommitted"].is_null(), "{answer:#}");
    assert_eq!(fs::metadata(&index).unwrap().modified().unwrap(), before.modified().unwrap());
    // Staged, and put back in the work tree: the work tree is as committed.
    walk.0.write("src/core.py", "def other():\n    return 1\n");
    walk.0.git(&["add", "src/core.py"]).expect_code(0);
    walk.0.write("src/core.py", "def low():\n    return 1\n");
    walk.carnet(&["where-defined", "other", "--dirty"]).expect_code(3);
    walk.carnet(&["where-defined", "low", "--dirty"]).expect_code(0);
}

#[test]
fn where_the_system_grants_no_watches_it_is_said_what_to_type_and_answered_all_the_same() {
    if !is_root() {
        eprintln!("not checked here: limits of a user namespace are set by root");
        return;
    }
    for (limit, setting, is_head_watched) in [
        ("max_inotify_instances 1", "max_user_instances", true),
        ("max_inotify_watches 0", "max_user_watches", false),
        ("max_inotify_watches 9", "max_user_watches", true),
    ] {
        let walk = Followed(Walk::initialised(SOURCES, everyone()[0]));
        let (name, value) = limit.split_once(' ').unwrap();
        let script = format!("echo {value} >/proc/sys/user/{name} && exec \"$0\" daemon start");
        let unshare = which("unshare");
        let args = ["--user", "--map-root-user", "sh", "-ec", &script];
        let daemon = walk.runner(&unshare).args(args).args([carnet_path()]).run();
        daemon.expect_code(0);
        for n in 0..40 {
            walk.0.write(&format!("many/{n}/m.py"), format!("def many_{n}(): pass\n"));
        }
        walk.0.commit_round_the_hook(&[]);
        walk.carnet(&["where-defined", "many_7", "--wait-fresh"]).expect_code(0);
        walk.0.write("many/7/m.py", "def edited(): pass\n");
        walk.carnet(&["where-defined", "edited", "--dirty"]).expect_code(0);
        let status = walk.status_when(|it| edits(it)["n_files"] == 1);
        let text = edits(&status)["watch"].as_str().unwrap();
        let command = format!("`sudo sysctl fs.inotify.{setting}=");
        assert!(text.starts_with("polling: ") && text.contains(&command), "{limit}: {text}");
        assert!(text.contains("edits are looked for every 30 s"), "{text}");
        let head = status["daemon"]["watch"].as_str().unwrap();
        assert_eq!(head.starts_with("watching "), is_head_watched, "{limit}: {head}");
        assert!(is_head_watched || head.contains(&command), "{head}");
    }
}
