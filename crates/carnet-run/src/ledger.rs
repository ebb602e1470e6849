//! Reading the ledger: which chains there are, own and fetched, one event, one run's files. The [`index`](crate::index) lists runs.

use carnet_core::{
    GitOid, ModelRecordError, RepoPath, RunId,
    passport::{PassportError, Statement},
};
use carnet_git::{ObjectError, RefError, Repo};

use crate::{
    event::{RunEvent, SignedEvent},
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
    /// What was asked of a model cannot be understood.
    #[error("read what run commit `{commit}` asked of a model")]
    Model {
        /// The run commit.
        commit: GitOid,
        /// Why.
        #[source]
        source: ModelRecordError,
    },
    /// What was asked of a model is not what the passport names.
    #[error(
        "what run commit `{0}` asked of a model does not have the digest that its passport names"
    )]
    ModelDigest(GitOid),
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
