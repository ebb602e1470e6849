use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fs,
};

use proptest::prelude::*;

use super::*;
use crate::store::{ObjectKind, StoredObject};

/// Bytes that neither repeat nor pack, the same in every run.
fn noise(n_bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes = Vec::with_capacity(n_bytes + 8);
    while bytes.len() < n_bytes {
        bytes.extend_from_slice(&next());
    }
    bytes.truncate(n_bytes);
    bytes
}

fn put(stores: &Stores, content: &[u8]) -> ContentList {
    let mut seen = vec![];
    let list = survey(&mut &*content, &mut |bytes| seen.extend_from_slice(bytes)).unwrap();
    assert!(seen == content);
    stores.put(&list, &mut &*content).unwrap();
    list
}

fn read(stores: &Stores, digest: &Digest) -> Result<Vec<u8>, String> {
    let mut bytes = vec![];
    let mut reader = stores.open(digest).map_err(|error| error.to_string())?;
    reader.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

fn new_stores() -> (tempfile::TempDir, Stores) {
    let dir = tempfile::tempdir().unwrap();
    let stores = Stores::own(DirStore::new(dir.path()));
    (dir, stores)
}

#[test]
fn contents_of_every_size_come_back_and_large_ones_are_cut() {
    let (_dir, stores) = new_stores();
    for (n_bytes, n_chunks_min) in [(0, 0), (1, 1), (2 << 20, 1), ((2 << 20) + 1, 2), (9 << 20, 3)]
    {
        let content = noise(n_bytes, 1);
        let list = put(&stores, &content);
        assert!(list.chunks.len() >= n_chunks_min, "{n_bytes}");
        assert!(n_bytes > 2 << 20 || list.chunks.len() <= 1);
        assert_eq!(list.pointer.digest, Digest::of(&content));
        assert!(read(&stores, &list.pointer.digest).unwrap() == content);
    }
}

#[test]
fn a_change_in_the_middle_stores_little_that_is_new() {
    let (_dir, stores) = new_stores();
    let mut content = noise(16 << 20, 2);
    put(&stores, &content);
    let before = stores.own.list(ObjectKind::Chunk).unwrap().len();
    content.splice(8 << 20..8 << 20, *b"a few bytes more");
    put(&stores, &content);
    let n_new = stores.own.list(ObjectKind::Chunk).unwrap().len() - before;
    assert!(before >= 8 && n_new <= 3, "{n_new} new of {before}");
}

#[test]
fn a_file_that_changes_between_the_readings_is_refused_and_its_new_bytes_are_not_written() {
    for n_bytes in [1000, 9 << 20] {
        let (_dir, stores) = new_stores();
        let content = noise(n_bytes, 3);
        let list = survey(&mut content.as_slice(), &mut |_| {}).unwrap();
        let mut changed = content.clone();
        changed[n_bytes - 1] ^= 1;
        let longer = [content.as_slice(), b"more"].concat();
        for other in [changed, longer, content[..n_bytes - 1].to_vec(), vec![]] {
            let refused = stores.put(&list, &mut other.as_slice());
            assert!(matches!(refused, Err(ContentError::Changed)));
        }
        let seen: Vec<_> = list.chunks.iter().map(|chunk| chunk.digest).collect();
        let written = stores.own.list(ObjectKind::Chunk).unwrap();
        assert!(written.iter().all(|object| seen.contains(&object.key.digest)));
        assert_eq!(stores.own.list(ObjectKind::List).unwrap(), []);
    }
}

#[test]
fn a_damaged_or_missing_object_is_named_and_taken_from_another_store() {
    let (_dir, stores) = new_stores();
    let content = noise(9 << 20, 4);
    let list = put(&stores, &content);
    let digest = list.pointer.digest;
    let spare = tempfile::tempdir().unwrap();
    let (n_written, _) = stores.copy(&digest, &DirStore::new(spare.path())).unwrap();
    assert_eq!(n_written, list.chunks.len() as u64 + 1);

    let damaged = ObjectKey::chunk(list.chunks[1].digest);
    fs::write(stores.own.path(&damaged), "damaged").unwrap();
    assert!(read(&stores, &digest).unwrap_err().contains(&damaged.to_string()));
    let missing = ObjectKey::chunk(list.chunks[0].digest);
    fs::remove_file(stores.own.path(&missing)).unwrap();
    assert!(read(&stores, &digest).unwrap_err().contains("missing in"));
    fs::remove_file(stores.own.path(&ObjectKey::list(digest))).unwrap();
    assert!(read(&stores, &digest).unwrap_err().contains("is in none of"));

    let spare = vec![DirStore::new(spare.path())];
    let with_spare = Stores { own: stores.own.clone(), shared: None, spare };
    assert!(read(&with_spare, &digest).unwrap() == content);
    assert!(read(&stores, &digest).unwrap() == content, "the own store was not mended");
}

#[test]
fn a_list_that_names_chunks_of_another_content_gives_out_no_whole() {
    let (_dir, stores) = new_stores();
    let (one, other) = (put(&stores, b"one"), put(&stores, b"two"));
    let forged = ContentList { pointer: one.pointer, chunks: other.chunks };
    fs::remove_file(stores.own.path(&ObjectKey::list(one.pointer.digest))).unwrap();
    let sealed = seal(forged.to_text().as_bytes(), false);
    stores.own.put_new(&ObjectKey::list(one.pointer.digest), &sealed).unwrap();
    let said = read(&stores, &one.pointer.digest).unwrap_err();
    assert!(said.contains("of another content"), "{said}");
}

/// A store in memory whose disk is full after so many writes.
#[derive(Default)]
struct FullAfter {
    n_writes: Cell<usize>,
    objects: RefCell<BTreeMap<ObjectKey, Vec<u8>>>,
}

impl ObjectStore for FullAfter {
    fn place(&self) -> String {
        "memory".to_owned()
    }

    fn get(&self, key: &ObjectKey) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.objects.borrow().get(key).cloned())
    }

    fn put_new(&self, key: &ObjectKey, sealed: &[u8]) -> Result<bool, StoreError> {
        let left = self.n_writes.get().checked_sub(1).ok_or_else(|| StoreError::Io {
            deed: "write",
            path: key.to_string().into(),
            source: io::ErrorKind::StorageFull.into(),
        })?;
        self.n_writes.set(left);
        Ok(self.objects.borrow_mut().insert(*key, sealed.to_vec()).is_none())
    }

    fn list(&self, _: ObjectKind) -> Result<Vec<StoredObject>, StoreError> {
        Ok(vec![])
    }
}

