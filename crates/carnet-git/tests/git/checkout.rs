//! Writing trees into scratch directories, hostile ones included.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use carnet_core::{Digest, Digester, GitOid, Timestamp};
use carnet_git::{CheckoutError, EntryMode, ObjectError, TreeSpec};
use carnet_testkit::{Format, TestRepo};

use crate::{oid, open, path};

const MTIME: i64 = 1_700_000_000_250;

fn mtime() -> Timestamp {
    Timestamp::from_millis(MTIME)
}

fn scratch(repo: &TestRepo, name: &str) -> std::path::PathBuf {
    let dest = repo.root().join(name);
    fs::create_dir(&dest).unwrap();
    dest
}

/// Every path below `dir` but directories, with mode, target or bytes; times are checked on the way.
fn listing(dir: &Path, prefix: &str, out: &mut Vec<(String, u32, Vec<u8>)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let (path, meta) = (entry.path(), entry.path().symlink_metadata().unwrap());
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        assert_eq!((meta.mtime(), meta.mtime_nsec()), (1_700_000_000, 250_000_000), "{name}");
        if meta.is_dir() {
            assert_eq!(meta.permissions().mode() & 0o7777, 0o755, "{name}");
            listing(&path, &format!("{name}/"), out);
        } else if meta.is_symlink() {
            let target = fs::read_link(&path).unwrap();
            out.push((name, 0o120000, target.to_string_lossy().into_owned().into_bytes()));
        } else {
            out.push((name, meta.permissions().mode() & 0o7777, fs::read(&path).unwrap()));
        }
    }
}

#[test]
fn a_tree_is_written_as_git_would_and_its_digest_is_the_documented_one() {
    for format in [Format::Plain, Format::Sha256] {
        let repo = TestRepo::with(format);
        repo.script(
            "mkdir -p a/b a.d
             echo 1 > a/b/c; printf '' > a/empty; echo x > a.d/run; chmod +x a.d/run
             ln -s ../nowhere a/link; ln -s /etc/passwd out",
        );
        let commit_id = oid(&repo.commit_all("first"));
        let opened = open(&repo);
        let dest = scratch(&repo, "dest");
        let done = opened.checkout_tree(&commit_id, &dest, mtime()).unwrap();
        let mut written = Vec::new();
        listing(&dest, "", &mut written);
        written.sort();
        let expected: Vec<(String, u32, Vec<u8>)> = [
            ("a.d/run", 0o755, &b"x\n"[..]),
            ("a/b/c", 0o644, b"1\n"),
            ("a/empty", 0o644, b""),
            ("a/link", 0o120000, b"../nowhere"),
            ("out", 0o120000, b"/etc/passwd"),
        ]
        .map(|(name, mode, bytes)| (name.to_owned(), mode, bytes.to_vec()))
        .to_vec();
        assert_eq!(written, expected);
        // The definition, written once more and independently of the room's code.
        let mut digester = Digester::new();
        for (name, mode, bytes) in &expected {
            let mode = if *mode == 0o120000 { "120000".to_owned() } else { format!("100{mode:o}") };
            digester.field(name.as_bytes()).field(mode.as_bytes());
            digester.field(Digest::of(bytes).as_bytes());
        }
        assert_eq!((done.n_files, done.tree_sha256), (5, digester.finish()));
        assert_eq!(opened.tree_digest(&commit_id).unwrap(), done.tree_sha256);
        let root = fs::metadata(&dest).unwrap();
        assert_eq!(root.mtime(), 1_700_000_000);
    }
}

#[test]
fn the_digest_is_the_same_whatever_hash_git_uses() {
    let digest = |format| {
        let repo = TestRepo::with(format);
        let commit_id = oid(&repo.write("a/b", "1").write("c", "2").commit_all("first"));
        open(&repo).tree_digest(&commit_id).unwrap()
    };
    assert_eq!(digest(Format::Plain), digest(Format::Sha256));
}

