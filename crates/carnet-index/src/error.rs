//! Why the index could not be read or refreshed.

use std::path::{Path, PathBuf};

use crate::words::words_dir;

/// Why the index could not be read or refreshed.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The disk refused.
    #[error("{deed} `{}`", .path.display())]
    Io {
        /// What was tried: `read`, `write`, `rename`, …
        deed: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Another process refreshes this index now.
    #[error("open the index in `{}`, which another process is refreshing", .0.display())]
    Busy(PathBuf),
    /// A snapshot is damaged; a refresh writes it anew.
    #[error("read snapshot `{}`, which is damaged: {what}", .path.display())]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// What does not hold.
        what: String,
    },
    /// A snapshot of a format that this version does not read; a refresh writes one that it does.
    #[error("read snapshot `{}` of format {found}; this version reads format {}", .path.display(), crate::FORMAT_NUMBER)]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format number.
        found: u32,
    },
    /// The store of facts failed.
    #[error("use the facts in `{}`", .path.display())]
    Facts {
        /// The store's file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: Box<redb::Error>,
    },
    /// The words failed.
    #[error("use the words in `{}`: {what}", .path.display())]
    Words {
        /// Their directory.
        path: PathBuf,
        /// What happened.
        what: String,
        /// Whether they are damaged, gone or of another version, so that beginning them anew heals it.
        is_damaged: bool,
    },
    /// An index that was published elsewhere does not hold; nothing of it became current.
    #[error("take over a published index: {0}")]
    Foreign(String),
    /// A part of an index could not be handed on.
    #[error("hand on a part of an index")]
    Part(#[source] BlobError),
    /// Facts could not be encoded; a bug of ours.
    #[error("encode facts")]
    Encode(#[source] postcard::Error),
    /// More of something than a snapshot can number.
    #[error("write a snapshot with more {0} than fit in 32 bits")]
    TooLarge(&'static str),
    /// Facts could not be packed; a bug of ours.
    #[error("pack facts")]
    Pack(#[source] std::io::Error),
    /// The names could not be ordered into their map; a bug of ours.
    #[error("build the map of names")]
    Names(#[source] fst::Error),
}

impl IndexError {
    /// Tells whether rebuilding the snapshot heals it: it is damaged or of another format.
    pub fn is_healed_by_rebuild(&self) -> bool {
        matches!(self, IndexError::Corrupt { .. } | IndexError::Format { .. })
    }

    /// Tells whether the store of facts is damaged or of another format, so that beginning anew heals it.
    pub(crate) fn is_damaged_facts(&self) -> bool {
        let IndexError::Facts { source, .. } = self else { return false };
        match &**source {
            redb::Error::Corrupted(_)
            | redb::Error::UpgradeRequired(_)
            | redb::Error::RepairAborted
            | redb::Error::TableTypeMismatch { .. } => true,
            redb::Error::Io(error) => matches!(
                error.kind(),
                std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
            ),
            _ => false,
        }
    }

    /// Tells whether the words are damaged, gone or of another version, so that beginning them anew heals it.
    pub fn is_damaged_words(&self) -> bool {
        matches!(self, IndexError::Words { is_damaged: true, .. })
    }

    pub(crate) fn damaged_words(dir: &Path, what: &str) -> IndexError {
        IndexError::Words { path: words_dir(dir), what: what.to_owned(), is_damaged: true }
    }

    pub(crate) fn words(dir: &Path, error: tantivy::TantivyError) -> IndexError {
        use tantivy::TantivyError::{
            ErrorInThread, IoError, LockFailure, OpenWriteError, SystemError,
        };
        // What the system refuses is not healed by beginning anew.
        let is_refused = match &error {
            IoError(error) => !matches!(
                error.kind(),
                std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
            ),
            LockFailure(..) | OpenWriteError(_) | SystemError(_) | ErrorInThread(_) => true,
            _ => false,
        };
        let what = error.to_string();
        IndexError::Words { path: words_dir(dir), what, is_damaged: !is_refused }
    }

    pub(crate) fn io(deed: &'static str, path: &Path, source: std::io::Error) -> IndexError {
        IndexError::Io { deed, path: path.to_owned(), source }
    }
}

/// Why a blob could not be read.
#[derive(Debug, thiserror::Error)]
#[error("read blob")]
pub struct BlobError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
