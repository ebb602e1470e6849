//! The accepted findings in force: those of the policy ref's commit where one is configured, else of HEAD's commit and, in a merge,
//! of the commit that is merged.
//!
//! Never the work tree's, and never the index's: an agent can edit both. A file that is wrong is an error, and nothing
//! passes; [`staged_suppressions`] is there for the one commit that mends it.

use std::fs;

use carnet_core::{GitOid, RepoPath, Timestamp};
use carnet_git::{Head, HeadError, ObjectError, Repo, StagedError};
use carnet_policy::{Baseline, PolicyProblem, Suppressions};

use crate::policy::{FILE_BYTES_MAX, POLICY_REF_KEY};

/// Where accepted findings stand in a repository.
pub const FINDINGS_FILE: &str = "allowlists/findings.toml";
/// Where the findings stand that were accepted all at once, beside it.
pub const BASELINE_FILE: &str = "allowlists/findings.baseline";

/// Why it cannot be said which findings are accepted.
#[derive(Debug, thiserror::Error)]
pub enum SuppressionsError {
    /// HEAD or the policy ref cannot be read.
    #[error("read which commit holds {FINDINGS_FILE}")]
    Commit(#[from] HeadError),
    /// The file cannot be read.
    #[error("read {file} of {id}")]
    Object {
        /// Which.
        file: &'static str,
        /// The commit, or the staged blob.
        id: GitOid,
        /// Why.
        #[source]
        source: Box<ObjectError>,
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
    if let Some(name) = repo.config_get(POLICY_REF_KEY) {
        return suppressions_of(repo, &repo.resolve_commit(&name)?, now);
    }
    let Some(head) = head_commit(repo)? else { return Ok(None) };
    let ours = suppressions_of(repo, &head, now)?;
    let theirs = merged_commit(repo).map(|id| suppressions_of(repo, &id, now));
    Ok(match (ours, theirs) {
        (Some(ours), Some(Ok(Some(theirs)))) => Some(ours.with_others(theirs)),
        (ours, _) => ours,
    })
}

/// Returns the commit that a merge under way brings: what it accepts counts for it too, where both go by one salt.
///
/// `git merge` writes `MERGE_HEAD` after it asked its hook, which it tells by a variable named after the commit.
fn merged_commit(repo: &Repo) -> Option<GitOid> {
    // Read as the file it is in every format of refs: to ask git would cost each commit a process.
    let file = fs::read_to_string(repo.git_dir().join("MERGE_HEAD")).ok();
    let first = file.and_then(|text| Some(text.lines().next()?.to_owned()));
    let told = || {
        let mut names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        names.find_map(|name| Some(name.strip_prefix("GITHEAD_")?.to_owned()))
    };
    let id = GitOid::from_hex(&first.or_else(told)?).ok()?;
    repo.has_object(&id).then_some(id)
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
    let entries = committed(repo, commit_id, FINDINGS_FILE)?;
    let baseline = committed(repo, commit_id, BASELINE_FILE)?;
    both(entries.as_deref(), baseline.as_deref(), now)
}

fn committed(
    repo: &Repo,
    commit_id: &GitOid,
    file: &'static str,
) -> Result<Option<Vec<u8>>, SuppressionsError> {
    repo.read_path(commit_id, &path(file), FILE_BYTES_MAX).map_err(|source| {
        SuppressionsError::Object { file, id: *commit_id, source: Box::new(source) }
    })
}

/// Reads the accepted findings as they would be with what is staged; `None` when no change of their files is.
///
/// They accept nothing yet. Sound files in the index only let the commit that brings them be examined, without any
/// suppression, while those in force are wrong.
///
/// # Errors
///
/// [`SuppressionsError`].
pub fn staged_suppressions(
    repo: &Repo,
    now: Timestamp,
) -> Result<Option<Suppressions>, SuppressionsError> {
    let staged = repo.staged()?;
    let of = |file: &'static str| {
        let entry = staged.iter().find(|entry| entry.path == path(file));
        let read = |id| {
            repo.read_blob(id, FILE_BYTES_MAX).map_err(|source| SuppressionsError::Object {
                file,
                id: *id,
                source: Box::new(source),
            })
        };
        entry.map(|entry| read(&entry.blob_id)).transpose()
    };
    let (entries, baseline) = (of(FINDINGS_FILE)?, of(BASELINE_FILE)?);
    if entries.is_none() && baseline.is_none() {
        return Ok(None);
    }
    let head = head_commit(repo)?;
    let else_of_head = |bytes: Option<Vec<u8>>, file| match (bytes, &head) {
        (None, Some(head)) => committed(repo, head, file),
        (bytes, _) => Ok(bytes),
    };
    let entries = else_of_head(entries, FINDINGS_FILE)?;
    let baseline = else_of_head(baseline, BASELINE_FILE)?;
    both(entries.as_deref(), baseline.as_deref(), now)
}

/// Tells whether a staged file is one of those that say what is accepted, and is sound by itself.
pub(crate) fn check_staged(
    staged: &RepoPath,
    bytes: &[u8],
    now: Timestamp,
) -> Result<(), SuppressionsError> {
    if *staged == path(FINDINGS_FILE) {
        parse(bytes, now).map(drop)
    } else if *staged == path(BASELINE_FILE) {
        parse_baseline(bytes, now).map(drop)
    } else {
        Ok(())
    }
}

fn both(
    entries: Option<&[u8]>,
    baseline: Option<&[u8]>,
    now: Timestamp,
) -> Result<Option<Suppressions>, SuppressionsError> {
    let entries = entries.map(|bytes| parse(bytes, now)).transpose()?;
    let baseline = baseline.map(|bytes| parse_baseline(bytes, now)).transpose()?;
    match (entries, baseline) {
        (entries, None) => Ok(entries),
        (Some(entries), Some(lines)) => Ok(Some(entries.with_baseline(BASELINE_FILE, lines))),
        (None, Some(_)) => {
            let message = format!("has no {FINDINGS_FILE} beside it, which holds the salt");
            Err(wrong(BASELINE_FILE, 1, message))
        }
    }
}

fn parse(bytes: &[u8], now: Timestamp) -> Result<Suppressions, SuppressionsError> {
    let text = text_of(FINDINGS_FILE, bytes)?;
    Suppressions::parse(FINDINGS_FILE, text, now).map_err(SuppressionsError::Wrong)
}

fn parse_baseline(bytes: &[u8], now: Timestamp) -> Result<Baseline, SuppressionsError> {
    let text = text_of(BASELINE_FILE, bytes)?;
    let baseline = Baseline::parse(BASELINE_FILE, text).map_err(SuppressionsError::Wrong)?;
    let ran_out = baseline.ran_out(BASELINE_FILE, now);
    if ran_out.is_empty() { Ok(baseline) } else { Err(SuppressionsError::Wrong(ran_out)) }
}

fn text_of<'b>(file: &str, bytes: &'b [u8]) -> Result<&'b str, SuppressionsError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        wrong(file, u32::try_from(line + 1).unwrap_or(u32::MAX), "is not UTF-8".to_owned())
    })
}

fn wrong(file: &str, line: u32, message: String) -> SuppressionsError {
    let (file, field) = (file.to_owned(), String::new());
    SuppressionsError::Wrong(vec![PolicyProblem { file, line, field, message }])
}

fn path(file: &str) -> RepoPath {
    RepoPath::new(file.as_bytes()).expect("because carnet's own paths are well formed")
}
