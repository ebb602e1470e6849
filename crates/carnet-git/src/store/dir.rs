//! A store in a directory: one file an object, written beside, flushed, renamed.
//!
//! Refuses to write through a link: every name below the directory is made of hex digits. [`DirStore::lease`] is held
//! while contents are written and not yet referenced, [`DirStore::exclusive`] while unreferenced ones are removed.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use carnet_core::{Digest, Timestamp};

use super::{ObjectKey, ObjectKind, ObjectStore, StoreError, StoredObject, unseal};

/// Largest object file that is read, in bytes: a list of a content of half a tebibyte.
pub(crate) const OBJECT_BYTES_MAX: u64 = 64 << 20;

/// A store in a directory, which may not exist yet.
#[derive(Debug, Clone)]
pub struct DirStore {
    root: PathBuf,
}

/// Keeps others out, or the remover out, until it is dropped.
#[derive(Debug)]
pub struct Lease {
    _file: File,
}

impl DirStore {
    /// Names the directory; nothing is read or made.
    pub fn new(root: impl Into<PathBuf>) -> DirStore {
        DirStore { root: root.into() }
    }

    /// Returns the directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the file of an object.
    pub fn path(&self, key: &ObjectKey) -> PathBuf {
        self.root.join(key.to_string())
    }

    /// Keeps removal away while contents are written that nothing references yet.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`].
    pub fn lease(&self) -> Result<Lease, StoreError> {
        let (file, path) = self.lock_file()?;
        file.lock_shared().map_err(io("lock", &path))?;
        Ok(Lease { _file: file })
    }

    /// Waits until nobody writes, and keeps writers away.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`].
    pub fn exclusive(&self) -> Result<Lease, StoreError> {
        let (file, path) = self.lock_file()?;
        file.lock().map_err(io("lock", &path))?;
        Ok(Lease { _file: file })
    }

    fn lock_file(&self) -> Result<(File, PathBuf), StoreError> {
        fs::create_dir_all(&self.root).map_err(io("make the directory", &self.root))?;
        let path = self.root.join("lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        file.map_err(io("open", &path)).map(|file| (file, path))
    }

    /// Tells whether an object's bytes are those that were written, and what is wrong when they are not.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] when it cannot be read.
    pub fn check(&self, key: &ObjectKey) -> Result<Result<(), &'static str>, StoreError> {
        let bytes_max = usize::try_from(OBJECT_BYTES_MAX).unwrap_or(usize::MAX);
        Ok(match self.get(key)? {
            None => Err("it is missing"),
            Some(sealed) => unseal(&sealed, bytes_max).and_then(|bytes| {
                let is_named = key.kind == ObjectKind::List || Digest::of(&bytes) == key.digest;
                if is_named { Ok(()) } else { Err("it is another chunk") }
            }),
        })
    }

    /// Removes an object; one that is gone already is no error.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`].
    pub fn remove(&self, key: &ObjectKey) -> Result<(), StoreError> {
        let path = self.path(key);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(io("remove", &path)),
        }
    }

    /// Removes what killed processes left half written, when it was touched before `before`; returns how many files.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`].
    pub fn sweep(&self, before: Timestamp) -> Result<usize, StoreError> {
        let dir = self.root.join("tmp");
        let mut n_removed = 0;
        for (path, meta) in entries(&dir)? {
            if touched_at(&meta) < before {
                fs::remove_file(&path).map_err(io("remove", &path))?;
                n_removed += 1;
            }
        }
        Ok(n_removed)
    }

    fn write_new(&self, path: &Path, sealed: &[u8]) -> Result<(), StoreError> {
        let tmp_dir = self.root.join("tmp");
        fs::create_dir_all(&tmp_dir).map_err(io("make the directory", &tmp_dir))?;
        let parent = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(parent).map_err(io("make the directory", parent))?;
        write_beside(&tmp_dir, path, sealed)
    }
}

impl ObjectStore for DirStore {
    fn place(&self) -> String {
        self.root.display().to_string()
    }

    fn get(&self, key: &ObjectKey) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(key);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io("open", &path)(error)),
        };
        let mut sealed = vec![];
        file.take(OBJECT_BYTES_MAX).read_to_end(&mut sealed).map_err(io("read", &path))?;
        Ok(Some(sealed))
    }

    /// An object that is there and damaged is replaced by a sound one; that is the one change a file ever sees.
    fn put_new(&self, key: &ObjectKey, sealed: &[u8]) -> Result<bool, StoreError> {
        let path = self.path(key);
        let bytes_max = usize::try_from(OBJECT_BYTES_MAX).unwrap_or(usize::MAX);
        if self.get(key)?.is_some_and(|there| unseal(&there, bytes_max).is_ok()) {
            touch(&path)?;
            return Ok(false);
        }
        self.write_new(&path, sealed)?;
        Ok(true)
    }

    fn list(&self, kind: ObjectKind) -> Result<Vec<StoredObject>, StoreError> {
        let mut found = vec![];
        for (fan, _) in entries(&self.root.join(kind.prefix()))? {
            if !fan.is_dir() {
                continue;
            }
            for (path, meta) in entries(&fan)? {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let Ok(digest) = Digest::from_hex(&name) else { continue };
                let key = ObjectKey { kind, digest };
                if meta.is_file() && self.path(&key) == path {
                    let touched_at = touched_at(&meta);
                    found.push(StoredObject { key, stored_bytes: meta.len(), touched_at });
                }
            }
        }
        found.sort_by_key(|object| object.key);
        Ok(found)
    }
}

