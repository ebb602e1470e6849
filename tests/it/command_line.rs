//! Promises of the command line: exit codes, help, version.

use carnet_core::ExitCode;
use carnet_testkit::{Runner, TestRepo};

use crate::support::{carnet_path, root};

#[test]
fn readme_lists_every_exit_code_as_it_is() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    for code in ExitCode::ALL {
        let row = format!("| {} | {} |", code as u8, code.meaning());
        assert!(readme.contains(&row), "README.md lacks {row}");
    }
}

#[test]
fn every_verb_has_help_and_a_wrong_word_is_a_usage_error() {
    let carnet = |args: &[&str]| Runner::new(carnet_path()).args(args).run();
    let help = carnet(&["--help"]).expect_code(0).stdout;
    // Verbs stand two columns in; what is further in continues the line above.
    let verbs = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    let verbs = verbs
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    let verbs: Vec<_> = verbs.collect();
    assert!(verbs.len() >= 12, "{verbs:?}");
    for verb in verbs {
        carnet(&[verb, "--help"]).expect_code(0);
    }
    carnet(&["no-such-verb"]).expect_code(2);
    carnet(&[]).expect_code(2);
    assert!(carnet(&["--version"]).expect_code(0).stdout.starts_with("carnet "));
}

#[test]
fn git_carnet_is_carnet() {
    let repo = TestRepo::init();
    let dir = std::path::Path::new(env!("CARGO_BIN_EXE_git-carnet")).parent().unwrap();
    let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap());
    let git = crate::support::which("git");
    let ran = Runner::new(git).in_repo(&repo).env("PATH", path).args(["carnet", "--version"]).run();
    assert!(ran.expect_code(0).stdout.starts_with("carnet "));
}

#[test]
fn completions_are_written_for_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = Runner::new(carnet_path()).args(["completions", shell]).run().expect_code(0);
        assert!(ran.stdout.contains("where-defined"));
    }
}
