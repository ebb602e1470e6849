//! The audit log: every kind of tampering is found, at any place, on any clone.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use carnet_testkit::TestRepo;

use crate::support::{Walk, everyone, key_line};

/// A clone whose log holds six refusals, each a commit of its own.
fn six_refusals() -> Walk {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    for idx in 0..6 {
        walk.write(&format!("f{idx}.py"), key_line());
        walk.git(&["add", "-A"]).expect_code(0);
        walk.git(&["commit", "-qm", "with a secret"]).expect_code(1);
        walk.git(&["rm", "-qf", &format!("f{idx}.py")]).expect_code(0);
    }
    walk
}

fn log_ref(walk: &Walk) -> String {
    walk.ask(&["for-each-ref", "--format=%(refname)", "refs/carnet/audit"])
}

/// The log's commits, oldest first.
fn commits(walk: &Walk) -> Vec<String> {
    let list = walk.ask(&["rev-list", "--reverse", &log_ref(walk)]);
    list.lines().map(str::to_owned).collect()
}

/// Writes the messages as a new chain, as someone without the key would, and returns its end.
fn chain_of(walk: &Walk, messages: &[String]) -> String {
    let tree = walk.ask(&["mktree", "--missing"]);
    let mut tip = String::new();
    for message in messages {
        let parent: Vec<&str> = if tip.is_empty() { vec![] } else { vec!["-p", &tip] };
        let args = [&["commit-tree", &tree, "-m", message.trim_end()][..], &parent].concat();
        tip = walk.ask(&args);
    }
    tip
}

fn messages(walk: &Walk) -> Vec<String> {
    commits(walk).iter().map(|id| walk.ask(&["log", "-1", "--format=%B", id])).collect()
}

/// Puts a log in the place of the true one, round the hook, and returns what `audit verify` says.
fn verdict_of(walk: &Walk, tip: &str) -> serde_json::Value {
    std::fs::write(walk.repo.path().join(".git").join(log_ref(walk)), format!("{tip}\n")).unwrap();
    let ran = walk.carnet(&["audit", "verify", "--json"]).expect_code(1);
    serde_json::from_str(&ran.stdout).unwrap()
}

fn said(report: &serde_json::Value) -> String {
    let problems = report["problems"].as_array().unwrap();
    problems.iter().map(|it| format!("{} {}\n", it["subject"], it["message"])).collect()
}

