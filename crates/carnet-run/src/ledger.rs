//! Reading the ledger: every writer's chain, own and fetched, newest first.
//!
//! A broken event is reported beside the readable ones; it never hides them, and never passes for one.

use std::{cmp::Reverse, collections::HashMap};

use carnet_core::{
    GitOid, RepoPath, RunId,
    passport::{PassportError, Statement},
};
use carnet_git::{ObjectError, RefError, Repo};

use crate::{
    event::{EventKind, RunEvent, SignedEvent},
    record::describe_chain,
};

/// Largest file of a run tree that is read, in bytes.
pub(crate) const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// One event as it stands in a ledger ref.
#[derive(Debug, Clone)]
pub struct LedgerEntry {
    /// The event with its signature.
    pub signed: SignedEvent,
    /// The commit that holds it.
    pub event_commit: GitOid,
    /// The ref it was found in.
    pub ref_name: String,
    /// Whether the run was validated and is locked.
    pub locked: bool,
}

impl LedgerEntry {
    /// Returns the event.
    pub fn event(&self) -> &RunEvent {
        &self.signed.event
    }
}

/// A place where a chain cannot be followed further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerProblem {
    /// The ref.
    pub ref_name: String,
    /// The commit.
    pub commit: GitOid,
    /// What is wrong with it.
    pub message: String,
}

/// All that could be read of the ledger.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// Newest first; of a run that several refs hold, the first found.
    pub entries: Vec<LedgerEntry>,
    /// Where reading had to stop.
    pub problems: Vec<LedgerProblem>,
}

/// Why a run was not found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The prefix is too short or no hex.
    #[error("`{0}` is no run id: type at least 4 of its hex digits")]
    NotAnId(String),
    /// No run has it.
    #[error("no run has the id `{0}`")]
    Unknown(String),
    /// Several runs have it.
    #[error("run id `{prefix}` is ambiguous: it fits {}", .candidates.join(", "))]
    Ambiguous {
        /// What was typed.
        prefix: String,
        /// The runs it fits, at most 8.
        candidates: Vec<String>,
    },
    /// Its event cannot be read.
    #[error("read the ledger event of run `{run}`: {message}")]
    Damaged {
        /// The run.
        run: RunId,
        /// What is wrong with it.
        message: String,
    },
    /// The refs could not be listed.
    #[error("list the ledger's refs")]
    Refs(#[from] RefError),
}

/// Reads every ledger ref of the repository.
///
/// # Errors
///
/// [`RefError`] when the refs cannot be listed.
pub fn read(repo: &Repo) -> Result<Ledger, RefError> {
    let mut ledger = Ledger::default();
    let mut seen = HashMap::new();
    for (ref_name, tip) in chains(repo)? {
        ledger.read_chain(repo, &ref_name, tip, &mut seen);
    }
    ledger.entries.sort_by_key(|entry| Reverse((entry.event().at, entry.event().run)));
    Ok(ledger)
}

/// Returns every chain of runs with its tip: own and fetched days first, then locked months.
///
/// # Errors
///
/// [`RefError`] when the refs cannot be listed.
pub fn chains(repo: &Repo) -> Result<Vec<(String, GitOid)>, RefError> {
    let fetched = repo.list_refs("refs/carnet/remotes/")?;
    let mut all = vec![];
    for kind in ["ledger", "locked"] {
        all.extend(repo.list_refs(&format!("refs/carnet/{kind}/"))?);
        all.extend(
            fetched.iter().filter(|(name, _)| name.split('/').nth(4) == Some(kind)).cloned(),
        );
    }
    Ok(all)
}

