//! The content store: large artifacts outside git's object database, named by SHA-256. The form is
//! `docs/format/artifacts.md`.
//!
//! A content is one or more chunks and a list of them; each is one object of an [`ObjectStore`], sealed so that the
//! damage of any byte is seen. [`Stores`] puts a local directory first and others (S3, a backup) behind it: what is
//! missing or damaged here is taken from there.
//!
//! Invariants: an object is written once and never changed, but where it was found damaged; a content's list is
//! written after all its chunks; no byte leaves a store before its digest was compared.

mod content;
mod dir;
#[cfg(feature = "s3")]
mod s3;
mod seal;

use std::{fmt, io, path::PathBuf};

use carnet_core::{Digest, Timestamp};

pub use content::{
    CHUNK_BYTES_MAX, ChunkRef, ContentError, ContentList, ContentReader, Stores, survey,
};
pub use dir::{DirStore, Lease};
#[cfg(feature = "s3")]
pub use s3::S3Store;
pub(crate) use seal::{seal, sealed_around, unseal};

use crate::Cause;

/// What an object of a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// A piece of a content, named by the digest of its bytes.
    Chunk,
    /// The list of a content's chunks, named by the digest of the whole content.
    List,
}

/// Names one object of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// What it is.
    pub kind: ObjectKind,
    /// Its name.
    pub digest: Digest,
}

impl ObjectKey {
    /// Names a chunk.
    pub fn chunk(digest: Digest) -> ObjectKey {
        ObjectKey { kind: ObjectKind::Chunk, digest }
    }

    /// Names the list of a content.
    pub fn list(digest: Digest) -> ObjectKey {
        ObjectKey { kind: ObjectKind::List, digest }
    }
}

impl ObjectKind {
    /// The first part of its objects' paths.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            ObjectKind::Chunk => "chunks",
            ObjectKind::List => "lists",
        }
    }
}

impl fmt::Display for ObjectKey {
    /// Its path below a store: `chunks/ab/abcd…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = self.digest.to_string();
        write!(f, "{}/{}/{hex}", self.kind.prefix(), &hex[..2])
    }
}

/// One object as a listing shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredObject {
    /// Its name.
    pub key: ObjectKey,
    /// Its length as it is stored, in bytes.
    pub stored_bytes: u64,
    /// When it was written, or last found to be needed.
    pub touched_at: Timestamp,
}

/// Where sealed objects lie. Implemented by a directory, an S3 bucket and, in tests, a map.
pub trait ObjectStore {
    /// Says where it is, for messages.
    fn place(&self) -> String;

    /// Returns an object as it was put, or `None`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store gives no answer: that is not "no".
    fn get(&self, key: &ObjectKey) -> Result<Option<Vec<u8>>, StoreError>;

    /// Writes an object unless it is there, and tells whether it was written. Durable when it returns.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing is half written then.
    fn put_new(&self, key: &ObjectKey, sealed: &[u8]) -> Result<bool, StoreError>;

    /// Lists the objects of one kind, sorted; what is no object of a store is left out.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn list(&self, kind: ObjectKind) -> Result<Vec<StoredObject>, StoreError>;
}

/// Opens the store at an address: `s3://BUCKET/PREFIX`, or an absolute directory. Nothing is asked of it yet.
///
/// # Errors
///
/// [`StoreError::Address`].
pub fn at(address: &str) -> Result<Box<dyn ObjectStore>, StoreError> {
    let wrong = |detail: &str| {
        Err(StoreError::Address { address: address.to_owned(), detail: detail.to_owned() })
    };
    #[cfg(feature = "s3")]
    if let Some(bucket) = address.strip_prefix("s3://") {
        return Ok(Box::new(S3Store::at(bucket)?));
    }
    if address.starts_with("s3://") {
        return wrong("this carnet was built without the feature `s3`");
    }
    let dir = PathBuf::from(address);
    if dir.is_absolute() {
        Ok(Box::new(DirStore::new(dir)))
    } else {
        wrong("write `s3://BUCKET/PREFIX` or an absolute directory")
    }
}

/// Why a store did not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory could not be read or written: a full disk, a missing permission.
    #[error("{deed} `{}`", path.display())]
    Io {
        /// What was tried.
        deed: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The store is away, or refuses.
    #[error("the store `{place}` could not {deed}")]
    Remote {
        /// Which one.
        place: String,
        /// What was tried.
        deed: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// No address of a store.
    #[error("`{address}` is no address of a store: {detail}")]
    Address {
        /// What was given.
        address: String,
        /// Why not.
        detail: String,
    },
}
