//! The walk of a staged blob (ARCHITECTURE.md, "A staged blob").

use crate::support::{Walk, aws_key, everyone, github_token, private_key};

/// Stages `text` as `path`, tries to commit, and returns what git printed for the refusal.
fn refused(walk: &Walk, path: &str, text: &str) -> String {
    walk.write(path, text);
    walk.git(&["add", "-A"]).expect_code(0);
    let before = walk.ask(&["rev-parse", "HEAD"]);
    let ran = walk.git(&["commit", "-m", "with a secret"]).expect_code(1);
    assert_eq!(walk.ask(&["rev-parse", "HEAD"]), before, "nothing was committed");
    ran.stderr
}

#[test]
fn a_staged_secret_is_refused_with_place_rule_and_hint_and_its_value_masked() {
    for who in everyone() {
        let walk = Walk::initialised("echo hello >README", *who);
        let secrets = [
            ("aws.py", format!("\nkey = '{}'\n", aws_key()), "aws-access-key-id", aws_key()),
            ("ci.yml", format!("\ntoken: {}\n", github_token()), "github", github_token()),
            ("id", format!("\n{}", private_key()), "private-key", private_key()),
        ];
        for (path, text, rule, secret) in secrets {
            let said = refused(&walk, path, &text);
            assert!(said.contains(&format!("{path}:2:")), "{said}");
            assert!(said.contains(rule), "{said}");
            assert!(said.contains("hint:"), "{said}");
            let body = secret.lines().nth(1).unwrap_or(&secret);
            assert!(!said.contains(body), "{said}");
            walk.write(path, "key = None\n");
            walk.git(&["add", "-A"]).expect_code(0);
            walk.git(&["commit", "-qm", "cleaned"]).expect_code(0);
        }
        walk.assert_sound();
    }
}

#[test]
fn the_index_is_examined_and_not_the_work_tree() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    walk.write("a.py", format!("key = '{}'\n", aws_key()));
    walk.git(&["add", "a.py"]).expect_code(0);
    walk.write("a.py", "key = None\n");
    walk.git(&["commit", "-m", "the index has it"]).expect_code(1);

    walk.git(&["add", "a.py"]).expect_code(0);
    walk.write("a.py", format!("key = '{}'\n", aws_key()));
    walk.git(&["commit", "-qm", "only the work tree has it"]).expect_code(0);
    assert!(std::fs::read_to_string(walk.repo.path().join("a.py")).unwrap().contains("AKIA"));
}

#[test]
fn every_form_of_commit_is_examined() {
    let walk = Walk::initialised("echo hello >README; echo x >other", everyone()[0]);
    walk.write("README", format!("key = '{}'\n", aws_key()));
    walk.git(&["commit", "-am", "with -a"]).expect_code(1);
    walk.git(&["commit", "-m", "by path", "README"]).expect_code(1);
    walk.git(&["add", "README"]).expect_code(0);
    walk.git(&["commit", "--amend", "-m", "amended"]).expect_code(1);
    walk.git(&["commit", "-m", "another path only", "--only", "--allow-empty", "other"])
        .expect_code(0);
}

#[test]
fn the_first_commit_of_a_repository_is_examined() {
    let walk = Walk::new(carnet_testkit::TestRepo::init(), everyone()[0]);
    walk.carnet(&["init"]).expect_code(0);
    walk.write("a.py", format!("key = '{}'\n", aws_key()));
    walk.git(&["add", "-A"]).expect_code(0);
    walk.git(&["commit", "-m", "first"]).expect_code(1);
    walk.write("a.py", "key = None\n");
    walk.git(&["add", "-A"]).expect_code(0);
    walk.git(&["commit", "-qm", "first"]).expect_code(0);
}

#[test]
fn a_merge_and_a_linked_worktree_are_examined() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    walk.git(&["checkout", "-qb", "side"]).expect_code(0);
    walk.write("side.py", format!("key = '{}'\n", aws_key()));
    walk.git(&["add", "-A"]).expect_code(0);
    walk.git(&["commit", "-qm", "round the hook", "--no-verify"]).expect_code(0);
    walk.git(&["checkout", "-q", "-"]).expect_code(0);
    walk.git(&["merge", "--no-ff", "-m", "merge", "side"]).expect_code(1);
    walk.git(&["merge", "--abort"]).expect_code(0);

    let linked = walk.repo.root().join("linked");
    walk.git(&["worktree", "add", "-q", linked.to_str().unwrap()]).expect_code(0);
    std::fs::write(linked.join("a.py"), format!("key = '{}'\n", aws_key())).unwrap();
    let there = linked.to_str().unwrap();
    walk.git(&["-C", there, "add", "-A"]).expect_code(0);
    walk.git(&["-C", there, "commit", "-m", "in the worktree"]).expect_code(1);
}

#[test]
fn an_inline_allow_with_a_reason_lets_pass_and_without_one_does_not() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    let said =
        refused(&walk, "a.py", &format!("k = '{}' # carnet:allow aws-access-key-id\n", aws_key()));
    assert!(said.contains("carnet:allow aws-access-key-id <reason>"), "{said}");
    let allowed = format!("k = '{}' # carnet:allow aws-access-key-id revoked in 2020\n", aws_key());
    walk.write("a.py", allowed);
    walk.git(&["add", "-A"]).expect_code(0);
    walk.git(&["commit", "-qm", "allowed"]).expect_code(0);
}

#[test]
fn a_refusal_is_in_the_audit_log_without_the_secret() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    refused(&walk, "a.py", &format!("key = '{}'\n", aws_key()));
    refused(&walk, "a.py", &format!("\nkey = '{}'\n", aws_key()));
    let log = walk.ask(&["log", "--format=%B", "--glob=refs/carnet/audit"]);
    assert_eq!(log.matches("\"event\":\"refusal\"").count(), 2, "{log}");
    assert!(log.contains("aws-access-key-id a.py:2 "), "{log}");
    assert!(!log.contains(&aws_key()), "{log}");
    walk.assert_sound();
}
