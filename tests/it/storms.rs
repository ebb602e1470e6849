//! After any storm the index is what a build from nothing makes of the same commit, bit for bit.
//!
//! `cargo xtask bench daemon --only storms` runs this with 30,000 files and 100 commits.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use serde_json::Value;

use crate::support::{Followed, Walk, carnet_path, everyone, size};

/// Files of the storm: four languages in nested directories, each with calls into another.
fn file(n: usize) -> (String, String) {
    let (dir, callee) = (format!("storm/{}/{}/d{n}", n % 7, n % 61), n / 2);
    match n % 4 {
        0 => (
            format!("{dir}/m{n}.py"),
            format!(
                "def storm_{n}():\n    \"\"\"Weathers number {n}.\"\"\"\n    return storm_{callee}()\n"
            ),
        ),
        1 => (
            format!("{dir}/m{n}.ts"),
            format!("export function storm_{n}(): void {{ storm_{callee}(); }}\n"),
        ),
        2 => (
            format!("{dir}/m{n}.go"),
            format!("package d{n}\n\nfunc storm_{n}() {{ storm_{callee}() }}\n"),
        ),
        _ => (format!("{dir}/m{n}.rs"), format!("pub fn storm_{n}() {{ storm_{callee}(); }}\n")),
    }
}

struct Storm {
    walk: Followed,
    began: Instant,
}

impl Storm {
    #[expect(clippy::print_stderr, reason = "the bench shows it")]
    fn say(&self, what: &str) {
        eprintln!("{:>7.2} s  {what}", self.began.elapsed().as_secs_f64());
    }

    fn git(&self, args: &[&str]) {
        self.walk.0.git(args).expect_code(0);
    }

    fn write(&self, path: &str, text: &str) {
        self.walk.0.repo.write(path, text);
    }

    /// Waits until the index is at HEAD, and says how long that took.
    fn settle(&self, what: &str) -> Value {
        let waited = Instant::now();
        let answer = self.walk.json(&["outline", "base.py", "--wait-fresh", "--json"], 0);
        assert_eq!(answer["index"]["commit"], self.walk.0.ask(&["rev-parse", "HEAD"]).as_str());
        self.say(&format!("fresh {:.2} s after {what}", waited.elapsed().as_secs_f64()));
        answer
    }

    /// Compares with an index that is made from nothing in a clone.
    fn assert_as_cold(&self, questions: &[&[&str]]) {
        let walk = &self.walk.0;
        let cold = walk.repo.root().join("cold");
        let _ = std::fs::remove_dir_all(&cold);
        let path = cold.to_str().unwrap();
        let head = walk.ask(&["rev-parse", "HEAD"]);
        self.git(&["clone", "-q", "--no-checkout", ".", path]);
        self.git(&["-C", path, "checkout", "-q", "--detach", &head]);
        let ask = |dir: &Path, args: &[&str]| -> Value {
            let ran = walk.runner(carnet_path()).in_dir(dir).args(args).run();
            serde_json::from_str(&ran.expect_code(0).stdout).unwrap()
        };
        let once = walk.runner(carnet_path()).in_dir(cold.clone()).args(["daemon", "--once"]);
        once.run().expect_code(0);
        let content = |dir: &Path| ask(dir, &["status", "--json"])["index"]["content"].clone();
        assert_eq!(content(walk.repo.path()), content(&cold), "the snapshots differ");
        for question in questions {
            let [warm, cold] = [walk.repo.path(), &cold].map(|dir| {
                let mut answer = ask(dir, question);
                answer.as_object_mut().unwrap().remove("index");
                answer
            });
            assert_eq!(warm, cold, "{question:?}");
        }
        self.say("the same as a cold build");
    }
}