#[test]
fn the_true_log_holds_and_is_shown_and_exported() {
    let walk = six_refusals();
    let report = walk.json(&["audit", "verify", "--json"]);
    assert_eq!((&report["verdict"], &report["n_entries"]), (&"holds".into(), &6.into()));
    let log = walk.carnet(&["audit", "log", "-n", "2"]).expect_code(0).stdout;
    assert_eq!(log.matches("refusal at pre-commit by ").count(), 2, "{log}");
    assert!(log.contains("aws-access-key-id f5.py:1 "), "{log}");
    let lines = walk.carnet(&["audit", "export"]).expect_code(0).stdout;
    let numbers: Vec<_> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["n"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    let csv = walk.carnet(&["audit", "export", "--form", "csv"]).expect_code(0).stdout;
    assert_eq!(csv.lines().count(), 7);
    let none = walk.carnet(&["audit", "log", "--event", "key-change"]).expect_code(0).stdout;
    assert_eq!(none, "Nothing stands in the audit log.\n");
    walk.carnet(&["audit", "review"]).expect_code(1);
    walk.assert_sound();
}

#[test]
fn an_edit_a_drop_an_insertion_and_a_swap_are_found_at_any_place() {
    let walk = six_refusals();
    let truth = messages(&walk);
    for place in 0..6 {
        let mut edited = truth.clone();
        edited[place] = edited[place].replace("aws-access-key-id", "aws-access-key-ix");
        let report = said(&verdict_of(&walk, &chain_of(&walk, &edited)));
        let shows = if place == 5 { "does not fit" } else { "that was changed" };
        assert!(report.contains(shows), "edit at {place}: {report}");

        let mut dropped = truth.clone();
        dropped.remove(place);
        let report = said(&verdict_of(&walk, &chain_of(&walk, &dropped)));
        let n = place + 1;
        let shows = if place == 5 {
            "it ends at entry 5; this clone has written 6".to_owned()
        } else {
            format!("entry {n} is missing")
        };
        assert!(report.contains(&shows), "drop at {place}: {report}");

        let mut doubled = truth.clone();
        doubled.insert(place, truth[place].clone());
        let report = said(&verdict_of(&walk, &chain_of(&walk, &doubled)));
        let shows = format!("entry {n} stands after entry {n}");
        assert!(report.contains(&shows), "insertion at {place}: {report}");

        if place > 0 {
            let mut swapped = truth.clone();
            swapped.swap(place - 1, place);
            let report = said(&verdict_of(&walk, &chain_of(&walk, &swapped)));
            let shows = format!("entry {place} stands after entry {n}");
            assert!(report.contains(&shows), "swap at {place}: {report}");
        }
    }
}

#[test]
fn a_shared_log_travels_and_verifies_on_a_clone() {
    let walk = six_refusals();
    let remote = TestRepo::bare();
    walk.git(&["remote", "add", "origin", remote.path().to_str().unwrap()]).expect_code(0);
    walk.carnet(&["sync"]).expect_code(0);
    assert_eq!(remote.git(&["for-each-ref", "refs/carnet/audit"]), "", "it stays here unasked");
    walk.git(&["config", "carnet.shareAudit", "true"]).expect_code(0);
    walk.carnet(&["sync"]).expect_code(0);
    let other = TestRepo::init();
    other.git(&["remote", "add", "origin", remote.path().to_str().unwrap()]);
    let key = walk.carnet(&["passport", "key"]).expect_code(0).stdout;
    other.git(&["config", "carnet.trustedKey", key.trim()]);
    let other = Walk::new(other, everyone()[0]);
    other.carnet(&["init"]).expect_code(0);
    other.git(&["fetch", "-q", "origin"]).expect_code(0);
    let report = other.json(&["audit", "verify", "--json"]);
    assert_eq!((&report["verdict"], &report["n_entries"]), (&"holds".into(), &6.into()));
}

#[test]
fn a_log_cut_off_is_found_here_and_stays_visible_once_it_goes_on() {
    let walk = six_refusals();
    let all = commits(&walk);
    let report = said(&verdict_of(&walk, &all[3]));
    assert!(report.contains("it ends at entry 4; this clone has written 6"), "{report}");
    // The next refusal names the line that this clone wrote last: the hole is in the log itself now.
    walk.write("g.py", key_line());
    walk.git(&["add", "-A"]).expect_code(0);
    walk.git(&["commit", "-qm", "with a secret"]).expect_code(1);
    let ran = walk.carnet(&["audit", "verify"]).expect_code(1);
    assert!(ran.stdout.contains("entries 5 to 6 are missing"), "{ran:?}");
    let clone = mirror(&walk);
    let ran = carnet_in(&walk, &clone, &["audit", "verify"]);
    assert!(ran.stdout.contains("entries 5 to 6 are missing"), "{ran:?}");
}

#[test]
fn a_log_cut_off_or_gone_is_found_on_a_clone_by_the_checkpoint() {
    let walk = six_refusals();
    let all = commits(&walk);
    walk.carnet(&["checkpoint"]).expect_code(0);
    let key = walk.carnet(&["passport", "key"]).expect_code(0).stdout;
    let name = log_ref(&walk);
    for (change, shows) in [
        (vec!["update-ref", &name, &all[3]], "it held 6 entries"),
        (vec!["update-ref", "-d", &name], "it held 6 entries"),
    ] {
        let clone = mirror(&walk);
        walk.repo.git_in(&clone, &["config", "carnet.trustedKey", key.trim()]);
        let ran = carnet_in(&walk, &clone, &["audit", "verify"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        walk.repo.git_in(&clone, &change);
        let ran = carnet_in(&walk, &clone, &["audit", "verify"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stdout.contains(shows), "{ran:?}");
    }
}

#[test]
fn a_fork_is_found_where_both_ends_are_known() {
    let walk = six_refusals();
    let name = log_ref(&walk);
    let all = commits(&walk);
    let other = format!("refs/carnet/remotes/origin/{}", &name["refs/carnet/".len()..]);
    let mut forked = messages(&walk);
    forked[5] = forked[5].replace("pre-commit", "pre-c0mmit");
    walk.git(&["update-ref", &other, &chain_of(&walk, &forked)]).expect_code(0);
    let ran = walk.carnet(&["audit", "verify"]).expect_code(1);
    assert!(ran.stdout.contains("it went apart from"), "{ran:?}");
    walk.git(&["update-ref", &other, &all[5]]).expect_code(0);
    walk.carnet(&["audit", "verify"]).expect_code(0);
    let cut = walk.repo.path().join(".git").join(&name);
    std::fs::write(cut, format!("{}\n", all[4])).unwrap();
    let ran = walk.carnet(&["audit", "verify"]).expect_code(1);
    assert!(ran.stdout.contains("it lacks 1 entries that refs/carnet/remotes/origin/"), "{ran:?}");
}

#[test]
fn the_hook_refuses_to_rewrite_or_delete_the_log() {
    let walk = six_refusals();
    let name = log_ref(&walk);
    let all = commits(&walk);
    walk.git(&["update-ref", &name, &all[3]]).expect_code(128);
    walk.git(&["update-ref", "-d", &name]).expect_code(128);
    walk.carnet(&["audit", "verify"]).expect_code(0);
}

#[test]
fn a_log_by_a_foreign_key_is_untrusted_on_a_clone_and_names_the_key() {
    let walk = six_refusals();
    let clone = mirror(&walk);
    let ran = carnet_in(&walk, &clone, &["audit", "verify"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let key = walk.carnet(&["passport", "key"]).expect_code(0).stdout;
    assert!(ran.stderr.contains(key.trim()), "{ran:?}");
}

/// A copy as someone else has it: every ref and object, and nothing of what this clone keeps to itself.
fn mirror(walk: &Walk) -> PathBuf {
    let n = std::fs::read_dir(walk.repo.root()).unwrap().count();
    let clone = walk.repo.root().join(format!("mirror-{n}"));
    let own = walk.repo.path().join(".git");
    assert!(Command::new("cp").arg("-r").arg(own).arg(&clone).status().unwrap().success());
    for private in ["carnet", "hooks"] {
        std::fs::remove_dir_all(clone.join(private)).unwrap();
    }
    walk.repo.git_in(&clone, &["config", "core.bare", "true"]);
    clone
}

fn carnet_in(walk: &Walk, dir: &Path, args: &[&str]) -> carnet_testkit::Ran {
    let args = [&["-C", dir.to_str().unwrap()][..], args].concat();
    walk.carnet(&args)
}
