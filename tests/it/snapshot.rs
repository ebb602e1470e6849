//! `carnet snapshot`: an index that was published answers in another clone, and nothing else is believed.

use carnet_testkit::{Ran, Runner, TestRepo};
use serde_json::Value;

use crate::support::carnet_path;

/// A repository with three commits, a bare one beside it as `origin`, and a fresh clone of that.
struct Two {
    base: TestRepo,
}

impl Two {
    fn new() -> Two {
        let base = TestRepo::init();
        base.script("printf 'def load():\\n    return 1\\n' >a.py; printf 'from a import load\\n\\n\\ndef run():\\n    load()\\n' >b.py; echo '# Loading' >guide.md");
        base.commit_all("first");
        base.git(&["clone", "-q", "--bare", ".", "../origin.git"]);
        base.git(&["remote", "add", "origin", "../origin.git"]);
        Two { base }
    }

    fn clone(&self, name: &str) {
        self.base.git(&["clone", "-q", "../origin.git", &format!("../{name}")]);
    }

    /// Runs carnet in the repository, or in a clone of it.
    fn carnet(&self, dir: &str, args: &[&str]) -> Ran {
        let runner = Runner::new(carnet_path()).in_repo(&self.base);
        let runner =
            if dir.is_empty() { runner } else { runner.in_dir(self.base.root().join(dir)) };
        runner.env("CARNET_DAEMON", "off").args(args).run()
    }

    fn json(&self, dir: &str, args: &[&str]) -> Value {
        let ran = self.carnet(dir, args).expect_code(0);
        serde_json::from_str(&ran.stdout).unwrap()
    }

    fn commit(&self, path: &str, text: &str) -> String {
        self.base.write(path, text).git(&["add", "-A"]);
        // Each a minute after the one before.
        let last: i64 = self.base.git(&["log", "-1", "--format=%ct"]).parse().unwrap();
        let mut commit = self.base.command("git");
        commit.env("GIT_COMMITTER_DATE", format!("@{} +0000", last + 60));
        assert!(commit.args(["commit", "-qm", "next"]).status().unwrap().success());
        self.base.git(&["push", "-q", "origin", "HEAD"]);
        self.base.git(&["rev-parse", "HEAD"])
    }

    fn refs(&self, dir: &str) -> Vec<String> {
        let args = ["for-each-ref", "--format=%(refname)", "refs/carnet/index/"];
        let answer = self.base.git_in(&self.base.root().join(dir), &args);
        answer.lines().map(str::to_owned).collect()
    }
}

#[test]
fn a_clone_answers_from_the_index_that_another_published() {
    let two = Two::new();
    let published = two.json("", &["snapshot", "publish", "--json"]);
    let commit = published["published"]["commit"].as_str().unwrap();
    assert_eq!(two.refs("origin.git"), [format!("refs/carnet/index/{commit}")]);
    two.base.git_in(&two.base.root().join("origin.git"), &["fsck", "--full", "--strict"]);

    two.clone("clone");
    assert_eq!(two.refs("clone"), [""; 0], "a plain clone does not carry indexes");
    let fetched = two.json("clone", &["snapshot", "fetch", "--json"]);
    assert_eq!((&fetched["is_current"], &fetched["n_facts"]), (&true.into(), &2.into()));
    let question = ["who-calls", "load", "--no-wait", "--json"];
    let (ours, theirs) = (two.json("", &question), two.json("clone", &question));
    assert_eq!(ours["resolved"], theirs["resolved"]);
    assert_eq!(theirs["resolved"][0]["path"], "b.py");
    assert_eq!(theirs["index"]["commit"], commit);
    let found = two.json("clone", &["search", "\"# Loading\"", "--no-wait", "--json"]);
    assert_eq!(found["hits"][0]["path"], "guide.md");

    // What came later is a small refresh there.
    two.commit("c.py", "from a import load\n\n\ndef again():\n    load()\n");
    two.base.git_in(&two.base.root().join("clone"), &["pull", "-q"]);
    let once = two.carnet("clone", &["daemon", "--once"]).expect_code(0).stdout;
    assert!(once.contains("1 parsed, 2 known"), "{once}");
    assert_eq!(two.json("clone", &question)["resolved"].as_array().unwrap().len(), 2);
}

#[test]
fn the_nearest_ancestor_is_fetched_and_only_the_newest_are_kept() {
    let two = Two::new();
    let mut commits = Vec::new();
    for n in 0..3 {
        commits.push(two.commit("n.py", &format!("N = {n}\n")));
        two.carnet("", &["snapshot", "publish", "--keep", "2"]).expect_code(0);
    }
    let mut kept: Vec<String> =
        commits[1..].iter().map(|commit| format!("refs/carnet/index/{commit}")).collect();
    kept.sort();
    let head = two.commit("n.py", "N = 4\n");
    assert_eq!((two.refs("origin.git"), two.refs("repo")), (kept.clone(), kept));
    let list = two.json("", &["snapshot", "list", "origin", "--json"]);
    let listed: Vec<&str> = list["snapshots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["commit"].as_str().unwrap())
        .collect();
    assert_eq!(listed, [&commits[2], &commits[1]]);

    two.clone("clone");
    let fetched = two.json("clone", &["snapshot", "fetch", "--json"]);
    assert_eq!(fetched["fetched"]["commit"], commits[2].as_str());
    let answer = two.json("clone", &["where-defined", "N", "--json"]);
    assert_eq!(answer["index"]["commit"], head.as_str());
    let again = two.json("clone", &["snapshot", "fetch", "--json"]);
    assert_eq!(again["is_current"], false);
}

#[test]
fn nothing_published_and_nothing_that_holds_are_told_apart() {
    let two = Two::new();
    two.clone("clone");
    two.carnet("clone", &["snapshot", "fetch"]).expect_code(3);
    two.carnet("clone", &["snapshot", "list"]).expect_code(0);
    two.carnet("", &["snapshot", "publish"]).expect_code(0);
    // Someone points the ref of the commit at something else: the index of another commit.
    let old = two.refs("origin.git").remove(0);
    let head = two.commit("n.py", "N = 1\n");
    let origin = two.base.root().join("origin.git");
    let index = two.base.git_in(&origin, &["rev-parse", &old]);
    let name = format!("refs/carnet/index/{head}");
    two.base.git_in(&origin, &["update-ref", &name, index.trim()]);
    two.clone("other");
    let ran = two.carnet("other", &["snapshot", "fetch"]).expect_code(4);
    assert!(ran.stderr.contains("it is of another commit"), "{}", ran.stderr);
    // A commit that holds no index at all.
    two.base.git_in(&origin, &["update-ref", &name, &head]);
    let ran = two.carnet("other", &["snapshot", "fetch"]).expect_code(4);
    assert!(ran.stderr.contains("it has no manifest"), "{}", ran.stderr);
    // The first question makes an index all the same.
    let answer = two.json("other", &["where-defined", "load", "--json"]);
    assert_eq!(answer["index"]["commit"], head.as_str());
}
