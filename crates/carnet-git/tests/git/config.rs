//! Git's configuration.

use carnet_git::ConfigError;
use carnet_testkit::TestRepo;

use crate::open;

#[test]
fn values_are_read_as_git_reads_them() {
    let repo = TestRepo::init();
    repo.git(&["config", "--add", "carnet.word", "one"]);
    repo.git(&["config", "--add", "carnet.word", "two words  "]);
    repo.git(&["config", "remote.origin.fetch", "+refs/carnet/*:refs/carnet/*"]);
    let opened = open(&repo);
    assert_eq!(opened.config_get_all("carnet.word"), ["one", "two words  "]);
    assert_eq!(opened.config_get("carnet.word").unwrap(), "two words  ");
    assert_eq!(opened.config_get("remote.origin.fetch").unwrap(), "+refs/carnet/*:refs/carnet/*");
    assert_eq!(opened.config_get("carnet.none"), None);
    assert_eq!(opened.config_get("no key at all"), None);
}

#[test]
fn what_was_written_is_read_back_by_both() {
    let repo = TestRepo::init();
    let opened = open(&repo);
    opened.config_set("carnet.word", "one").unwrap();
    opened.config_add("carnet.word", "t.o").unwrap();
    opened.config_add("carnet.word", "two").unwrap();
    assert_eq!(opened.config_get_all("carnet.word"), ["one", "t.o", "two"]);
    assert_eq!(repo.git(&["config", "--get-all", "carnet.word"]), "one\nt.o\ntwo");
    // The value is text, not a pattern.
    assert!(opened.config_unset("carnet.word", Some("t.o")).unwrap());
    assert_eq!(opened.config_get_all("carnet.word"), ["one", "two"]);
    assert!(!opened.config_unset("carnet.word", Some("t.o")).unwrap());
    opened.config_set("carnet.word", "only").unwrap();
    assert_eq!(opened.config_get_all("carnet.word"), ["only"]);
    assert!(opened.config_unset("carnet.word", None).unwrap());
    assert_eq!(opened.config_get("carnet.word"), None);
}

#[test]
fn keys_that_are_none_are_refused() {
    let repo = TestRepo::init();
    let opened = open(&repo);
    for key in ["", "word", "--global.x", "a\nb.c"] {
        let answer = opened.config_set(key, "x");
        assert!(matches!(answer, Err(ConfigError::Key { .. })), "{key:?}: {answer:?}");
    }
    assert!(matches!(opened.config_set("a b.c", "x"), Err(ConfigError::Program(_))));
}

#[test]
fn a_scrubbed_git_sees_no_other_repository() {
    let repo = TestRepo::init();
    let output = open(&repo).git().unwrap().args(["rev-parse", "--git-dir"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(std::path::Path::new(said.trim_end()), repo.path().join(".git"));
}
