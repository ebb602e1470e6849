//! The one-process-per-repository lock.
//!
//! A lock of the kernel on an open file: it ends with the process, however that ends, so a killed daemon
//! leaves nothing to clear away. What is written in the file is for people and for clients that look for
//! the socket; whether someone holds the lock is for the kernel to say.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use carnet_core::Timestamp;
use serde::{Deserialize, Serialize};

/// Largest lock file that is read, in bytes.
const BYTES_MAX: u64 = 64 << 10;

/// Who holds the lock, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// When it took the lock.
    pub started_at: Timestamp,
    /// Its socket; `None` for a refresh without a daemon, or when the path is not UTF-8.
    pub socket: Option<String>,
}

/// Why the lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("another carnet process {} keeps this repository's index", describe(holder))]
    Held {
        /// Which, if it has said so yet.
        holder: Option<Holder>,
    },
    /// The lock is a symbolic link, or no file.
    #[error("lock `{}` is not a plain file of this user", path.display())]
    Foreign {
        /// The lock.
        path: PathBuf,
    },
    /// The disk refused.
    #[error("take lock `{}`", path.display())]
    Io {
        /// The lock.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

fn describe(holder: &Option<Holder>) -> String {
    match holder {
        Some(holder) => format!("(pid {}, since {})", holder.pid, holder.started_at),
        None => "(which has not said its pid yet)".to_owned(),
    }
}

/// The lock, held until it is dropped.
#[derive(Debug)]
pub(crate) struct FileLock {
    path: PathBuf,
    file: File,
}

impl FileLock {
    /// Takes the lock at `path` or fails at once; its directory is made.
    pub fn take(path: &Path, holder: &Holder) -> Result<FileLock, LockError> {
        let io = |source| LockError::Io { path: path.to_owned(), source };
        if let Some(dir) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io)?;
        }
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held { holder: read_holder(path) });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let mut lock = FileLock { path: path.to_owned(), file };
        lock.write_holder(holder).map_err(io)?;
        Ok(lock)
    }

    fn write_holder(&mut self, holder: &Holder) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(holder)?;
        line.push(b'\n');
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(&line)
    }

    /// Keeps the lock until the process ends: something may still be writing.
    pub fn keep_until_exit(self) {
        std::mem::forget(self);
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // An empty file says "nobody"; that it stays is what keeps two processes on one inode.
        if let Err(err) = self.file.set_len(0) {
            tracing::debug!("empty lock `{}`: {err}", self.path.display());
        }
    }
}

fn open(path: &Path) -> Result<File, LockError> {
    let foreign = || LockError::Foreign { path: path.to_owned() };
    let io = |source| LockError::Io { path: path.to_owned(), source };
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    let file = opened.map_err(|source| match source.raw_os_error() {
        Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => foreign(),
        _ => io(source),
    })?;
    let found = file.metadata().map_err(io)?;
    let is_ours = found.uid() == rustix::process::geteuid().as_raw();
    if found.is_file() && is_ours { Ok(file) } else { Err(foreign()) }
}

/// Reads who says it holds the lock. It may have ended since: the text is a hint, never a proof.
pub(crate) fn read_holder(path: &Path) -> Option<Holder> {
    let mut text = Vec::new();
    let found = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?;
    if found.len() > BYTES_MAX {
        return None;
    }
    File::open(path).ok()?.take(BYTES_MAX).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder() -> Holder {
        let started_at = Timestamp::from_millis(1_795_000_000_123);
        Holder { pid: 4711, started_at, socket: None }
    }

    #[test]
    fn a_second_taker_is_told_who_has_it_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/lock");
        let lock = FileLock::take(&path, &holder()).unwrap();
        let error = FileLock::take(&path, &holder()).unwrap_err();
        assert!(error.to_string().contains("pid 4711"), "{error}");
        drop(lock);
        assert_eq!(read_holder(&path), None);
        FileLock::take(&path, &holder()).unwrap();
    }

    #[test]
    fn links_and_directories_are_no_locks_and_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        fs::write(&target, "precious").unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let error = FileLock::take(&link, &holder()).unwrap_err();
        assert!(matches!(error, LockError::Foreign { .. }), "{error}");
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
        fs::create_dir(dir.path().join("lock")).unwrap();
        assert!(FileLock::take(&dir.path().join("lock"), &holder()).is_err());
    }

    #[test]
    fn a_damaged_or_large_text_names_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        for text in ["", "{", "{\"pid\":-1}", &"x".repeat(100_000)] {
            fs::write(&path, text).unwrap();
            assert_eq!(read_holder(&path), None);
        }
        assert!(FileLock::take(&path, &holder()).is_ok());
    }
}