impl Ledger {
    fn read_chain(
        &mut self,
        repo: &Repo,
        ref_name: &str,
        tip: GitOid,
        seen: &mut HashMap<RunId, usize>,
    ) {
        let mut next = Some(tip);
        while let Some(commit_id) = next {
            match read_event(repo, commit_id) {
                Ok(signed) => {
                    next = signed.event.previous;
                    let locked = signed.event.event == EventKind::Lock;
                    match seen.get(&signed.event.run) {
                        Some(entry_idx) => self.entries[*entry_idx].locked |= locked,
                        None => {
                            seen.insert(signed.event.run, self.entries.len());
                            let ref_name = ref_name.to_owned();
                            let event_commit = commit_id;
                            self.entries.push(LedgerEntry {
                                signed,
                                event_commit,
                                ref_name,
                                locked,
                            });
                        }
                    }
                }
                Err(message) => {
                    let ref_name = ref_name.to_owned();
                    self.problems.push(LedgerProblem { ref_name, commit: commit_id, message });
                    next = None;
                }
            }
        }
    }

    /// Finds the run whose id starts with `prefix`.
    ///
    /// # Errors
    ///
    /// [`FindError`] when none or several do.
    pub fn find(&self, prefix: &str) -> Result<&LedgerEntry, FindError> {
        let is_hex = prefix.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if prefix.len() < 4 || !is_hex {
            return Err(FindError::NotAnId(prefix.to_owned()));
        }
        let fits = |entry: &&LedgerEntry| entry.event().run.to_string().starts_with(prefix);
        let mut found = self.entries.iter().filter(fits);
        match (found.next(), found.next()) {
            (None, _) => Err(FindError::Unknown(prefix.to_owned())),
            (Some(entry), None) => Ok(entry),
            _ => {
                let fitting = self.entries.iter().filter(fits).take(8);
                let candidates = fitting.map(|entry| entry.event().run.to_string()).collect();
                Err(FindError::Ambiguous { prefix: prefix.to_owned(), candidates })
            }
        }
    }
}

/// Reads one event and checks that the commit's parents say the same as the event.
pub(crate) fn read_event(repo: &Repo, commit_id: GitOid) -> Result<SignedEvent, String> {
    let commit = repo.read_commit(&commit_id).map_err(|error| describe_chain(&error))?;
    let signed = SignedEvent::parse(&commit.message).map_err(|error| describe_chain(&error))?;
    let expected: Vec<GitOid> =
        signed.event.previous.into_iter().chain([signed.event.commit]).collect();
    if commit.parents != expected {
        return Err("the commit's parents are not those that the event names".to_owned());
    }
    Ok(signed)
}

/// Why a recorded run cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// An object of the run is missing or damaged.
    #[error("read run commit `{commit}`")]
    Object {
        /// The run commit.
        commit: GitOid,
        /// Why.
        #[source]
        source: ObjectError,
    },
    /// The run commit has no such file.
    #[error("run commit `{commit}` has no `{path}`")]
    Missing {
        /// The run commit.
        commit: GitOid,
        /// The file.
        path: String,
    },
    /// The passport cannot be understood.
    #[error("read the passport in run commit `{commit}`")]
    Passport {
        /// The run commit.
        commit: GitOid,
        /// Why.
        #[source]
        source: PassportError,
    },
}

/// Reads one file of a run commit.
///
/// # Errors
///
/// [`LoadError::Missing`] and [`LoadError::Object`].
pub fn read_file(repo: &Repo, commit: GitOid, path: &str) -> Result<Vec<u8>, LoadError> {
    let missing = || LoadError::Missing { commit, path: path.to_owned() };
    let repo_path = RepoPath::new(path.as_bytes()).map_err(|_| missing())?;
    repo.read_path(&commit, &repo_path, FILE_BYTES_MAX)
        .map_err(|source| LoadError::Object { commit, source })?
        .ok_or_else(missing)
}

/// Reads the passport of a run commit.
///
/// # Errors
///
/// [`LoadError`].
pub fn read_passport(repo: &Repo, commit: GitOid) -> Result<Statement, LoadError> {
    let bytes = read_file(repo, commit, "passport.json")?;
    Statement::from_json(&bytes).map_err(|source| LoadError::Passport { commit, source })
}
