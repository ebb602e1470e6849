//! Chains of commits that grow by compare-and-swap: the ledger, the audit log, notes.

use std::{
    fs::{self, File},
    thread,
    time::{Duration, Instant},
};

use carnet_core::{Digest, GitOid};

use crate::{CommitSpec, RefError, RefUpdateError, Repo, WriteError};

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
        let mut backoff = Backoff::new();
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
    /// Waits for this process's turn to write a ref, until the returned file is dropped.
    ///
    /// Only a courtesy among the processes of one machine, so that eight writers do not do each write
    /// eight times: the compare-and-swap alone decides. Without a turn (a read-only state directory, a
    /// process that stands still while it holds one) the caller goes ahead all the same.
    pub(crate) fn take_turn(&self, ref_name: &str) -> Option<File> {
        let dir = self.state_dir().join("turns");
        fs::create_dir_all(&dir).ok()?;
        let name = Digest::of(ref_name.as_bytes()).to_string();
        let file = File::create(dir.join(&name[..32])).ok()?;
        let begun = Instant::now();
        while begun.elapsed() < TURN_PATIENCE {
            match file.try_lock() {
                Ok(()) => return Some(file),
                Err(fs::TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(1)),
                Err(fs::TryLockError::Error(_)) => return None,
            }
        }
        None
    }
}

/// Pauses between attempts: 1 ms, doubling to 32 ms, each drawn between half and whole.
pub(crate) struct Backoff {
    ceiling_us: u64,
    state: u64,
}

impl Backoff {
    /// Starts at the shortest pause. The draw differs between processes and threads.
    pub(crate) fn new() -> Backoff {
        use std::hash::{BuildHasher, RandomState};
        Backoff { ceiling_us: 1_000, state: RandomState::new().hash_one(0) | 1 }
    }

    /// Returns the next pause.
    pub(crate) fn next_pause(&mut self) -> Duration {
        // A xorshift step: any spread will do to pull two writers apart.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let half = self.ceiling_us / 2;
        let pause = half + self.state % (half + 1);
        self.ceiling_us = (self.ceiling_us * 2).min(32_000);
        Duration::from_micros(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_never_pass_it() {
        let mut backoff = Backoff::new();
        let pauses: Vec<_> = (0..40).map(|_| backoff.next_pause()).collect();
        assert!(pauses[0] <= Duration::from_millis(1));
        assert!(pauses.iter().all(|pause| *pause <= Duration::from_millis(32)));
        assert!(pauses[39] >= Duration::from_millis(16));
    }
}
