//! Outputs become artifacts, and artifacts become files again. The forms are `docs/format/artifacts.md`.
//!
//! A small artifact is a git blob in the tree of its run; a large one is a content of the store, and a pointer stands in
//! the tree. Which of the two is told by the passport: the blob has the artifact's digest, or it is a pointer to it.
//!
//! Invariants: no byte is written before the guard saw all of them; a file that [`get`] leaves behind is whole and has
//! the digest that was asked for.

use std::{
    fs::{self, File},
    io::{self, Read, Seek as _, Write},
    path::{Path, PathBuf},
};

use carnet_core::{Digest, Digester, GitOid, RepoPath, Timestamp, passport::Artifact};
use carnet_git::{
    EntryMode, ObjectError, Pointer, Repo, WriteError, check_portable_path,
    store::{ContentError, DirStore, Lease, StoreError, Stores, survey},
};
use carnet_guard::Guard;

use crate::collect::{media_type, open};

/// The largest artifact that becomes a git blob unless configured otherwise, in bytes.
pub const BLOB_BYTES_MAX: u64 = 1 << 20;
/// The most that can be configured: a blob is held in memory.
pub const BLOB_BYTES_CEILING: u64 = 64 << 20;

/// The configuration key of the store that clones share: `s3://BUCKET/PREFIX`, or an absolute directory.
pub const STORE_KEY: &str = "carnet.store";
/// The configuration key of the largest artifact that becomes a git blob, in bytes.
pub const BLOB_BYTES_KEY: &str = "carnet.artifactBlobBytes";
/// The configuration key of the directory of backups.
pub const BACKUP_DIR_KEY: &str = "carnet.backupDir";

/// Returns a repository's own content store.
pub fn own_store(repo: &Repo) -> DirStore {
    DirStore::new(repo.state_dir().join("store"))
}

/// Returns the stores of a repository as git's configuration names them. Nothing is opened yet.
///
/// # Errors
///
/// [`StoreError::Address`] for an address that is none.
pub fn stores(repo: &Repo) -> Result<Stores, ArtifactError> {
    let mut stores = Stores::own(own_store(repo));
    if let Some(address) = repo.config_get(STORE_KEY) {
        stores.shared = Some(carnet_git::store::at(&address)?);
    }
    let backups = repo.config_get(BACKUP_DIR_KEY);
    stores.spare = backups.iter().map(|dir| DirStore::new(Path::new(dir).join("store"))).collect();
    Ok(stores)
}

/// Returns the largest artifact that becomes a git blob, in bytes, as configured.
///
/// # Errors
///
/// [`ArtifactError::Config`] when it is no number, or more than [`BLOB_BYTES_CEILING`].
pub fn blob_bytes_max(repo: &Repo) -> Result<u64, ArtifactError> {
    let Some(text) = repo.config_get(BLOB_BYTES_KEY) else { return Ok(BLOB_BYTES_MAX) };
    let bytes = text.parse().ok().filter(|bytes| *bytes <= BLOB_BYTES_CEILING);
    bytes.ok_or(ArtifactError::Config { key: BLOB_BYTES_KEY, value: text })
}

/// An output that is stored, and not yet named by a run.
pub struct KeptOutput {
    /// Path relative to the workspace.
    pub path: RepoPath,
    /// The blob that stands in the tree: the bytes, or a pointer.
    pub blob_id: GitOid,
    /// Digest of that blob's bytes.
    pub blob_sha256: Digest,
    /// What the passport says of it.
    pub artifact: Artifact,
}

/// What became of an output.
pub enum Kept {
    /// It is stored.
    Stored(KeptOutput),
    /// It holds what must not be stored; nothing of it was written.
    Withheld {
        /// The rule that says so.
        rule: String,
    },
}

