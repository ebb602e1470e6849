//! This room against the real git: the same question goes to both, and git is the judge.
#![expect(
    clippy::unwrap_used,
    reason = "a test's helper that fails must stop the test where it stands"
)]

mod chain;
mod checkout;
mod config;
mod held;
mod notes;
mod objects;
mod open;
mod refs;
mod staged;

use std::path::PathBuf;

use carnet_core::{GitOid, RepoPath, Timestamp};
use carnet_git::{Author, Repo};
use carnet_testkit::{Format, TestRepo};

/// Opens a test repository in this process, which no `GIT_*` variable must disturb.
fn open(repo: &TestRepo) -> Repo {
    let set = std::env::vars_os().any(|(name, _)| name == "GIT_DIR" || name == "GIT_INDEX_FILE");
    assert!(!set, "these tests cannot run inside a git hook");
    Repo::discover(repo.path()).unwrap()
}

/// The example binary that asks this room from a process of its own; cargo builds it with the tests.
fn probe() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let probe = tests.parent().unwrap().parent().unwrap().join("examples/probe");
    assert!(probe.exists(), "build the examples too: cargo test -p carnet-git");
    probe
}

fn oid(text: &str) -> GitOid {
    GitOid::from_hex(text.trim()).unwrap()
}

fn path(text: &str) -> RepoPath {
    RepoPath::new(text).unwrap()
}

fn author() -> Author {
    Author { name: "Carnet Test".to_owned(), email: "carnet@example.com".to_owned() }
}

fn time() -> Timestamp {
    Timestamp::from_millis(1_767_323_045_000)
}

/// Git finds nothing wrong: no missing object, no malformed one, no broken ref.
fn assert_sound(repo: &TestRepo) {
    let output = repo.try_git(&["fsck", "--full", "--strict", "--no-dangling"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("error"), "git fsck: {said}");
}

/// No loose ref of carnet's lies in a repository whose refs are elsewhere.
fn assert_no_stray_ref(repo: &TestRepo, format: Format) {
    if format.is_reftable() {
        let strays: Vec<_> = ["refs/carnet", "refs/notes", "packed-refs", "logs"]
            .into_iter()
            .filter(|name| repo.path().join(".git").join(name).exists())
            .collect();
        assert!(strays.is_empty(), "stray: {strays:?}");
    }
}
