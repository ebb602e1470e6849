//! The index follows HEAD.

use std::fs;

use carnet_core::GitOid;
use carnet_daemon::{Client, Waited, Worktree, protocol::WatchMode};
use carnet_git::Repo;
use carnet_testkit::Format;

use crate::home::{Home, NO_POLL, NO_WATCH, PATIENCE, assert_fresh, until};

#[test]
fn a_commit_is_indexed_without_anybody_asking() {
    let mut home = Home::new();
    home.start(&[NO_POLL]);
    home.until_indexed(&home.head());
    assert!(matches!(home.status().watch, WatchMode::Watching { n_dirs: 2.. }));
    let second = home.commit("second");
    home.until_indexed(&second);
    assert_eq!(home.defined("second"), ["second.py"]);
    let status = home.status();
    assert_eq!(status.last_refresh.map(|record| record.commit), Some(second));
    assert_eq!(status.follows, Worktree::Main);
}

#[test]
fn without_watches_a_hint_is_enough() {
    let mut home = Home::new();
    home.start(&[NO_POLL, NO_WATCH]);
    home.until_indexed(&home.head());
    assert!(matches!(home.status().watch, WatchMode::Polling { .. }));
    let second = home.commit("second");
    home.client().hint().unwrap();
    home.until_indexed(&second);
}

#[test]
fn without_watches_and_hints_the_poll_heals() {
    let mut home = Home::new();
    home.start(&[("HARNESS_POLL_MS", "20"), NO_WATCH]);
    home.until_indexed(&home.head());
    let second = home.commit("second");
    home.until_indexed(&second);
}

#[test]
fn who_waits_needs_neither_watch_nor_hint_nor_poll() {
    let mut home = Home::new();
    let mut client = home.start(&[NO_POLL, NO_WATCH]);
    for name in ["second", "third"] {
        let commit = home.commit(name);
        assert_fresh(&mut client, &commit);
        assert_eq!(home.defined(name), [format!("{name}.py")]);
    }
}

#[test]
fn every_format_of_repository_is_followed() {
    for format in Format::ALL {
        let mut home = Home::with(format);
        home.start(&[NO_POLL]);
        home.until_indexed(&home.head());
        let second = home.commit("second");
        home.until_indexed(&second);
        assert_eq!(home.defined("second"), ["second.py"], "{format:?}");
    }
}

#[test]
fn a_branch_switch_brings_the_other_branch_and_parses_nothing_twice() {
    let mut home = Home::new();
    home.git.git(&["switch", "-q", "-c", "side"]);
    home.commit("side_only");
    let mut client = home.start(&[NO_POLL]);
    assert_fresh(&mut client, &home.head());
    assert_eq!(home.defined("side_only"), ["side_only.py"]);
    home.git.git(&["switch", "-q", "main"]);
    home.until_indexed(&home.head());
    assert!(home.defined("side_only").is_empty());
    home.git.git(&["switch", "-q", "side"]);
    home.until_indexed(&home.head());
    let record = home.status().last_refresh.unwrap();
    assert_eq!((record.n_files, record.n_parsed), (2, 0));
}

#[test]
fn a_burst_of_fifty_commits_ends_fresh() {
    let mut home = Home::new();
    home.start(&[NO_POLL]);
    home.git.script(
        "# Empty commits, as fast as git makes them.
         for i in $(seq 50); do git commit -q --allow-empty -m \"$i\"; done",
    );
    home.until_indexed(&home.head());
    let status = home.status();
    assert!((1..=51).contains(&status.n_refreshes), "{status:?}");
    assert_eq!(home.snapshot().unwrap().commit(), home.head());
}

#[test]
fn a_commit_that_was_overtaken_is_answered_with_the_head() {
    let mut home = Home::new();
    let overtaken = home.head();
    let second = home.commit("second");
    let mut client = home.start(&[NO_POLL]);
    home.until_indexed(&second);
    let waited = client.wait_fresh(&overtaken, PATIENCE).unwrap();
    assert_eq!(waited, Waited::Fresh { commit: second });
}

#[test]
fn a_linked_worktree_is_served_at_its_own_head() {
    let mut home = Home::new();
    let side = home.git.root().join("side");
    let side_text = side.to_str().unwrap();
    home.git.git(&["worktree", "add", "-q", "-b", "side", side_text]);
    let mut main = home.start(&[NO_POLL]);
    assert_fresh(&mut main, &home.head());
    fs::write(side.join("aside.py"), "def aside():\n    return 1\n").unwrap();
    home.git.git_in(&side, &["add", "-A"]);
    home.git.git_in(&side, &["commit", "-q", "-m", "aside"]);
    let aside = GitOid::from_hex(&home.git.git_in(&side, &["rev-parse", "HEAD"])).unwrap();

    let side_repo = Repo::discover(&side).unwrap();
    let mut client = Client::connect(&side_repo).unwrap().expect("one daemon for all worktrees");
    assert_fresh(&mut client, &aside);
    assert_eq!(home.defined("aside"), ["aside.py"]);
    assert_eq!(home.status().follows, Worktree::of(&side_repo));
    assert_fresh(&mut main, &home.head());
    assert!(home.defined("aside").is_empty());

    // A worktree that goes takes nothing with it.
    assert_fresh(&mut client, &aside);
    home.git.git(&["worktree", "remove", "--force", side_text]);
    home.until_indexed(&home.head());
    assert_eq!(home.status().follows, Worktree::Main);
}

#[test]
fn a_repository_without_a_commit_is_told_so_and_then_followed() {
    let mut home = Home::new();
    let first = home.head();
    home.git.git(&["switch", "-q", "--orphan", "empty"]);
    let mut client = home.start(&[NO_POLL]);
    let waited = client.wait_fresh(&first, PATIENCE).unwrap();
    assert!(
        matches!(&waited, Waited::Failed { error } if error.contains("no commit")),
        "{waited:?}"
    );
    let second = home.commit("second");
    home.until_indexed(&second);
}

#[test]
fn a_bare_repository_is_followed() {
    let home = Home::new();
    let bare = home.git.root().join("bare.git");
    home.git.git(&["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    let mut child = home.command(&[NO_POLL]).current_dir(&bare).spawn().unwrap();
    let repo = Repo::discover(&bare).unwrap();
    let connect = || Client::connect(&repo).unwrap();
    until(|| connect().is_some());
    let mut client = connect().unwrap();
    assert_fresh(&mut client, &home.head());
    let second = home.commit("second");
    home.git.git(&["push", "-q", bare.to_str().unwrap(), "main"]);
    until(|| client.status().unwrap().indexed == Some(second));
    client.stop().unwrap();
    assert!(child.wait().unwrap().success());
}
