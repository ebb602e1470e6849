//! Refs by compare-and-swap, on both storages.

use carnet_git::{RefError, RefUpdateError};
use carnet_testkit::{Format, Runner, TestRepo};

use crate::{assert_no_stray_ref, assert_sound, oid, open, probe};

#[test]
fn a_ref_is_made_moved_and_deleted_only_from_what_it_was() {
    for format in Format::ALL {
        let repo = TestRepo::with(format);
        let (one, two) = (oid(&repo.commit_all("one")), oid(&repo.commit_all("two")));
        let opened = open(&repo);
        let name = "refs/carnet/test/chain";
        assert_eq!(opened.read_ref(name).unwrap(), None);
        opened.update_ref(name, &one, None, "made").unwrap();
        assert_eq!(oid(&repo.git(&["rev-parse", name])), one);
        let raced = |answer| matches!(answer, Err(RefUpdateError::Raced { .. }));
        assert!(raced(opened.update_ref(name, &two, None, "")), "{format:?}: it exists");
        assert!(raced(opened.update_ref(name, &one, None, "")), "{format:?}: with the same value");
        assert!(raced(opened.update_ref(name, &one, Some(&two), "")), "{format:?}: it was one");
        opened.update_ref(name, &two, Some(&one), "moved").unwrap();
        assert_eq!(opened.read_ref(name).unwrap(), Some(two));
        assert!(raced(opened.delete_ref(name, &one)));
        opened.delete_ref(name, &two).unwrap();
        assert!(raced(opened.delete_ref(name, &two)));
        assert!(raced(opened.update_ref(name, &one, Some(&two), "")), "{format:?}: it is gone");
        assert_eq!(opened.read_ref(name).unwrap(), None);
        assert_eq!(repo.git(&["for-each-ref", "refs/carnet"]), "");
        assert_no_stray_ref(&repo, format);
        assert_sound(&repo);
    }
}

#[test]
fn lists_agree_with_git_packed_or_not() {
    for format in Format::ALL {
        let repo = TestRepo::with(format);
        let id = oid(&repo.commit_all("one"));
        let opened = open(&repo);
        for name in ["a/2026-01-01", "a/2026-01-02", "b/2026-01-01"] {
            opened.update_ref(&format!("refs/carnet/ledger/{name}"), &id, None, "").unwrap();
        }
        repo.git(&["pack-refs", "--all"]);
        opened.update_ref("refs/carnet/ledger/a/2026-01-03", &id, None, "").unwrap();
        opened.update_ref("refs/carnet/ledgerer", &id, None, "").unwrap();
        repo.git(&["symbolic-ref", "refs/carnet/ledger/sym", "refs/heads/main"]);
        let listed = opened.list_refs("refs/carnet/ledger/").unwrap();
        let names: Vec<_> = listed.iter().map(|(name, _)| name.as_str()).collect();
        let judged = repo.git(&["for-each-ref", "--format=%(refname)", "refs/carnet/ledger/"]);
        let judged: Vec<_> = judged.lines().filter(|name| !name.ends_with("/sym")).collect();
        assert_eq!(names, judged, "{format:?}");
        assert!(listed.iter().all(|(_, found)| *found == id));
        assert_eq!(opened.list_refs("refs/carnet/none/").unwrap(), []);
        let symbolic = opened.read_ref("refs/carnet/ledger/sym");
        assert!(matches!(symbolic, Err(RefError::Symbolic { .. })), "{symbolic:?}");
        assert_eq!(opened.read_ref("refs/carnet/ledger/a").unwrap(), None);
    }
}

#[test]
fn names_that_are_no_refs_are_refused() {
    let repo = TestRepo::init();
    let id = oid(&repo.commit_all("one"));
    let opened = open(&repo);
    let bad = ["HEAD", "main", "refs/../HEAD", "refs/a..b", "refs/a b", "refs/x.lock", "", "/x"];
    for name in bad {
        let answer = opened.update_ref(name, &id, None, "");
        assert!(matches!(answer, Err(RefUpdateError::Read(RefError::Name { .. }))), "{name}");
        assert!(opened.read_ref(name).is_err(), "{name}");
    }
    assert!(matches!(opened.list_refs("refs/carnet"), Err(RefError::Name { .. })));
}

#[test]
fn a_ref_below_another_is_refused_by_name_and_nothing_changes() {
    for format in [Format::Plain, Format::Reftable] {
        let repo = TestRepo::with(format);
        let id = oid(&repo.commit_all("one"));
        let opened = open(&repo);
        opened.update_ref("refs/carnet/a", &id, None, "").unwrap();
        let answer = opened.update_ref("refs/carnet/a/b", &id, None, "");
        assert!(matches!(answer, Err(RefUpdateError::Store { .. })), "{format:?}: {answer:?}");
        assert_eq!(opened.list_refs("refs/carnet/").unwrap().len(), 1);
    }
}

#[test]
fn reflogs_are_kept_where_git_keeps_them_and_nowhere_else() {
    for format in [Format::Plain, Format::Reftable] {
        let repo = TestRepo::with(format);
        let id = oid(&repo.commit_all("one"));
        let opened = open(&repo);
        opened.update_ref("refs/carnet/a", &id, None, "quiet").unwrap();
        opened.update_ref("refs/heads/b", &id, None, "spoken\nof").unwrap();
        assert_eq!(repo.git(&["log", "-g", "--format=%gs", "refs/heads/b"]), "spoken of");
        assert!(!repo.try_git(&["reflog", "exists", "refs/carnet/a"]).status.success());
    }
}

#[test]
fn many_processes_that_make_refs_beside_packed_ones_all_succeed() {
    let repo = TestRepo::init();
    repo.commit_all("one");
    open(&repo)
        .update_ref("refs/carnet/first", &oid(&repo.git(&["rev-parse", "HEAD"])), None, "")
        .unwrap();
    repo.git(&["pack-refs", "--all"]);
    let words = ["a", "b", "c", "d", "e", "f", "g", "h"];
    std::thread::scope(|scope| {
        for word in words {
            let ask = Runner::new(probe()).args(["create", "refs/carnet/many", "25", word]);
            let ask = ask.in_repo(&repo);
            scope.spawn(move || ask.run().expect_code(0));
        }
    });
    assert_eq!(repo.git(&["for-each-ref", "refs/carnet/many"]).lines().count(), 200);
    assert_sound(&repo);
}