/// Why an artifact could not be stored or got.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The configuration is wrong.
    #[error("`{key}` is `{value}`, not a number of bytes up to {BLOB_BYTES_CEILING}")]
    Config {
        /// Which key.
        key: &'static str,
        /// Its value.
        value: String,
    },
    /// A name that not every system can hold, or that git keeps for itself.
    #[error("`{name}` is no name for an artifact: {detail}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The file could not be read or written.
    #[error("{deed} `{}`", path.display())]
    Io {
        /// What was tried.
        deed: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Git could not store it.
    #[error("write the artifact into the repository")]
    Git(#[from] WriteError),
    /// Git could not give it.
    #[error("read the artifact from the repository")]
    Object(#[from] ObjectError),
    /// The content store could not store or give it.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// What stands in the run's tree is neither the artifact nor a pointer to it.
    #[error("`{name}` is neither the artifact that the passport names nor a pointer to it")]
    NotTheArtifact {
        /// Its name.
        name: String,
    },
    /// The run's tree has no such file.
    #[error("commit `{commit}` has no file `{path}`")]
    Missing {
        /// The commit.
        commit: GitOid,
        /// The file.
        path: String,
    },
}

impl From<StoreError> for ArtifactError {
    fn from(error: StoreError) -> ArtifactError {
        ArtifactError::Content(error.into())
    }
}

fn io(deed: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ArtifactError + use<> {
    let path = path.to_owned();
    move |source| ArtifactError::Io { deed, path, source }
}

/// Examines files and stores them. Keep it until a ref names what it stored: it keeps removal away.
pub struct Keeper<'a> {
    repo: &'a Repo,
    stores: &'a Stores,
    guard: &'a Guard<'a>,
    blob_bytes_max: u64,
    lease: Option<Lease>,
    not_shared: Vec<(String, String)>,
}

impl<'a> Keeper<'a> {
    /// Takes what is needed to examine and store.
    pub fn new(
        repo: &'a Repo,
        stores: &'a Stores,
        guard: &'a Guard<'a>,
        blob_bytes_max: u64,
    ) -> Keeper<'a> {
        Keeper { repo, stores, guard, blob_bytes_max, lease: None, not_shared: vec![] }
    }

    /// Examines a file and stores it under its digest.
    ///
    /// # Errors
    ///
    /// [`ArtifactError`]; nothing names what was written by then.
    pub fn keep(
        &mut self,
        path: &RepoPath,
        source: &Path,
        executable: bool,
        now: Timestamp,
    ) -> Result<Kept, ArtifactError> {
        check_portable_path(path)
            .map_err(|detail| ArtifactError::Name { name: path.to_text(), detail })?;
        let mut file = open(source).map_err(io("open", source))?;
        let mut scan = self.guard.examine_artifact(&path.to_text(), now);
        let mut begin = vec![];
        let limit = self.blob_bytes_max.saturating_add(1);
        Read::take(&mut file, limit).read_to_end(&mut begin).map_err(io("read", source))?;
        let is_small = begin.len() as u64 <= self.blob_bytes_max;
        let (pointer, blob) = if is_small {
            scan.push(&begin);
            if let Some(rule) = scan.finish() {
                return Ok(Kept::Withheld { rule });
            }
            let size_bytes = begin.len() as u64;
            (Pointer { digest: Digest::of(&begin), size_bytes }, begin)
        } else {
            drop(begin);
            file.rewind().map_err(io("read", source))?;
            let list = survey(&mut file, &mut |bytes| scan.push(bytes))?;
            if let Some(rule) = scan.finish() {
                return Ok(Kept::Withheld { rule });
            }
            file.rewind().map_err(io("read", source))?;
            if self.lease.is_none() {
                self.lease = Some(self.stores.own.lease()?);
            }
            self.stores.put(&list, &mut file)?;
            if let Err(error) = self.stores.share(&list.pointer.digest) {
                let why = crate::record::describe_chain(&error);
                self.not_shared.push((path.to_text(), why));
            }
            (list.pointer, list.pointer.to_text().into_bytes())
        };
        let artifact = Artifact {
            name: path.to_text(),
            sha256: pointer.digest,
            size_bytes: pointer.size_bytes,
            media_type: media_type(path).to_owned(),
            executable,
        };
        let blob_id = self.repo.write_blob(&blob)?;
        let blob_sha256 = Digest::of(&blob);
        Ok(Kept::Stored(KeptOutput { path: path.clone(), blob_id, blob_sha256, artifact }))
    }

    /// Lets removal go on, and returns what the shared store does not have yet: (name, why).
    pub fn finish(self) -> Vec<(String, String)> {
        self.not_shared
    }
}

/// Where the bytes of an artifact are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In git, as this blob.
    Blob(GitOid),
    /// In the content store.
    Store(Pointer),
}

/// Tells where the bytes of an artifact are, from the blob that stands for it in a tree.
///
/// # Errors
///
/// [`ArtifactError::NotTheArtifact`], and [`ArtifactError::Object`] when git cannot read the blob.
pub fn place(
    repo: &Repo,
    blob_id: &GitOid,
    name: &str,
    sha256: Digest,
) -> Result<Place, ArtifactError> {
    let size_bytes = repo.blob_size(blob_id)?;
    if size_bytes <= Pointer::BYTES_MAX {
        let bytes = repo.read_blob(blob_id, Pointer::BYTES_MAX)?;
        if Digest::of(&bytes) != sha256 {
            let pointer = Pointer::parse(&bytes).filter(|pointer| pointer.digest == sha256);
            let wrong = || ArtifactError::NotTheArtifact { name: name.to_owned() };
            return pointer.map(Place::Store).ok_or_else(wrong);
        }
    }
    Ok(Place::Blob(*blob_id))
}