#[test]
fn a_disk_that_is_full_at_any_write_leaves_no_content_that_is_not_whole() {
    let content = noise(9 << 20, 5);
    let list = survey(&mut content.as_slice(), &mut |_| {}).unwrap();
    let n_writes_needed = list.chunks.len() + 1;
    for n_writes in 0..=n_writes_needed {
        let store = FullAfter { n_writes: Cell::new(n_writes), ..FullAfter::default() };
        let put = put_into(&store, &list, &mut content.as_slice());
        let is_there = store.get(&ObjectKey::list(list.pointer.digest)).unwrap().is_some();
        assert_eq!(
            (put.is_ok(), is_there),
            (n_writes == n_writes_needed, n_writes == n_writes_needed)
        );
    }
}

proptest! {
    #[test]
    fn lists_round_trip_and_foreign_ones_never_panic(sizes: Vec<u16>, text: Vec<u8>) {
        let chunks: Vec<_> = sizes
            .iter()
            .map(|size| ChunkRef { digest: Digest::of(&size.to_le_bytes()), size_bytes: u32::from(*size) })
            .collect();
        let size_bytes = sizes.iter().map(|size| u64::from(*size)).sum();
        let digest = Digest::of(b"content");
        let list = ContentList { pointer: Pointer { digest, size_bytes }, chunks };
        prop_assert_eq!(ContentList::parse(digest, list.to_text().as_bytes()), Some(list));
        let _ = ContentList::parse(digest, &text);
    }
}
