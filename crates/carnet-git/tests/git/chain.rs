//! Chains that many processes append to.

use std::collections::BTreeSet;

use carnet_git::{ChainError, CommitSpec, TreeSpec, WriteError};
use carnet_testkit::{Format, Runner, TestRepo};

use crate::{assert_no_stray_ref, assert_sound, author, open, path, probe, time};

const CHAIN: &str = "refs/carnet/ledger/writer/2026-01-02";

#[test]
fn a_chain_grows_by_one_commit_at_a_time() {
    for format in Format::ALL {
        let repo = TestRepo::with(format);
        let opened = open(&repo);
        let append = |word: &str| {
            let make = |previous: Option<_>| {
                let tree = opened.write_tree(&TreeSpec::new())?;
                let parents = previous.into_iter().collect();
                let message = word.to_owned();
                Ok(CommitSpec { tree, parents, message, author: author(), time: time() })
            };
            opened.append_chain(CHAIN, &make).unwrap()
        };
        append("one");
        append("two");
        let tip = append("three");
        let messages: Vec<_> =
            opened.first_parents(&tip).map(|commit| commit.unwrap().message).collect();
        assert_eq!(messages, ["three\n", "two\n", "one\n"]);
        assert_eq!(repo.git(&["log", "--format=%s", CHAIN]), "three\ntwo\none");
        assert_no_stray_ref(&repo, format);
        assert_sound(&repo);
    }
}

#[test]
fn an_append_that_cannot_be_made_changes_nothing() {
    let repo = TestRepo::init();
    let opened = open(&repo);
    let make = |_| {
        let id = opened.write_blob(b"x")?;
        let spec = TreeSpec::new().file(path(".git"), carnet_git::EntryMode::File, id);
        let tree = opened.write_tree(&spec)?;
        let (parents, message) = (Vec::new(), String::new());
        Ok(CommitSpec { tree, parents, message, author: author(), time: time() })
    };
    let answer = opened.append_chain(CHAIN, &make);
    assert!(matches!(answer, Err(ChainError::Write(WriteError::Name { .. }))), "{answer:?}");
    assert_eq!(opened.read_ref(CHAIN).unwrap(), None);
}

#[test]
fn eight_processes_lose_no_append() {
    append_from_eight(Format::Plain, 40, true);
    append_from_eight(Format::Reftable, 3, true);
}

#[test]
fn eight_processes_that_cannot_take_turns_lose_no_append() {
    append_from_eight(Format::Plain, 10, false);
    append_from_eight(Format::Reftable, 2, false);
}

fn append_from_eight(format: Format, n_each: usize, turns: bool) {
    let repo = TestRepo::with(format);
    if !turns {
        // A file where the directory of turns would be.
        repo.write(".git/carnet", "in the way");
    }
    let words = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let outputs: Vec<String> = std::thread::scope(|scope| {
        let handles: Vec<_> = words
            .iter()
            .map(|word| {
                let n = n_each.to_string();
                let ask = Runner::new(probe()).args(["append", CHAIN, &n, word]).in_repo(&repo);
                scope.spawn(move || ask.run().expect_code(0).stdout)
            })
            .collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    });
    let acknowledged: BTreeSet<&str> = outputs.iter().flat_map(|text| text.lines()).collect();
    let log = repo.git(&["log", "--format=%H", CHAIN]);
    let kept: BTreeSet<&str> = log.lines().collect();
    assert_eq!(acknowledged, kept);
    assert_eq!(kept.len(), words.len() * n_each);
    let subjects = repo.git(&["log", "--format=%s", CHAIN]);
    assert_eq!(subjects.lines().collect::<BTreeSet<_>>().len(), words.len() * n_each);
    assert_no_stray_ref(&repo, format);
    assert_sound(&repo);
}