/// Finds a file of a run commit, such as `artifacts/dist/app.tar`, that has this digest.
///
/// # Errors
///
/// [`ArtifactError::Missing`], and those of [`place`].
pub fn find(
    repo: &Repo,
    commit: GitOid,
    path: &str,
    sha256: Digest,
) -> Result<Place, ArtifactError> {
    let missing = || ArtifactError::Missing { commit, path: path.to_owned() };
    let repo_path = RepoPath::new(path.as_bytes()).map_err(|_| missing())?;
    let (mode, blob_id) = repo.entry_at(&commit, &repo_path)?.ok_or_else(missing)?;
    if !matches!(mode, EntryMode::File | EntryMode::Executable) {
        return Err(missing());
    }
    place(repo, &blob_id, path, sha256)
}

/// Largest blob that is read as an artifact, in bytes: what the guard examines, no more, was ever written.
const READ_BYTES_MAX: u64 = 1 << 30;

/// Opens an artifact. A damaged content gives an error before its damaged bytes.
///
/// # Errors
///
/// [`ArtifactError`].
pub fn read<'a>(
    repo: &Repo,
    stores: &'a Stores,
    place: &Place,
) -> Result<Box<dyn Read + 'a>, ArtifactError> {
    Ok(match place {
        Place::Blob(blob_id) => Box::new(io::Cursor::new(repo.read_blob(blob_id, READ_BYTES_MAX)?)),
        Place::Store(pointer) => Box::new(stores.open(&pointer.digest)?),
    })
}

/// Reads an artifact to its end and compares its digest.
///
/// # Errors
///
/// [`ArtifactError`] says what is missing or damaged, and where.
pub fn check(
    repo: &Repo,
    stores: &Stores,
    place: &Place,
    name: &str,
    sha256: Digest,
) -> Result<(), ArtifactError> {
    copy(&mut *read(repo, stores, place)?, &mut io::sink(), name, sha256)
}

/// Copies while it digests, and says whether the bytes are the artifact.
fn copy(
    source: &mut dyn Read,
    target: &mut dyn Write,
    name: &str,
    sha256: Digest,
) -> Result<(), ArtifactError> {
    let mut digester = Digester::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        let n_bytes = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(n_bytes) => n_bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unwrap_content(error)),
        };
        digester.update(&buffer[..n_bytes]);
        target.write_all(&buffer[..n_bytes]).map_err(ContentError::Write)?;
    }
    let is_it = digester.finish() == sha256;
    if is_it { Ok(()) } else { Err(ArtifactError::NotTheArtifact { name: name.to_owned() }) }
}

/// Finds out what a reader of an artifact means by its error.
pub(crate) fn unwrap_content(error: io::Error) -> ArtifactError {
    match error.downcast::<ContentError>() {
        Ok(content) => content.into(),
        Err(error) => ContentError::Read(error).into(),
    }
}

/// Writes an artifact to a file, verifying while it writes; when it fails there is no file.
///
/// - `may_replace`: whether a file that is there may be replaced.
///
/// # Errors
///
/// [`ArtifactError`].
pub fn get(
    source: &mut dyn Read,
    target: &Path,
    artifact: &Artifact,
    may_replace: bool,
) -> Result<(), ArtifactError> {
    let dir = target.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(".".as_ref());
    let file_name = target.file_name().unwrap_or_default().to_string_lossy();
    let beside = dir.join(format!(".{file_name}.carnet-{}", std::process::id()));
    let mut file = File::create_new(&beside).map_err(io("write", &beside))?;
    let mut written = copy(source, &mut file, &artifact.name, artifact.sha256);
    if written.is_ok() {
        written = settle(&file, &beside, target, artifact.executable, may_replace)
            .map_err(io("write", target));
    }
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

fn settle(
    file: &File,
    beside: &Path,
    target: &Path,
    executable: bool,
    may_replace: bool,
) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    if executable {
        let mode = file.metadata()?.permissions().mode();
        // Who may read may execute.
        file.set_permissions(fs::Permissions::from_mode(mode | (mode & 0o444) >> 2))?;
    }
    file.sync_all()?;
    if may_replace {
        fs::rename(beside, target)
    } else {
        fs::hard_link(beside, target)?;
        fs::remove_file(beside)
    }
}
