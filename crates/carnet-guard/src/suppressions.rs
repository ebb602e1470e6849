//! The accepted findings in force: those of the policy ref's commit where one is configured, else of HEAD's commit.
//!
//! Never the work tree's, and never the index's: an agent can edit both. A file that is wrong is an error, and nothing
//! passes; [`staged_suppressions`] is there for the one commit that mends it.

use carnet_core::{GitOid, RepoPath, Timestamp};
use carnet_git::{Head, HeadError, ObjectError, Repo, StagedError};
use carnet_policy::{PolicyProblem, Suppressions};

use crate::policy::{FILE_BYTES_MAX, POLICY_REF_KEY};

/// Where accepted findings stand in a repository.
pub const FINDINGS_FILE: &str = "allowlists/findings.toml";

/// Why it cannot be said which findings are accepted.
#[derive(Debug, thiserror::Error)]
pub enum SuppressionsError {
    /// HEAD or the policy ref cannot be read.
    #[error("read which commit holds {FINDINGS_FILE}")]
    Commit(#[from] HeadError),
    /// The file cannot be read.
    #[error("read {FINDINGS_FILE} of commit {commit_id}")]
    Object {
        /// The commit.
        commit_id: GitOid,
        /// Why.
        #[source]
        source: ObjectError,
    },
    /// The index cannot be read.
    #[error("read the index")]
    Staged(#[from] StagedError),
    /// The file is wrong.
    #[error("{}", lines(.0))]
    Wrong(Vec<PolicyProblem>),
}

fn lines(problems: &[PolicyProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Reads the accepted findings in force; `None` when there is no such file, or no commit yet.
///
/// # Errors
///
/// [`SuppressionsError`]; nothing is to pass then.
pub fn suppressions_in_force(
    repo: &Repo,
    now: Timestamp,
) -> Result<Option<Suppressions>, SuppressionsError> {
    let commit_id = match repo.config_get(POLICY_REF_KEY) {
        Some(name) => Some(repo.resolve_commit(&name)?),
        None => head_commit(repo)?,
    };
    commit_id.map_or(Ok(None), |commit_id| suppressions_of(repo, &commit_id, now))
}

/// Returns HEAD's commit, or `None` before the first one.
fn head_commit(repo: &Repo) -> Result<Option<GitOid>, HeadError> {
    Ok(match repo.head()? {
        Head::Unborn { .. } => None,
        Head::Commit { commit_id, .. } => Some(commit_id),
    })
}

/// Reads the accepted findings of one commit.
///
/// # Errors
///
/// [`SuppressionsError`].
pub fn suppressions_of(
    repo: &Repo,
    commit_id: &GitOid,
    now: Timestamp,
) -> Result<Option<Suppressions>, SuppressionsError> {
    let bytes = repo
        .read_path(commit_id, &findings_path(), FILE_BYTES_MAX)
        .map_err(|source| SuppressionsError::Object { commit_id: *commit_id, source })?;
    bytes.map(|bytes| parse(&bytes, now)).transpose()
}

/// Reads the accepted findings that are staged; `None` when no change of the file is.
///
/// They accept nothing yet. A sound file in the index only lets the commit that brings it be examined, without any
/// suppression, while the one in force is wrong.
///
/// # Errors
///
/// [`SuppressionsError`].
pub fn staged_suppressions(
    repo: &Repo,
    now: Timestamp,
) -> Result<Option<Suppressions>, SuppressionsError> {
    let path = findings_path();
    let Some(entry) = repo.staged()?.into_iter().find(|entry| entry.path == path) else {
        return Ok(None);
    };
    let bytes = repo
        .read_blob(&entry.blob_id, FILE_BYTES_MAX)
        .map_err(|source| SuppressionsError::Object { commit_id: entry.blob_id, source })?;
    parse(&bytes, now).map(Some)
}

pub(crate) fn parse(bytes: &[u8], now: Timestamp) -> Result<Suppressions, SuppressionsError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        SuppressionsError::Wrong(vec![PolicyProblem {
            file: FINDINGS_FILE.to_owned(),
            line: u32::try_from(line + 1).unwrap_or(u32::MAX),
            field: String::new(),
            message: "is not UTF-8".to_owned(),
        }])
    })?;
    Suppressions::parse(FINDINGS_FILE, text, now).map_err(SuppressionsError::Wrong)
}

fn findings_path() -> RepoPath {
    RepoPath::new(FINDINGS_FILE.as_bytes()).expect("because carnet's own paths are well formed")
}
