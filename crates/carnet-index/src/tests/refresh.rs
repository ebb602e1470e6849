use std::sync::atomic::Ordering;

use carnet_core::{GitOid, Timestamp};
use proptest::prelude::*;

use super::{callers_text, commit_of, current, refresh};
use crate::{IndexStore, Snapshot};

const A: (&str, &str) = ("a.py", "def f(): pass\n");
const B: (&str, &str) = ("b.py", "from a import f\nf()\n");

#[test]
fn a_blob_is_parsed_once_ever() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = IndexStore::open(dir.path()).unwrap();
    let first = refresh(&mut store, 1, &[A, B, ("same.py", A.1), ("README", "text")]);
    assert_eq!((first.n_files, first.n_files_supported), (4, 3));
    assert_eq!((first.n_parsed, first.n_reused), (2, 0));
    drop(store);

    let mut store = IndexStore::open(dir.path()).unwrap();
    let (request, memory) = commit_of(2, &[A, B, ("c.py", "x = 1\n")]);
    let second = store.refresh(&request, &memory, Timestamp::from_millis(0)).unwrap();
    assert_eq!((second.n_parsed, second.n_reused), (1, 2));
    // Once to be parsed and once for its words.
    assert_eq!(memory.n_reads.load(Ordering::Relaxed), 2);
    let snapshot = current(dir.path());
    assert_eq!(snapshot.commit(), request.commit);
    assert_eq!(snapshot.coverage(), second.coverage);
    assert_eq!(snapshot.content_digest(), second.content_digest);
}

#[test]
fn an_unreadable_blob_is_left_out_reported_and_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = IndexStore::open(dir.path()).unwrap();
    let (request, mut memory) = commit_of(1, &[A, B]);
    let lost = memory.blobs.remove(&super::blob_id(A.1.as_bytes())).unwrap();
    let report = store.refresh(&request, &memory, Timestamp::from_millis(0)).unwrap();
    assert_eq!((report.n_unread, report.n_parsed), (1, 1));
    assert_eq!(report.unread[0].path, super::path("a.py"));
    assert_eq!(report.coverage.n_files_indexed, 1);
    memory.blobs.insert(super::blob_id(&lost), lost);
    let healed = store.refresh(&request, &memory, Timestamp::from_millis(0)).unwrap();
    assert_eq!((healed.n_unread, healed.n_parsed, healed.n_reused), (0, 1, 1));
    assert_eq!(healed.coverage.n_calls_resolved, 1);
}

#[test]
fn an_empty_commit_has_an_empty_snapshot() {
    let (_dir, snapshot) = super::snapshot_of(&[]);
    assert!(snapshot.where_defined("f").unwrap().is_empty());
    assert_eq!(snapshot.coverage(), crate::Coverage::default());
}

#[test]
fn sha256_repositories_are_served_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = IndexStore::open(dir.path()).unwrap();
    let (mut request, mut memory) = commit_of(1, &[A]);
    let blob = GitOid::from_bytes(&[9; 32]).unwrap();
    request.files[0].blob = blob;
    memory.blobs.insert(blob, A.1.as_bytes().to_vec());
    store.refresh(&request, &memory, Timestamp::from_millis(0)).unwrap();
    assert_eq!(current(dir.path()).where_defined("f").unwrap()[0].blob_id, blob);
}

#[test]
fn readers_keep_their_snapshot_while_the_writer_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Snapshot::open_current(dir.path()).unwrap().is_none());
    let mut store = IndexStore::open(dir.path()).unwrap();
    refresh(&mut store, 1, &[A, B]);
    let (first, second) = (current(dir.path()), current(dir.path()));
    for commit in 2..10 {
        refresh(&mut store, commit, &[A, ("b.py", &format!("x{commit} = 1\n"))]);
    }
    let expected = ["b.py:2 in - import -> a.py:f"];
    assert_eq!(callers_text(&first.who_calls("f").unwrap()), expected);
    second.verify().unwrap();
    assert!(current(dir.path()).who_calls("f").unwrap().resolved.is_empty());
    let n_kept = || std::fs::read_dir(dir.path().join("snapshots")).unwrap().count();
    assert_eq!(n_kept(), 2);
    drop((first, second));
    refresh(&mut store, 1, &[A, B]);
    assert_eq!(n_kept(), 1);
    // Readers that never let go cost a bounded number of files.
    let readers: Vec<Snapshot> = (2..10)
        .map(|commit| {
            refresh(&mut store, commit, &[A]);
            current(dir.path())
        })
        .collect();
    assert_eq!(n_kept(), 3);
    readers.iter().for_each(|reader| reader.verify().unwrap());
}

