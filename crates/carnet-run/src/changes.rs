//! What a run changed in its workspace, as a patch that `git apply` takes.
//!
//! Looks only at what the throw-away layer holds, so the cost is that of the changes. Only regular files come back, below a
//! size, without set-id bits, seen by the guard; nothing that programs of the host obey when they see it; and nothing of a
//! repository inside the workspace. Whatever is left behind is named with the reason.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, DirBuilder},
    io::{self, Read as _},
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, symlink},
    },
    path::{Path, PathBuf},
};

use carnet_core::{GitOid, RepoPath, Timestamp, passport::Withheld};
use carnet_git::{EntryMode, ObjectError, ProgramError, Repo, scrubbed_git};
use carnet_guard::Guard;
use carnet_policy::HiddenFiles;
use carnet_sandbox::OverlayAfter;

use crate::{
    collect::{open, withheld},
    planted::{Nested, planted},
};

/// Name of the artifact that holds the patch.
pub const PATCH_NAME: &str = "changes.patch";
/// Bytes of a file that a patch may hold.
const FILE_BYTES_MAX: u64 = 32 << 20;
/// Paths that one patch may change.
const PATHS_MAX: usize = 20_000;
/// Bytes of a patch at most.
const PATCH_BYTES_MAX: usize = 64 << 20;

/// Why there is no patch.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// The layer or the scratch directory could not be read or written.
    #[error("read what the run changed")]
    Io(#[from] io::Error),
    /// The commit's files could not be read.
    #[error("read the commit's files")]
    Object(#[from] ObjectError),
    /// There is no git.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Git made no patch.
    #[error("make a patch of `{bytes}` bytes: git said `{said}`")]
    Git {
        /// Bytes it wrote.
        bytes: usize,
        /// What it complained about.
        said: String,
    },
}

/// What is compared with what.
pub struct Changes<'a> {
    /// The repository.
    pub repo: &'a Repo,
    /// The tree that the run saw.
    pub tree: GitOid,
    /// What lies over it.
    pub overlay: &'a OverlayAfter,
    /// What the run did not see of it.
    pub hidden: &'a HiddenFiles,
    /// What of it the lane may change.
    pub writable: &'a dyn Fn(&Path) -> bool,
    /// Sees every file.
    pub guard: &'a Guard<'a>,
    /// The time.
    pub now: Timestamp,
}

/// A patch, and what it does not hold.
#[derive(Debug, Default)]
pub struct Patch {
    /// Unified diff with git's extended headers; empty when nothing changed.
    pub bytes: Vec<u8>,
    /// What was left behind, sorted by name.
    pub withheld: Vec<Withheld>,
}

/// One file before and after.
struct Change {
    path: RepoPath,
    before: Option<(EntryMode, Vec<u8>)>,
    after: Option<(bool, Vec<u8>)>,
}

