//! Clean checkouts that runs lay their throw-away layer over: one per tree, made once, never written again.
//!
//! They lie under the repository's state directory, beside the signing key and behind the same permissions: who can
//! change them there can sign as well. Hidden files are absent. Each stands beside a lock file: whoever uses a checkout holds it
//! shared, whoever makes or removes one holds it alone. A checkout is made beside its place and renamed into it, and is believed
//! only during the boot in which it was made, since a machine that lost power may have kept the name and lost the bytes.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use carnet_core::{Digest, Digester, GitOid, Timestamp};
use carnet_git::{CheckoutError, Repo};
use carnet_policy::HiddenFiles;
use carnet_sandbox::{OwnershipError, ServiceAccount};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, futimens, utimensat};
use serde::{Deserialize, Serialize};

use crate::locked_dir::{self, Hold, lock, lock_path, locked_dirs, remove_tree, remove_unheld};

/// Checkouts kept at most.
const CHECKOUTS_MAX: usize = 16;
/// Bytes of all checkouts together at most; the newest is kept whatever its size.
const BYTES_MAX: u64 = 4 << 30;
/// Times that a checkout is made again because it was removed meanwhile.
const TRIES_MAX: usize = 32;
/// The form of [`Label`] and of what lies beside it.
const FORMAT: &str = "carnet/checkout/1";

/// What is to be checked out, and how.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// The repository.
    pub repo: &'a Repo,
    /// The tree.
    pub tree: GitOid,
    /// What is absent.
    pub hidden: &'a HiddenFiles,
    /// To whom the files belong, where the caller is root.
    pub account: Option<ServiceAccount>,
    /// The time that every file has.
    pub mtime: Timestamp,
}

/// A checkout in use; it stays as it is for as long as this value lives.
#[derive(Debug)]
pub struct CheckedOut {
    dir: PathBuf,
    /// Digest of the whole tree, hidden files included.
    pub tree_sha256: Digest,
    _lock: File,
}

