//! Ed25519 keys: one signing key a clone, and the public keys that it trusts.
//!
//! A private key lies in one file of mode 0600, in PKCS #8 PEM as OpenSSL writes it. A key file that others
//! can read is refused, with the command that mends it.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use carnet_core::Digest;
use ed25519_dalek::{
    Signer as _,
    pkcs8::{
        DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _,
        spki::der::pem::LineEnding,
    },
};

use crate::private_file::{self, PrivateFileError};

/// Largest key file that is read, in bytes.
const KEY_BYTES_MAX: u64 = 64 * 1024;

/// A private Ed25519 key. Wiped from memory when dropped; never printed.
pub struct SigningKey(ed25519_dalek::SigningKey);

/// A public Ed25519 key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(ed25519_dalek::VerifyingKey);

/// Why a signing key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is no such file.
    #[error("there is no signing key at `{0}`")]
    Missing(PathBuf),
    /// Others than the owner can read or write the file.
    #[error("signing key `{path}` has mode {mode:04o}; it must be readable by its owner alone")]
    Permissions {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds something else.
    #[error("`{0}` is not an Ed25519 private key in PKCS #8 PEM")]
    Malformed(PathBuf),
    /// The system's random source failed.
    #[error("the system's random source failed: {0}")]
    Random(getrandom::Error),
    /// The file could not be read or written.
    #[error("access signing key `{path}`")]
    Io {
        /// The key file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl From<PrivateFileError> for KeyError {
    fn from(error: PrivateFileError) -> KeyError {
        match error {
            PrivateFileError::Missing(path) => KeyError::Missing(path),
            PrivateFileError::Permissions { path, mode } => KeyError::Permissions { path, mode },
            PrivateFileError::TooLarge { path, .. } => KeyError::Malformed(path),
            PrivateFileError::Exists(path) => {
                KeyError::Io { path, source: io::ErrorKind::AlreadyExists.into() }
            }
            PrivateFileError::Io { path, source } => KeyError::Io { path, source },
        }
    }
}

/// Text that is no public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a public key is `ed25519:` and 32 bytes in base64, not `{0}`")]
pub struct PublicKeyParseError(pub String);

impl SigningKey {
    /// Makes the key of a 32-byte seed.
    pub fn from_seed(seed: [u8; 32]) -> SigningKey {
        SigningKey(ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    /// Reads the key at `path`.
    ///
    /// # Errors
    ///
    /// [`KeyError`]; a file that others can read is refused before its content is looked at.
    pub fn load(path: &Path) -> Result<SigningKey, KeyError> {
        let pem = private_file::read(path, KEY_BYTES_MAX)?;
        let malformed = || KeyError::Malformed(path.to_owned());
        let pem = std::str::from_utf8(&pem).map_err(|_| malformed())?;
        ed25519_dalek::SigningKey::from_pkcs8_pem(pem).map(SigningKey).map_err(|_| malformed())
    }

    /// Reads the key at `path`, or makes one there; of two processes that make one, both get the same.
    ///
    /// # Errors
    ///
    /// [`KeyError`]; an existing key is never overwritten.
    pub fn load_or_create(path: &Path) -> Result<SigningKey, KeyError> {
        match SigningKey::load(path) {
            Err(KeyError::Missing(_)) => {}
            other => return other,
        }
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(KeyError::Random)?;
        SigningKey::from_seed(seed).store(path)?;
        SigningKey::load(path)
    }

    /// Writes the key to `path`, unless a key is there already.
    fn store(&self, path: &Path) -> Result<(), KeyError> {
        let pem = self.0.to_pkcs8_pem(LineEnding::LF);
        let pem = pem.expect("because an Ed25519 private key always has this form");
        match private_file::create(path, pem.as_bytes()) {
            Err(PrivateFileError::Exists(_)) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Returns the public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs bytes (RFC 8032, pure Ed25519).
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(bytes).to_bytes()
    }

    /// Derives a key for another use, so that no second secret has to be kept: SHA-256 over a label and the
    /// seed, lengths first.
    pub fn derive(&self, label: &str) -> [u8; 32] {
        let mut digester = carnet_core::Digester::new();
        digester.field(label.as_bytes()).field(self.0.as_bytes());
        *digester.finish().as_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(of {:?})", self.public())
    }
}

impl PublicKey {
    /// Returns the key's id: SHA-256 of its 32 raw bytes.
    pub fn id(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }

    /// Returns the name under which the holder of this key writes refs: 16 hex digits of the id.
    pub fn writer(&self) -> String {
        self.id().to_string()[..16].to_owned()
    }

    /// Returns the key as a `PUBLIC KEY` PEM block (RFC 8410), the form that other tools read.
    pub fn to_pem(&self) -> String {
        let pem = self.0.to_public_key_pem(LineEnding::LF);
        pem.expect("because an Ed25519 public key always has this form")
    }

    /// Tells whether `signature` is this key's over `bytes`; malleable forms are refused.
    pub fn verify(&self, bytes: &[u8], signature: &[u8]) -> bool {
        ed25519_dalek::Signature::from_slice(signature)
            .is_ok_and(|signature| self.0.verify_strict(bytes, &signature).is_ok())
    }

    /// Parses what [`fmt::Display`] prints.
    ///
    /// # Errors
    ///
    /// [`PublicKeyParseError`] carries the offending text.
    pub fn parse(text: &str) -> Result<PublicKey, PublicKeyParseError> {
        text.strip_prefix("ed25519:")
            .and_then(|encoded| STANDARD.decode(encoded).ok())
            .and_then(|raw| <[u8; 32]>::try_from(raw).ok())
            .and_then(|raw| ed25519_dalek::VerifyingKey::from_bytes(&raw).ok())
            .map(PublicKey)
            .ok_or_else(|| PublicKeyParseError(text.to_owned()))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ed25519:{}", STANDARD.encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
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
    fn a_created_key_is_private_and_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        let made = SigningKey::load_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let read = SigningKey::load_or_create(&path).unwrap();
        assert_eq!(made.public(), read.public());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        SigningKey::load_or_create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = SigningKey::load(&path).unwrap_err();
        assert!(matches!(error, KeyError::Permissions { mode: 0o644, .. }), "{error}");
    }

    #[test]
    fn racing_creators_end_with_one_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = &dir.path().join("key.pem");
        SigningKey::from_seed([7; 32]).store(path).unwrap();
        SigningKey::from_seed([8; 32]).store(path).unwrap();
        let kept = SigningKey::load(path).unwrap();
        assert_eq!(kept.public(), SigningKey::from_seed([7; 32]).public());
    }

    #[test]
    fn other_files_are_malformed_and_missing_ones_missing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        assert!(matches!(SigningKey::load(&path), Err(KeyError::Missing(_))));
        fs::write(&path, "not a key").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(SigningKey::load(&path), Err(KeyError::Malformed(_))));
        assert!(matches!(SigningKey::load_or_create(&path), Err(KeyError::Malformed(_))));
    }

    #[test]
    fn public_keys_print_and_parse_and_secrets_never_print() {
        let key = SigningKey::from_seed([7; 32]);
        assert_eq!(PublicKey::parse(&key.public().to_string()).unwrap(), key.public());
        assert!(PublicKey::parse("ed25519:AAAA").is_err());
        assert!(PublicKey::parse("rsa:AAAA").is_err());
        assert!(!format!("{key:?}").contains(&STANDARD.encode([7; 32])));
    }
}
