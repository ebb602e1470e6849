//! `carnet sync`: clones that record at the same time lose nothing.

use std::collections::BTreeSet;

use carnet_testkit::{Ran, Runner, TestRepo};
use serde_json::Value;

use crate::support::carnet_path;

/// A bare repository with one commit, and clones of it with carnet in each.
struct Clones {
    base: TestRepo,
    n_clones: usize,
}

impl Clones {
    fn new(n_clones: usize) -> Clones {
        let base = TestRepo::init();
        base.script("echo hello >README");
        base.commit_all("first");
        base.git(&["clone", "-q", "--bare", ".", "../origin.git"]);
        let clones = Clones { base, n_clones };
        for clone_idx in 0..n_clones {
            clones.base.git(&["clone", "-q", "../origin.git", &format!("../clone{clone_idx}")]);
            clones.carnet(clone_idx, &["init"]).expect_code(0);
        }
        clones
    }

    fn carnet(&self, clone_idx: usize, args: &[&str]) -> Ran {
        let dir = self.base.root().join(format!("clone{clone_idx}"));
        let runner = Runner::new(carnet_path()).in_repo(&self.base).in_dir(dir);
        runner.env("CARNET_DAEMON", "off").args(args).run()
    }

    fn runs(&self, clone_idx: usize) -> BTreeSet<String> {
        let ran = self.carnet(clone_idx, &["runs", "--json", "-n", "1000"]).expect_code(0);
        let list: Value = serde_json::from_str(&ran.stdout).unwrap();
        let runs = list["runs"].as_array().unwrap().iter();
        runs.map(|run| run["run"].as_str().unwrap().to_owned()).collect()
    }

    fn git(&self, dir: &str, args: &[&str]) -> String {
        self.base.git_in(&self.base.root().join(dir), args)
    }
}

#[test]
fn runs_of_every_clone_arrive_everywhere_while_all_push_at_once() {
    let clones = Clones::new(8);
    std::thread::scope(|scope| {
        for clone_idx in 0..clones.n_clones {
            let clones = &clones;
            scope.spawn(move || {
                for _ in 0..3 {
                    // A refusal is recorded like any run, and quickly.
                    clones.carnet(clone_idx, &["run", "--", "curl"]).expect_code(1);
                    clones.carnet(clone_idx, &["sync"]).expect_code(0);
                }
            });
        }
    });
    let all: BTreeSet<String> =
        (0..clones.n_clones).flat_map(|clone_idx| clones.runs(clone_idx)).collect();
    assert_eq!(all.len(), 24);
    for clone_idx in 0..clones.n_clones {
        clones.carnet(clone_idx, &["sync"]).expect_code(0);
        assert_eq!(clones.runs(clone_idx), all);
    }
    let head = clones.git("clone0", &["rev-parse", "HEAD"]);
    for dir in ["origin.git", "clone0", "clone7"] {
        let note = clones.git(dir, &["notes", "--ref=carnet/passports", "show", &head]);
        assert!(all.iter().all(|run| note.contains(run)), "{dir}: {note}");
        assert_eq!(clones.git(dir, &["fsck", "--full", "--no-dangling"]), "");
    }
}

#[test]
fn who_loses_every_race_but_the_last_arrives_all_the_same() {
    let clones = Clones::new(2);
    for clone_idx in 0..2 {
        clones.carnet(clone_idx, &["run", "--", "curl"]).expect_code(1);
    }
    clones.carnet(0, &["sync"]).expect_code(0);
    // Between what the pusher saw and what it writes, the server gets another line, six times.
    let hook = "#!/bin/sh
grep -q refs/notes/carnet/passports || exit 0
n=$(ls races 2>/dev/null | wc -l)
test $n -lt 6 || exit 0
mkdir -p races && : >races/$n
unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b.example GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b.example
ref=refs/notes/carnet/passports
git update-ref $ref $(git commit-tree -p $ref -m race$n $ref^{tree})
";
    let path = "../origin.git/hooks/pre-receive";
    clones.base.write(path, hook);
    clones.base.script(&format!("chmod +x {path}"));
    let ran = clones.carnet(1, &["sync", "--json"]).expect_code(0);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["n_rounds"], 7, "{report}");
    let head = clones.git("clone0", &["rev-parse", "HEAD"]);
    let note = clones.git("origin.git", &["notes", "--ref=carnet/passports", "show", &head]);
    assert_eq!(note.lines().count(), 2, "{note}");
    let log = clones.git("origin.git", &["log", "--format=%s", "refs/notes/carnet/passports"]);
    assert_eq!(log.matches("race").count(), 6, "{log}");
}

