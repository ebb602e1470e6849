//! Gives snapshots their names and takes them away: written beside the others, synced, renamed, made current, pruned.

use std::{
    collections::HashSet,
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use carnet_core::{Digest, GitOid, Timestamp};

use crate::{
    Coverage, IndexError, Snapshot, format::FORMAT_NUMBER, link::Linker, pointer, section_writer,
};

/// Snapshots that are kept beside the current one while somebody reads them.
const READ_SNAPSHOTS_KEPT: usize = 2;
/// Snapshots with uncommitted edits that are kept: some for each of a few worktrees.
const OVERLAYS_KEPT: usize = 4;
/// Ending of a file that is being written.
pub(crate) const UNFINISHED: &str = "unfinished";

/// What a snapshot says of itself.
pub(crate) struct SnapshotHead {
    pub commit: GitOid,
    pub tree: GitOid,
    pub created_at: Timestamp,
    pub coverage: Coverage,
}

/// A snapshot that is whole and on the disk, and has no name yet.
pub(crate) struct Unnamed {
    path: PathBuf,
    commit: GitOid,
    content_digest: Digest,
    coverage: Coverage,
}

/// A snapshot that became current.
pub(crate) struct Written {
    pub path: PathBuf,
    pub n_bytes: u64,
    pub content_digest: Digest,
    pub coverage: Coverage,
}

pub(crate) fn snapshots_dir(dir: &Path) -> PathBuf {
    dir.join("snapshots")
}

/// What a snapshot becomes once it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Becomes<'k> {
    /// The current one.
    Current,
    /// One beside the others, with uncommitted edits, found again by a key.
    Overlay(&'k Digest),
}

/// Resolves the calls and writes the snapshot, which has no name yet.
pub(crate) fn write_unnamed(
    dir: &Path,
    head: &SnapshotHead,
    mut linker: Linker,
) -> Result<Unnamed, IndexError> {
    linker.resolve()?;
    let Coverage { n_symbols, n_calls_resolved, .. } = linker.coverage();
    let coverage = Coverage { n_symbols, n_calls_resolved, ..head.coverage };
    let path = unfinished(&snapshots_dir(dir).join(std::process::id().to_string()));
    let header = section_writer::write(&path, head, coverage, &linker)?;
    Ok(Unnamed { path, commit: head.commit, content_digest: header.content_digest(), coverage })
}

/// Gives a snapshot its name.
pub(crate) fn name_snapshot(
    dir: &Path,
    unnamed: Unnamed,
    becomes: Becomes<'_>,
) -> Result<Written, IndexError> {
    let Unnamed { path: unfinished, commit, content_digest, coverage } = unnamed;
    let path = match becomes {
        Becomes::Current => make_current(dir, &unfinished, &commit, &content_digest)?,
        Becomes::Overlay(key) => {
            let path = overlay_path(dir, key);
            rename(&unfinished, &path)?;
            prune(dir)?;
            path
        }
    };
    let n_bytes =
        std::fs::metadata(&path).map_err(|error| IndexError::io("read", &path, error))?.len();
    Ok(Written { path, n_bytes, content_digest, coverage })
}

/// Gives a snapshot that is whole and on the disk its name, and makes it the current one.
pub(crate) fn make_current(
    dir: &Path,
    written: &Path,
    commit: &GitOid,
    content: &Digest,
) -> Result<PathBuf, IndexError> {
    let snapshots = snapshots_dir(dir);
    let name = format!("{commit}-{}.v{FORMAT_NUMBER}", &content.to_string()[..16]);
    let path = snapshots.join(&name);
    rename(written, &path)?;
    pointer::sync_directory(&snapshots)?;
    pointer::point_at(dir, &name)?;
    prune(dir)?;
    Ok(path)
}

/// Returns where the snapshot with some uncommitted edits is, when there is one.
pub(crate) fn overlay_path(dir: &Path, key: &Digest) -> PathBuf {
    snapshots_dir(dir).join(format!("overlay-{}.v{FORMAT_NUMBER}", &key.to_string()[..32]))
}

/// Returns the name that a file or directory has until it is whole.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    path.with_extension(UNFINISHED)
}

/// Removes what a writer left that was killed. Only the one writer calls this.
pub(crate) fn remove_leftovers(dir: &Path) -> Result<(), IndexError> {
    for directory in [dir.to_owned(), snapshots_dir(dir)] {
        let entries = std::fs::read_dir(&directory)
            .map_err(|error| IndexError::io("list", &directory, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| IndexError::io("list", &directory, error))?;
            if entry.path().extension().is_some_and(|extension| extension == UNFINISHED) {
                match entry.path().is_dir() {
                    true => std::fs::remove_dir_all(entry.path())
                        .map_err(|error| IndexError::io("remove", &entry.path(), error))?,
                    false => remove(&entry.path())?,
                }
            }
        }
    }
    Ok(())
}

/// Removes the snapshots that are not current and that nobody reads, and all but the newest of those that somebody reads or
/// that have uncommitted edits. Readers keep what they hold until they let go; words are kept for the files of the others.
fn prune(dir: &Path) -> Result<(), IndexError> {
    let snapshots = snapshots_dir(dir);
    let failed = |error| IndexError::io("list", &snapshots, error);
    let current = pointer::read(&pointer::current_path(dir))?.unwrap_or_default();
    let (mut read, mut overlays) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(&snapshots).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let modified = entry.metadata().and_then(|metadata| metadata.modified()).map_err(failed)?;
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("overlay-") {
            overlays.push((modified, entry.path()));
        } else if name != *current {
            read.push((modified, entry.path()));
        }
    }
    for (mut kind, n_kept) in [(read, READ_SNAPSHOTS_KEPT), (overlays, OVERLAYS_KEPT)] {
        kind.sort();
        let n_surplus = kind.len().saturating_sub(n_kept);
        kind[..n_surplus].iter().try_for_each(|(_, path)| remove(path))?;
        if n_kept == READ_SNAPSHOTS_KEPT {
            kind[n_surplus..].iter().try_for_each(|(_, path)| remove_unread(path))?;
        }
    }
    Ok(())
}

/// Removes a snapshot, unless a reader holds its lock (see [`crate::sections::Sections::open`]).
fn remove_unread(path: &Path) -> Result<(), IndexError> {
    let Ok(file) = File::open(path) else { return remove(path) };
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(()),
        // A file system without locks: readers keep what they hold all the same.
        Ok(()) | Err(TryLockError::Error(_)) => remove(path),
    }
}

/// Returns the keys of all files that the kept snapshots hold. One that cannot be read is not kept for its words.
pub(crate) fn live_keys(dir: &Path) -> Result<HashSet<u64>, IndexError> {
    let snapshots = snapshots_dir(dir);
    let failed = |error| IndexError::io("list", &snapshots, error);
    let mut keys = HashSet::new();
    for entry in std::fs::read_dir(&snapshots).map_err(failed)? {
        let rows = Snapshot::open(&entry.map_err(failed)?.path()).and_then(|it| it.live_rows());
        keys.extend(rows.into_iter().flatten().map(|(key, _)| key));
    }
    Ok(keys)
}

fn remove(path: &Path) -> Result<(), IndexError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(IndexError::io("remove", path, error))
        }
        _ => Ok(()),
    }
}

pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), IndexError> {
    std::fs::rename(from, to).map_err(|error| IndexError::io("rename", from, error))
}
