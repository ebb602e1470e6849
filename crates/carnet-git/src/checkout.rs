//! Writing a tree into a scratch directory.
//!
//! The tree may be hostile. Every name is checked before anything is made of it, every file is created
//! exclusively relative to its open directory and never through a link, and no filter, hook or attribute of
//! the repository is obeyed: the bytes are the blobs' bytes.
//!
//! Invariant: nothing is written outside the destination.

use std::{
    fs::File,
    io::Write,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use carnet_core::{Digest, Digester, GitOid, RepoPath, Timestamp};
use gix::validate::path::component;
use rustix::{
    fs::{self as rfs, AtFlags, Mode, OFlags, Timespec, Timestamps},
    io::Errno,
};

use crate::{
    EntryMode, ObjectError, Repo,
    tree::{MAX_BLOB_BYTES, MAX_DEPTH, MAX_ENTRIES, add_file, submodule_digest},
};

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkout {
    /// Files, links and submodules of the tree.
    pub n_files: usize,
    /// Digest of the whole content, as [`Repo::tree_digest`] gives it.
    pub tree_sha256: Digest,
}

/// Why a tree could not be written out. What was written until then stays; the caller drops the directory.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// The destination is missing, is no directory, or already holds something.
    #[error("`{}` is not an empty directory", dest.display())]
    NotEmpty {
        /// The destination.
        dest: PathBuf,
    },
    /// The tree holds a name that could write elsewhere or fool a later program.
    #[error("the tree holds `{path}`: {detail}")]
    HostileName {
        /// The path, made readable.
        path: String,
        /// Why it is refused.
        detail: String,
    },
    /// An object could not be read.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// A file could not be written.
    #[error("write `{path}`")]
    Write {
        /// The path inside the tree, made readable.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Repo {
    /// Writes a tree, or a commit's tree, into an empty directory.
    ///
    /// - `dest`: an existing, empty directory, private to the caller while this runs.
    /// - `mtime`: the modification and access time that every file, link and directory gets, `dest` too.
    ///
    /// Files get mode 0644 or 0755 and directories 0755, whatever the umask; submodules become empty
    /// directories; links are made as they stand, wherever they point. No filter is run: large files kept
    /// by other means (LFS) stay the pointers that git holds.
    ///
    /// # Errors
    ///
    /// [`CheckoutError`]; the destination is then incomplete.
    pub fn checkout_tree(
        &self,
        commit_or_tree: &GitOid,
        dest: &Path,
        mtime: Timestamp,
    ) -> Result<Checkout, CheckoutError> {
        let root = open_empty(dest)?;
        let tree_id = self.tree_of(commit_or_tree)?;
        let mut writer =
            Writer { repo: self, times: times(mtime), n_entries: 0, files: Vec::new() };
        writer.directory(&tree_id, root.as_fd(), &mut Vec::new(), 0)?;
        writer.files.sort_by(|a, b| a.0.cmp(&b.0));
        let mut digester = Digester::new();
        for (path, mode, content) in &writer.files {
            add_file(&mut digester, path, *mode, content);
        }
        Ok(Checkout { n_files: writer.files.len(), tree_sha256: digester.finish() })
    }
}

struct Writer<'repo> {
    repo: &'repo Repo,
    times: Timestamps,
    n_entries: usize,
    files: Vec<(RepoPath, EntryMode, Digest)>,
}

