//! Small secrets in files: encrypted with age to an identity that lies outside the repository.
//!
//! A repository that is copied, backed up or pushed by mistake gives nothing away without the identity; an identity opens nothing
//! without the files. Both have mode 0600, and a file that others can read is refused before it is looked at.

use std::path::{Path, PathBuf};

use age::{secrecy::ExposeSecret as _, x25519::Identity as AgeIdentity};
use zeroize::Zeroizing;

use crate::private_file::{self, PrivateFileError};

/// Largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What opens sealed files. Never printed.
pub struct Identity(AgeIdentity);

/// Why a secret could not be kept or had.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Its file could not be read or written.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// It is no identity.
    #[error("`{0}` holds no age identity (`AGE-SECRET-KEY-1…`)")]
    NoIdentity(PathBuf),
    /// It cannot be opened: by another identity, or changed.
    #[error("`{path}` cannot be opened with this identity: {message}")]
    Sealed {
        /// The file.
        path: PathBuf,
        /// What age says.
        message: String,
    },
}

impl Identity {
    /// Reads the identity at `path`: the first line that is one; comments are as `age-keygen` writes them.
    ///
    /// # Errors
    ///
    /// [`SealError`].
    pub fn load(path: &Path) -> Result<Identity, SealError> {
        let text = private_file::read(path, FILE_BYTES_MAX)?;
        let text =
            std::str::from_utf8(&text).map_err(|_| SealError::NoIdentity(path.to_owned()))?;
        let found = text.lines().find_map(|line| line.trim().parse().ok());
        found.map(Identity).ok_or_else(|| SealError::NoIdentity(path.to_owned()))
    }

    /// Reads the identity at `path`, or makes one there; of two processes that make one, both get the same.
    ///
    /// # Errors
    ///
    /// [`SealError`]; an existing file is never overwritten.
    pub fn load_or_create(path: &Path) -> Result<Identity, SealError> {
        match Identity::load(path) {
            Err(SealError::File(PrivateFileError::Missing(_))) => {}
            other => return other,
        }
        let made = AgeIdentity::generate();
        let text = format!(
            "# Opens what carnet sealed. Keep a copy where you keep your keys.\n# public key: {}\n",
            made.to_public()
        );
        let text = Zeroizing::new(format!("{text}{}\n", made.to_string().expose_secret()));
        match private_file::create(path, text.as_bytes()) {
            Ok(()) | Err(PrivateFileError::Exists(_)) => Identity::load(path),
            Err(error) => Err(error.into()),
        }
    }

    /// Seals bytes into a new file.
    ///
    /// # Errors
    ///
    /// [`PrivateFileError::Exists`] where there is one.
    pub fn seal(&self, path: &Path, secret: &[u8]) -> Result<(), SealError> {
        Ok(private_file::create(path, &self.sealed(path, secret)?)?)
    }

    /// Seals bytes into a file, in the place of one that may stand there.
    ///
    /// # Errors
    ///
    /// [`SealError`].
    pub fn reseal(&self, path: &Path, secret: &[u8]) -> Result<(), SealError> {
        Ok(private_file::replace(path, &self.sealed(path, secret)?)?)
    }

    fn sealed(&self, path: &Path, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        age::encrypt(&self.0.to_public(), secret).map_err(|error| SealError::Sealed {
            path: path.to_owned(),
            message: error.to_string(),
        })
    }

    /// Opens a sealed file.
    ///
    /// # Errors
    ///
    /// [`SealError`].
    pub fn open(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let sealed = private_file::read(path, FILE_BYTES_MAX)?;
        let opened = age::decrypt(&self.0, &sealed);
        opened.map(Zeroizing::new).map_err(|error| SealError::Sealed {
            path: path.to_owned(),
            message: error.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    };

    use super::*;

    #[test]
    fn what_is_sealed_comes_back_with_its_identity_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (own, other) = (dir.path().join("a/own"), dir.path().join("other"));
        let identity = Identity::load_or_create(&own).unwrap();
        let path = dir.path().join("keys/k.age");
        identity.seal(&path, b"secret").unwrap();
        assert!(!fs::read(&path).unwrap().windows(6).any(|it| it == b"secret"));
        assert_eq!(*Identity::load_or_create(&own).unwrap().open(&path).unwrap(), b"secret");
        assert!(matches!(
            identity.seal(&path, b"other"),
            Err(SealError::File(PrivateFileError::Exists(_)))
        ));
        let stranger = Identity::load_or_create(&other).unwrap();
        assert!(matches!(stranger.open(&path), Err(SealError::Sealed { .. })));
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(matches!(identity.open(&path), Err(SealError::Sealed { .. })));
        for private in [own, path] {
            assert_eq!(fs::metadata(private).unwrap().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn files_that_others_can_read_are_refused_and_so_is_what_is_no_identity() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity");
        assert!(matches!(
            Identity::load(&path),
            Err(SealError::File(PrivateFileError::Missing(_)))
        ));
        Identity::load_or_create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Identity::load_or_create(&path).err().unwrap();
        let is_said =
            matches!(error, SealError::File(PrivateFileError::Permissions { mode: 0o640, .. }));
        assert!(is_said, "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "# nothing\n").unwrap();
        assert!(matches!(Identity::load(&path), Err(SealError::NoIdentity(_))));
    }
}