#[test]
fn after_any_storm_the_index_is_that_of_a_cold_build() {
    let n_files = size("CARNET_STORM_FILES", 300);
    let n_commits = size("CARNET_STORM_COMMITS", 20);
    let n_switched = (n_files / 3).min(1_000);
    let walk = Walk::initialised("printf 'def base():\\n    pass\\n' >base.py", everyone()[0]);
    let storm = Storm { walk: Followed(walk), began: Instant::now() };
    let daemon = storm.walk.json(&["daemon", "start", "--json"], 0)["pid"].clone();
    let name = format!("storm_{}", n_files - 1);
    let questions: [&[&str]; 4] = [
        &["search", "weathers number", "--json"],
        &["search", &name, "--json"],
        &["who-calls", "storm_1", "--json"],
        &["impact-set", "storm_0", "--depth", "8", "--json"],
    ];

    // Untracked first: nobody asked for edits, so nothing of it is looked at.
    for n in 0..n_files {
        let (path, text) = file(n);
        storm.write(&path, &text);
    }
    storm.say(&format!("{n_files} files lie in the work tree"));
    storm.settle("them");
    storm.git(&["add", "-A"]);
    storm.git(&["commit", "-qnm", "storm"]);
    storm.settle("the commit of all of them");
    storm.assert_as_cold(&questions);

    // Directories that come and go in bursts, while somebody asks for edits.
    for burst in 0..5 {
        for n in 0..n_files / 10 {
            let dir = format!("burst/{burst}/{n}/a/b/c/d");
            storm.write(&format!("{dir}/fresh.py"), &format!("def fresh_{burst}_{n}(): pass\n"));
        }
        let (first, all) = (format!("fresh_{burst}_0"), n_files / 10);
        let code = if all <= 2_000 { 0 } else { 4 };
        storm.walk.carnet(&["where-defined", &first, "--dirty"]).expect_code(code);
        std::fs::remove_dir_all(storm.walk.0.repo.path().join("burst")).unwrap();
    }
    storm.say("directories came and went");
    storm.walk.carnet(&["where-defined", "fresh_0_0", "--dirty"]).expect_code(3);

    // A branch is rebased while git packs, and while the daemon reads.
    storm.git(&["switch", "-qc", "topic"]);
    for n in 0..n_commits {
        storm.write(&format!("topic/t{n}.py"), &format!("def topic_{n}():\n    return base()\n"));
        storm.git(&["add", "-A"]);
        storm.git(&["commit", "-qnm", "topic"]);
    }
    storm.say(&format!("{n_commits} commits"));
    storm.git(&["switch", "-q", "main"]);
    storm.write("base.py", "def base():\n    return storm_0()\n");
    storm.git(&["commit", "-qanm", "onto"]);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                storm.git(&["repack", "-adq"]);
            }
        });
        storm.git(&["rebase", "-q", "main", "topic"]);
        is_over.store(true, Ordering::Relaxed);
    });
    storm.git(&["gc", "-q", "--prune=now"]);
    storm.settle("the rebase, repacked meanwhile, and a gc");
    storm.assert_as_cold(&questions);

    // To and fro between branches with many different files; each time the index comes along, or is overtaken.
    storm.git(&["switch", "-qc", "other"]);
    for n in 0..n_switched {
        let (path, text) = file(n);
        storm.write(&path, &text.replace("storm_", "other_"));
    }
    storm.git(&["commit", "-qanm", "other"]);
    storm.settle(&format!("a commit that changes {n_switched} files"));
    for turn in 0..7 {
        storm.git(&["switch", "-q", if turn % 2 == 0 { "topic" } else { "other" }]);
        storm.git(&["gc", "-q", "--prune=now"]);
        if turn >= 2 {
            storm.settle(&format!("a switch of {n_switched} files, and a gc"));
        }
    }
    storm.assert_as_cold(&questions);
    let status = storm.walk.status_when(|it| it["daemon"]["refreshing"] == false);
    assert_eq!(status["daemon"]["pid"], daemon, "the daemon did not live through it");
    assert!(status["daemon"]["last_error"].is_null(), "{status:#}");
    storm.walk.0.assert_sound();
}
