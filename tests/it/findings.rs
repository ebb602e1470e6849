//! Accepted findings: `allowlists/findings.toml`, `carnet findings`.

use carnet_testkit::TestRepo;
use serde_json::Value;

use crate::support::{Walk, everyone, github_token, key_line};

const FILE: &str = "allowlists/findings.toml";

fn walk() -> Walk {
    Walk::initialised("echo hello >README", everyone()[0])
}

fn stage(walk: &Walk, path: &str, text: &str) {
    walk.write(path, text);
    walk.git(&["add", "-A"]).expect_code(0);
}

/// The fingerprint of the one staged finding.
fn fingerprint(walk: &Walk) -> String {
    let report = walk.json(&["scan", "--staged", "--json"]);
    assert_eq!(report["findings"].as_array().unwrap().len(), 1, "{report}");
    report["findings"][0]["fingerprint"].as_str().unwrap().to_owned()
}

/// Accepts the AWS key and commits the file alone.
fn accepted() -> Walk {
    let walk = walk();
    stage(&walk, "a.py", &key_line());
    let digits = fingerprint(&walk);
    walk.git(&["reset", "-q"]).expect_code(0);
    walk.carnet(&["findings", "allow", &digits, "--reason", "revoked"]).expect_code(0);
    walk.git(&["add", FILE]).expect_code(0);
    walk.git(&["commit", "-qm", "accept"]).expect_code(0);
    walk
}

/// Commits a findings file of any text, round the hook.
fn commit_file(walk: &Walk, text: &str) {
    walk.write(FILE, text);
    walk.git(&["add", FILE]).expect_code(0);
    walk.git(&["commit", "-qnm", "findings", "--", FILE]).expect_code(0);
}

fn file_of(entry: &str) -> String {
    let salt = "5a".repeat(32);
    format!("format = \"carnet/findings/1\"\nsalt = \"{salt}\"\n\n[[finding]]\n{entry}")
}

#[test]
fn an_accepted_secret_is_committed_wherever_it_moves_and_another_is_not() {
    for who in everyone() {
        let walk = Walk::initialised("echo hello >README", *who);
        stage(&walk, "a.py", &key_line());
        let digits = fingerprint(&walk);
        walk.git(&["commit", "-m", "refused"]).expect_code(1);
        walk.carnet(&["findings", "allow", &digits, "--reason", "revoked"]).expect_code(0);
        walk.git(&["add", FILE]).expect_code(0);
        walk.git(&["commit", "-m", "the index's file accepts nothing yet"]).expect_code(1);
        walk.git(&["reset", "-q", "a.py"]).expect_code(0);
        walk.git(&["commit", "-qm", "accept"]).expect_code(0);
        stage(&walk, "a.py", &key_line());
        walk.git(&["commit", "-qm", "as it was"]).expect_code(0);
        walk.git(&["mv", "a.py", "b.py"]).expect_code(0);
        stage(&walk, "b.py", &("# a line\n".repeat(1000) + &key_line()));
        walk.git(&["commit", "-qm", "moved by 1000 lines and renamed"]).expect_code(0);
        stage(&walk, "c.yml", &format!("token: {}\n", github_token()));
        walk.git(&["commit", "-m", "another secret"]).expect_code(1);
        walk.assert_sound();
    }
}

#[test]
fn every_clone_agrees_on_fingerprints_a_shallow_one_too() {
    let walk = accepted();
    let url = format!("file://{}", walk.repo.path().display());
    for depth in [&["--depth=1"][..], &[]] {
        let clone = TestRepo::without_repository();
        let mut args = vec!["clone", "-q"];
        args.extend(depth);
        args.extend([url.as_str(), "."]);
        clone.git(&args);
        let clone = Walk::new(clone, everyone()[0]);
        // Before `init` there is no key of this clone's own: the salt is enough.
        stage(&clone, "z.py", &key_line());
        let report = clone.json(&["scan", "--staged", "--json"]);
        assert_eq!(report["findings"], serde_json::json!([]), "{report}");
        assert_eq!(report["suppressed"][0]["reason"], "revoked");
        clone.carnet(&["init"]).expect_code(0);
        clone.git(&["commit", "-qm", "in a clone"]).expect_code(0);
    }
}

#[test]
fn the_work_trees_file_accepts_nothing() {
    let walk = walk();
    stage(&walk, "a.py", &key_line());
    let digits = fingerprint(&walk);
    walk.carnet(&["findings", "allow", &digits, "--reason", "sly"]).expect_code(0);
    walk.git(&["commit", "-m", "not committed"]).expect_code(1);
    let ran = walk.carnet(&["scan", "--staged"]).expect_code(1);
    assert!(ran.stderr.contains("1 finding in"), "{}", ran.stderr);
}

#[test]
fn a_configured_policy_ref_decides_and_head_does_not() {
    let walk = accepted();
    walk.git(&["branch", "reviewed", "HEAD~1"]).expect_code(0);
    walk.git(&["config", "carnet.policyRef", "refs/heads/reviewed"]).expect_code(0);
    stage(&walk, "a.py", &key_line());
    walk.git(&["commit", "-m", "HEAD's file is not asked"]).expect_code(1);
    walk.git(&["branch", "-f", "reviewed", "HEAD"]).expect_code(0);
    walk.git(&["commit", "-qm", "reviewed"]).expect_code(0);
}

