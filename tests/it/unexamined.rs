//! Commits that went round the hooks: flagged by `carnet scan --unexamined`, and by the daemon by itself.

use serde_json::Value;

use crate::support::{Walk, aws_key, carnet_path, everyone, key_line};

fn walk() -> Walk {
    Walk::initialised("echo hello >README", everyone()[0])
}

fn flagged(walk: &Walk) -> Vec<String> {
    let ran = walk.carnet(&["status", "--json"]);
    let status: Value = serde_json::from_str(&ran.stdout).unwrap();
    serde_json::from_value(status["flagged"].clone()).unwrap()
}

#[test]
fn a_commit_round_the_hook_is_flagged_until_it_is_gone_and_audited_once() {
    let walk = walk();
    walk.carnet(&["scan", "--unexamined"]).expect_code(0);
    let commit_id = walk.commit_round_the_hook(&[("a.py", &key_line())]);
    assert!(flagged(&walk).is_empty(), "nobody has looked yet");
    let said = walk.carnet(&["scan", "--unexamined"]).expect_code(1).stderr;
    assert!(said.contains("a.py:1") && !said.contains(&aws_key()), "{said}");
    assert_eq!(flagged(&walk), [commit_id.as_str()]);
    let page = walk.carnet(&["status"]).stdout;
    assert!(page.contains("1 commit went round the hooks: carnet scan --unexamined"), "{page}");

    walk.git(&["rm", "-q", "a.py"]).expect_code(0);
    walk.git(&["commit", "-qm", "clean, but it is still there below"]).expect_code(0);
    walk.carnet(&["scan", "--unexamined"]).expect_code(1);
    assert_eq!(flagged(&walk), [commit_id.as_str()]);
    let log = walk.ask(&["log", "--format=%B", "--glob=refs/carnet/audit"]);
    assert_eq!(log.matches("\"event\":\"flag\"").count(), 1, "{log}");

    walk.git(&["reset", "-q", "--hard", "HEAD~2"]).expect_code(0);
    walk.carnet(&["scan", "--unexamined"]).expect_code(0);
    assert!(flagged(&walk).is_empty());
}

#[test]
fn what_is_accepted_is_flagged_no_longer_and_what_was_there_before_init_never() {
    let repo = carnet_testkit::TestRepo::init();
    repo.write("old.py", key_line()).commit_all("before carnet");
    let walk = Walk::new(repo, everyone()[0]);
    walk.carnet(&["init"]).expect_code(0);
    walk.carnet(&["scan", "--unexamined"]).expect_code(0);
    walk.commit_round_the_hook(&[("a.py", &key_line())]);
    let report = walk.json(&["scan", "--unexamined", "--json"]);
    let fingerprint = report["findings"][0]["fingerprint"].as_str().unwrap();
    walk.carnet(&["findings", "allow", fingerprint, "--reason", "revoked"]).expect_code(0);
    walk.commit_round_the_hook(&[]);
    walk.carnet(&["scan", "--unexamined"]).expect_code(0);
    assert!(flagged(&walk).is_empty());
}

#[test]
fn every_branch_and_worktree_is_looked_at() {
    let walk = walk();
    let linked = walk.repo.root().join("linked");
    let there = linked.to_str().unwrap();
    walk.git(&["worktree", "add", "-q", "--detach", there]).expect_code(0);
    std::fs::write(linked.join("a.py"), key_line()).unwrap();
    walk.git(&["-C", there, "add", "-A"]).expect_code(0);
    walk.git(&["-C", there, "commit", "-qnm", "detached"]).expect_code(0);
    let detached = walk.ask(&["-C", there, "rev-parse", "HEAD"]);
    walk.carnet(&["scan", "--unexamined"]).expect_code(1);
    assert_eq!(flagged(&walk), [detached.as_str()]);
}

/// Stops the daemon when the test ends.
struct Watched(Walk);

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.carnet(&["daemon", "stop"]);
    }
}

#[test]
fn the_daemon_flags_what_plumbing_committed() {
    let watched = Watched(walk());
    let walk = &watched.0;
    let start = walk.runner(carnet_path()).env("CARNET_DAEMON", "on");
    start.args(["daemon", "start"]).run().expect_code(0);
    walk.write("a.py", key_line());
    walk.git(&["add", "a.py"]).expect_code(0);
    let tree = walk.ask(&["write-tree"]);
    let commit_id = walk.ask(&["commit-tree", "-p", "HEAD", "-m", "by plumbing", &tree]);
    walk.git(&["update-ref", "refs/heads/side", &commit_id]).expect_code(0);
    // The thirty-second look would find it too; each question takes a moment, so this is bounded well beyond that.
    let found = (0..20_000).find(|_| !flagged(walk).is_empty());
    assert!(found.is_some(), "{}", walk.carnet(&["status"]).stdout);
    assert_eq!(flagged(walk), [commit_id.as_str()]);
}
