//! Where the daemon keeps things inside the repository.

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use carnet_git::Repo;

/// Returns the directory of the code index: what [`carnet_index::Snapshot::open_current`] is given.
pub fn index_dir(repo: &Repo) -> PathBuf {
    repo.state_dir().join("index")
}

/// Returns the daemon's log. It may not exist; `log.1` beside it is the one before.
pub fn log_path(repo: &Repo) -> PathBuf {
    Paths::of(repo).log()
}

/// The places of one repository, the same for all its worktrees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paths {
    /// The git directory that all worktrees share, without symbolic links.
    pub common_dir: PathBuf,
    /// The code index.
    pub index_dir: PathBuf,
    daemon_dir: PathBuf,
}

impl Paths {
    pub fn of(repo: &Repo) -> Paths {
        let daemon_dir = repo.state_dir().join("daemon");
        Paths { common_dir: real(repo.common_dir()), index_dir: index_dir(repo), daemon_dir }
    }

    pub fn lock(&self) -> PathBuf {
        self.daemon_dir.join("lock")
    }

    pub fn log(&self) -> PathBuf {
        self.daemon_dir.join("log")
    }

    /// What the last refreshes were like.
    pub fn history(&self) -> PathBuf {
        self.daemon_dir.join("refreshes.json")
    }
}

/// Returns the path without symbolic links, or as it is when it is gone.
pub(crate) fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// What makes a directory the same one: device and inode. `None` when it is gone or no directory.
pub(crate) fn dir_identity(path: &Path) -> Option<(u64, u64)> {
    let found = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_dir)?;
    Some((found.dev(), found.ino()))
}
