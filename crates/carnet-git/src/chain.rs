//! Chains of commits that grow by compare-and-swap: the ledger, the audit log, notes.

use std::{thread, time::Duration};

use carnet_core::{Digest, GitOid};

use crate::{
    CommitSpec, RefError, RefUpdateError, Repo, WriteError,
    turn::{Backoff, Turn, take_turn},
};

/// Most attempts of one append before [`ChainError::Contended`]; with eight writers one in eight succeeds.
const MAX_ATTEMPTS: u32 = 500;

/// How long a process waits for its turn before it goes ahead without.
const TURN_PATIENCE: Duration = Duration::from_secs(5);

/// Why a chain did not grow.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The new commit, or what it holds, could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The chain's tip could not be read.
    #[error(transparent)]
    Read(#[from] RefError),
    /// The ref could not be moved.
    #[error(transparent)]
    Update(RefUpdateError),
    /// Others were faster, every time.
    #[error("ref `{name}` changed under each of {attempts} attempts")]
    Contended {
        /// The ref.
        name: String,
        /// How often it was tried.
        attempts: u32,
    },
}

impl Repo {
    /// Appends a commit to the chain that `ref_name` names, and returns the commit's name.
    ///
    /// - `make`: called with the tip as it is (`None` for a new chain), again whenever another process was
    ///   faster. It may write objects; it must put the tip among the parents, or the tip is lost.
    ///
    /// When this returns, the commit, all that was written through this [`Repo`], and the ref are on the
    /// disk.
    ///
    /// # Errors
    ///
    /// [`ChainError`]; the chain is then unchanged.
    pub fn append_chain(
        &self,
        ref_name: &str,
        make: &dyn Fn(Option<GitOid>) -> Result<CommitSpec, WriteError>,
    ) -> Result<GitOid, ChainError> {
        self.append_chain_with(ref_name, make, &|spec| self.write_commit(spec))
    }

    /// The same with a writer of the commit: [`Repo::write_signed_commit`] where the user's key signs too.
    ///
    /// # Errors
    ///
    /// [`ChainError`]; the chain is then unchanged.
    pub fn append_chain_with(
        &self,
        ref_name: &str,
        make: &dyn Fn(Option<GitOid>) -> Result<CommitSpec, WriteError>,
        write: &dyn Fn(&CommitSpec) -> Result<GitOid, WriteError>,
    ) -> Result<GitOid, ChainError> {
        let _turn = self.take_turn(ref_name);
        let mut backoff = Backoff::at_a_ref();
        for _ in 0..MAX_ATTEMPTS {
            let previous = self.read_ref(ref_name)?;
            let spec = make(previous)?;
            let commit_id = write(&spec)?;
            let subject = spec.message.lines().next().unwrap_or_default();
            match self.update_ref(ref_name, &commit_id, previous.as_ref(), subject) {
                Ok(()) => return Ok(commit_id),
                Err(RefUpdateError::Raced { .. }) => thread::sleep(backoff.next_pause()),
                Err(err) => return Err(ChainError::Update(err)),
            }
        }
        Err(ChainError::Contended { name: ref_name.to_owned(), attempts: MAX_ATTEMPTS })
    }
}

impl Repo {
    /// Waits for this process's turn to write a ref, until what is returned is dropped.
    ///
    /// Only a courtesy among the processes of one machine, so that eight writers do not do each write
    /// eight times: the compare-and-swap alone decides. Without a turn (a read-only state directory, a
    /// process that stands still while it holds one) the caller goes ahead all the same.
    pub(crate) fn take_turn(&self, ref_name: &str) -> Option<Turn> {
        let name = Digest::of(ref_name.as_bytes()).to_string();
        take_turn(&self.state_dir().join("turns").join(&name[..32]), TURN_PATIENCE).ok()
    }
}
