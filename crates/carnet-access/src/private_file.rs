//! Files that their owner alone may read: mode 0600, written beside their place and flushed before they stand there.
//!
//! A file that others can read or write is refused before it is looked at. What is written stands whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

/// Why a private file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFileError {
    /// There is no such file.
    #[error("there is no `{0}`")]
    Missing(PathBuf),
    /// Others than the owner can read or write the file.
    #[error("`{path}` has mode {mode:04o}; it must be readable by its owner alone")]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is there already, and was not overwritten.
    #[error("`{0}` is there already")]
    Exists(PathBuf),
    /// It holds more than is read.
    #[error("`{path}` has more than {bytes_max} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound, in bytes.
        bytes_max: u64,
    },
    /// The file could not be read or written.
    #[error("access `{path}`")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Reads a file of at most `bytes_max` bytes.
///
/// # Errors
///
/// [`PrivateFileError`]; the mode is looked at before the content.
pub fn read(path: &Path, bytes_max: u64) -> Result<Zeroizing<Vec<u8>>, PrivateFileError> {
    let failed = |source| PrivateFileError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => PrivateFileError::Missing(path.to_owned()),
        _ => failed(error),
    })?;
    let meta = file.metadata().map_err(failed)?;
    let mode = meta.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(PrivateFileError::Permissions { path: path.to_owned(), mode });
    }
    let too_large = || PrivateFileError::TooLarge { path: path.to_owned(), bytes_max };
    if meta.len() > bytes_max {
        return Err(too_large());
    }
    // All the room at once: a buffer that grows leaves copies behind.
    let room = usize::try_from(meta.len()).unwrap_or(0) + 64;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > bytes_max { Err(too_large()) } else { Ok(bytes) }
}

/// Writes a new file; directories above it are made for the owner alone.
///
/// # Errors
///
/// [`PrivateFileError::Exists`] where there is one; of two that write at once, one does.
pub fn create(path: &Path, bytes: &[u8]) -> Result<(), PrivateFileError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => PrivateFileError::Exists(path.to_owned()),
        _ => PrivateFileError::Io { path: path.to_owned(), source },
    };
    let beside = write_beside(path, bytes)?;
    let linked = fs::hard_link(&beside, path);
    let removed = fs::remove_file(&beside);
    linked.and(removed).map_err(failed)
}

/// Writes a file, in the place of one that may stand there.
///
/// # Errors
///
/// [`PrivateFileError::Io`]; what stood there stands then still.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), PrivateFileError> {
    let beside = write_beside(path, bytes)?;
    fs::rename(&beside, path).map_err(|source| {
        let _ = fs::remove_file(&beside);
        PrivateFileError::Io { path: path.to_owned(), source }
    })
}

/// Writes and flushes a file of a name that nobody else has, in the same directory.
fn write_beside(path: &Path, bytes: &[u8]) -> Result<PathBuf, PrivateFileError> {
    let failed = |source| PrivateFileError::Io { path: path.to_owned(), source };
    if let Some(dir) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    }
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| failed(io::Error::other(error.to_string())))?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".new-{:016x}", u64::from_le_bytes(random)));
    let beside = PathBuf::from(beside);
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside);
    let written = opened.and_then(|mut file| {
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        written.inspect_err(|_| drop(fs::remove_file(&beside)))
    });
    written.map(|()| beside).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_made_once_replaced_whole_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        create(&path, b"one").unwrap();
        assert!(matches!(create(&path, b"two"), Err(PrivateFileError::Exists(_))));
        assert_eq!(*read(&path, 3).unwrap(), b"one");
        replace(&path, b"three").unwrap();
        assert_eq!(*read(&path, 5).unwrap(), b"three");
        assert!(matches!(read(&path, 4), Err(PrivateFileError::TooLarge { bytes_max: 4, .. })));
        assert_eq!(fs::read_dir(dir.path().join("a")).unwrap().count(), 1);
        assert_eq!(fs::metadata(dir.path().join("a")).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn what_others_may_read_or_write_is_refused_before_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        assert!(matches!(read(&path, 9), Err(PrivateFileError::Missing(_))));
        create(&path, b"k").unwrap();
        for mode in [0o640, 0o604, 0o620, 0o602] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = read(&path, 9).unwrap_err();
            assert!(
                matches!(error, PrivateFileError::Permissions { mode: found, .. } if found == mode)
            );
        }
    }
}