#[test]
fn a_submodule_becomes_an_empty_directory() {
    let repo = TestRepo::init();
    repo.script(
        "git init -q ../inner; git -C ../inner commit -q --allow-empty -m inner
         git submodule --quiet add ../inner inner",
    );
    let commit_id = oid(&repo.commit_all("with inner"));
    let dest = scratch(&repo, "dest");
    let opened = open(&repo);
    let done = opened.checkout_tree(&commit_id, &dest, mtime()).unwrap();
    assert!(fs::read_dir(dest.join("inner")).unwrap().next().is_none());
    assert_eq!(done.n_files, 2);
    assert_eq!(opened.tree_digest(&commit_id).unwrap(), done.tree_sha256);
}

#[test]
fn no_filter_and_no_attribute_is_obeyed() {
    let repo = TestRepo::init();
    repo.git(&["config", "filter.evil.smudge", "touch ../smudged; cat"]);
    repo.write(".gitattributes", "* text eol=crlf filter=evil\n").write("a", "one\ntwo\n");
    let commit_id = oid(&repo.commit_all("first"));
    let dest = scratch(&repo, "dest");
    open(&repo).checkout_tree(&commit_id, &dest, mtime()).unwrap();
    assert_eq!(fs::read(dest.join("a")).unwrap(), b"one\ntwo\n");
    assert!(!repo.root().join("smudged").exists());
}

#[test]
fn a_destination_that_holds_something_or_is_a_link_is_refused() {
    let repo = TestRepo::init();
    let commit_id = oid(&repo.write("a", "1").commit_all("first"));
    let opened = open(&repo);
    let full = scratch(&repo, "full");
    fs::write(full.join(".hidden"), "").unwrap();
    let empty = scratch(&repo, "empty");
    let link = repo.root().join("link");
    std::os::unix::fs::symlink(&empty, &link).unwrap();
    for dest in [&full, &link, &repo.root().join("missing"), &full.join(".hidden")] {
        let answer = opened.checkout_tree(&commit_id, dest, mtime());
        assert!(matches!(answer, Err(CheckoutError::NotEmpty { .. })), "{answer:?}");
    }
    assert!(fs::read_dir(&empty).unwrap().next().is_none());
}