/// Why there is no checkout.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutsError {
    /// The tree could not be written out.
    #[error("check out the commit")]
    Checkout(#[from] CheckoutError),
    /// It could not be given to the service account.
    #[error("give the checkout to the service account")]
    Owner(#[from] OwnershipError),
    /// Where checkouts are kept is a link, and what it leads to can be changed under us.
    #[error("keep a checkout: `{0}` is a link")]
    Link(PathBuf),
    /// The system refused.
    #[error("keep a checkout at `{path}`")]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// What is written down beside a checkout once it is whole.
#[derive(Debug, Serialize, Deserialize)]
struct Label {
    format: String,
    boot_id: String,
    tree_sha256: Digest,
    size_bytes: u64,
}

impl CheckedOut {
    /// Returns the directory.
    pub fn path(&self) -> PathBuf {
        self.dir.join("tree")
    }
}

/// Returns the checkout of a tree, making it where there is none yet.
///
/// # Errors
///
/// [`CheckoutsError`]; a checkout that could not be finished is removed.
pub fn check_out(wanted: &Wanted<'_>) -> Result<CheckedOut, CheckoutsError> {
    let parent = wanted.repo.state_dir().join("checkouts");
    let io_at = |path: &Path| {
        let path = path.to_owned();
        move |source| CheckoutsError::Io { path, source }
    };
    DirBuilder::new().recursive(true).mode(0o700).create(&parent).map_err(io_at(&parent))?;
    if fs::symlink_metadata(&parent).map_err(io_at(&parent))?.is_symlink() {
        return Err(CheckoutsError::Link(parent));
    }
    let dir = parent.join(wanted.name());
    let boot_id = boot_id();
    for _ in 0..TRIES_MAX {
        let lock = lock(&dir, Hold::Shared).map_err(io_at(&dir))?;
        if let Some(label) = read_label(&dir).filter(|label| label.boot_id == boot_id) {
            let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
            // The order of use is a convenience: a disk that does not keep it loses nothing.
            let _ = futimens(&lock, &Timestamps { last_access: now, last_modification: now });
            return Ok(CheckedOut { dir, tree_sha256: label.tree_sha256, _lock: lock });
        }
        drop(lock);
        let _alone = locked_dir::lock(&dir, Hold::Alone).map_err(io_at(&dir))?;
        if read_label(&dir).is_none_or(|label| label.boot_id != boot_id) {
            make(wanted, &dir, &boot_id)?;
        }
        prune(&parent, &dir);
    }
    Err(io_at(&dir)(io::Error::other("it was removed again and again while it was made")))
}

/// Writes a tree into an empty directory, without what is hidden, for whoever will run.
///
/// Returns the digest of the whole tree and the bytes that were written.
///
/// # Errors
///
/// [`CheckoutsError`]; the directory is then incomplete.
pub fn write_out(wanted: &Wanted<'_>, dest: &Path) -> Result<(Digest, u64), CheckoutsError> {
    let checkout = wanted.repo.checkout_tree(&wanted.tree, dest, wanted.mtime)?;
    let io_at = |source| CheckoutsError::Io { path: dest.to_owned(), source };
    let size_bytes = take_away(wanted.hidden, dest, wanted.mtime).map_err(io_at)?;
    if let Some(account) = wanted.account {
        carnet_sandbox::prepare_workspace_owner(dest, account)?;
    }
    Ok((checkout.tree_sha256, size_bytes))
}

impl Wanted<'_> {
    /// A name for everything that decides what the checkout is.
    fn name(&self) -> String {
        let mut digester = Digester::new();
        digester.field(FORMAT.as_bytes()).field(self.tree.to_string().as_bytes());
        let owner = self.account.map_or_else(String::new, |it| format!("{}:{}", it.uid, it.gid));
        digester.field(owner.as_bytes()).field(self.mtime.as_millis().to_string().as_bytes());
        for glob in self.hidden.globs() {
            digester.field(glob.as_bytes());
        }
        digester.finish().to_string()[..32].to_owned()
    }
}

/// Removes what is hidden below `root` and returns the bytes of the files that stay.
fn take_away(hidden: &HiddenFiles, root: &Path, mtime: Timestamp) -> io::Result<u64> {
    let time = Timespec {
        tv_sec: mtime.as_secs(),
        tv_nsec: mtime.as_millis().rem_euclid(1000) * 1_000_000,
    };
    let times = Timestamps { last_access: time, last_modification: time };
    let mut size_bytes = 0;
    let mut pending = vec![PathBuf::new()];
    while let Some(dir) = pending.pop() {
        let mut is_changed = false;
        for entry in fs::read_dir(root.join(&dir))? {
            let entry = entry?;
            let relative = dir.join(entry.file_name());
            let is_dir = entry.file_type()?.is_dir();
            if hidden.hides(&relative) {
                let path = entry.path();
                if is_dir { fs::remove_dir_all(path) } else { fs::remove_file(path) }?;
                is_changed = true;
            } else if is_dir {
                pending.push(relative);
            } else {
                size_bytes += entry.metadata()?.len();
            }
        }
        if is_changed {
            utimensat(CWD, root.join(&dir), &times, AtFlags::empty())?;
        }
    }
    Ok(size_bytes)
}

/// Makes the checkout beside its place; the caller holds its lock alone.
fn make(wanted: &Wanted<'_>, dir: &Path, boot_id: &str) -> Result<(), CheckoutsError> {
    let building = dir.with_extension("new");
    let io_at = |path: &Path| {
        let path = path.to_owned();
        move |source| CheckoutsError::Io { path, source }
    };
    for old in [dir, &building] {
        remove_tree(old).map_err(io_at(old))?;
    }
    let tree = building.join("tree");
    DirBuilder::new().recursive(true).mode(0o711).create(&tree).map_err(io_at(&tree))?;
    let made = write_out(wanted, &tree).and_then(|(tree_sha256, size_bytes)| {
        let label = Label {
            format: FORMAT.to_owned(),
            boot_id: boot_id.to_owned(),
            tree_sha256,
            size_bytes,
        };
        let text = serde_json::to_vec(&label).map_err(io::Error::other);
        text.and_then(|text| fs::write(building.join("label.json"), text))
            .and_then(|()| fs::rename(&building, dir))
            .map_err(io_at(dir))
    });
    if made.is_err() {
        let _ = remove_tree(&building);
    }
    made
}

fn read_label(dir: &Path) -> Option<Label> {
    let label: Label = serde_json::from_slice(&fs::read(dir.join("label.json")).ok()?).ok()?;
    (label.format == FORMAT).then_some(label)
}

/// Names this boot of the machine; empty where the system does not say.
fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// Removes the checkouts that were used longest ago until the bounds hold; those in use and `kept` stay. What cannot be
/// removed now is tried again with the next checkout.
fn prune(parent: &Path, kept: &Path) {
    let Ok(dirs) = locked_dirs(parent) else { return };
    let mut known: Vec<(std::time::SystemTime, PathBuf, u64)> = dirs
        .into_iter()
        .filter_map(|dir| {
            let used = fs::metadata(lock_path(&dir)).ok()?.modified().ok()?;
            let size_bytes = read_label(&dir).map_or(0, |label| label.size_bytes);
            Some((used, dir, size_bytes))
        })
        .collect();
    known.sort_by_key(|(used, dir, _)| (dir != kept, std::cmp::Reverse(*used)));
    let mut total = 0_u64;
    for (idx, (_, dir, size_bytes)) in known.iter().enumerate() {
        total = total.saturating_add(*size_bytes);
        if idx >= 1 && (idx >= CHECKOUTS_MAX || total > BYTES_MAX) {
            remove_unheld(dir);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_goes_first_and_what_is_in_use_stays() {
        let parent = tempfile::tempdir().unwrap();
        let dir = |idx: usize| parent.path().join(format!("{idx:02}"));
        let mut in_use = None;
        for idx in 0..CHECKOUTS_MAX + 3 {
            fs::create_dir(dir(idx)).unwrap();
            let lock = lock(&dir(idx), Hold::Shared).unwrap();
            let at = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(idx as u64);
            lock.set_modified(at).unwrap();
            if idx == 1 {
                in_use = Some(lock);
            }
        }
        prune(parent.path(), &dir(0));
        let left = |idx| dir(idx).exists();
        // 0 is kept by name, 1 is in use, 2 and 3 were used longest ago.
        assert!(left(0) && left(1) && !left(2) && !left(3) && left(4), "{in_use:?}");
        assert!(!dir(2).with_extension("lock").exists());
    }
}
