//! The two jobs: looking where HEAD stands, and refreshing the index. Blocking; run beside the loop.

use std::{
    cell::RefCell,
    error::Error,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use carnet_core::{Digest, Digester, GitOid, Timestamp};
use carnet_git::{EntryMode, HeadError, ObjectError, OpenError, Repo};
use carnet_index::{
    BlobError, BlobSource, IndexError, IndexStore, RefreshReport, RefreshRequest, Snapshot,
    SourceFile, vectors::GraphState,
};

use crate::{
    RefreshRecord, Worktree,
    overlay::{Overlay, overlay},
    paths::{Paths, dir_identity, real},
    record,
    state::{Backups, Head, Look},
};

/// Largest blob that is read, in bytes; the parser declines far smaller ones and says so.
const BLOB_BYTES_MAX: u64 = 64 << 20;

/// Why the index could not be brought to a commit.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The repository could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// HEAD could not be read.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The commit or one of its trees could not be read.
    #[error("list the files of commit `{commit}`")]
    Tree {
        /// The commit.
        commit: GitOid,
        /// Why.
        #[source]
        source: ObjectError,
    },
    /// The index could not be written.
    #[error("refresh the index to commit `{commit}`")]
    Index {
        /// The commit.
        commit: GitOid,
        /// Why.
        #[source]
        source: IndexError,
    },
}

/// The repository that the daemon started in, to know when it is gone or another one.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    pub paths: Paths,
    /// Device and inode of the common directory.
    identity: Option<(u64, u64)>,
}

impl Home {
    pub fn new(paths: Paths) -> Home {
        let identity = dir_identity(&paths.common_dir);
        Home { paths, identity }
    }

    fn is_gone(&self) -> bool {
        dir_identity(&self.paths.common_dir) != self.identity
    }
}

/// Looks where the HEAD of a worktree and the index stand.
pub(crate) fn look(home: &Home, worktree: &Worktree) -> Look {
    let head = guarded(|| look_at_head(home, worktree)).unwrap_or_else(Head::Unreadable);
    let indexed = guarded(|| Snapshot::open_current(&home.paths.index_dir));
    // A damaged snapshot counts as none: the refresh that follows heals it.
    let indexed = indexed.ok().and_then(Result::ok).flatten().map(|snapshot| snapshot.commit());
    let repo = guarded(|| open(home)).ok().flatten();
    let backups = repo.as_ref().and_then(look_at_backups);
    let rotates = repo.as_ref().is_some_and(|repo| {
        repo.config_get("carnet.rotateKeys").is_some_and(|it| it.eq_ignore_ascii_case("true"))
    });
    let refs = repo.and_then(|repo| guarded(|| look_at_refs(&repo, &head)).ok().flatten());
    Look { head, indexed, backups, rotates, refs }
}

fn open(home: &Home) -> Option<Repo> {
    let repo = Repo::discover(&home.paths.common_dir).ok()?;
    // While a repository is being deleted, the search may end at another one above it.
    (!home.is_gone() && real(repo.common_dir()) == home.paths.common_dir).then_some(repo)
}

/// Says what refs name, carnet's own left out, where `carnet init` was typed.
fn look_at_refs(repo: &Repo, head: &Head) -> Option<Digest> {
    repo.state_dir().join("signing-key.pem").exists().then_some(())?;
    let mut digester = Digester::new();
    if let Head::At { commit, .. } = head {
        digester.field(commit.as_bytes());
    }
    // Detached heads of other worktrees are no refs.
    for entry in std::fs::read_dir(repo.common_dir().join("worktrees")).into_iter().flatten() {
        digester.field(&std::fs::read(entry.ok()?.path().join("HEAD")).unwrap_or_default());
    }
    let ours = ["refs/carnet/", "refs/notes/carnet/"];
    for (name, id) in repo.list_refs("refs/").ok()? {
        if !ours.iter().any(|prefix| name.starts_with(prefix)) {
            digester.field(name.as_bytes()).field(id.as_bytes());
        }
    }
    Some(digester.finish())
}

/// Says when the last backup was made, where git's configuration names a directory for them.
fn look_at_backups(repo: &Repo) -> Option<Backups> {
    repo.config_get("carnet.backupDir").filter(|dir| !dir.is_empty())?;
    let last = std::fs::read_to_string(repo.state_dir().join("last-backup")).ok();
    Some(Backups { last: last.and_then(|text| Timestamp::parse(text.trim())), now: now() })
}

