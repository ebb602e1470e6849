use std::{fs, path::Path};

use super::{callers_text, current, refresh};
use crate::{IndexError, IndexStore, Snapshot, sections::Sections};

const FILES: [(&str, &str); 3] = [
    ("a.py", "def f(): pass\ndef g(): f()\nclass B(A): pass\n"),
    ("b.py", "from a import f as h\nh()\n"),
    ("c.md", "# C\n"),
];

/// Asks everything there is to ask.
fn ask(dir: &Path) -> Result<Vec<String>, IndexError> {
    let snapshot = Snapshot::open_current(dir)?.unwrap();
    snapshot.where_defined("f")?;
    snapshot.where_defined("g")?;
    snapshot.outline(&super::path("a.py"))?;
    snapshot.calls("g")?;
    snapshot.who_reaches("f", 2)?;
    snapshot.implementations("A")?;
    Ok(callers_text(&snapshot.who_calls("f")?))
}

#[test]
fn a_changed_byte_anywhere_is_detected_and_a_refresh_heals_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = IndexStore::open(dir.path()).unwrap();
    let report = refresh(&mut store, 1, &FILES);
    let whole = fs::read(&report.snapshot_path).unwrap();
    let expected = ask(dir.path()).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x20;
        fs::write(&report.snapshot_path, &damaged).unwrap();
        let verified =
            Snapshot::open_current(dir.path()).and_then(|snapshot| snapshot.unwrap().verify());
        let error = verified.expect_err("a changed byte must be seen");
        assert!(error.is_healed_by_rebuild(), "byte {at}: {error}");
        // A question may not touch the byte; if it answers, it answers rightly.
        match ask(dir.path()) {
            Ok(answer) => assert_eq!(answer, expected, "byte {at}"),
            Err(error) => assert!(error.is_healed_by_rebuild(), "byte {at}: {error}"),
        }
    }
    refresh(&mut store, 1, &FILES);
    assert_eq!(ask(dir.path()).unwrap(), expected);
    current(dir.path()).verify().unwrap();
}

#[test]
fn damage_in_each_section_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let report = refresh(&mut IndexStore::open(dir.path()).unwrap(), 1, &FILES);
    let whole = fs::read(&report.snapshot_path).unwrap();
    let header = Sections::open(&report.snapshot_path).unwrap().header;
    for (section, kind) in header.sections.iter().zip(crate::format::SectionKind::ALL) {
        assert!(section.n_bytes > 0, "{kind:?} is tested");
        let mut damaged = whole.clone();
        damaged[section.offset as usize] ^= 1;
        fs::write(&report.snapshot_path, &damaged).unwrap();
        let error = current(dir.path()).verify().unwrap_err().to_string();
        assert!(error.contains(&format!("section {kind:?} changed")), "{error}");
    }
}

#[test]
fn a_cut_snapshot_is_detected_at_every_length() {
    let dir = tempfile::tempdir().unwrap();
    let report = refresh(&mut IndexStore::open(dir.path()).unwrap(), 1, &FILES);
    let whole = fs::read(&report.snapshot_path).unwrap();
    for n_bytes in 0..whole.len() {
        fs::write(&report.snapshot_path, &whole[..n_bytes]).unwrap();
        let error = Snapshot::open_current(dir.path()).unwrap_err();
        assert!(error.is_healed_by_rebuild(), "{n_bytes} bytes: {error}");
    }
}

#[test]
fn a_snapshot_of_another_format_is_named_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let report = refresh(&mut IndexStore::open(dir.path()).unwrap(), 1, &FILES);
    let mut bytes = fs::read(&report.snapshot_path).unwrap();
    bytes[8..12].copy_from_slice(&9_u32.to_le_bytes());
    fs::write(&report.snapshot_path, &bytes).unwrap();
    let error = Snapshot::open_current(dir.path()).unwrap_err();
    assert!(matches!(error, IndexError::Format { found: 9, .. }), "{error}");
}

#[test]
fn a_pointer_that_leaves_the_directory_or_names_nothing_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    refresh(&mut IndexStore::open(dir.path()).unwrap(), 1, &FILES);
    for bad in ["../facts.redb\n", "", "\n", "absent.v1\n", "a\0b", &"x".repeat(10_000), ".hidden"]
    {
        fs::write(dir.path().join("current"), bad).unwrap();
        let error = Snapshot::open_current(dir.path()).unwrap_err();
        assert!(error.is_healed_by_rebuild(), "{bad:?}: {error}");
    }
}

