//! What the work tree holds beyond a commit: read, never written. Neither the index nor any file is touched.
//!
//! Git says which paths differ; the bytes are read here, without following a link on the way, and stored only when the caller
//! hands them back as blobs. Bytes are taken as they lie in the work tree: no clean filter, no line-end conversion.

use std::{
    collections::{BTreeMap, HashSet},
    ffi::OsStr,
    io::Read as _,
    os::unix::ffi::OsStrExt as _,
    path::PathBuf,
};

use carnet_core::{GitOid, RepoPath};
use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, readlinkat, statat},
    io::Errno,
};

use crate::{
    EntryMode, Head, HeadError, ObjectError, OpenError, ProgramError, Repo, TreeSpec, WriteError,
};

/// Largest file of a work tree that is read, in bytes.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// Why the work tree could not be read, or a tree made of it.
#[derive(Debug, thiserror::Error)]
pub enum WorkTreeError {
    /// There is none.
    #[error(transparent)]
    Bare(#[from] OpenError),
    /// Git could not say what differs.
    #[error("ask git what differs from the commit")]
    Program(#[from] ProgramError),
    /// A path that no tree can hold.
    #[error("`{0}` cannot stand in a tree")]
    Path(String),
    /// A file could not be read.
    #[error("read `{path}` in the work tree")]
    Io {
        /// The file.
        path: RepoPath,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file is larger than 256 MiB.
    #[error("`{path}` is larger than {MAX_FILE_BYTES} bytes")]
    TooLarge {
        /// The file.
        path: RepoPath,
    },
    /// HEAD could not be read.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The commit's tree could not be read.
    #[error("read the commit's tree")]
    Object(#[from] ObjectError),
    /// The new tree could not be written.
    #[error("write the tree")]
    Write(#[from] WriteError),
}

/// What stands at a path of the work tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkFile {
    /// A file or a link, with its bytes or its target.
    Bytes(EntryMode, Vec<u8>),
    /// A directory: a submodule, or what a file became.
    Directory,
    /// Nothing, or nothing that git could hold.
    Gone,
}

impl Repo {
    /// Returns the paths at which the work tree or the index may differ from a commit, sorted: changed, deleted, added, and
    /// untracked ones that git does not ignore. Nested repositories are left out.
    ///
    /// # Errors
    ///
    /// [`WorkTreeError`] when there is no work tree or git does not answer.
    pub fn uncommitted_paths(&self, commit_id: &GitOid) -> Result<Vec<RepoPath>, WorkTreeError> {
        self.require_work_tree()?;
        // Not `git diff`: it takes the lock of the index and writes it, whatever GIT_OPTIONAL_LOCKS says.
        let status = ["-c", "core.fsmonitor=false", "status", "--porcelain", "-z", "--no-renames"];
        let rest = ["--untracked-files=all", "--ignore-submodules=dirty"];
        let listed = self.run_git(&[&status[..], &rest].concat(), None)?;
        // Two letters and a space stand before each path.
        let listed = listed.split(|byte| *byte == 0).filter_map(|entry| entry.get(3..));
        let mut listed: Vec<&[u8]> = listed.collect();
        let head = match self.head()? {
            Head::Commit { commit_id, .. } => Some(commit_id),
            Head::Unborn { .. } => None,
        };
        let between = match head.filter(|head| head != commit_id) {
            Some(head) => {
                let (from, to) = (commit_id.to_string(), head.to_string());
                let diff = ["diff-tree", "-r", "-z", "--name-only", "--no-renames", &from, &to];
                self.run_git(&diff, None)?
            }
            None => Vec::new(),
        };
        listed.extend(between.split(|byte| *byte == 0));
        let mut paths = vec![];
        for path in listed.into_iter().filter(|path| !path.is_empty() && !path.ends_with(b"/")) {
            let named = || WorkTreeError::Path(String::from_utf8_lossy(path).into_owned());
            paths.push(RepoPath::new(path).map_err(|_| named())?);
        }
        paths.sort();
        paths.dedup();
        Ok(paths)
    }

    /// Returns the directories of the work tree that git does not ignore, absolute, its top first; `None` when there are more
    /// than `n_max`. No link is followed, and nested repositories are left out.
    ///
    /// # Errors
    ///
    /// [`WorkTreeError`] when there is no work tree or git does not answer. A directory that cannot be read is left out.
    pub fn work_dirs(&self, n_max: usize) -> Result<Option<Vec<PathBuf>>, WorkTreeError> {
        let top = self.require_work_tree()?;
        let others = ["ls-files", "-z", "--others", "--ignored", "--exclude-standard"];
        let ignored = self.run_git(&[&others[..], &["--directory"]].concat(), None)?;
        let ignored: HashSet<&[u8]> =
            ignored.split(|byte| *byte == 0).filter_map(|path| path.strip_suffix(b"/")).collect();
        let (mut dirs, mut next) = (vec![top.to_owned()], 0);
        while let Some(dir) = dirs.get(next).cloned() {
            next += 1;
            for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
                let path = entry.path();
                let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
                let below = path.strip_prefix(top).map(|path| path.as_os_str().as_bytes());
                let is_ignored = below.is_ok_and(|below| ignored.contains(below));
                let is_gits = entry.file_name() == ".git" || path.join(".git").exists();
                if is_dir && !is_ignored && !is_gits {
                    dirs.push(path);
                }
            }
            if dirs.len() > n_max {
                return Ok(None);
            }
        }
        Ok(Some(dirs))
    }

    /// Reads what stands at a path of the work tree; a link is read, not followed, and none on the way is either.
    ///
    /// # Errors
    ///
    /// [`WorkTreeError::Io`], and [`WorkTreeError::TooLarge`] beyond 256 MiB.
    pub fn read_work_file(&self, path: &RepoPath) -> Result<WorkFile, WorkTreeError> {
        let top = self.require_work_tree()?;
        match read_below(top, path) {
            Ok(Some(file)) => Ok(file),
            Ok(None) => Err(WorkTreeError::TooLarge { path: path.clone() }),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(WorkFile::Gone),
            Err(error) => Err(WorkTreeError::Io { path: path.clone(), source: error.into() }),
        }
    }

    /// Writes the tree of a commit with other files at some paths, and returns its name. `None` takes a path out; a
    /// submodule stays what the commit says.
    ///
    /// # Errors
    ///
    /// [`WorkTreeError`] when the commit's tree cannot be read or the new one not be written.
    pub fn write_tree_with(
        &self,
        commit_id: &GitOid,
        changes: &[(RepoPath, Option<(EntryMode, GitOid)>)],
    ) -> Result<GitOid, WorkTreeError> {
        let files = self.tree_files(commit_id)?;
        let mut files: BTreeMap<_, _> =
            files.into_iter().map(|file| (file.path, (file.mode, file.id))).collect();
        for (path, change) in changes {
            match change {
                Some(file) => drop(files.insert(path.clone(), *file)),
                None if files.get(path).is_some_and(|(mode, _)| *mode == EntryMode::Submodule) => {}
                None => drop(files.remove(path)),
            }
        }
        let spec = files
            .into_iter()
            .fold(TreeSpec::new(), |spec, (path, (mode, id))| spec.file(path, mode, id));
        Ok(self.write_tree(&spec)?)
    }
}

/// `None` when the file is too large.
fn read_below(top: &std::path::Path, path: &RepoPath) -> Result<Option<WorkFile>, Errno> {
    let dir_flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut dir: OwnedFd = openat(CWD, top, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut components: Vec<_> = path.as_bytes().split(|byte| *byte == b'/').collect();
    let name = OsStr::from_bytes(components.pop().unwrap_or_default());
    for component in components {
        dir = openat(&dir, OsStr::from_bytes(component), dir_flags, Mode::empty())?;
    }
    let stat = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => {
            let target = readlinkat(&dir, name, Vec::new())?;
            Ok(Some(WorkFile::Bytes(EntryMode::Symlink, target.into_bytes())))
        }
        FileType::RegularFile => {
            let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = std::fs::File::from(openat(&dir, name, flags, Mode::empty())?);
            let mode =
                if stat.st_mode & 0o100 != 0 { EntryMode::Executable } else { EntryMode::File };
            let mut bytes = vec![];
            let read = file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
            read.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
            let fits = bytes.len() as u64 <= MAX_FILE_BYTES;
            Ok(fits.then_some(WorkFile::Bytes(mode, bytes)))
        }
        FileType::Directory => Ok(Some(WorkFile::Directory)),
        _ => Ok(Some(WorkFile::Gone)),
    }
}