/// Has this very program make a backup and remove old ones: what it takes to do so is not the daemon's to know.
pub(crate) fn back_up(home: &Home) -> Result<(), String> {
    have_done(home, &["backup", "create", "--prune"], &[0])
}

/// Has this very program make a new key for tokens where one is due: in the work tree, for someone to commit.
pub(crate) fn rotate(home: &Home) -> Result<(), String> {
    let top = open(home).and_then(|repo| repo.work_tree().map(ToOwned::to_owned));
    let top = top.ok_or("there is no work tree")?;
    have_done_in(&top, &["auth", "rotate", "--if-due"], &[0])
}

/// Has this very program bring what belongs to the vectors up to date, where something of it is due: it takes minutes and
/// memory that the daemon does not keep.
pub(crate) fn vectors(home: &Home) -> Result<(), String> {
    let Some(repo) = open(home) else { return Ok(()) };
    let keys = ["carnet.embeddingEndpoint", "carnet.embeddingDirectory"];
    let has_model = keys.iter().any(|key| repo.config_get(key).is_some());
    let is_due = has_model || graph_state(&repo).map_err(|err| chain(&err))? == GraphState::Due;
    match is_due {
        true => have_done(home, &["daemon", "vectors"], &[0]),
        false => Ok(()),
    }
}

/// Vectors that are looked through one by one when git's configuration does not say otherwise; above it a graph is made.
const EXACT_VECTORS: usize = 200_000;

/// Returns how it stands with the graph of a repository's vectors.
///
/// # Errors
///
/// [`IndexError`] where the vectors or the snapshots cannot be read.
pub fn graph_state(repo: &Repo) -> Result<GraphState, IndexError> {
    let configured = repo.config_get("carnet.exactVectors").and_then(|text| text.parse().ok());
    let exact_max = configured.unwrap_or(EXACT_VECTORS);
    carnet_index::vectors::graph_state(&crate::index_dir(repo), exact_max, memory_bytes_max(repo))
}

/// Has this very program examine the commits that no hook saw; what it flags is an answer, too.
pub(crate) fn examine(home: &Home) -> Result<(), String> {
    have_done(home, &["scan", "--unexamined"], &[0, 1])
}

fn have_done(home: &Home, args: &[&str], codes: &[i32]) -> Result<(), String> {
    have_done_in(&home.paths.common_dir, args, codes)
}

fn have_done_in(dir: &Path, args: &[&str], codes: &[i32]) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|err| chain(&err))?;
    let mut command = std::process::Command::new(program);
    command.args(args).current_dir(dir);
    let ended = command.stdin(std::process::Stdio::null()).output().map_err(|err| chain(&err))?;
    if ended.status.code().is_some_and(|code| codes.contains(&code)) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    Err(format!("{}: {}", ended.status, said.lines().next().unwrap_or_default()))
}

fn look_at_head(home: &Home, worktree: &Worktree) -> Head {
    let git_dir = worktree.git_dir(&home.paths.common_dir);
    if home.is_gone() || dir_identity(&git_dir).is_none() {
        return Head::Gone;
    }
    let repo = match Repo::discover(&git_dir) {
        // While a repository is being deleted, the search may end at another one above it.
        Ok(repo) if real(repo.common_dir()) != home.paths.common_dir => {
            return Head::Unreadable("another repository answers in its place".to_owned());
        }
        Ok(repo) => repo,
        Err(err) => return Head::Unreadable(chain(&err)),
    };
    match repo.head() {
        Ok(carnet_git::Head::Commit { commit_id, tree_id, .. }) => {
            Head::At { commit: commit_id, tree: tree_id }
        }
        Ok(carnet_git::Head::Unborn { .. }) => Head::Unborn,
        Err(err) => Head::Unreadable(chain(&err)),
    }
}

/// Refreshes the index and says how it went, in a form that fits the log.
pub(crate) fn refresh_for_daemon(
    home: &Home,
    worktree: &Worktree,
    commit: GitOid,
    tree: GitOid,
) -> Result<RefreshRecord, String> {
    let git_dir = worktree.git_dir(&home.paths.common_dir);
    let refreshed = guarded(|| refresh(&home.paths, &git_dir, commit, tree, now()))?;
    refreshed.map(|(record, _)| record).map_err(|err| chain(&err))
}

