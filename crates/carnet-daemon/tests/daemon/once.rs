//! One refresh without a daemon, and what status says.

use std::fs;

use carnet_core::Timestamp;
use carnet_daemon::{DaemonState, Once, Waited, index_dir, refresh_once, status};
use carnet_index::Snapshot;
use carnet_testkit::COMMIT_TIME;

use crate::home::{Home, NO_POLL, NO_WATCH, PATIENCE, assert_fresh, until};

fn now() -> Timestamp {
    Timestamp::from_millis((COMMIT_TIME + 90) * 1000)
}

#[test]
fn without_a_daemon_it_is_done_here_and_not_twice() {
    let home = Home::new();
    match refresh_once(&home.repo(), now()).unwrap() {
        Once::Refreshed { commit, report } => {
            assert_eq!((commit, report.n_files), (home.head(), 1));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(home.snapshot().unwrap().created_at(), now());
    let again = refresh_once(&home.repo(), now()).unwrap();
    assert!(matches!(again, Once::AlreadyFresh { .. }), "{again:?}");
}

#[test]
fn a_daemon_is_asked_when_there_is_one() {
    let mut home = Home::new();
    home.start(&[NO_POLL, NO_WATCH]);
    home.until_indexed(&home.head());
    let second = home.commit("second");
    let once = refresh_once(&home.repo(), now()).unwrap();
    assert!(matches!(once, Once::ByDaemon { commit } if commit == second), "{once:?}");
    assert_eq!(home.status().n_refreshes, 2);
}

#[test]
fn a_repository_without_a_commit_has_nothing_to_index() {
    let home = Home::new();
    home.git.git(&["switch", "-q", "--orphan", "empty"]);
    assert!(matches!(refresh_once(&home.repo(), now()).unwrap(), Once::NothingToIndex));
    let seen = status(&home.repo(), now()).unwrap();
    assert_eq!((seen.head, seen.indexed), (None, None));
}

#[test]
fn status_without_a_daemon_says_how_far_behind() {
    let home = Home::new();
    let first = home.head();
    let seen = status(&home.repo(), now()).unwrap();
    assert!(matches!(seen.daemon, DaemonState::Away { last_pid: None }));
    assert_eq!(seen.freshness.behind_commits, None);

    refresh_once(&home.repo(), now()).unwrap();
    home.commit("second");
    home.commit("third");
    let seen = status(&home.repo(), now()).unwrap();
    let indexed = seen.indexed.unwrap();
    assert_eq!((indexed.commit, indexed.created_at), (first, now()));
    assert_eq!(indexed.coverage.n_files, 1);
    assert_eq!((seen.freshness.behind_commits, seen.freshness.seconds), (Some(2), Some(90)));
    assert_eq!(seen.refreshes.last().unwrap().commit, first);
    assert!(seen.sizes.words > 0 && seen.sizes.total() > seen.sizes.words);

    // A history that does not hold the indexed commit: behind by nobody knows how much.
    home.git.git(&["switch", "-q", "--orphan", "other"]);
    home.commit("fourth");
    let seen = status(&home.repo(), now()).unwrap();
    assert_eq!(seen.freshness.behind_commits, None);
    assert!(!seen.freshness.is_level());
}

#[test]
fn a_daemon_that_is_asked_tells_its_status() {
    let mut home = Home::new();
    let mut client = home.start(&[]);
    assert_fresh(&mut client, &home.head());
    let seen = status(&home.repo(), now()).unwrap();
    let DaemonState::Running(daemon) = seen.daemon else { panic!("{:?}", seen.daemon) };
    assert_eq!(daemon.indexed, seen.head);
    assert!(seen.freshness.is_level());
    assert_eq!(daemon.last_refresh.as_ref(), seen.refreshes.last());
    assert_eq!(seen.indexed.unwrap().coverage.n_symbols, 1);
}

#[test]
fn a_refresh_that_fails_is_told_and_heals_when_the_cause_is_gone() {
    let mut home = Home::new();
    // A file where the index belongs.
    let index = index_dir(&home.repo());
    fs::create_dir_all(index.parent().unwrap()).unwrap();
    fs::write(&index, "").unwrap();
    refresh_once(&home.repo(), now()).unwrap_err();
    let mut client = home.start(&[NO_POLL, NO_WATCH]);
    let waited = client.wait_fresh(&home.head(), PATIENCE).unwrap();
    assert!(matches!(waited, Waited::Failed { .. }), "{waited:?}");
    assert!(client.status().unwrap().last_error.is_some());
    fs::remove_file(&index).unwrap();
    // Nobody asks: the retry after the pause heals.
    home.until_indexed(&home.head());
    assert_eq!(client.status().unwrap().last_error, None);
}

#[test]
fn a_damaged_index_is_told_and_made_again() {
    let mut home = Home::new();
    refresh_once(&home.repo(), now()).unwrap();
    damage(&home);
    let seen = status(&home.repo(), now()).unwrap();
    assert!(seen.indexed.is_none() && seen.snapshot_error.is_some(), "{seen:?}");
    let mut client = home.start(&[NO_POLL, NO_WATCH]);
    assert_fresh(&mut client, &home.head());
    assert_eq!(home.defined("first"), ["first.py"]);
    damage(&home);
    // The daemon may have found it already, by a look of its own.
    client.refresh().unwrap();
    until(|| is_readable(&home));
    assert_eq!(home.defined("first"), ["first.py"]);
}

#[test]
fn a_deleted_index_is_made_again() {
    let mut home = Home::new();
    let mut client = home.start(&[NO_POLL, NO_WATCH]);
    assert_fresh(&mut client, &home.head());
    let index = index_dir(&home.repo());
    // A look that is under way may be making files in it.
    until(|| fs::remove_dir_all(&index).is_ok());
    client.refresh().unwrap();
    until(|| is_readable(&home));
    assert_eq!(home.defined("first"), ["first.py"]);
}

/// Puts something else in the place of the snapshots; who has one open keeps it.
fn damage(home: &Home) {
    let damaged = home.git.path().join(".git/damaged");
    for entry in fs::read_dir(index_dir(&home.repo()).join("snapshots")).unwrap() {
        fs::write(&damaged, "damaged").unwrap();
        fs::rename(&damaged, entry.unwrap().path()).unwrap();
    }
}

fn is_readable(home: &Home) -> bool {
    matches!(Snapshot::open_current(&index_dir(&home.repo())), Ok(Some(_)))
}