#[test]
fn nothing_passes_while_the_file_is_wrong_and_the_message_names_line_and_field() {
    let digits = "0123456789abcdef".repeat(2);
    let good =
        format!("fingerprint = \"{digits}\"\nreason = \"r\"\nowner = \"o\"\nuntil = 2999-01-01\n");
    for (from, to, told) in [
        ("2999-01-01", "2020-01-01", "findings.toml:8: `finding.until`: ran out on 2020-01-01"),
        ("reason = \"r\"\n", "", "findings.toml:4: `finding.reason`: is missing"),
        ("owner", "note = 1\nowner", "findings.toml:7: `finding.note`: unknown key"),
    ] {
        let walk = walk();
        commit_file(&walk, &file_of(&good.replace(from, to)));
        stage(&walk, "clean", "clean\n");
        let ran = walk.git(&["commit", "-m", "clean"]).expect_code(1);
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
        assert!(ran.stderr.contains("hint:"), "{}", ran.stderr);
        let ran = walk.carnet(&["scan", "README"]).expect_code(78);
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
        walk.carnet(&["findings", "list"]).expect_code(78);
    }
}

#[test]
fn the_commit_that_mends_the_file_is_examined_without_any_acceptance() {
    let walk = accepted();
    let sound = std::fs::read_to_string(walk.repo.path().join(FILE)).unwrap();
    commit_file(&walk, "format = 1\n");
    stage(&walk, FILE, "format = 2\n");
    walk.git(&["commit", "-m", "still wrong"]).expect_code(1);
    stage(&walk, FILE, &sound);
    stage(&walk, "a.py", &key_line());
    walk.git(&["commit", "-m", "mended, and a secret that the new file accepts"]).expect_code(1);
    walk.git(&["rm", "-q", "--cached", "a.py"]).expect_code(0);
    walk.git(&["commit", "-qm", "mended"]).expect_code(0);
    walk.git(&["add", "a.py"]).expect_code(0);
    walk.git(&["commit", "-qm", "accepted again"]).expect_code(0);
}

#[test]
fn list_says_what_is_met_unused_and_soon_over() {
    let walk = accepted();
    let list = || -> Value { walk.json(&["findings", "list", "--json"]) };
    assert_eq!(list()["entries"][0]["n_met"], 0);
    let said = walk.carnet(&["findings", "list"]).expect_code(0).stdout;
    assert!(said.contains("unused: met nowhere in HEAD's tree"), "{said}");
    stage(&walk, "a.py", &key_line());
    walk.git(&["commit", "-qm", "met"]).expect_code(0);
    let report = list();
    assert_eq!(report["format"], "carnet/findings-list/1");
    assert_eq!(report["entries"][0]["n_met"], 1);
    assert_eq!(report["entries"][0]["owner"], "ada@example.com");
    assert_eq!(report["entries"][0]["runs_out_soon"], false);
    let empty = Walk::initialised("echo hello >README", everyone()[0]);
    let said = empty.carnet(&["findings", "list"]).expect_code(0).stdout;
    assert!(said.contains("No finding is accepted"), "{said}");
}

#[test]
fn a_rule_is_accepted_in_its_paths_and_sarif_says_by_what() {
    let walk = walk();
    let entry = ["--rule", "aws-access-key-id", "--path", "tests/*.py"];
    let mut args = vec!["findings", "allow", "--reason", "fixture", "--until", "2999-12-31"];
    args.extend(entry);
    walk.carnet(&args).expect_code(0);
    walk.git(&["add", FILE]).expect_code(0);
    walk.git(&["commit", "-qm", "accept"]).expect_code(0);
    stage(&walk, "tests/a.py", &key_line());
    let ran = walk.carnet(&["scan", "--staged", "--format", "sarif"]).expect_code(0);
    let log: Value = serde_json::from_str(&ran.stdout).unwrap();
    let accepted = &log["runs"][0]["results"][0]["suppressions"][0];
    assert_eq!(
        (&accepted["kind"], &accepted["justification"]),
        (&"external".into(), &"fixture".into())
    );
    walk.git(&["commit", "-qm", "fixture"]).expect_code(0);
    stage(&walk, "src/a.py", &key_line());
    walk.git(&["commit", "-m", "elsewhere"]).expect_code(1);
}

#[test]
fn what_is_typed_wrong_is_not_written() {
    let walk = walk();
    let digits = "0123456789abcdef".repeat(2);
    walk.carnet(&["findings", "allow", &digits]).expect_code(2);
    walk.carnet(&["findings", "allow", "--rule", "a", "--reason", "r"]).expect_code(2);
    for args in [
        ["short", "--reason", "r", "--until", "2999-01-01"],
        [digits.as_str(), "--reason", " ", "--until", "2999-01-01"],
        [digits.as_str(), "--reason", "r", "--until", "2020-01-01"],
        [digits.as_str(), "--reason", "r", "--until", "tomorrow"],
    ] {
        let args = [&["findings", "allow"][..], &args].concat();
        walk.carnet(&args).expect_code(78);
    }
    assert!(!walk.repo.path().join("allowlists").exists());
}

#[test]
fn the_file_is_no_lane_of_the_policy() {
    let walk = accepted();
    for (name, text) in carnet_policy::built_in_files() {
        walk.write(name, text);
    }
    walk.git(&["add", "-A", "allowlists"]).expect_code(0);
    walk.git(&["commit", "-qm", "policy"]).expect_code(0);
    walk.git(&["config", "carnet.policyRef", "HEAD"]).expect_code(0);
    walk.carnet(&["run", "--lane", "findings", "--", "true"]).expect_code(2);
}
