//! `carnet findings baseline`: adopting an old repository.

use std::fs;

use serde_json::Value;

use crate::support::{Walk, Who, everyone, github_token, key_line, private_key};

const FILE: &str = "allowlists/findings.baseline";

fn token_line() -> String {
    format!("token: {}\n", github_token())
}

/// A repository with a secret in HEAD's tree and another that only the history holds, and carnet in it since.
fn old_repository(who: Who) -> Walk {
    let walk = Walk::initialised("echo hello >README", who);
    walk.commit_round_the_hook(&[("gone.yml", &token_line())]);
    walk.commit_round_the_hook(&[("gone.yml", "token: none\n"), ("a.py", &key_line())]);
    walk
}

fn commit(walk: &Walk, message: &str) {
    walk.git(&["add", "-A"]).expect_code(0);
    walk.git(&["commit", "-qm", message]).expect_code(0);
}

fn adopted() -> Walk {
    let walk = old_repository(everyone()[0]);
    walk.carnet(&["findings", "baseline"]).expect_code(0);
    commit(&walk, "adopt");
    walk
}

fn lines(walk: &Walk) -> Vec<String> {
    let text = fs::read_to_string(walk.repo.path().join(FILE)).unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn an_old_repository_is_adopted_in_one_file_of_fingerprints_and_a_new_secret_is_refused() {
    for who in everyone() {
        let walk = old_repository(*who);
        walk.carnet(&["scan", "--history"]).expect_code(1);
        let report = walk.json(&["findings", "baseline", "--dry-run", "--json"]);
        assert!(!walk.repo.path().join(FILE).exists());
        assert_eq!((&report["n_lines"], &report["n_new"]), (&2.into(), &2.into()), "{report}");
        let said = walk.carnet(&["findings", "baseline"]).expect_code(0).stdout;
        assert!(said.contains("git commit") && said.contains("revoke"), "{said}");
        let text = fs::read_to_string(walk.repo.path().join(FILE)).unwrap();
        assert!(!text.contains("a.py") && !text.contains("AKIA"), "{text}");
        commit(&walk, "adopt");
        walk.carnet(&["scan", "--history"]).expect_code(0);
        walk.write("b.py", key_line().replace("key", "other"));
        commit(&walk, "the same secret elsewhere is accepted");
        walk.write("c.pem", private_key());
        walk.git(&["add", "c.pem"]).expect_code(0);
        walk.git(&["commit", "-m", "another"]).expect_code(1);
    }
}

#[test]
fn what_is_accepted_stays_so_after_a_thousand_lines_a_rename_a_rebase_and_a_squash() {
    let walk = adopted();
    let clean = || walk.carnet(&["scan", "--history"]).expect_code(0);
    walk.git(&["branch", "-M", "trunk"]).expect_code(0);
    walk.git(&["checkout", "-qb", "work"]).expect_code(0);
    walk.write("a.py", "# a line\n".repeat(1000) + &key_line());
    commit(&walk, "a thousand lines");
    walk.git(&["mv", "a.py", "b.py"]).expect_code(0);
    commit(&walk, "rename");
    clean();
    walk.git(&["checkout", "-q", "trunk"]).expect_code(0);
    walk.write("README", "meanwhile\n");
    commit(&walk, "meanwhile");
    walk.git(&["rebase", "-q", "trunk", "work"]).expect_code(0);
    clean();
    walk.git(&["checkout", "-q", "trunk"]).expect_code(0);
    walk.git(&["merge", "-q", "--squash", "work"]).expect_code(0);
    walk.git(&["commit", "-qm", "squashed"]).expect_code(0);
    walk.git(&["branch", "-qD", "work"]).expect_code(0);
    clean();
    let entries = walk.json(&["findings", "list", "--history", "--json"])["entries"].clone();
    let n_met = entries.as_array().unwrap().iter().map(|it| it["n_met"].as_u64().unwrap());
    assert!(n_met.min().unwrap() >= 1, "{entries}");
    walk.assert_sound();
}

#[test]
fn two_branches_that_review_each_something_merge_without_a_conflict() {
    let walk = adopted();
    let base = walk.ask(&["rev-parse", "HEAD"]);
    let other = token_line().replace("x7Kd", "y8Le");
    for (branch, text) in [("x", private_key()), ("y", other)] {
        walk.git(&["checkout", "-qb", branch, &base]).expect_code(0);
        walk.commit_round_the_hook(&[(branch, &text)]);
        walk.carnet(&["findings", "baseline", "--head"]).expect_code(0);
        assert_eq!(lines(&walk).len(), 3, "what only the history holds stays");
        commit(&walk, "reviewed");
    }
    walk.git(&["merge", "-q", "-m", "both", "x"]).expect_code(0);
    assert_eq!(lines(&walk).len(), 4);
    walk.carnet(&["scan", "--tree", "HEAD"]).expect_code(0);
}

#[test]
fn a_line_that_ran_out_or_is_no_line_refuses_and_a_renewed_baseline_mends_it() {
    let walk = adopted();
    let sound = fs::read_to_string(walk.repo.path().join(FILE)).unwrap();
    let today = lines(&walk)[0].split(' ').nth(1).unwrap().to_owned();
    let until = lines(&walk)[0].split(' ').nth(2).unwrap().to_owned();
    for (text, told) in [
        (
            sound.replace(&until, "2020-01-01"),
            "findings.baseline:3: `until`: ran out on 2020-01-01",
        ),
        (format!("{sound}<<<<<<< ours\n"), "findings.baseline:5: needs four words"),
        (sound.replacen(&today, "soon", 1), "findings.baseline:3: `reviewed`: must be a day"),
    ] {
        walk.write(FILE, &text);
        walk.git(&["add", "-A"]).expect_code(0);
        let ran = walk.git(&["commit", "-m", "refused while it is staged"]).expect_code(1);
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
        walk.git(&["commit", "-qnm", "round the hook"]).expect_code(0);
        let ran = walk.carnet(&["scan", "--history"]).expect_code(78);
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
        if text.contains("2020-01-01") {
            walk.carnet(&["findings", "baseline"]).expect_code(0);
            let report = lines(&walk);
            assert!(report.iter().all(|line| line.contains(&until)), "{report:?}");
        } else {
            walk.carnet(&["findings", "baseline"]).expect_code(78);
            walk.write(FILE, &sound);
        }
        commit(&walk, "mended");
        walk.carnet(&["scan", "--history"]).expect_code(0);
    }
}

#[test]
fn what_is_met_no_more_leaves_and_what_was_reviewed_keeps_its_day() {
    let walk = adopted();
    let text = fs::read_to_string(walk.repo.path().join(FILE)).unwrap();
    let reviewed = lines(&walk)[0].split(' ').nth(1).unwrap().to_owned();
    let aged = text.replace(&reviewed, "2025-01-01");
    let strange = format!("{} 2026-01-01 2999-01-01 someone\n", "5".repeat(32));
    walk.write(FILE, aged.clone() + &strange);
    let report: Value = walk.json(&["findings", "baseline", "--json"]);
    assert_eq!((&report["n_lines"], &report["n_gone"]), (&2.into(), &1.into()), "{report}");
    assert_eq!(report["n_new"], 0);
    assert_eq!(fs::read_to_string(walk.repo.path().join(FILE)).unwrap(), aged);
    walk.carnet(&["findings", "baseline", "--renew", "--until", "2999-01-01"]).expect_code(0);
    let renewed = lines(&walk);
    let is_new = |line: &String| line.contains(&format!(" {reviewed} 2999-01-01 "));
    assert!(renewed.iter().all(is_new), "{renewed:?}");
    walk.carnet(&["findings", "baseline", "--renew", "--until", "tomorrow"]).expect_code(78);
    walk.carnet(&["findings", "baseline", "--renew", "--owner", "two words"]).expect_code(78);
    assert_eq!(lines(&walk), renewed);
}
