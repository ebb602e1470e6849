//! Directories that stand beside a lock file: whoever uses one holds it, shared or alone, and whoever sweeps removes what nobody
//! holds. The kernel lets the lock of a killed process go.
//!
//! Invariant: a lock that is returned is that of the file which stands there, not of one that a sweep has removed meanwhile.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// Times that a lock is taken again because its file was replaced meanwhile.
const TRIES_MAX: usize = 32;

/// How a lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    Shared,
    Alone,
}

/// Returns where the lock of a directory stands.
pub(crate) fn lock_path(dir: &Path) -> PathBuf {
    dir.with_extension("lock")
}

/// Takes the lock beside `dir`; waits for whoever makes or removes it.
pub(crate) fn lock(dir: &Path, hold: Hold) -> io::Result<File> {
    let path = lock_path(dir);
    for _ in 0..TRIES_MAX {
        let file = open(&path)?;
        match hold {
            Hold::Shared => file.lock_shared()?,
            Hold::Alone => file.lock()?,
        }
        if is_still(&file, &path) {
            return Ok(file);
        }
    }
    Err(io::Error::other("the lock was replaced again and again"))
}

/// Removes `dir`, what was being made in its place, and its lock, unless someone holds it. What cannot be removed now is for the next
/// sweep.
pub(crate) fn remove_unheld(dir: &Path) {
    let path = lock_path(dir);
    let Ok(lock) = open(&path) else { return };
    if lock.try_lock().is_ok()
        && is_still(&lock, &path)
        && remove_tree(dir).is_ok()
        && remove_tree(&dir.with_extension("new")).is_ok()
    {
        let _ = fs::remove_file(path);
    }
}

/// Returns the directories in `parent` that have a lock beside them, whether they are there or not.
pub(crate) fn locked_dirs(parent: &Path) -> io::Result<Vec<PathBuf>> {
    let mut dirs = vec![];
    for entry in fs::read_dir(parent)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "lock") {
            dirs.push(path.with_extension(""));
        }
    }
    Ok(dirs)
}

fn open(path: &Path) -> io::Result<File> {
    File::options().write(true).create(true).truncate(false).open(path)
}

/// Tells whether `file` is what stands at `path`, and not what stood there.
fn is_still(file: &File, path: &Path) -> bool {
    let ids = |meta: &fs::Metadata| (meta.dev(), meta.ino());
    matches!((&file.metadata(), &fs::metadata(path)), (Ok(ours), Ok(theirs)) if ids(ours) == ids(theirs))
}

/// Removes a directory tree even where a run took its own write permission away.
pub(crate) fn remove_tree(root: &Path) -> io::Result<()> {
    match fs::remove_dir_all(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            grant_owner(root)?;
            fs::remove_dir_all(root)
        }
        other => other,
    }
}

fn grant_owner(dir: &Path) -> io::Result<()> {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            grant_owner(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_stays_and_what_is_not_goes_with_its_lock() {
        let parent = tempfile::tempdir().unwrap();
        let dir = |name: &str| parent.path().join(name);
        let held = ["alone", "shared"].map(|name| {
            fs::create_dir(dir(name)).unwrap();
            lock(&dir(name), if name == "alone" { Hold::Alone } else { Hold::Shared }).unwrap()
        });
        for name in ["dead", "dead.new", "never-made"] {
            fs::create_dir(dir(name)).unwrap();
        }
        fs::remove_dir(dir("never-made")).unwrap();
        for name in ["dead", "never-made"] {
            drop(lock(&dir(name), Hold::Alone).unwrap());
        }
        let all = locked_dirs(parent.path()).unwrap();
        assert_eq!(all.len(), 4);
        all.iter().for_each(|dir| remove_unheld(dir));
        let mut left: Vec<String> = fs::read_dir(parent.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["alone", "alone.lock", "shared", "shared.lock"]);
        drop(held);
        all.iter().for_each(|dir| remove_unheld(dir));
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_lock_is_never_one_that_a_sweep_has_removed() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("contended");
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let sweeper = scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    remove_unheld(&dir);
                }
            });
            for _ in 0..200 {
                // Losing 32 times in a row is an error, and never a lock of nothing.
                if let Ok(held) = lock(&dir, Hold::Alone) {
                    assert!(is_still(&held, &lock_path(&dir)));
                }
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            sweeper.join().unwrap();
        });
    }
}
