//! The work tree as a tree: uncommitted changes, tracked and untracked, so that a run of them can be repeated.
//!
//! Neither the index nor the work tree is touched. Each file is examined before its bytes are stored, and one finding that
//! stands refuses the whole; files that the lane hides are left out, changed or not.

use carnet_core::{Content, GitOid, Origin, RepoPath, Timestamp};
use carnet_git::{EntryMode, Repo, WorkFile, WorkTreeError};
use carnet_guard::Guard;

use crate::execute::RunPlan;

/// What a work tree holds beyond its commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkTreeSnapshot {
    /// The tree that was written.
    pub tree: GitOid,
    /// Paths at which it differs from the commit.
    pub n_paths: usize,
    /// Paths that differ and were left out, because the lane hides them.
    pub hidden: Vec<RepoPath>,
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The work tree could not be read, or the tree not be written.
    #[error(transparent)]
    WorkTree(#[from] WorkTreeError),
    /// A file holds what may not be stored.
    #[error("`{path}` holds a finding of rule `{rule}`, and a run keeps what it ran on")]
    Finding {
        /// The file.
        path: RepoPath,
        /// The rule.
        rule: String,
    },
}

/// Writes what the work tree holds beyond the plan's commit as a tree; `None` when that is nothing.
///
/// - `guard`: sees every changed file; what is accepted in the repository is accepted here.
///
/// # Errors
///
/// [`SnapshotError`]; blobs that were examined may have been written, and nothing names them.
pub fn take(
    repo: &Repo,
    guard: &Guard<'_>,
    plan: &RunPlan,
    now: Timestamp,
) -> Result<Option<WorkTreeSnapshot>, SnapshotError> {
    let commit = plan.request.commit;
    let mut changes = vec![];
    let mut hidden = vec![];
    for path in repo.uncommitted_paths(&commit)? {
        if plan.lane.hidden().hides(path.to_text().as_ref() as &str) {
            hidden.push(path);
            continue;
        }
        let change = match repo.read_work_file(&path)? {
            WorkFile::Gone | WorkFile::Directory => None,
            WorkFile::Bytes(mode, bytes) => Some(stored(repo, guard, &path, mode, bytes, now)?),
        };
        changes.push((path, change));
    }
    if changes.is_empty() {
        return Ok(None);
    }
    let tree = repo.write_tree_with(&commit, &changes)?;
    Ok(Some(WorkTreeSnapshot { tree, n_paths: changes.len(), hidden }))
}

fn stored(
    repo: &Repo,
    guard: &Guard<'_>,
    path: &RepoPath,
    mode: EntryMode,
    bytes: Vec<u8>,
    now: Timestamp,
) -> Result<(EntryMode, GitOid), SnapshotError> {
    let content = Content { origin: Origin::Staged(path.clone()), bytes };
    let examination = guard.examine(std::iter::once(content.clone()), now);
    if !examination.verdict.is_allowed() {
        let rule = examination.verdict.reasons.first().map(|reason| reason.rule.clone());
        return Err(SnapshotError::Finding { path: path.clone(), rule: rule.unwrap_or_default() });
    }
    let id = repo.write_blob(&content.bytes).map_err(WorkTreeError::Write)?;
    Ok((mode, id))
}
