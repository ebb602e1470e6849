//! Small secrets in files: encrypted with age to an identity that lies outside the repository.
//!
//! A repository that is copied, backed up or pushed by mistake gives nothing away without the identity; an identity opens nothing
//! without the files. Both have mode 0600, and a file that others can read is refused before it is looked at.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use age::{secrecy::ExposeSecret as _, x25519::Identity as AgeIdentity};
use zeroize::Zeroizing;

/// Largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What opens sealed files. Never printed.
pub struct Identity(AgeIdentity);

/// Why a secret could not be kept or had.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
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
    /// It is there already, and never overwritten.
    #[error("`{0}` is there already")]
    Exists(PathBuf),
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

impl Identity {
    /// Reads the identity at `path`: the first line that is one; comments are as `age-keygen` writes them.
    ///
    /// # Errors
    ///
    /// [`SealError`].
    pub fn load(path: &Path) -> Result<Identity, SealError> {
        let text = read_private(path)?;
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
            Err(SealError::Missing(_)) => {}
            other => return other,
        }
        let made = AgeIdentity::generate();
        let text = format!(
            "# Opens what carnet sealed. Keep a copy where you keep your keys.\n# public key: {}\n",
            made.to_public()
        );
        let text = Zeroizing::new(format!("{text}{}\n", made.to_string().expose_secret()));
        match write_private(path, text.as_bytes()) {
            Ok(()) | Err(SealError::Exists(_)) => Identity::load(path),
            Err(error) => Err(error),
        }
    }

    /// Seals bytes into a new file.
    ///
    /// # Errors
    ///
    /// [`SealError::Exists`] where there is one.
    pub fn seal(&self, path: &Path, secret: &[u8]) -> Result<(), SealError> {
        let sealed = age::encrypt(&self.0.to_public(), secret);
        let sealed = sealed.map_err(|error| SealError::Sealed {
            path: path.to_owned(),
            message: error.to_string(),
        })?;
        write_private(path, &sealed)
    }

    /// Opens a sealed file.
    ///
    /// # Errors
    ///
    /// [`SealError`].
    pub fn open(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let sealed = read_private(path)?;
        let opened = age::decrypt(&self.0, &sealed);
        opened.map(Zeroizing::new).map_err(|error| SealError::Sealed {
            path: path.to_owned(),
            message: error.to_string(),
        })
    }
}

fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let failed = |source| SealError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => SealError::Missing(path.to_owned()),
        _ => failed(error),
    })?;
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SealError::Permissions { path: path.to_owned(), mode });
    }
    let mut bytes = Zeroizing::new(vec![]);
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Writes a new file of mode 0600 beside its place and links it there; directories above it are made for the owner alone.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), SealError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => SealError::Exists(path.to_owned()),
        _ => SealError::Io { path: path.to_owned(), source },
    };
    if let Some(dir) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".new-{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    let linked = written.and_then(|()| fs::hard_link(&beside, path));
    let removed = fs::remove_file(&beside);
    linked.map_err(failed)?;
    removed.map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

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
        assert!(matches!(identity.seal(&path, b"other"), Err(SealError::Exists(_))));
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
        assert!(matches!(Identity::load(&path), Err(SealError::Missing(_))));
        Identity::load_or_create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Identity::load_or_create(&path).err().unwrap();
        assert!(matches!(error, SealError::Permissions { mode: 0o640, .. }), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "# nothing\n").unwrap();
        assert!(matches!(Identity::load(&path), Err(SealError::NoIdentity(_))));
    }
}
