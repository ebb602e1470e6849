//! `carnet rules`, and rules of a repository's own.

use serde_json::Value;

use crate::support::{Walk, everyone};

/// A rule of a made-up provider, with a test token put together here.
fn rule_file(keyword: &str) -> String {
    format!(
        "format = \"carnet/rules/1\"\nfamily = \"acme\"\n\n[[rule]]\nid = \"acme-token\"\ndescription = \"Acme token\"\n\
         pattern = '\\bacme_[a-z0-9]{{16}}\\b'\nkeywords = [\"{keyword}\"]\nseverity = \"critical\"\nconfidence = \"high\"\n\
         examples = [[\"acme_\", \"k9lq2mvx7zt7wkq9\"]]\nnegative_examples = [\"acme_short\"]\n"
    )
}

fn token_line() -> String {
    format!("t = {}_{}\n", "acme", "k9lq2mvx7zt7wkq9")
}

fn walk() -> Walk {
    Walk::initialised("echo hello >README", everyone()[0])
}

fn rules_met(walk: &Walk) -> Vec<String> {
    let report = walk.json(&["scan", "--staged", "--json"]);
    let findings = report["findings"].as_array().unwrap().iter();
    findings.map(|finding| finding["rule"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_rule_of_the_policy_refs_commit_counts_and_one_of_the_work_tree_does_not() {
    let walk = walk();
    walk.write("policy/rules/acme.toml", rule_file("acme_"));
    walk.write("a.txt", token_line());
    walk.git(&["add", "-A"]).expect_code(0);
    assert_eq!(rules_met(&walk), Vec::<String>::new());
    walk.git(&["commit", "-qm", "rules"]).expect_code(0);
    walk.write("b.txt", token_line());
    walk.git(&["add", "-A"]).expect_code(0);
    assert_eq!(rules_met(&walk), Vec::<String>::new());
    walk.git(&["config", "carnet.policyRef", "HEAD"]).expect_code(0);
    walk.git(&["rm", "-q", "--cached", "policy/rules/acme.toml"]).expect_code(0);
    assert_eq!(rules_met(&walk), ["acme-token"]);
    let shown = walk.json(&["rules", "show", "acme-token", "--json"]);
    assert_eq!(shown["family"], "acme");
}

#[test]
fn nothing_passes_while_a_rule_file_of_the_policy_is_wrong() {
    let walk = walk();
    walk.write("policy/rules/acme.toml", rule_file("other"));
    walk.git(&["add", "-A"]).expect_code(0);
    walk.git(&["commit", "-qm", "rules"]).expect_code(0);
    walk.git(&["config", "carnet.policyRef", "HEAD"]).expect_code(0);
    walk.write("a.txt", "nothing\n");
    walk.git(&["add", "-A"]).expect_code(0);
    let scanned = walk.carnet(&["scan", "--staged"]).expect_code(78);
    assert!(scanned.stderr.contains("policy/rules/acme.toml:7: pattern"), "{}", scanned.stderr);
    assert_ne!(walk.git(&["commit", "-qm", "passes"]).code, Some(0));
}

#[test]
fn check_runs_the_examples_of_a_file_and_names_what_is_wrong_in_it() {
    let walk = walk();
    walk.write("acme.toml", rule_file("acme_"));
    let checked = walk.json(&["rules", "check", "acme.toml", "--json"]);
    assert_eq!((&checked["n_rules"], &checked["n_examples"]), (&Value::from(1), &Value::from(2)));
    walk.write("acme.toml", rule_file("acme_").replace("acme_short", "x acme_aaaaaaaaaaaaaa1z"));
    let checked = walk.carnet(&["rules", "check", "acme.toml"]).expect_code(1);
    assert!(checked.stdout.contains("`acme-token` wrongly matches its negative example number 1"));
    walk.write("acme.toml", rule_file("acme_").replace("{16}", "{16,99999}"));
    let checked = walk.carnet(&["rules", "check", "acme.toml"]).expect_code(78);
    assert!(checked.stderr.contains("acme.toml:7: pattern"), "{}", checked.stderr);
    walk.carnet(&["rules", "check", "none.toml"]).expect_code(3);
}

#[test]
fn rules_are_listed_shown_and_measured() {
    let walk = walk();
    let listed = walk.json(&["rules", "list", "--family", "github", "--json"]);
    let rules = listed["rules"].as_array().unwrap();
    assert!(rules.len() > 3 && rules.iter().all(|rule| rule["family"] == "github"));
    walk.carnet(&["rules", "list", "--family", "none"]).expect_code(3);
    walk.carnet(&["rules", "show", "none"]).expect_code(3);
    walk.write("a.txt", "aws akia github_pat_ token = x\n".repeat(20));
    let measured = walk.json(&["rules", "bench", "a.txt", "--json"]);
    let costs = measured["rules"].as_array().unwrap();
    let of = |id: &str| costs.iter().find(|cost| cost["id"] == id).unwrap();
    assert_eq!(of("aws-access-key-id")["n_keywords"], 20);
    assert_eq!(of("aws-access-key-id")["n_met"], 0);
}

#[test]
fn an_archive_that_could_not_be_examined_is_refused_and_can_be_accepted() {
    let walk = walk();
    walk.repo.script("head -c 3000000 /dev/zero | gzip -9n >a.gz && git add a.gz");
    assert_eq!(rules_met(&walk), ["unexamined"]);
    let refused = walk.git(&["commit", "-qm", "bomb"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("inflates to more than"), "{}", refused.stderr);
    let accepting =
        ["findings", "allow", "--rule", "unexamined", "--path", "*.gz", "--reason", "zeros"];
    walk.carnet(&accepting).expect_code(0);
    walk.git(&["rm", "-q", "--cached", "a.gz"]).expect_code(0);
    walk.git(&["add", "allowlists"]).expect_code(0);
    walk.git(&["commit", "-qm", "accept"]).expect_code(0);
    walk.git(&["add", "a.gz"]).expect_code(0);
    walk.git(&["commit", "-qm", "bomb"]).expect_code(0);
}