impl Changes<'_> {
    /// Makes the patch; `scratch` is an empty directory for it.
    ///
    /// # Errors
    ///
    /// [`PatchError`].
    pub fn patch(&self, scratch: &Path) -> Result<Patch, PatchError> {
        let before: BTreeMap<RepoPath, (EntryMode, GitOid)> = self
            .repo
            .tree_files(&self.tree)?
            .into_iter()
            .map(|file| (file.path, (file.mode, file.id)))
            .collect();
        let touched = self.touched(&before)?;
        let merged = self.overlay.merged();
        let mut nested = Nested::new(&merged);
        let mut patch = Patch::default();
        let mut n_changes = 0;
        for path in touched {
            let refused = self.refusal(&path, &mut nested, n_changes);
            let change = match refused {
                None => self.change(&path, before.get(&path))?,
                Some(reason) => Err(reason),
            };
            match change {
                Ok(None) => {}
                Ok(Some(change)) => {
                    change.write(scratch)?;
                    n_changes += 1;
                }
                Err(reason) => patch.withheld.push(withheld(&path.to_text(), &reason)),
            }
        }
        if n_changes > 0 {
            patch.bytes = diff(scratch)?;
        }
        Ok(patch)
    }

    /// Returns every path that the layer holds or hides, as a file.
    fn touched(
        &self,
        before: &BTreeMap<RepoPath, (EntryMode, GitOid)>,
    ) -> io::Result<BTreeSet<RepoPath>> {
        let root = self.overlay.changes();
        let merged = self.overlay.merged();
        let mut touched = BTreeSet::new();
        let mut pending = vec![PathBuf::new()];
        while let Some(dir) = pending.pop() {
            if !dir.as_os_str().is_empty() {
                // A directory that was made again hides what it held, and so does a file in a directory's place.
                touched.extend(gone_below(before, &dir, &merged));
            }
            for entry in fs::read_dir(root.join(&dir))? {
                let entry = entry?;
                let relative = dir.join(entry.file_name());
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    pending.push(relative);
                    continue;
                }
                touched.extend(gone_below(before, &relative, &merged));
                let is_whiteout = kind.is_char_device() && entry.metadata()?.rdev() == 0;
                let path = RepoPath::new(relative.as_os_str().as_bytes());
                if let Some(path) =
                    path.ok().filter(|path| !is_whiteout || before.contains_key(path))
                {
                    touched.insert(path);
                }
            }
        }
        Ok(touched)
    }

    fn refusal(
        &self,
        path: &RepoPath,
        nested: &mut Nested<'_>,
        n_changes: usize,
    ) -> Option<String> {
        let text = path.to_text();
        let as_path = Path::new(std::ffi::OsStr::from_bytes(path.as_bytes()));
        if let Some(component) = planted(&text) {
            return Some(format!("programs of the host obey `{component}`"));
        }
        if nested.hold(as_path) {
            return Some("in a repository inside the workspace".to_owned());
        }
        if self.hidden.hides(as_path) {
            return Some("hidden from this lane".to_owned());
        }
        if !(self.writable)(as_path) {
            return Some("not among the files that this lane may change".to_owned());
        }
        (n_changes >= PATHS_MAX).then(|| format!("one of more than {PATHS_MAX} changes"))
    }

    /// Compares one file; `Ok(None)` where nothing changed, the inner `Err` is why it stays behind.
    fn change(
        &self,
        path: &RepoPath,
        before: Option<&(EntryMode, GitOid)>,
    ) -> Result<Result<Option<Change>, String>, PatchError> {
        let place = self.overlay.merged().join(std::ffi::OsStr::from_bytes(path.as_bytes()));
        let after = match fs::symlink_metadata(&place) {
            Ok(meta) if meta.is_dir() => None,
            Ok(meta) => Some(meta),
            Err(error) if is_absent(&error) => None,
            Err(error) => return Err(error.into()),
        };
        let before = match before {
            Some((EntryMode::Submodule, _)) => return Ok(Ok(None)),
            Some((mode, id)) => Some((*mode, self.repo.read_blob(id, u64::MAX)?)),
            None => None,
        };
        let after = match after {
            None => None,
            Some(meta) if meta.file_type().is_symlink() => {
                let target = fs::read_link(&place)?.into_os_string().into_vec();
                let same = matches!(&before, Some((EntryMode::Symlink, was)) if *was == target);
                return Ok(if same { Ok(None) } else { Err("not a regular file".to_owned()) });
            }
            Some(meta) if !meta.is_file() => return Ok(Err("not a regular file".to_owned())),
            Some(meta) if meta.mode() & 0o6000 != 0 => {
                return Ok(Err("has a set-id bit".to_owned()));
            }
            Some(meta) if meta.len() > FILE_BYTES_MAX => {
                return Ok(Err("larger than 32 MiB".to_owned()));
            }
            Some(meta) => Some((meta.mode() & 0o100 != 0, read(&place)?)),
        };
        let is_same = match (&before, &after) {
            (None, None) => true,
            (Some((mode, was)), Some((executable, is))) => {
                was == is && (*mode == EntryMode::Executable) == *executable
            }
            _ => false,
        };
        if is_same {
            return Ok(Ok(None));
        }
        if let Some((_, bytes)) = &after {
            let mut scan = self.guard.examine_artifact(&path.to_text(), self.now);
            scan.push(bytes);
            if let Some(rule) = scan.finish() {
                return Ok(Err(format!("holds a finding of rule {rule}")));
            }
        }
        Ok(Ok(Some(Change { path: path.clone(), before, after })))
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = vec![];
    open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Files of the tree below `dir` that are not there any more.
fn gone_below<'b>(
    before: &'b BTreeMap<RepoPath, (EntryMode, GitOid)>,
    dir: &Path,
    merged: &Path,
) -> impl Iterator<Item = RepoPath> + 'b {
    let mut prefix = dir.as_os_str().as_bytes().to_vec();
    prefix.push(b'/');
    let merged = merged.to_owned();
    // Hidden files are not there either, and are sorted out with all that is refused.
    before
        .keys()
        .filter(move |path| path.as_bytes().starts_with(&prefix))
        .filter(move |path| {
            let place = merged.join(std::ffi::OsStr::from_bytes(path.as_bytes()));
            fs::symlink_metadata(place).is_err()
        })
        .cloned()
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

impl Change {
    /// Writes both sides below `a` and `b`.
    fn write(&self, scratch: &Path) -> io::Result<()> {
        let relative = Path::new(std::ffi::OsStr::from_bytes(self.path.as_bytes()));
        let place = |side: &str| -> io::Result<PathBuf> {
            let place = scratch.join(side).join(relative);
            DirBuilder::new().recursive(true).create(place.parent().unwrap_or(scratch))?;
            Ok(place)
        };
        match &self.before {
            Some((EntryMode::Symlink, target)) => {
                symlink(std::ffi::OsStr::from_bytes(target), place("a")?)?;
            }
            Some((mode, bytes)) => write(&place("a")?, *mode == EntryMode::Executable, bytes)?,
            None => {}
        }
        match &self.after {
            Some((executable, bytes)) => write(&place("b")?, *executable, bytes),
            None => Ok(()),
        }
    }
}

fn write(place: &Path, executable: bool, bytes: &[u8]) -> io::Result<()> {
    let mode = if executable { 0o755 } else { 0o644 };
    let mut file = fs::File::options().write(true).create_new(true).mode(mode).open(place)?;
    io::Write::write_all(&mut file, bytes)
}

/// Has git compare the two sides, which hold nothing but the changed files.
fn diff(scratch: &Path) -> Result<Vec<u8>, PatchError> {
    for side in ["a", "b"] {
        DirBuilder::new().recursive(true).create(scratch.join(side))?;
    }
    let mut git = scrubbed_git()?;
    git.env("GIT_CEILING_DIRECTORIES", scratch)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_ATTR_NOSYSTEM", "1");
    git.args(["diff", "--no-index", "--binary", "--full-index", "--no-renames", "--no-color"]);
    git.args(["--no-ext-diff", "--no-textconv", "--no-prefix", "a", "b"]);
    let output = git.current_dir(scratch).output()?;
    // 1 is what git says when there are differences, as there are.
    if output.status.code() != Some(1) || output.stdout.len() > PATCH_BYTES_MAX {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(PatchError::Git { bytes: output.stdout.len(), said });
    }
    Ok(output.stdout)
}