/// Makes a tree object of raw entries, which no sound program would write.
fn raw_tree(repo: &TestRepo, entries: &[(&str, &[u8], &GitOid)]) -> GitOid {
    let mut bytes = Vec::new();
    for (mode, name, id) in entries {
        bytes.extend_from_slice(mode.as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(name);
        bytes.push(0);
        bytes.extend_from_slice(id.as_bytes());
    }
    fs::write(repo.root().join("raw"), bytes).unwrap();
    oid(&repo.git(&["hash-object", "-t", "tree", "-w", "--literally", "../raw"]))
}

#[test]
fn hostile_names_are_refused_and_nothing_is_written_outside() {
    let repo = TestRepo::init();
    let opened = open(&repo);
    let blob_id = opened.write_blob(b"owned").unwrap();
    let hostile: [&[u8]; 12] = [
        b"..",
        b".",
        b".git",
        b".GiT",
        b"git~1",
        b".git ",
        b".git.",
        b".git::$INDEX_ALLOCATION",
        ".g\u{200c}it".as_bytes(),
        b"a/b",
        b"../escaped",
        b"",
    ];
    for (k, name) in hostile.into_iter().enumerate() {
        for mode in ["100644", "40000"] {
            let id = match mode {
                "40000" => raw_tree(&repo, &[("100644", b"escaped", &blob_id)]),
                _ => blob_id,
            };
            let tree_id = raw_tree(&repo, &[(mode, name, &id)]);
            let dest = scratch(&repo, &format!("dest-{k}-{mode}"));
            let answer = opened.checkout_tree(&tree_id, &dest, mtime());
            let shown = String::from_utf8_lossy(name);
            assert!(
                matches!(
                    answer,
                    Err(CheckoutError::HostileName { .. }
                        | CheckoutError::Object(ObjectError::Corrupt { .. }))
                ),
                "{shown:?}: {answer:?}"
            );
            assert!(fs::read_dir(&dest).unwrap().next().is_none(), "{shown:?}");
        }
    }
    assert!(!repo.root().join("escaped").exists());
}

#[test]
fn a_link_is_never_written_through() {
    let repo = TestRepo::init();
    let opened = open(&repo);
    let outside = scratch(&repo, "outside");
    let target = opened.write_blob(outside.to_string_lossy().as_bytes()).unwrap();
    let blob_id = opened.write_blob(b"owned").unwrap();
    let below = raw_tree(&repo, &[("100644", b"file", &blob_id)]);
    // The same name twice: first a link that leads out, then a directory and a file to write through it.
    let through_directory = raw_tree(&repo, &[("120000", b"x", &target), ("40000", b"x", &below)]);
    let onto_file = raw_tree(&repo, &[("120000", b"x", &target), ("100644", b"x", &blob_id)]);
    for (k, tree_id) in [through_directory, onto_file].iter().enumerate() {
        let dest = scratch(&repo, &format!("dest-{k}"));
        let answer = opened.checkout_tree(tree_id, &dest, mtime());
        assert!(matches!(answer, Err(CheckoutError::Write { .. })), "{answer:?}");
    }
    assert!(fs::read_dir(&outside).unwrap().next().is_none());
}

#[test]
fn links_named_gitmodules_and_links_to_nothing_are_refused() {
    let repo = TestRepo::init();
    let opened = open(&repo);
    let (target, empty) = (opened.write_blob(b"x").unwrap(), opened.write_blob(b"").unwrap());
    let nul = opened.write_blob(b"a\0b").unwrap();
    let cases = [(&b".gitmodules"[..], target), (b"a", empty), (b"a", nul)];
    for (k, (name, id)) in cases.into_iter().enumerate() {
        let tree_id = raw_tree(&repo, &[("120000", name, &id)]);
        let dest = scratch(&repo, &format!("dest-{k}"));
        let answer = opened.checkout_tree(&tree_id, &dest, mtime());
        assert!(matches!(answer, Err(CheckoutError::HostileName { .. })), "{answer:?}");
    }
}

#[test]
fn directories_nested_without_end_are_refused() {
    let repo = TestRepo::init();
    let opened = open(&repo);
    let mut id = opened.write_blob(b"deep").unwrap();
    let mut spec = TreeSpec::new().file(path("d"), EntryMode::File, id);
    for _ in 0..600 {
        id = opened.write_tree(&spec).unwrap();
        spec = TreeSpec::new().subtree(path("d"), id);
    }
    let dest = scratch(&repo, "dest");
    assert!(opened.checkout_tree(&id, &dest, mtime()).is_err());
    assert!(opened.tree_digest(&id).is_err());
}

#[test]
fn a_tree_that_repeats_itself_into_billions_of_entries_is_refused() {
    let repo = TestRepo::init();
    let opened = open(&repo);
    let names = || (0..2_000).map(|k| path(&format!("{k:04}")));
    let blob_id = opened.write_blob(b"").unwrap();
    let files = |spec: TreeSpec, name| spec.file(name, EntryMode::File, blob_id);
    let mut id = opened.write_tree(&names().fold(TreeSpec::new(), files)).unwrap();
    for _ in 0..2 {
        let spec = names().fold(TreeSpec::new(), |spec, name| spec.subtree(name, id));
        id = opened.write_tree(&spec).unwrap();
    }
    let answer = opened.tree_files(&id);
    assert!(matches!(answer, Err(ObjectError::Corrupt { .. })), "{answer:?}");
}

#[test]
fn a_missing_blob_is_an_error_of_its_own() {
    let repo = TestRepo::init();
    let opened = open(&repo);
    let missing = GitOid::from_hex(&"1".repeat(40)).unwrap();
    let tree_id = raw_tree(&repo, &[("100644", b"a", &missing)]);
    let dest = scratch(&repo, "dest");
    let answer = opened.checkout_tree(&tree_id, &dest, mtime());
    let missing = matches!(answer, Err(CheckoutError::Object(ObjectError::Missing { .. })));
    assert!(missing, "{answer:?}");
}
