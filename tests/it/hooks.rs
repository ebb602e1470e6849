//! Installing and taking out the hooks.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::Path};

use carnet_core::Digest;
use carnet_testkit::TestRepo;

use crate::support::{Walk, aws_key, everyone};

/// Every file of a directory with mode, link target or bytes, and modification time.
fn snapshot(dir: &Path) -> BTreeMap<String, (u32, Digest, std::time::SystemTime)> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        let bytes = match fs::read_link(&path) {
            Ok(target) => target.to_str().unwrap().as_bytes().to_vec(),
            Err(_) => fs::read(&path).unwrap(),
        };
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        files.insert(
            name,
            (meta.permissions().mode(), Digest::of(&bytes), meta.modified().unwrap()),
        );
    }
    files
}

fn repo_with_hook(script: &str, mode: u32) -> Walk {
    let repo = TestRepo::init();
    repo.script("echo hello >README");
    repo.commit_all("first");
    let hook = repo.path().join(".git/hooks/pre-commit");
    fs::write(&hook, script).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(mode)).unwrap();
    Walk::new(repo, everyone()[0])
}

/// A repository whose hooks are files, whatever git this is.
fn shimmed() -> Walk {
    let repo = TestRepo::init();
    repo.script("echo hello >README");
    repo.commit_all("first");
    let walk = Walk::new(repo, everyone()[0]);
    walk.carnet(&["init", "--shims"]).expect_code(0);
    walk
}

fn commit(walk: &Walk, text: &str) -> carnet_testkit::Ran {
    walk.write("file", text);
    walk.git(&["add", "-A"]).expect_code(0);
    walk.git(&["commit", "-qm", "next"])
}

#[test]
fn uninstall_restores_the_hooks_directory_byte_for_byte() {
    let walk = repo_with_hook("#!/bin/sh\necho mine\n", 0o755);
    let hooks = walk.repo.path().join(".git/hooks");
    std::os::unix::fs::symlink("pre-commit", hooks.join("pre-merge-commit")).unwrap();
    let before = snapshot(&hooks);
    let config = fs::read(walk.repo.path().join(".git/config")).unwrap();
    walk.carnet(&["init", "--shims", "--dry-run"]).expect_code(0);
    assert_eq!(snapshot(&hooks), before, "a dry run changes nothing");
    walk.carnet(&["init", "--shims"]).expect_code(0);
    assert_ne!(snapshot(&hooks), before);
    walk.carnet(&["init", "--shims"]).expect_code(0);
    walk.carnet(&["uninstall"]).expect_code(0);
    assert_eq!(snapshot(&hooks), before);
    let now = fs::read_to_string(walk.repo.path().join(".git/config")).unwrap();
    assert_eq!(now.trim_end(), String::from_utf8(config).unwrap().trim_end());
    walk.carnet(&["uninstall"]).expect_code(3);
}

#[test]
fn a_hooks_directory_that_did_not_exist_is_gone_again() {
    let walk = Walk::new(TestRepo::init(), everyone()[0]);
    let hooks = walk.repo.path().join(".git/hooks");
    let _ = fs::remove_dir_all(&hooks);
    walk.carnet(&["init", "--shims"]).expect_code(0);
    assert!(hooks.join("pre-commit").exists());
    walk.carnet(&["uninstall"]).expect_code(0);
    assert!(!hooks.exists());
}

#[test]
fn an_existing_hook_runs_first_and_its_refusal_counts() {
    let walk = repo_with_hook(
        "#!/bin/sh\necho \"mine: $(basename \"$0\")\" >&2\n[ ! -e refuse ]\n",
        0o755,
    );
    walk.carnet(&["init", "--shims"]).expect_code(0);
    let ran = commit(&walk, "one\n").expect_code(0);
    assert!(ran.stderr.contains("mine: pre-commit"), "{}", ran.stderr);
    walk.repo.write(".git/info/exclude", "refuse\n");
    walk.write("refuse", "");
    commit(&walk, "two\n").expect_code(1);
    fs::remove_file(walk.repo.path().join("refuse")).unwrap();
    commit(&walk, &format!("{}\n", aws_key())).expect_code(1);
}

#[test]
fn a_hook_that_exits_early_or_is_no_shell_script_does_not_hide_carnet() {
    for hook in ["#!/bin/sh\nset -e\nexit 0\n", "#!/usr/bin/env python3\nimport sys\nsys.exit(0)\n"]
    {
        let walk = repo_with_hook(hook, 0o755);
        walk.carnet(&["init", "--shims"]).expect_code(0);
        commit(&walk, &format!("{}\n", aws_key())).expect_code(1);
        commit(&walk, "clean\n").expect_code(0);
    }
}

#[test]
fn a_hook_that_changes_the_index_is_examined_after_its_change() {
    let hook = format!("#!/bin/sh\necho '{}' >file && git add file\n", aws_key());
    let walk = repo_with_hook(&hook, 0o755);
    walk.carnet(&["init", "--shims"]).expect_code(0);
    commit(&walk, "clean\n").expect_code(1);
}

#[test]
fn a_hook_that_git_would_not_run_is_kept_and_not_run() {
    let walk = repo_with_hook("#!/bin/sh\nexit 1\n", 0o644);
    walk.carnet(&["init", "--shims"]).expect_code(0);
    commit(&walk, "clean\n").expect_code(0);
    walk.carnet(&["uninstall"]).expect_code(0);
    let hook = walk.repo.path().join(".git/hooks/pre-commit");
    assert_eq!(fs::metadata(hook).unwrap().permissions().mode() & 0o777, 0o644);
}

