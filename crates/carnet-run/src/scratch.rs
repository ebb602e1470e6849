//! Scratch directories for workspaces: made for one run, gone after it.
//!
//! Each directory stands beside a lock file that its process holds; [`Scratch::create`] first sweeps away what
//! killed processes left behind. As root the parent is `/var/cache/carnet`, which the service user may
//! traverse and not list; otherwise it is the user's cache directory.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use crate::locked_dir::{Hold, lock, lock_path, locked_dirs, remove_tree, remove_unheld};

/// A directory of this run's own, removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    root: PathBuf,
    lock_path: PathBuf,
    _lock: File,
}

/// Why there is no scratch directory.
#[derive(Debug, thiserror::Error)]
pub enum ScratchError {
    /// Neither `CARNET_SCRATCH_DIR`, `XDG_CACHE_HOME` nor `HOME` says where to work.
    #[error("no directory to work in: HOME is not set")]
    NoHome,
    /// The parent belongs to someone else, who could swap what lies in it.
    #[error("scratch directory `{0}` belongs to another user")]
    Foreign(PathBuf),
    /// The parent is a link, and what it leads to can be changed under us.
    #[error("scratch directory `{0}` is a link: name the directory itself")]
    Link(PathBuf),
    /// The system refused.
    #[error("prepare scratch directory `{path}`")]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Scratch {
    /// Makes an empty directory named after the run under `parent`, after sweeping abandoned ones.
    ///
    /// # Errors
    ///
    /// [`ScratchError`]; nothing remains of a directory that could not be made.
    pub fn create(parent: &Path, name: &str) -> Result<Scratch, ScratchError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| ScratchError::Io { path, source }
        };
        DirBuilder::new().recursive(true).mode(0o711).create(parent).map_err(io(parent))?;
        let found = fs::symlink_metadata(parent).map_err(io(parent))?;
        if found.is_symlink() {
            return Err(ScratchError::Link(parent.to_owned()));
        }
        if found.uid() != rustix::process::geteuid().as_raw() {
            return Err(ScratchError::Foreign(parent.to_owned()));
        }
        locked_dirs(parent).map_err(io(parent))?.iter().for_each(|dir| remove_unheld(dir));
        let root = parent.join(name);
        let lock_path = lock_path(&root);
        let lock = lock(&root, Hold::Alone).map_err(io(&lock_path))?;
        DirBuilder::new().mode(0o711).create(&root).map_err(io(&root))?;
        // Whatever the umask: the service account must be able to pass.
        fs::set_permissions(&root, fs::Permissions::from_mode(0o711)).map_err(io(&root))?;
        Ok(Scratch { root, lock_path, _lock: lock })
    }

    /// Returns what is left of it when this process is killed during a run over a layer: the directory is empty then.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        vec![self.root.clone(), self.lock_path.clone()]
    }

    /// Returns the directory.
    pub fn path(&self) -> &Path {
        &self.root
    }
}

impl Drop for Scratch {
    /// Removes the directory, then the lock: a sweep in between finds a held lock.
    fn drop(&mut self) {
        let gone = remove_tree(&self.root);
        if gone.is_ok() {
            let _ = fs::remove_file(&self.lock_path);
        }
    }
}

/// Returns where workspaces are made: `CARNET_SCRATCH_DIR`, else `/var/cache/carnet` for root and the
/// user's cache directory for everyone else.
///
/// # Errors
///
/// [`ScratchError::NoHome`].
pub fn default_parent() -> Result<PathBuf, ScratchError> {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(dir) = var("CARNET_SCRATCH_DIR") {
        return Ok(dir);
    }
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/cache/carnet"));
    }
    let cache = var("XDG_CACHE_HOME").or_else(|| var("HOME").map(|home| home.join(".cache")));
    cache.map(|cache| cache.join("carnet/work")).ok_or(ScratchError::NoHome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_directory_is_gone_after_its_run() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(parent.path(), "a").unwrap();
        let inner = scratch.path().join("dir");
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("file"), "x").unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o0)).unwrap();
        drop(scratch);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn abandoned_directories_are_swept_and_living_ones_kept() {
        let parent = tempfile::tempdir().unwrap();
        let living = Scratch::create(parent.path(), "living").unwrap();
        fs::create_dir(parent.path().join("dead")).unwrap();
        fs::write(parent.path().join("dead.lock"), "").unwrap();
        let other = Scratch::create(parent.path(), "other").unwrap();
        assert!(living.path().exists() && other.path().exists());
        assert!(!parent.path().join("dead").exists());
        assert!(!parent.path().join("dead.lock").exists());
    }
}
