//! Exchanging ledgers with another repository: fetch theirs, join the notes, push ours.
//!
//! Each writer pushes its own ledger refs and no other's, so two clones never contend for one; the notes are joined line by line and pushed
//! again until the other side has stood still. How many others push, and how slow the machine is, decide how often that has to be tried: so not
//! the attempts are bounded but the time, and the pauses between them grow until those who contend stand far enough apart.

use std::{
    thread,
    time::{Duration, Instant},
};

use carnet_core::{GitOid, Timestamp};
use carnet_git::{
    Author, Backoff, NoteError, NotesJoined, ProgramError, PushError, RefError, Repo,
    fetch_refspecs,
};

use carnet_guard::GUARD_NOTES;

use crate::{
    checkpoint::{chain_name, checkpoint_ref},
    record::PASSPORT_NOTES,
    shelf::shelf_ref,
};

/// The notes that clones share.
const NOTES: [&str; 2] = [PASSPORT_NOTES, GUARD_NOTES];
/// The configuration key that lets the audit log travel too, when it is `true`: it names paths and accounts.
const SHARE_AUDIT: &str = "carnet.shareAudit";
/// How long it is tried again while others push at the same time; the round under way then is the last.
const PATIENCE: Duration = Duration::from_secs(300);
/// The first pause between two rounds, and the longest: a round of fetch, join and push takes a tenth of a second on a quiet machine, and seconds
/// where eight clones share two processors.
const PAUSES: (Duration, Duration) = (Duration::from_millis(25), Duration::from_secs(6));

/// What a sync came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    /// Ledger refs of other writers that are known here now.
    pub n_fetched_refs: usize,
    /// Own ledger refs that the other side has now.
    pub n_pushed_refs: usize,
    /// What joining the notes came to.
    pub notes: NotesJoined,
    /// Rounds it took.
    pub n_rounds: u32,
}

/// Why two repositories could not be brought level. What was fetched stays.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// Fetching failed.
    #[error("fetch from `{remote}`")]
    Fetch {
        /// The remote.
        remote: String,
        /// What git said.
        #[source]
        source: ProgramError,
    },
    /// The refs could not be listed.
    #[error("list the ledger's refs")]
    Refs(#[from] RefError),
    /// The notes could not be joined.
    #[error("join the notes")]
    Notes(#[from] NoteError),
    /// Pushing failed.
    #[error("push to `{remote}`")]
    Push {
        /// The remote.
        remote: String,
        /// What git said.
        #[source]
        source: PushError,
    },
}

/// The chains that this clone alone writes: it pushes them, and no one else does.
fn own_refs(repo: &Repo, writer: &str) -> Result<Vec<(String, GitOid)>, RefError> {
    let mut refs = repo.list_refs(&format!("refs/carnet/ledger/{writer}/"))?;
    refs.extend(repo.list_refs(&format!("refs/carnet/locked/{writer}/"))?);
    if repo.config_get(SHARE_AUDIT).is_some_and(|value| value == "true") {
        refs.extend(repo.list_refs(&format!("refs/carnet/audit/{writer}/"))?);
    }
    for name in [checkpoint_ref(writer), shelf_ref(writer)] {
        refs.extend(repo.read_ref(&name)?.map(|tip| (name, tip)));
    }
    Ok(refs)
}

/// Pushes what this clone alone writes and the remote is not known to have; the notes are left to [`sync`].
///
/// Returns how many refs were pushed.
///
/// # Errors
///
/// [`SyncError`].
pub fn push_own(repo: &Repo, remote: &str, writer: &str) -> Result<usize, SyncError> {
    let mut refspecs = vec![];
    for (name, tip) in own_refs(repo, writer)? {
        let there = format!("refs/carnet/remotes/{remote}/{}", chain_name(&name));
        if repo.read_ref(&there)? != Some(tip) {
            refspecs.push(format!("{name}:{name}"));
        }
    }
    let words: Vec<&str> = refspecs.iter().map(String::as_str).collect();
    if !words.is_empty() {
        let failed = |source| SyncError::Push { remote: remote.to_owned(), source };
        repo.push(remote, &words).map_err(failed)?;
    }
    Ok(words.len())
}

/// Brings this repository's runs and a remote's level.
///
/// - `writer`: whose ledger refs are pushed.
/// - `on_wait`: called before each further round.
///
/// # Errors
///
/// [`SyncError`]; nothing is lost on either side.
pub fn sync(
    repo: &Repo,
    remote: &str,
    writer: &str,
    now: Timestamp,
    on_wait: &dyn Fn(),
) -> Result<Synced, SyncError> {
    let author = Author { name: "carnet".to_owned(), email: format!("{writer}@carnet.invalid") };
    let theirs = format!("refs/carnet/remotes/{remote}/");
    let fetched = fetch_refspecs(remote);
    let mut joined = NotesJoined::Unchanged;
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
    let begun = Instant::now();
    for round in 1.. {
        // Only for the notes do others contend: what is fetched beside them would widen the gap in which they move.
        let is_wanted = |refspec: &&str| round == 1 || refspec.starts_with("+refs/notes/");
        let refspecs: Vec<&str> = fetched.iter().map(String::as_str).filter(is_wanted).collect();
        repo.fetch(remote, &refspecs)
            .map_err(|source| SyncError::Fetch { remote: remote.to_owned(), source })?;
        for notes in NOTES {
            let name = notes.trim_start_matches("refs/notes/carnet/");
            if let Some(tip) = repo.read_ref(&format!("{theirs}notes/{name}"))? {
                let this_round = repo.join_notes(notes, &tip, &author, now)?;
                joined = if this_round == NotesJoined::Unchanged { joined } else { this_round };
            }
        }
        let own_refs = own_refs(repo, writer)?;
        let mut pushed: Vec<String> =
            own_refs.iter().map(|(name, _)| format!("{name}:{name}")).collect();
        for notes in NOTES {
            if repo.read_ref(notes)?.is_some() {
                pushed.push(format!("{notes}:{notes}"));
            }
        }
        let refspecs: Vec<&str> = pushed.iter().map(String::as_str).collect();
        let result = if refspecs.is_empty() { Ok(()) } else { repo.push(remote, &refspecs) };
        match result {
            Ok(()) => {
                let known = repo.list_refs(&format!("{theirs}ledger/"))?;
                let others =
                    known.iter().filter(|(name, _)| !name.contains(&format!("/{writer}/")));
                return Ok(Synced {
                    n_fetched_refs: others.count(),
                    n_pushed_refs: own_refs.len(),
                    notes: joined,
                    n_rounds: round,
                });
            }
            Err(PushError::Rejected { .. }) if begun.elapsed() < PATIENCE => {
                on_wait();
                thread::sleep(backoff.next_pause());
            }
            Err(source) => return Err(SyncError::Push { remote: remote.to_owned(), source }),
        }
    }
    unreachable!("because a round past the patience returns")
}
