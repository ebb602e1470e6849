//! The repository: staged blobs, commits, notes, refs, artifacts and backups kept there.
//!
//! The only room that names `gix`. It reads and writes the repository; it never touches the user's work
//! tree, and writes files only into a scratch directory that the caller names ([`Repo::checkout_tree`]).
//!
//! Invariants:
//! - Replacement objects (`refs/replace`) and grafts are not honoured: what is examined is what is pushed.
//! - Every ref is written by compare-and-swap; a ref names an object only after that object is on disk.
//! - Where the ref storage is not `files` (reftable), refs are read and written by the `git` program alone.
//! - A question that `gix` cannot answer about the index is put to `git`; when both fail, it is an error.
//!
//! Read the modules in the order below.
#![warn(missing_docs)]

mod open;
mod program;

mod changed_lines;
mod head;
mod objects;
mod staged;

mod checkout;
mod held;
mod signed;
mod tree;
mod turn;
mod work_tree;
mod write;

mod chain;
mod exchange;
mod notes;
mod promised;
mod refs;

mod config;
mod convert;

mod bundle;
mod pointer;
pub mod store;
#[doc(hidden)]
pub mod stored_forms;

pub use bundle::{WholeError, init_repository};
pub use chain::ChainError;
pub use changed_lines::{ChangedLines, ChangedLinesError};
pub use checkout::{Checkout, CheckoutError, check_portable_path};
pub use config::ConfigError;
pub use exchange::{NotesJoined, PushError, fetch_refspecs};
pub use head::{Head, HeadError};
pub use notes::{NOTE_LINES_MAX, NoteError};
pub use objects::{Author, Commit, FirstParents, ObjectError, PrefixError};
pub use open::{OpenError, Repo};
pub use pointer::Pointer;
pub use program::{LOCAL_ENV_VARS, ProgramError, git_program, git_version, scrubbed_git};
pub use refs::{RefError, RefUpdateError};
pub use signed::{CommitSignature, SignatureError};
pub use staged::{StagedEntry, StagedError};
pub use tree::{EntryMode, TreeEntry};
pub use turn::{Backoff, Turn, take_turn};
pub use work_tree::{WorkFile, WorkTreeError};
pub use write::{CommitSpec, TreeSpec, WriteError};

/// What a failure comes from, when only its text is of use.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;
