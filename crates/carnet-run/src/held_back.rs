//! Outputs that are no outputs: files of the workspace that the run was given, and changed.
//!
//! What the lane says of changes holds for them, however they would come back: by patches alone where it says so, and only
//! those that it may change. What is hidden from the lane does not come back at all.

use std::{
    fs,
    io::{self, Read as _},
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::Path,
};

use carnet_core::GitOid;
use carnet_git::{EntryMode, Repo};
use carnet_policy::Lane;

use crate::{
    collect::{Collected, Output, open, withheld},
    execute::RunError,
};

/// What a workspace was laid over.
pub(crate) struct Given<'a> {
    /// The repository.
    pub repo: &'a Repo,
    /// The tree.
    pub tree: &'a GitOid,
    /// The directory that stood in for the tree.
    pub directory: Option<&'a Path>,
    /// The commit that was asked for, for errors.
    pub commit: GitOid,
}

/// Moves those outputs to what is withheld that the lane does not let come back as they are.
///
/// # Errors
///
/// [`RunError`] when a file cannot be compared with what it was.
pub(crate) fn hold_back(
    given: &Given<'_>,
    lane: &Lane,
    collected: &mut Collected,
) -> Result<(), RunError> {
    let (changes, writable) = (lane.changes(), lane.changes().allowed());
    for output in std::mem::take(&mut collected.outputs) {
        let path = Path::new(std::ffi::OsStr::from_bytes(output.path.as_bytes()));
        let reason = if lane.hidden().hides(path) {
            Some("hidden from this lane")
        } else if !given.is_changed(&output)? {
            None
        } else if !writable(path) {
            Some("not among the files that this lane may change")
        } else if changes.patch_only {
            Some(
                "changed, and this lane changes files by patches alone (`carnet run --patch FILE`)",
            )
        } else {
            None
        };
        match reason {
            Some(reason) => collected.withheld.push(withheld(&output.path.to_text(), reason)),
            None => collected.outputs.push(output),
        }
    }
    collected.withheld.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(())
}

impl Given<'_> {
    /// Tells whether the workspace had the file from the beginning, otherwise than it is now.
    fn is_changed(&self, output: &Output) -> Result<bool, RunError> {
        match self.directory {
            Some(directory) => is_other_file(directory, output)
                .map_err(|source| RunError::Io { doing: "compare an output", source }),
            None => self.is_other_blob(output),
        }
    }

    fn is_other_blob(&self, output: &Output) -> Result<bool, RunError> {
        let commit = self.commit;
        let failed = |source| RunError::Commit { commit, source };
        let io = |source| RunError::Io { doing: "compare an output", source };
        let Some((mode, id)) = self.repo.entry_at(self.tree, &output.path).map_err(failed)? else {
            return Ok(false);
        };
        let mode_of_now = if output.executable { EntryMode::Executable } else { EntryMode::File };
        let n_bytes = fs::symlink_metadata(&output.file).map_err(io)?.len();
        if mode != mode_of_now || self.repo.blob_size(&id).map_err(failed)? != n_bytes {
            return Ok(true);
        }
        let was = self.repo.read_blob(&id, n_bytes).map_err(failed)?;
        is_other(&mut &was[..], &output.file).map_err(io)
    }
}

fn is_other_file(directory: &Path, output: &Output) -> io::Result<bool> {
    let was = directory.join(std::ffi::OsStr::from_bytes(output.path.as_bytes()));
    match fs::symlink_metadata(&was) {
        Ok(meta) if meta.is_dir() => Ok(false),
        Ok(meta) if !meta.is_file() || (meta.mode() & 0o100 != 0) != output.executable => Ok(true),
        Ok(_) => is_other(&mut open(&was)?, &output.file),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Compares what was with a file, 64 KiB at a time.
fn is_other(was: &mut dyn io::Read, now: &Path) -> io::Result<bool> {
    const PART_BYTES: u64 = 64 << 10;
    let mut now = open(now)?;
    loop {
        let (mut a, mut b) = (vec![], vec![]);
        (&mut *was).take(PART_BYTES).read_to_end(&mut a)?;
        (&mut now).take(PART_BYTES).read_to_end(&mut b)?;
        if a != b {
            return Ok(true);
        }
        if a.is_empty() {
            return Ok(false);
        }
    }
}