#[test]
fn a_linked_hook_is_followed_from_where_it_stood() {
    let walk = repo_with_hook("", 0o644);
    let hooks = walk.repo.path().join(".git/hooks");
    fs::remove_file(hooks.join("pre-commit")).unwrap();
    walk.write("scripts/check", "#!/bin/sh\necho linked >&2\n");
    fs::set_permissions(walk.repo.path().join("scripts/check"), fs::Permissions::from_mode(0o755))
        .unwrap();
    std::os::unix::fs::symlink("../../scripts/check", hooks.join("pre-commit")).unwrap();
    walk.carnet(&["init", "--shims"]).expect_code(0);
    walk.carnet(&["init", "--shims"]).expect_code(0);
    assert!(commit(&walk, "one\n").expect_code(0).stderr.contains("linked"));
    walk.carnet(&["uninstall"]).expect_code(0);
    assert_eq!(fs::read_link(hooks.join("pre-commit")).unwrap(), Path::new("../../scripts/check"));
}

#[test]
fn a_hooks_path_shared_with_other_repositories_is_not_touched() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    walk.carnet(&["uninstall"]).expect_code(0);
    let shared = walk.repo.root().join("shared-hooks");
    fs::create_dir(&shared).unwrap();
    walk.git(&["config", "core.hooksPath", shared.to_str().unwrap()]).expect_code(0);
    let ran = walk.carnet(&["init", "--shims"]).expect_code(1);
    assert!(ran.stderr.contains("hint:"), "{}", ran.stderr);
    assert_eq!(fs::read_dir(shared).unwrap().count(), 0);
}

#[test]
fn a_hooks_path_inside_the_repository_is_used() {
    let walk = Walk::initialised("mkdir .hooks; echo '*' >.hooks/.gitignore", everyone()[0]);
    walk.carnet(&["uninstall"]).expect_code(0);
    walk.git(&["config", "core.hooksPath", ".hooks"]).expect_code(0);
    walk.carnet(&["init", "--shims"]).expect_code(0);
    assert!(walk.repo.path().join(".hooks/pre-commit").exists());
    commit(&walk, &format!("{}\n", aws_key())).expect_code(1);
}

#[test]
fn without_the_binary_the_commit_is_refused() {
    let walk = shimmed();
    let hook = walk.repo.path().join(".git/hooks/pre-commit");
    let text = fs::read_to_string(&hook).unwrap();
    let exe = crate::support::carnet_path().to_str().unwrap();
    fs::write(&hook, text.replace(exe, "/nowhere/carnet")).unwrap();
    let ran = commit(&walk, "clean\n").expect_code(1);
    assert!(ran.stderr.contains("/nowhere/carnet is gone"), "{}", ran.stderr);
}

#[test]
fn a_shim_that_someone_changed_is_not_thrown_away() {
    let walk = shimmed();
    let hook = walk.repo.path().join(".git/hooks/pre-commit");
    let text = fs::read_to_string(&hook).unwrap();
    fs::write(&hook, format!("{text}\n# my line\n")).unwrap();
    walk.carnet(&["uninstall"]).expect_code(1);
    assert!(fs::read_to_string(&hook).unwrap().contains("# my line"));
    let doctor = walk.carnet(&["doctor"]);
    assert!(doctor.stdout.contains("missing: hook"), "{}", doctor.stdout);
}

#[test]
fn fetched_ledgers_are_kept_apart_and_a_pruning_fetch_takes_nothing() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    let origin = walk.repo.root().join("origin.git");
    let origin = origin.to_str().unwrap();
    walk.git(&["init", "-q", "--bare", origin]).expect_code(0);
    walk.git(&["remote", "add", "origin", origin]).expect_code(0);
    walk.carnet(&["init", "--shims"]).expect_code(0);
    walk.carnet(&["run", "--", "curl"]).expect_code(1);
    let ours = walk.ask(&["for-each-ref", "refs/carnet/ledger"]);
    walk.git(&["fetch", "-q", "--prune", "origin"]).expect_code(0);
    assert_eq!(walk.ask(&["for-each-ref", "refs/carnet/ledger"]), ours);
    walk.git(&["push", "-q", "origin", "refs/carnet/ledger/*:refs/carnet/ledger/*"]).expect_code(0);
    walk.git(&["fetch", "-q", "--prune", "origin"]).expect_code(0);
    assert_eq!(walk.json(&["runs", "--json"])["n_runs"], 1, "the same run twice is one run");
}

#[test]
fn on_a_git_that_takes_hooks_from_its_configuration_no_file_is_written() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    let version = walk.ask(&["version"]);
    let mut numbers = version
        .trim_start_matches("git version ")
        .split('.')
        .map_while(|it| it.parse::<u32>().ok());
    let takes = (numbers.next(), numbers.next()) >= (Some(2), Some(54));
    let hook = walk.repo.path().join(".git/hooks/pre-commit");
    assert_eq!(hook.exists(), !takes, "{version}");
    let configured = walk.git(&["config", "hook.carnet-pre-commit.event"]).code == Some(0);
    assert_eq!(configured, takes);
    commit(&walk, &format!("{}\n", aws_key())).expect_code(1);
}