impl Writer<'_> {
    /// Writes one tree into the open directory `dir` and gives the directory its times.
    fn directory(
        &mut self,
        tree_id: &GitOid,
        dir: BorrowedFd<'_>,
        prefix: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), CheckoutError> {
        if depth > MAX_DEPTH {
            return Err(hostile(prefix, "directories nest too deep"));
        }
        let entries = self.repo.tree_entries(tree_id)?;
        self.n_entries += entries.len();
        if self.n_entries > MAX_ENTRIES {
            return Err(hostile(prefix, "the tree has too many entries"));
        }
        for (mode, name, id) in entries {
            let prefix_len = prefix.len();
            prefix.extend_from_slice(&name);
            check_name(&name, mode == Some(EntryMode::Symlink))
                .map_err(|detail| hostile(prefix, &detail))?;
            match mode {
                None => {
                    let below = make_directory(dir, &name).map_err(|err| failed(prefix, err))?;
                    prefix.push(b'/');
                    self.directory(&id, below.as_fd(), prefix, depth + 1)?;
                }
                Some(mode) => self.file(mode, &id, dir, &name, prefix)?,
            }
            prefix.truncate(prefix_len);
        }
        rfs::futimens(dir, &self.times).map_err(|err| failed(prefix, err))
    }

    fn file(
        &mut self,
        mode: EntryMode,
        id: &GitOid,
        dir: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
    ) -> Result<(), CheckoutError> {
        let failed = |err: Errno| failed(path, err);
        let content = if mode == EntryMode::Submodule {
            let below = make_directory(dir, name).map_err(failed)?;
            rfs::futimens(below, &self.times).map_err(failed)?;
            submodule_digest(id)
        } else {
            let bytes = self.repo.read_blob(id, MAX_BLOB_BYTES)?;
            if mode == EntryMode::Symlink {
                self.link(&bytes, dir, name, path)?;
            } else {
                self.regular(mode, &bytes, dir, name, path)?;
            }
            Digest::of(&bytes)
        };
        let path = RepoPath::new(path).map_err(|err| hostile(path, &err.to_string()))?;
        self.files.push((path, mode, content));
        Ok(())
    }

    fn link(
        &self,
        target: &[u8],
        dir: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
    ) -> Result<(), CheckoutError> {
        if target.is_empty() || target.contains(&0) {
            return Err(hostile(path, "a link's target is empty or has a NUL byte"));
        }
        rfs::symlinkat(target, dir, name).map_err(|err| failed(path, err))?;
        rfs::utimensat(dir, name, &self.times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|err| failed(path, err))
    }

    fn regular(
        &self,
        mode: EntryMode,
        bytes: &[u8],
        dir: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
    ) -> Result<(), CheckoutError> {
        let permissions = if mode == EntryMode::Executable { 0o755 } else { 0o644 };
        let permissions = Mode::from_raw_mode(permissions);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let file = rfs::openat(dir, name, flags | OFlags::CLOEXEC, permissions)
            .map_err(|err| failed(path, err))?;
        let mut file = File::from(file);
        file.write_all(bytes)
            .map_err(|source| CheckoutError::Write { path: readable(path), source })?;
        rfs::fchmod(&file, permissions).map_err(|err| failed(path, err))?;
        rfs::futimens(&file, &self.times).map_err(|err| failed(path, err))
    }
}

/// Opens the destination and makes sure that nothing is in it.
fn open_empty(dest: &Path) -> Result<OwnedFd, CheckoutError> {
    let not_empty = || CheckoutError::NotEmpty { dest: dest.to_owned() };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = rfs::open(dest, flags, Mode::empty()).map_err(|_| not_empty())?;
    let entries = rfs::Dir::read_from(&dir).map_err(|_| not_empty())?;
    for entry in entries {
        let entry = entry.map_err(|_| not_empty())?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            return Err(not_empty());
        }
    }
    Ok(dir)
}

fn make_directory(dir: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let permissions = Mode::from_raw_mode(0o755);
    rfs::mkdirat(dir, name, permissions)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let below = rfs::openat(dir, name, flags, Mode::empty())?;
    rfs::fchmod(&below, permissions)?;
    Ok(below)
}

/// Refuses names that git refuses to check out: `.git` in every disguise, dots, links named `.gitmodules`.
pub(crate) fn check_name(name: &[u8], is_link: bool) -> Result<(), String> {
    if name.contains(&b'/') || name.contains(&0) {
        return Err("a name has a slash or a NUL byte".to_owned());
    }
    let options =
        component::Options { protect_windows: false, protect_hfs: true, protect_ntfs: true };
    let mode = is_link.then_some(component::Mode::Symlink);
    component_is_fine(name, mode, options)
}

/// Says what is wrong with a path that shall be written on any system: `.git` in all its spellings, devices and
/// forbidden endings of Windows.
///
/// # Errors
///
/// The first component's problem, in words.
pub fn check_portable_path(path: &RepoPath) -> Result<(), String> {
    if std::str::from_utf8(path.as_bytes()).is_err() {
        return Err("it is no utf-8".to_owned());
    }
    let options =
        component::Options { protect_windows: true, protect_hfs: true, protect_ntfs: true };
    let mut components = path.as_bytes().split(|byte| *byte == b'/');
    components.try_for_each(|name| component_is_fine(name, None, options))
}

fn component_is_fine(
    name: &[u8],
    mode: Option<component::Mode>,
    options: component::Options,
) -> Result<(), String> {
    gix::validate::path::component(name.into(), mode, options)
        .map(drop)
        .map_err(|err| err.to_string().to_lowercase())
}

fn times(mtime: Timestamp) -> Timestamps {
    let time = Timespec {
        tv_sec: mtime.as_secs(),
        tv_nsec: mtime.as_millis().rem_euclid(1000) * 1_000_000,
    };
    Timestamps { last_access: time, last_modification: time }
}

fn readable(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

fn hostile(path: &[u8], detail: &str) -> CheckoutError {
    CheckoutError::HostileName { path: readable(path), detail: detail.to_owned() }
}

fn failed(path: &[u8], err: Errno) -> CheckoutError {
    CheckoutError::Write { path: readable(path), source: err.into() }
}