/// Brings the index to a commit. The caller holds the repository's lock.
pub(crate) fn refresh(
    paths: &Paths,
    git_dir: &Path,
    commit: GitOid,
    tree: GitOid,
    now: Timestamp,
) -> Result<(RefreshRecord, RefreshReport), RefreshError> {
    let began = Instant::now();
    let repo = Repo::discover(git_dir)?;
    let files = source_files(&repo, &tree);
    let files = files.map_err(|source| RefreshError::Tree { commit, source })?;
    let index = |source| RefreshError::Index { commit, source };
    let blobs = RepoBlobs::new(git_dir);
    let memory_bytes_max = Some(memory_bytes_max(&repo));
    let request = RefreshRequest { commit, tree, files, memory_bytes_max };
    let mut store = open_in_turn(&paths.index_dir).map_err(index)?;
    let report = store.refresh(&request, &blobs, now);
    let report = report.map_err(index)?;
    let record = RefreshRecord {
        commit,
        ended_at: self::now(),
        duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        n_files: report.n_files,
        n_parsed: report.n_parsed,
        n_unread: report.n_unread,
    };
    if let Err(err) = record::add(&paths.history(), &record) {
        tracing::warn!(target: "carnet::daemon", "write the record of the refresh: {err}");
    }
    Ok((record, report))
}

/// How long another writer of the index is waited for, and how often it is asked whether it has ended.
const TURN_PATIENCE: Duration = Duration::from_secs(120);
const TURN_PAUSE: Duration = Duration::from_millis(10);

/// Opens the index for writing; a refresh that is under way elsewhere, as that of somebody's edits, is waited for.
pub(crate) fn open_in_turn(index_dir: &Path) -> Result<IndexStore, IndexError> {
    let begun = Instant::now();
    loop {
        match IndexStore::open(index_dir) {
            Err(IndexError::Busy(_)) if begun.elapsed() < TURN_PATIENCE => {
                std::thread::sleep(TURN_PAUSE);
            }
            other => return other,
        }
    }
}

/// Most directories of a work tree that are watched.
const TREE_DIRS_MAX: usize = 16_384;

/// What a look at the uncommitted edits of a worktree found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EditsLook {
    /// The directories in which edits may happen; why there is no list of them.
    pub dirs: Result<Vec<PathBuf>, String>,
    /// The edits; `None` while the index is at another commit than the worktree.
    pub edits: Option<Result<EditsSeen, String>>,
}

/// Uncommitted edits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EditsSeen {
    /// Files that differ from the commit.
    pub n_files: u32,
    /// Digest of the index with them; `None` where there are none.
    pub content: Option<Digest>,
}

/// Makes the index of a worktree's uncommitted edits, so that whoever asks next finds it made.
pub(crate) fn look_at_edits(home: &Home, worktree: &Worktree) -> EditsLook {
    let git_dir = worktree.git_dir(&home.paths.common_dir);
    let repo = match guarded(|| Repo::discover(&git_dir)) {
        Ok(Ok(repo)) if real(repo.common_dir()) == home.paths.common_dir => repo,
        Ok(Ok(_)) => return EditsLook { dirs: Err("the repository is gone".into()), edits: None },
        Ok(Err(err)) => return EditsLook { dirs: Err(chain(&err)), edits: None },
        Err(error) => return EditsLook { dirs: Err(error), edits: None },
    };
    // The directories first: what changes in one of them after the look at the files is heard.
    let dirs = match guarded(|| repo.work_dirs(TREE_DIRS_MAX)) {
        Ok(Ok(Some(dirs))) => Ok(dirs),
        Ok(Ok(None)) => Err(format!(
            "the work tree has more than {TREE_DIRS_MAX} directories; edits are looked for every 30 s"
        )),
        Ok(Err(err)) => Err(chain(&err)),
        Err(error) => Err(error),
    };
    let edits = guarded(|| seen_edits(home, &repo)).unwrap_or_else(|error| Some(Err(error)));
    EditsLook { dirs, edits }
}

fn seen_edits(home: &Home, repo: &Repo) -> Option<Result<EditsSeen, String>> {
    let (commit, tree) = match repo.head() {
        Ok(carnet_git::Head::Commit { commit_id, tree_id, .. }) => (commit_id, tree_id),
        Ok(carnet_git::Head::Unborn { .. }) => return None,
        Err(err) => return Some(Err(chain(&err))),
    };
    let current = Snapshot::open_current(&home.paths.index_dir).ok().flatten()?;
    if current.commit() != commit {
        return None; // The refresh that is due leads to another look.
    }
    Some(match overlay(repo, &commit, &tree, now()) {
        Ok(None) => Ok(EditsSeen { n_files: 0, content: None }),
        Ok(Some(Overlay { snapshot, paths })) => Ok(EditsSeen {
            n_files: u32::try_from(paths.len()).unwrap_or(u32::MAX),
            content: Some(snapshot.content_digest()),
        }),
        Err(err) => Err(chain(&err)),
    })
}