#[test]
fn a_plain_clone_has_nothing_of_carnet_and_a_foreign_run_verifies_once_its_key_is_trusted() {
    let clones = Clones::new(2);
    clones.carnet(0, &["run", "--", "curl"]).expect_code(1);
    clones.carnet(0, &["sync"]).expect_code(0);
    clones.base.git(&["clone", "-q", "../origin.git", "../plain"]);
    assert_eq!(clones.git("plain", &["for-each-ref", "refs/carnet", "refs/notes"]), "");

    clones.carnet(1, &["sync"]).expect_code(0);
    let run = clones.runs(1).into_iter().next().unwrap();
    let ran = clones.carnet(1, &["passport", "verify", &run]).expect_code(1);
    assert!(ran.stderr.contains("git config --add carnet.trustedKey"), "{}", ran.stderr);
    let key = clones.carnet(0, &["passport", "key"]).expect_code(0).stdout;
    clones.git("clone1", &["config", "--add", "carnet.trustedKey", key.trim()]);
    clones.carnet(1, &["passport", "verify", &run]).expect_code(0);
}

#[test]
fn an_artifact_put_by_hand_arrives_and_is_given_out_once_its_writer_is_trusted() {
    let clones = Clones::new(2);
    let clone = |idx: usize| clones.base.root().join(format!("clone{idx}"));
    std::fs::write(clone(0).join("app"), "app\n").unwrap();
    clones.carnet(0, &["artifact", "put", "app"]).expect_code(0);
    clones.carnet(0, &["sync"]).expect_code(0);
    clones.carnet(1, &["sync"]).expect_code(0);
    let ran = clones.carnet(1, &["artifact", "get", "app"]).expect_code(1);
    assert!(ran.stderr.contains("git config --add carnet.trustedKey"), "{}", ran.stderr);
    clones.carnet(1, &["artifact", "verify"]).expect_code(4);
    assert!(!clone(1).join("app").exists());
    let key = clones.carnet(0, &["passport", "key"]).expect_code(0).stdout;
    clones.git("clone1", &["config", "--add", "carnet.trustedKey", key.trim()]);
    clones.carnet(1, &["artifact", "get", "app"]).expect_code(0);
    assert_eq!(std::fs::read(clone(1).join("app")).unwrap(), b"app\n");
    clones.carnet(1, &["artifact", "verify"]).expect_code(0);

    // The same words under another name: the writer did not sign that.
    let name = clones.git(
        "clone1",
        &["for-each-ref", "--format=%(refname)", "refs/carnet/remotes/origin/artifacts"],
    );
    let message =
        clones.git("clone1", &["log", "-1", "--format=%B", &name]).replace("\"app\"", "\"app2\"");
    let tree = clones.git("clone1", &["rev-parse", &format!("{name}^{{tree}}")]);
    let forged = clones.git("clone1", &["commit-tree", "-m", &message, &tree]);
    clones.git("clone1", &["update-ref", &name, &forged]);
    let ran = clones.carnet(1, &["artifact", "get", "app2"]).expect_code(1);
    assert!(ran.stderr.contains("changed after signing"), "{}", ran.stderr);
}

#[test]
fn shallow_and_partial_clones_list_run_verify_and_exchange() {
    let clones = Clones::new(1);
    clones.git("repo", &["commit", "-q", "--allow-empty", "-m", "second"]);
    clones.git("repo", &["push", "-q", "../origin.git", "HEAD"]);
    clones.git("origin.git", &["config", "uploadpack.allowFilter", "true"]);
    clones.carnet(0, &["run", "--", "curl"]).expect_code(1);
    clones.carnet(0, &["sync"]).expect_code(0);
    let key = clones.carnet(0, &["passport", "key"]).expect_code(0).stdout;
    let url = format!("file://{}", clones.base.root().join("origin.git").display());
    for (idx, option) in [(1, "--depth=1"), (2, "--filter=blob:none")] {
        let name = format!("clone{idx}");
        clones.base.git(&["clone", "-q", option, &url, &format!("../{name}")]);
        clones.carnet(idx, &["init"]).expect_code(0);
        clones.git(&name, &["config", "--add", "carnet.trustedKey", key.trim()]);
        clones.carnet(idx, &["run", "--", "true"]).expect_code(0);
        clones.carnet(idx, &["sync"]).expect_code(0);
        assert_eq!(clones.runs(idx).len(), idx + 1, "{option}");
        let own = clones.carnet(idx, &["passport", "key"]).expect_code(0).stdout;
        clones.git("clone0", &["config", "--add", "carnet.trustedKey", own.trim()]);
        let ran = clones.carnet(idx, &["verify", "--json"]);
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        let problems = report["problems"].as_array().unwrap().iter();
        let wrong: Vec<_> = problems.filter(|it| it["severity"] == "wrong").collect();
        assert!(wrong.is_empty(), "{option}: {wrong:?}");
    }
    clones.carnet(0, &["sync"]).expect_code(0);
    assert_eq!(clones.runs(0).len(), 3);
    clones.carnet(0, &["verify"]).expect_code(0);
}

#[test]
fn without_a_remote_or_with_one_that_is_gone_the_error_says_so() {
    let clones = Clones::new(1);
    clones.carnet(0, &["sync", "no-such-remote"]).expect_code(2);
    clones.git("clone0", &["config", "remote.origin.url", "../nowhere.git"]);
    let ran = clones.carnet(0, &["sync"]).expect_code(4);
    assert!(ran.stderr.contains("hint:"), "{}", ran.stderr);
}