#[test]
fn readers_open_a_whole_snapshot_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = IndexStore::open(dir.path()).unwrap();
    refresh(&mut store, 1, &[A, B]);
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers = [(); 2].map(|()| {
            scope.spawn(|| {
                let mut n_opened = 0;
                while !is_done.load(Ordering::Relaxed) || n_opened == 0 {
                    let snapshot = current(dir.path());
                    snapshot.verify().unwrap();
                    // What a commit's file says and what its snapshot says agree.
                    let commit = snapshot.commit().as_bytes()[0];
                    let name = if commit == 1 { "f".to_owned() } else { format!("f{commit}") };
                    assert_eq!(snapshot.where_defined(&name).unwrap().len(), 1);
                    n_opened += 1;
                }
                n_opened
            })
        });
        for commit in 2..40 {
            refresh(&mut store, commit, &[("a.py", &format!("def f{commit}(): pass\n"))]);
        }
        is_done.store(true, Ordering::Relaxed);
        readers.into_iter().for_each(|reader| assert!(reader.join().unwrap() > 0));
    });
}

/// Some files with some of a few contents, so that names meet, move and vanish.
fn tree() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    let paths = prop::sample::subsequence(
        vec![
            "a.py",
            "pkg/__init__.py",
            "pkg/b.py",
            "m.ts",
            "n.ts",
            "src/lib.rs",
            "src/c.rs",
            "x.go",
            "go.mod",
        ],
        0..9,
    );
    let sources = prop::sample::select(vec![
        "def f(): g()\ndef g(): f()\n",
        "from pkg.b import f as h\nh()\n",
        "import { f } from './n';\nexport const g = () => f();\n",
        "export function f() { g(); }\n",
        "mod c; use crate::c::f; pub fn g() { f(); c::f(); }\n",
        "pub fn f() { crate::g() }\nimpl X { fn f(&self) { self.f() } }\n",
        "package x\nfunc F() { G() }\nfunc G() {}\n",
        "module example.com/x\n",
        "macro_rules! make { ($x:ident) => { pub fn $x() { f() } }; }\n",
        "make!(f);\nmake!(g);\nfn h() { g() }\n",
        "((( broken",
    ]);
    (paths, prop::collection::vec(sources, 9))
        .prop_map(|(paths, sources)| paths.into_iter().zip(sources).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_refresh_equals_a_clean_rebuild(trees in prop::collection::vec(tree(), 1..4)) {
        let grown = tempfile::tempdir().unwrap();
        let mut store = IndexStore::open(grown.path()).unwrap();
        let mut last = None;
        for (n, files) in trees.iter().enumerate() {
            last = Some(refresh(&mut store, n as u8 + 1, files));
        }
        let last = last.unwrap();

        let clean = tempfile::tempdir().unwrap();
        let mut files = trees[trees.len() - 1].clone();
        files.reverse(); // The order of the request does not matter either.
        let rebuilt = refresh(&mut IndexStore::open(clean.path()).unwrap(), trees.len() as u8, &files);
        prop_assert_eq!(last.content_digest, rebuilt.content_digest);
        let bytes = |report: &crate::RefreshReport| std::fs::read(&report.snapshot_path).unwrap();
        prop_assert_eq!(bytes(&last), bytes(&rebuilt)); // Both were made at the same time, by their own word.
        current(clean.path()).verify().unwrap();
    }
}
