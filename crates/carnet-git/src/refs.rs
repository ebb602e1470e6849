//! Refs, always written by compare-and-swap.
//!
//! Two backends behind one set of functions: gix where refs are loose and packed files, and the `git`
//! program everywhere else (reftable), because gix would write loose files that git never reads.
//!
//! Invariants: [`Repo::update_ref`] changes a ref only when it still is what the caller last saw; what it
//! names, and the ref itself, have been flushed to the disk when it returns.

mod files;
mod program;

use std::time::Duration;

use carnet_core::GitOid;

use crate::{Cause, ProgramError, Repo, WriteError};

/// How long a lock held by another process is waited for before [`RefUpdateError::Locked`].
pub(crate) const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// Why a ref could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RefError {
    /// Not the full name of a ref.
    #[error("`{name}` is not the full name of a ref")]
    Name {
        /// What was given.
        name: String,
    },
    /// A symbolic ref where carnet keeps only direct ones.
    #[error("ref `{name}` is symbolic")]
    Symbolic {
        /// The ref.
        name: String,
    },
    /// The ref storage is unreadable or damaged.
    #[error("read ref `{name}`")]
    Unreadable {
        /// The ref, or the prefix that was listed.
        name: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The git program gave no answer.
    #[error(transparent)]
    Program(#[from] ProgramError),
}

/// Why a ref was not changed.
#[derive(Debug, thiserror::Error)]
pub enum RefUpdateError {
    /// Someone else changed it first; read it again and decide again.
    #[error("ref `{name}` was changed by another process")]
    Raced {
        /// The ref.
        name: String,
    },
    /// Another process holds its lock, or left it behind, for longer than ten seconds.
    #[error("ref `{name}` is locked by another process")]
    Locked {
        /// The ref.
        name: String,
        /// The lock, as git or gix names it.
        detail: String,
    },
    /// It could not be read, or its name is wrong.
    #[error(transparent)]
    Read(#[from] RefError),
    /// What it was to name could not be flushed.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// It could not be written: a full disk, a missing permission, a conflicting name.
    #[error("write ref `{name}`")]
    Store {
        /// The ref.
        name: String,
        /// Why.
        #[source]
        source: Cause,
    },
}

impl Repo {
    /// Returns the object a ref names, or `None` when there is no such ref.
    ///
    /// - `name`: a full name, `refs/…`.
    ///
    /// # Errors
    ///
    /// [`RefError`] for a name that is none, a symbolic ref, or damage.
    pub fn read_ref(&self, name: &str) -> Result<Option<GitOid>, RefError> {
        let name = check_ref_name(name)?;
        if self.is_reftable() {
            self.read_ref_by_program(&name)
        } else {
            self.read_ref_by_gix(&name)
        }
    }

    /// Returns the refs whose full names start with `prefix`, sorted by name; symbolic ones are left out.
    ///
    /// - `prefix`: ends at a `/`, such as `refs/carnet/ledger/`.
    ///
    /// # Errors
    ///
    /// [`RefError`] when the prefix is none or the storage is unreadable.
    pub fn list_refs(&self, prefix: &str) -> Result<Vec<(String, GitOid)>, RefError> {
        let stem = prefix.strip_suffix('/').filter(|stem| *stem == "refs" || is_ref_name(stem));
        let stem = stem.ok_or_else(|| RefError::Name { name: prefix.to_owned() })?;
        if self.is_reftable() {
            self.list_refs_by_program(prefix)
        } else {
            self.list_refs_by_gix(stem)
        }
    }

    /// Makes a ref name `new` if it still names what the caller saw.
    ///
    /// - `expected_old`: what it named when it was read; `None` when it did not exist.
    /// - `message`: for the reflog, where git keeps one for this ref.
    ///
    /// Objects written through this [`Repo`] are flushed first, the ref after them.
    ///
    /// # Errors
    ///
    /// [`RefUpdateError::Raced`] is for the caller to try again; nothing was changed by the others.
    pub fn update_ref(
        &self,
        name: &str,
        new: &GitOid,
        expected_old: Option<&GitOid>,
        message: &str,
    ) -> Result<(), RefUpdateError> {
        let name = check_ref_name(name)?;
        // A race that is lost already need not wait for the disk.
        if !self.is_reftable() && self.read_ref_by_gix(&name)?.as_ref() != expected_old {
            return Err(RefUpdateError::Raced { name: name.to_string() });
        }
        self.sync_objects()?;
        let message = message.replace(['\n', '\0'], " ");
        if self.is_reftable() {
            self.update_ref_by_program(&name, Some(new), expected_old, &message)?;
        } else {
            self.update_ref_by_gix(&name, Some(new), expected_old, &message)?;
        }
        Ok(self.settle()?)
    }

    /// Deletes a ref if it still names `expected_old`.
    ///
    /// # Errors
    ///
    /// [`RefUpdateError::Raced`] when it names something else, or is gone already.
    pub fn delete_ref(&self, name: &str, expected_old: &GitOid) -> Result<(), RefUpdateError> {
        let name = check_ref_name(name)?;
        if self.is_reftable() {
            self.update_ref_by_program(&name, None, Some(expected_old), "")
        } else {
            self.update_ref_by_gix(&name, None, Some(expected_old), "")
        }
    }
}

fn is_ref_name(name: &str) -> bool {
    name.starts_with("refs/") && gix::refs::FullName::try_from(name).is_ok()
}

fn check_ref_name(name: &str) -> Result<gix::refs::FullName, RefError> {
    let bad = || RefError::Name { name: name.to_owned() };
    if !is_ref_name(name) {
        return Err(bad());
    }
    gix::refs::FullName::try_from(name).map_err(|_| bad())
}
