//! Gives a workspace to the service account, without ever following a link.
//!
//! Every step is taken from an open directory, so a link planted meanwhile leads nowhere: a name is opened
//! with `O_NOFOLLOW` and changed by `AT_SYMLINK_NOFOLLOW`.

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Uid, chownat, fchown, openat, statat,
};

use crate::ServiceAccount;

/// Directories below one another at most; deeper trees are refused.
const DEPTH_MAX: usize = 256;
/// Entries of the whole tree at most.
const ENTRIES_MAX: usize = 20_000_000;

/// A tree that could not be given to another user.
#[derive(Debug, thiserror::Error)]
pub enum OwnershipError {
    /// The system refused at this path.
    #[error("give `{path}` to user `{uid}`")]
    At {
        /// The path, below the workspace.
        path: PathBuf,
        /// To whom.
        uid: u32,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Deeper or larger than any workspace.
    #[error("give `{path}` away: the tree has more than `{bound}` {what}")]
    TooLarge {
        /// Where the bound was met.
        path: PathBuf,
        /// The bound.
        bound: usize,
        /// `levels` or `entries`.
        what: &'static str,
    },
}

/// Makes `account` the owner of `dir` and everything below it. Links are given away, not followed; files
/// with more than one hard link are left alone, since another of their names may lie outside.
///
/// # Errors
///
/// [`OwnershipError`] names the first path that could not be changed; what came before it is changed.
pub fn prepare_workspace_owner(dir: &Path, account: ServiceAccount) -> Result<(), OwnershipError> {
    let mut walk = Walk { account, path: dir.to_owned(), n_entries: 0 };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = openat(CWD, dir, flags, Mode::empty()).map_err(|error| walk.failed(error))?;
    walk.directory(opened, 0)
}

struct Walk {
    account: ServiceAccount,
    path: PathBuf,
    n_entries: usize,
}

impl Walk {
    fn directory(&mut self, directory: OwnedFd, depth: usize) -> Result<(), OwnershipError> {
        if depth == DEPTH_MAX {
            return Err(self.too_large(DEPTH_MAX, "levels"));
        }
        let entries = Dir::read_from(&directory).map_err(|error| self.failed(error))?;
        for entry in entries {
            let entry = entry.map_err(|error| self.failed(error))?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            self.n_entries += 1;
            if self.n_entries > ENTRIES_MAX {
                return Err(self.too_large(ENTRIES_MAX, "entries"));
            }
            self.path.push(std::ffi::OsStr::new(&*name.to_string_lossy()));
            self.entry(&directory, name, depth)?;
            self.path.pop();
        }
        fchown(&directory, self.uid(), self.gid()).map_err(|error| self.failed(error))
    }

    fn entry(
        &mut self,
        parent: &OwnedFd,
        name: &std::ffi::CStr,
        depth: usize,
    ) -> Result<(), OwnershipError> {
        let stat =
            statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| self.failed(error))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Directory {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened =
                openat(parent, name, flags, Mode::empty()).map_err(|error| self.failed(error))?;
            return self.directory(opened, depth + 1);
        }
        if kind == FileType::RegularFile && stat.st_nlink > 1 {
            return Ok(());
        }
        chownat(parent, name, self.uid(), self.gid(), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| self.failed(error))
    }

    fn uid(&self) -> Option<Uid> {
        Some(Uid::from_raw(self.account.uid))
    }

    fn gid(&self) -> Option<Gid> {
        Some(Gid::from_raw(self.account.gid))
    }

    fn failed(&self, error: rustix::io::Errno) -> OwnershipError {
        OwnershipError::At { path: self.path.clone(), uid: self.account.uid, source: error.into() }
    }

    fn too_large(&self, bound: usize, what: &'static str) -> OwnershipError {
        OwnershipError::TooLarge { path: self.path.clone(), bound, what }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt};

    use super::*;

    /// As root the tree is given away; an ordinary user may only give it to itself, which still walks it all.
    fn account() -> ServiceAccount {
        let uid = rustix::process::geteuid().as_raw();
        let gid = rustix::process::getegid().as_raw();
        if uid == 0 {
            ServiceAccount { uid: 65534, gid: 65534 }
        } else {
            ServiceAccount { uid, gid }
        }
    }

    #[test]
    fn a_tree_is_given_away_and_links_are_not_followed() {
        let outside = tempfile::tempdir().unwrap();
        let root = tempfile::tempdir().unwrap();
        let kept = outside.path().join("kept");
        fs::write(&kept, "").unwrap();
        fs::create_dir_all(root.path().join("a/b")).unwrap();
        fs::write(root.path().join("a/b/c"), "").unwrap();
        std::os::unix::fs::symlink(&kept, root.path().join("a/link")).unwrap();
        std::os::unix::fs::symlink(outside.path(), root.path().join("dir-link")).unwrap();
        fs::hard_link(&kept, root.path().join("hard")).unwrap();
        let before = fs::metadata(&kept).unwrap().uid();

        prepare_workspace_owner(root.path(), account()).unwrap();

        for path in ["", "a", "a/b", "a/b/c", "a/link", "dir-link"] {
            let owner = fs::symlink_metadata(root.path().join(path)).unwrap().uid();
            assert_eq!(owner, account().uid, "{path}");
        }
        assert_eq!(fs::metadata(&kept).unwrap().uid(), before);
        assert_eq!(fs::metadata(outside.path()).unwrap().uid(), before);
    }

    #[test]
    fn a_workspace_that_is_a_link_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let link = root.path().join("link");
        std::os::unix::fs::symlink("/usr", &link).unwrap();
        assert!(matches!(
            prepare_workspace_owner(&link, account()),
            Err(OwnershipError::At { .. })
        ));
    }
}
