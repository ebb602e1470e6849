use std::collections::BTreeMap;

use super::*;
use crate::{IndexError, Manifest, Part};

const FILES: &[(&str, &str)] = &[
    ("a.py", "from b import g\n\ndef f():\n    g()\n"),
    ("b.py", "def g():\n    '''Counts retries.'''\n    return 1\n"),
    ("go.mod", "module example.com/m\n"),
    ("notes.md", "# Retries\n"),
];

type Parts = BTreeMap<Digest, Vec<u8>>;

/// An index of [`FILES`] as it is published.
fn packed() -> (Manifest, Parts) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = IndexStore::open(dir.path()).unwrap();
    refresh(&mut store, 1, FILES);
    let mut parts = Parts::new();
    let manifest = store.pack(&mut |digest, bytes| {
        parts.insert(*digest, bytes.to_vec());
        Ok(())
    });
    (manifest.unwrap().unwrap(), parts)
}

fn from(parts: &Parts) -> impl FnMut(&Part) -> Result<Vec<u8>, BlobError> {
    move |part| parts.get(&part.digest).cloned().ok_or_else(|| BlobError("gone".into()))
}

fn unpack(dir: &Path, manifest: &Manifest, parts: &Parts) -> Result<crate::Unpacked, IndexError> {
    let files = commit_of(1, FILES).0.files;
    IndexStore::open(dir).unwrap().unpack(manifest, &files, &mut from(parts))
}

#[test]
fn an_index_answers_elsewhere_as_it_did_and_goes_on_from_there() {
    let (manifest, parts) = packed();
    let dir = tempfile::tempdir().unwrap();
    let unpacked = unpack(dir.path(), &manifest, &parts).unwrap();
    assert_eq!((unpacked.n_facts, unpacked.is_current), (3, true));
    let snapshot = current(dir.path());
    snapshot.verify().unwrap();
    assert_eq!(snapshot.content_digest(), manifest.content);
    let callers = callers_text(&snapshot.who_calls("g").unwrap());
    assert_eq!(callers, ["a.py:4 in f import -> b.py:g"]);

    let more = [FILES, &[("c.py", "from b import g\n\ng()\n")]].concat();
    let mut store = IndexStore::open(dir.path()).unwrap();
    let report = refresh(&mut store, 2, &more);
    assert_eq!((report.n_parsed, report.n_reused, report.words_begun_anew), (1, 3, None));
    let (_clean, snapshot) = snapshot_of(&more);
    let (ours, theirs) = (current(dir.path()), snapshot);
    assert_eq!(ours.who_calls("g").unwrap(), theirs.who_calls("g").unwrap());
}

#[test]
fn where_there_is_a_snapshot_only_facts_are_taken_over() {
    let (manifest, parts) = packed();
    let dir = tempfile::tempdir().unwrap();
    let mut store = IndexStore::open(dir.path()).unwrap();
    refresh(&mut store, 7, &[("z.py", "def z(): pass\n")]);
    drop(store);
    let unpacked = unpack(dir.path(), &manifest, &parts).unwrap();
    assert!(!unpacked.is_current);
    assert_eq!(current(dir.path()).commit(), commit_of(7, &[]).0.commit);
    let report = refresh(&mut IndexStore::open(dir.path()).unwrap(), 1, FILES);
    assert_eq!((report.n_parsed, report.content_digest), (0, manifest.content));
}

