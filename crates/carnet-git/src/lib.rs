//! The repository: staged blobs, commits, notes, refs, artifacts and backups kept there.
#![warn(missing_docs)]
