//! The index of runs is a convenience: whatever happens to its file, lists say what the ledger says.

use std::fs;

use serde_json::Value;

use crate::support::{Walk, everyone};

const MAKEFILE: &str = "printf 'out/a:\\n\\tmkdir -p out && echo made >out/a\\n' >Makefile";

fn ids(walk: &Walk, args: &[&str]) -> Vec<String> {
    let list = walk.json(&[&["runs", "--json", "-n", "100"], args].concat());
    let runs = list["runs"].as_array().unwrap();
    assert_eq!(list["n_runs"], runs.len());
    runs.iter().map(|run| run["run"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn lists_are_the_same_with_a_torn_a_foreign_a_missing_and_an_unwritable_index() {
    let walk = Walk::initialised(MAKEFILE, everyone()[0]);
    assert_eq!(ids(&walk, &[]), Vec::<String>::new());
    for _ in 0..3 {
        walk.carnet(&["run", "--", "curl"]).expect_code(1);
    }
    let before = ids(&walk, &[]);
    assert_eq!(before.len(), 3);
    let path = walk.repo.path().join(".git/carnet/runs.idx");
    let whole = fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for damaged in [&whole[..whole.len() - 3], b"carnet/index/9\n", b"", &flipped] {
        fs::write(&path, damaged).unwrap();
        assert_eq!(ids(&walk, &[]), before);
        assert_eq!(fs::read(&path).unwrap(), whole, "it is made anew");
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(ids(&walk, &[]), before, "without a place for the file");
    fs::remove_dir(&path).unwrap();

    walk.carnet(&["run", "--", "curl"]).expect_code(1);
    let after = ids(&walk, &[]);
    assert_eq!(after[1..], before, "what is new comes first");
    // A chain that goes back takes its runs out again.
    let ledger = walk.ask(&["for-each-ref", "--format=%(refname)", "refs/carnet/ledger"]);
    walk.git(&["-c", "core.hooksPath=/dev/null", "update-ref", &ledger, &format!("{ledger}~1")])
        .expect_code(0);
    assert_eq!(ids(&walk, &[]), before);
}

#[test]
fn runs_are_found_by_path_by_lock_and_by_any_unique_prefix() {
    let walk = Walk::initialised(MAKEFILE, everyone()[0]);
    walk.carnet(&["run", "--validate", "--output", "out/*", "--", "make", "out/a"]).expect_code(0);
    let made = walk.newest_run();
    walk.carnet(&["run", "--", "curl"]).expect_code(1);
    let other = walk.newest_run();
    for path in ["out", "out/", "out/a"] {
        assert_eq!(ids(&walk, &["--path", path]), std::slice::from_ref(&made), "{path}");
    }
    assert_eq!(ids(&walk, &["--path", "ou"]), Vec::<String>::new());
    assert_eq!(ids(&walk, &["--locked"]), std::slice::from_ref(&made));
    assert_eq!(walk.json(&["show", &other[..6], "--json"])["predicate"]["run"]["id"], other);
    walk.carnet(&["show", "00000000000000000000000000000000"]).expect_code(3);
    walk.carnet(&["show", "xyz"]).expect_code(2);
    let log = walk.carnet(&["log"]).expect_code(0).stdout;
    assert!(log.contains("make out/a") && log.contains(", locked"), "{log}");
    let json: Value = walk.json(&["log", "--json"]);
    assert_eq!((&json["format"], &json["n_runs"]), (&"carnet/log/1".into(), &2.into()));
}