/// What a refresh may take when git's configuration does not say otherwise, in MiB.
const MEMORY_MIB: u64 = 600;

/// Returns how much memory a refresh may take, in bytes.
pub(crate) fn memory_bytes_max(repo: &Repo) -> u64 {
    let configured = repo.config_get("carnet.memoryMiB").and_then(|text| text.parse().ok());
    configured.unwrap_or(MEMORY_MIB).saturating_mul(1 << 20)
}

/// Returns the files of a commit or tree that an index is made of.
pub(crate) fn source_files(
    repo: &Repo,
    commit_or_tree: &GitOid,
) -> Result<Vec<SourceFile>, ObjectError> {
    let is_file = |mode| matches!(mode, EntryMode::File | EntryMode::Executable);
    let files = repo.tree_files(commit_or_tree)?.into_iter().filter(|file| is_file(file.mode));
    Ok(files.map(|file| SourceFile { path: file.path, blob: file.id }).collect())
}

/// Returns the blobs of a repository, for whoever shows what a search found.
pub fn blobs(repo: &Repo) -> impl BlobSource + use<> {
    RepoBlobs::new(repo.git_dir())
}

/// Blobs of a repository for several threads: each opens it once for one refresh.
struct RepoBlobs {
    git_dir: PathBuf,
    /// Tells this refresh from others, so that a thread that outlives one does not keep what it opened.
    refresh: u64,
}

/// The refreshes that this process has begun.
static N_REFRESHES: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static OPENED: RefCell<Option<(u64, Repo)>> = const { RefCell::new(None) };
}

impl RepoBlobs {
    fn new(git_dir: &Path) -> RepoBlobs {
        let refresh = N_REFRESHES.fetch_add(1, Ordering::Relaxed);
        RepoBlobs { git_dir: git_dir.to_owned(), refresh }
    }
}

impl BlobSource for RepoBlobs {
    fn read(&self, blob: &GitOid) -> Result<Vec<u8>, BlobError> {
        OPENED.with_borrow_mut(|opened| {
            let repo = match opened {
                Some((refresh, repo)) if *refresh == self.refresh => repo,
                _ => {
                    let repo = Repo::discover(&self.git_dir);
                    let repo = repo.map_err(|err| BlobError(Box::new(err)))?;
                    &mut opened.insert((self.refresh, repo)).1
                }
            };
            repo.read_blob(blob, BLOB_BYTES_MAX).map_err(|err| BlobError(Box::new(err)))
        })
    }
}

/// Where the last panic happened. Its message is not kept: it may quote source text.
static PANICKED_AT: Mutex<Option<String>> = Mutex::new(None);

/// Makes panics quiet and remembers where they happened.
pub(crate) fn remember_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
        *PANICKED_AT.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }));
}

/// Runs something; a panic in it becomes a text.
fn guarded<T>(deed: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(deed)).map_err(|_| {
        let place = PANICKED_AT.lock().unwrap_or_else(PoisonError::into_inner).take();
        format!("a bug in carnet: panic at {}", place.as_deref().unwrap_or("an unknown place"))
    })
}

/// An error and its causes on one line.
pub(crate) fn chain(err: &dyn Error) -> String {
    let (mut text, mut cause) = (err.to_string(), err.source());
    while let Some(err) = cause {
        text = format!("{text}: {err}");
        cause = err.source();
    }
    text
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_system_time(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_text_without_its_message() {
        let error = guarded(|| panic!("secret source text")).map(|(): ()| ()).unwrap_err();
        assert!(error.starts_with("a bug in carnet"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn a_directory_that_was_replaced_is_gone() {
        let root = tempfile::tempdir().unwrap();
        let common_dir = root.path().join("repo");
        std::fs::create_dir(&common_dir).unwrap();
        let repo = carnet_testkit::TestRepo::init();
        let opened = Repo::discover(repo.path()).unwrap();
        let mut paths = Paths::of(&opened);
        paths.common_dir.clone_from(&common_dir);
        let home = Home::new(paths);
        assert!(matches!(look(&home, &Worktree::Main).head, Head::Unreadable(_)));
        std::fs::rename(&common_dir, root.path().join("old")).unwrap();
        assert_eq!(look(&home, &Worktree::Main).head, Head::Gone);
        std::fs::create_dir(&common_dir).unwrap();
        assert_eq!(look(&home, &Worktree::Main).head, Head::Gone);
    }
}