#[test]
fn nothing_becomes_current_that_does_not_hold() {
    let (manifest, parts) = packed();
    let refused = |what: &str, manifest: &Manifest, parts: &Parts, files: &[SourceFile]| {
        let dir = tempfile::tempdir().unwrap();
        let mut store = IndexStore::open(dir.path()).unwrap();
        let error = store.unpack(manifest, files, &mut from(parts)).unwrap_err();
        assert!(Snapshot::open_current(dir.path()).unwrap().is_none(), "{what}");
        drop(store);
        // What was left behind stands in no one's way.
        refresh(&mut IndexStore::open(dir.path()).unwrap(), 1, FILES);
        current(dir.path()).verify().unwrap();
        error.to_string()
    };
    let files = commit_of(1, FILES).0.files;
    for part in manifest.parts() {
        let mut damaged = parts.clone();
        damaged.get_mut(&part.digest).unwrap()[part.n_bytes as usize / 2] ^= 1;
        let said = refused("damage", &manifest, &damaged, &files);
        assert!(said.contains("does not have its digest"), "{said}");
        let mut gone = parts.clone();
        gone.remove(&part.digest);
        assert!(refused("gone", &manifest, &gone, &files).contains("hand on a part"));
    }
    let mut other = manifest.clone();
    other.versions = "1.2.3".to_owned();
    assert!(refused("version", &other, &parts, &files).contains("another version"));
    for name in ["words/../x", "words/.lock", "facts/x/y", "/etc/passwd", "snapshots/x", ""] {
        let mut other = manifest.clone();
        other.files[0].name = name.to_owned();
        assert!(refused(name, &other, &parts, &files).contains("it has a file"), "{name}");
    }
    let mut other = manifest.clone();
    other.tree = GitOid::from_bytes(&[9; 20]).unwrap();
    assert!(refused("tree", &other, &parts, &files).contains("another one"));
    let mut strange = files.clone();
    strange[0].blob = blob_id(b"else");
    assert!(refused("file", &manifest, &parts, &strange).contains("does not have"));
    let more = commit_of(1, &[FILES, &[("z.bin", "z")]].concat()).0.files;
    assert!(refused("count", &manifest, &parts, &more).contains("more or fewer"));
}

#[test]
fn facts_that_a_parser_cannot_have_made_are_refused() {
    use crate::facts::{EncodedFact, Subject, fact_key};
    let key = fact_key(Subject::Code(carnet_parse::Language::Python), &blob_id(b"x"));
    let source = b"class A:\n    def f(self):\n        g()\n";
    let check = |change: &dyn Fn(&mut carnet_parse::Parsed)| {
        let mut parsed = carnet_parse::parse(carnet_parse::Language::Python, source);
        change(&mut parsed);
        let stored = EncodedFact::of_parsed(&parsed).unwrap().sealed().unwrap();
        EncodedFact::of_sealed(&key, &stored).is_some()
    };
    assert!(check(&|_| {}));
    assert!(!check(&|parsed| parsed.symbols[0].parent = Some(0)));
    assert!(!check(&|parsed| parsed.symbols[1].parent = Some(7)));
    assert!(!check(&|parsed| parsed.symbols[1].region.end = 0));
    assert!(!check(&|parsed| parsed.symbols[0].region.end_line = u32::MAX));
    assert!(!check(&|parsed| parsed.symbols.reverse()));
    assert!(!check(&|parsed| parsed.calls[0].enclosing = Some(2)));
    assert!(!check(&|parsed| parsed.calls[0].region.start = usize::MAX));
    assert!(!check(&|parsed| parsed.overloads.push(9)));
    let invoked = |change: &dyn Fn(&mut carnet_parse::Invocation)| {
        check(&|parsed| {
            let source = b"macro_rules! m { ($x:ident) => { fn $x() {} } }\nm!(f);\n";
            *parsed = carnet_parse::parse(carnet_parse::Language::Rust, source);
            change(&mut parsed.invocations[0]);
        })
    };
    assert!(invoked(&|_| {}));
    assert!(!invoked(&|it| it.parent = Some(9)));
    assert!(!invoked(&|it| it.region.end = 0));
    assert!(!invoked(&|it| it.arguments[0].name_region.start = 0));
    assert!(!invoked(&|it| it.arguments[0].region.end_line = 9));
    let stored =
        || EncodedFact::of_manifest(&crate::manifest::Manifest::Nothing).unwrap().sealed().unwrap();
    assert!(EncodedFact::of_sealed(&key, &stored()).is_none(), "a name is no parsed source");
    for key in [&b""[..], b"abc", &key[..9], &[0; 25]] {
        assert!(EncodedFact::of_sealed(key, &stored()).is_none(), "{key:?}");
    }
}