#[test]
fn a_killed_writer_leaves_the_old_snapshot_current_and_is_cleared_away() {
    let dir = tempfile::tempdir().unwrap();
    refresh(&mut IndexStore::open(dir.path()).unwrap(), 1, &FILES);
    let expected = ask(dir.path()).unwrap();
    let leftovers =
        [dir.path().join("snapshots/4711.unfinished"), dir.path().join("current.unfinished")];
    for leftover in &leftovers {
        fs::write(leftover, b"carnetix half").unwrap();
    }
    assert_eq!(ask(dir.path()).unwrap(), expected);
    drop(IndexStore::open(dir.path()).unwrap());
    assert!(leftovers.iter().all(|leftover| !leftover.exists()));
    assert_eq!(ask(dir.path()).unwrap(), expected);
}

#[test]
fn a_second_writer_is_refused_as_busy() {
    let dir = tempfile::tempdir().unwrap();
    let first = IndexStore::open(dir.path()).unwrap();
    assert!(matches!(IndexStore::open(dir.path()), Err(IndexError::Busy(_))));
    drop(first);
    IndexStore::open(dir.path()).unwrap();
}

#[test]
fn damaged_facts_are_moved_aside_and_parsed_again() {
    let dir = tempfile::tempdir().unwrap();
    let facts = dir.path().join("facts.redb");
    let clean = refresh(&mut IndexStore::open(dir.path()).unwrap(), 1, &FILES).content_digest;
    let whole = fs::read(&facts).unwrap();
    let mut cases: Vec<Vec<u8>> =
        vec![b"not a database".to_vec(), whole[..whole.len() / 2].to_vec()];
    for at in (0..whole.len()).step_by(whole.len() / 24) {
        let mut damaged = whole.clone();
        let end = (at + 600).min(damaged.len());
        damaged[at..end].iter_mut().for_each(|byte| *byte ^= 0x55);
        cases.push(damaged);
    }
    for (n, damaged) in cases.iter().enumerate() {
        fs::write(&facts, damaged).unwrap();
        let mut store =
            IndexStore::open(dir.path()).unwrap_or_else(|error| panic!("case {n}: {error:?}"));
        assert_eq!(refresh(&mut store, 1, &FILES).content_digest, clean, "case {n}");
    }
}

#[test]
fn a_failed_refresh_leaves_the_current_snapshot_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = IndexStore::open(dir.path()).unwrap();
    refresh(&mut store, 1, &FILES);
    let expected = ask(dir.path()).unwrap();
    // The place where the pointer would be written is taken by a directory.
    fs::create_dir(dir.path().join("current.unfinished")).unwrap();
    let (request, memory) = super::commit_of(2, &[("c.py", "x = 1\n")]);
    let now = carnet_core::Timestamp::from_millis(2);
    assert!(matches!(store.refresh(&request, &memory, now), Err(IndexError::Io { .. })));
    assert_eq!(ask(dir.path()).unwrap(), expected);
}

#[test]
fn facts_of_an_earlier_version_go_and_those_of_now_are_packed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("facts.redb");
    let old: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("facts/1");
    let database = redb::Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    for n in 0..500_u32 {
        let value = vec![7_u8; 10_000];
        let mut table = transaction.open_table(old).unwrap();
        table.insert(&n.to_be_bytes()[..], value.as_slice()).unwrap();
    }
    transaction.commit().unwrap();
    drop(database);
    let size = || std::fs::metadata(&path).unwrap().len();
    assert!(size() > 5_000_000);
    let doc = "same words again ".repeat(200);
    let source = format!("def f():\n    '''{doc}'''\n");
    refresh(&mut IndexStore::open(dir.path()).unwrap(), 1, &[("a.py", &source)]);
    assert!(size() < 2_000_000, "{}", size());
    let report = refresh(&mut IndexStore::open(dir.path()).unwrap(), 2, &[("b.py", &source)]);
    assert_eq!((report.n_parsed, report.n_reused), (0, 1));
    let snapshot = current(dir.path());
    assert!(doc.starts_with(snapshot.where_defined("f").unwrap()[0].symbol.doc.trim()));
}