/// The entries of a directory with their metadata; none when there is no directory.
fn entries(dir: &Path) -> Result<Vec<(PathBuf, fs::Metadata)>, StoreError> {
    let listed = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        listed => listed.map_err(io("list", dir))?,
    };
    let mut found = vec![];
    for entry in listed {
        let path = entry.map_err(io("list", dir))?.path();
        match fs::symlink_metadata(&path) {
            Ok(meta) => found.push((path, meta)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io("look at", &path)(error)),
        }
    }
    Ok(found)
}

fn touched_at(meta: &fs::Metadata) -> Timestamp {
    Timestamp::from_system_time(meta.modified().unwrap_or(SystemTime::UNIX_EPOCH))
}

/// Says that an object is needed: removal counts its time of grace from now.
fn touch(path: &Path) -> Result<(), StoreError> {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    let touched = utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW);
    touched.map_err(|errno| io("touch", path)(errno.into()))
}

/// Writes a file in `tmp_dir`, flushes it, and renames it to `path`; on a failure nothing stays.
pub(crate) fn write_beside(tmp_dir: &Path, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    static N_FILES: AtomicU64 = AtomicU64::new(0);
    let n = N_FILES.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let tmp = tmp_dir.join(format!("{name}.{}.{n}", std::process::id()));
    let write = || -> io::Result<()> {
        let mut file = File::create(&tmp)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&tmp, path)?;
        path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&tmp);
        io("write", path)(error)
    })
}

fn io(deed: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError + use<> {
    let path = path.to_owned();
    move |source| StoreError::Io { deed, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::seal;

    fn chunk(bytes: &[u8]) -> (ObjectKey, Vec<u8>) {
        (ObjectKey::chunk(Digest::of(bytes)), seal(bytes, true))
    }

    #[test]
    fn an_object_is_written_once_and_replaced_only_when_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let store = DirStore::new(dir.path().join("new/store"));
        let (key, sealed) = chunk(b"content");
        assert_eq!(store.get(&key).unwrap(), None);
        assert!(store.put_new(&key, &sealed).unwrap());
        assert!(!store.put_new(&key, &sealed).unwrap());
        fs::write(store.path(&key), "damaged").unwrap();
        assert!(store.put_new(&key, &sealed).unwrap());
        assert_eq!(store.get(&key).unwrap(), Some(sealed));
        assert_eq!(store.list(ObjectKind::Chunk).unwrap().len(), 1);
        assert_eq!(store.list(ObjectKind::List).unwrap(), []);
    }

    #[test]
    fn strangers_in_the_directory_are_left_alone_and_not_listed() {
        let dir = tempfile::tempdir().unwrap();
        let store = DirStore::new(dir.path());
        let (key, sealed) = chunk(b"content");
        store.put_new(&key, &sealed).unwrap();
        fs::write(dir.path().join("chunks/README"), "x").unwrap();
        fs::create_dir(dir.path().join("chunks/zz")).unwrap();
        fs::write(dir.path().join("chunks/zz").join(key.digest.to_string()), "x").unwrap();
        assert_eq!(store.list(ObjectKind::Chunk).unwrap().len(), 1);
    }

    #[test]
    fn a_put_that_changes_nothing_says_that_the_object_is_needed() {
        let dir = tempfile::tempdir().unwrap();
        let store = DirStore::new(dir.path());
        let (key, sealed) = chunk(b"content");
        store.put_new(&key, &sealed).unwrap();
        let old = SystemTime::UNIX_EPOCH;
        File::open(store.path(&key)).unwrap().set_modified(old).unwrap();
        assert_eq!(store.list(ObjectKind::Chunk).unwrap()[0].touched_at.as_secs(), 0);
        store.put_new(&key, &sealed).unwrap();
        assert!(store.list(ObjectKind::Chunk).unwrap()[0].touched_at.as_secs() > 0);
    }

    #[test]
    fn a_write_that_fails_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = DirStore::new(dir.path());
        let (key, sealed) = chunk(b"content");
        // A directory where the object belongs: the rename fails, as the write does on a full disk.
        fs::create_dir_all(store.path(&key).join("x")).unwrap();
        assert!(store.write_new(&store.path(&key), &sealed).is_err());
        assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn who_removes_waits_for_those_who_write() {
        let dir = tempfile::tempdir().unwrap();
        let store = DirStore::new(dir.path());
        let (first, _second) = (store.lease().unwrap(), store.lease().unwrap());
        drop((first, _second));
        let lone = store.exclusive().unwrap();
        let other = File::open(dir.path().join("lock")).unwrap();
        assert!(other.try_lock_shared().is_err());
        drop(lone);
        other.try_lock_shared().unwrap();
    }
}
