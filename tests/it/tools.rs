//! `carnet tools`: what is locked runs as it was locked, and what is not is refused before it starts.

use std::fs;

use carnet_core::Digest;

use crate::support::{Walk, everyone, root};

const LOCK: &str = "policy/tools.lock";

/// A repository whose policy ref names a commit with the shipped lanes and a lock of `tools`.
fn locked(tools: &[&str], change: impl Fn(String) -> String) -> Walk {
    let script = format!("cp -r '{}' allowlists", root().join("allowlists").display());
    let walk = Walk::initialised(&script, everyone()[0]);
    walk.carnet(&[&["tools", "lock"], tools].concat()).expect_code(0);
    let text = fs::read_to_string(walk.repo.path().join(LOCK)).unwrap();
    walk.write(LOCK, change(text));
    walk.commit_round_the_hook(&[]);
    walk.git(&["config", "carnet.policyRef", "HEAD"]).expect_code(0);
    walk
}

fn digest(program: &str) -> String {
    Digest::of(&fs::read(program).unwrap()).to_string()
}

/// A lock in which `true` has another digest.
fn drifted(text: String) -> String {
    text.replace(&digest("/usr/bin/true"), &"0".repeat(64))
}

#[test]
fn a_locked_tool_runs_and_the_passport_names_what_was_executed() {
    let walk = locked(&["true", "cat"], |text| text);
    walk.carnet(&["tools", "verify"]).expect_code(0);
    walk.carnet(&["run", "--", "true"]).expect_code(0);
    let run = walk.newest_run();
    let passport = walk.json(&["show", &run, "--json"]);
    let text = passport.to_string();
    assert!(text.contains(&digest("/usr/bin/true")), "{text}");
    assert!(text.contains("by the descriptor it was hashed through"), "{text}");
    // The lock that decided is kept with the run, and decides again.
    walk.carnet(&["replay", &run]).expect_code(0);
    walk.assert_sound();
}

#[test]
fn a_tool_that_the_lock_lacks_is_refused_and_the_refusal_recorded() {
    let walk = locked(&["true"], |text| text);
    let ran = walk.carnet(&["run", "--", "cat", "README"]).expect_code(1);
    assert!(ran.stderr.contains("program `cat` is not in policy/tools.lock"), "{}", ran.stderr);
    assert!(ran.stderr.contains("carnet tools lock cat"), "{}", ran.stderr);
    let runs = walk.json(&["runs", "--json", "--outcome", "refused"]);
    assert_eq!(runs["n_runs"], 1, "{runs}");
}

#[test]
fn a_tool_that_is_not_as_locked_is_refused_and_named_by_verify() {
    let walk = locked(&["true", "cat"], drifted);
    let ran = walk.carnet(&["run", "--", "true"]).expect_code(1);
    assert!(ran.stderr.contains("policy/tools.lock has /usr/bin/true with 0000000000000000…"));
    let ran = walk.carnet(&["tools", "verify"]).expect_code(1);
    assert!(ran.stdout.starts_with("policy/tools.lock: true (/usr/bin/true) has sha256"));
    let report = walk.carnet(&["tools", "verify", "--json"]).expect_code(1);
    let report: serde_json::Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!((&report["n_tools"], &report["n_drifted"]), (&2.into(), &1.into()));
    let tools = report["tools"].as_array().unwrap();
    let state = |name: &str| &tools.iter().find(|tool| tool["name"] == name).unwrap()["state"];
    assert_eq!((state("true"), state("cat")), (&"changed".into(), &"same".into()));
    // Locked anew in the work tree alone, it is still refused: a work tree tightens and never loosens.
    walk.carnet(&["tools", "lock", "true"]).expect_code(0);
    walk.carnet(&["run", "--", "true"]).expect_code(1);
    walk.commit_round_the_hook(&[]);
    walk.carnet(&["run", "--", "true"]).expect_code(0);
}

#[test]
fn a_work_tree_locks_what_the_policy_leaves_open() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    walk.carnet(&["tools", "verify"]).expect_code(3);
    walk.carnet(&["run", "--", "cat", "README"]).expect_code(0);
    walk.carnet(&["tools", "lock", "true"]).expect_code(0);
    let ran = walk.carnet(&["run", "--", "cat", "README"]).expect_code(1);
    assert!(ran.stderr.contains("is not in work-tree:policy/tools.lock"), "{}", ran.stderr);
    walk.carnet(&["run", "--", "true"]).expect_code(0);
}

#[test]
fn a_lock_with_anything_wrong_closes_every_lane() {
    let walk = locked(&["true"], |text| text.replace("sha256 = \"", "sha256 = \"x"));
    let ran = walk.carnet(&["run", "--", "true"]).expect_code(78);
    assert!(
        ran.stderr.contains("policy/tools.lock:7: `tool.sha256`: must be 64"),
        "{}",
        ran.stderr
    );
    walk.carnet(&["tools", "verify"]).expect_code(78);
    assert!(
        walk.carnet(&["policy", "check"]).expect_code(78).stdout.contains("policy/tools.lock:7:")
    );
    assert_eq!(walk.json(&["runs", "--json"])["n_runs"], 0);
}

#[test]
fn locking_a_lane_names_what_is_here_and_what_is_not() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    let ran = walk.carnet(&["tools", "lock", "--lane", "code-impl", "--json"]).expect_code(0);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let n_changes = report["changes"].as_array().unwrap().len();
    assert_eq!(report["n_locked"], n_changes);
    assert!(n_changes > 2 && report["changes"].to_string().contains("/usr/bin/true"), "{report}");
    let again = walk.carnet(&["tools", "lock", "--lane", "code-impl"]).expect_code(0);
    assert_eq!(again.stdout, "", "nothing changed");
    walk.carnet(&["tools", "lock", "no-such-program-here"]).expect_code(3);
    walk.carnet(&["tools", "lock", "/bin/sh"]).expect_code(2);
}
