//! Uncommitted edits: the index of the work tree as it is, beside that of its commit.
//!
//! What git says differs from the commit is read, kept as blobs (so that citations hold), and linked with the rest into a
//! snapshot of its own. It is found again as long as neither commit nor edits change. Untracked files count when they are
//! source: other files that no one committed may hold what shall not be kept.

use std::collections::{BTreeMap, HashSet};

use carnet_core::{Digester, GitOid, RepoPath, Timestamp};
use carnet_git::{EntryMode, ObjectError, Repo, WorkFile, WorkTreeError, WriteError};
use carnet_index::{IndexError, RefreshRequest, Snapshot, SourceFile, is_source};

use crate::{
    index_dir,
    work::{blobs, memory_bytes_max, open_in_turn, source_files},
};

/// Most files that may differ.
const FILES_MAX: usize = 2_000;

/// The index of a work tree with uncommitted edits.
#[derive(Debug)]
pub struct Overlay {
    /// It is of the commit below the edits, and answers with them.
    pub snapshot: Snapshot,
    /// The files that are not as the commit has them, sorted; those that are gone included.
    pub paths: Vec<RepoPath>,
}

/// Why uncommitted edits could not be taken into account.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// More differs than is looked at.
    #[error("the work tree has {0} uncommitted files; at most {FILES_MAX} are taken into account")]
    TooMany(usize),
    /// The work tree could not be read.
    #[error(transparent)]
    WorkTree(#[from] WorkTreeError),
    /// The commit could not be read.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// A blob could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The index could not be read or written.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// Returns the index of the work tree; `None` when it is as the commit says.
///
/// - `commit`, `tree`: HEAD of the worktree that `repo` was opened in.
///
/// # Errors
///
/// [`OverlayError`]; the index of the commit is not touched.
pub fn overlay(
    repo: &Repo,
    commit: &GitOid,
    tree: &GitOid,
    now: Timestamp,
) -> Result<Option<Overlay>, OverlayError> {
    let paths = repo.uncommitted_paths(commit)?;
    if paths.is_empty() {
        return Ok(None);
    }
    if paths.len() > FILES_MAX {
        return Err(OverlayError::TooMany(paths.len()));
    }
    let committed = source_files(repo, tree)?;
    let mut files: BTreeMap<&RepoPath, GitOid> =
        committed.iter().map(|file| (&file.path, file.blob)).collect();
    let tracked: HashSet<&RepoPath> = files.keys().copied().collect();
    let mut key = Digester::new();
    key.field(commit.as_bytes());
    let mut edited = Vec::new();
    for path in &paths {
        if !tracked.contains(path) && !is_source(path) {
            continue;
        }
        let blob = match repo.read_work_file(path)? {
            WorkFile::Bytes(EntryMode::File | EntryMode::Executable, bytes) => {
                Some(repo.write_blob(&bytes)?)
            }
            _ => None,
        };
        if blob.is_some() && files.get(path) == blob.as_ref() {
            continue; // Staged otherwise, or touched alone.
        }
        key.field(path.as_bytes()).field(blob.as_ref().map_or(&[][..], GitOid::as_bytes));
        match blob {
            Some(blob) => drop(files.insert(path, blob)),
            None => drop(files.remove(path)),
        }
        edited.push(path.clone());
    }
    if edited.is_empty() {
        return Ok(None);
    }
    let (dir, key) = (index_dir(repo), key.finish());
    if let Some(snapshot) = Snapshot::open_overlay(&dir, &key) {
        return Ok(Some(Overlay { snapshot, paths: edited }));
    }
    let files = files.into_iter().map(|(path, blob)| SourceFile { path: path.clone(), blob });
    let request = RefreshRequest {
        commit: *commit,
        tree: *tree,
        files: files.collect(),
        memory_bytes_max: Some(memory_bytes_max(repo)),
    };
    let report = open_in_turn(&index_dir(repo))?.overlay(&key, &request, &blobs(repo), now)?;
    let snapshot = Snapshot::open(&report.snapshot_path)?;
    Ok(Some(Overlay { snapshot, paths: edited }))
}
