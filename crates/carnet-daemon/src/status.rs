//! How fresh the index is, with a daemon or without one.

use carnet_core::{Digest, GitOid, Timestamp};
use carnet_git::{Head, HeadError, Repo};
use carnet_index::{Coverage, IndexError, Snapshot};

use crate::{
    Client, ClientError, RefreshRecord, lock::read_holder, paths::Paths, protocol::DaemonStatus,
    record,
};

/// Most commits that are counted; beyond it the index is behind by an unknown number.
const BEHIND_MAX: u32 = 1000;

/// How far a snapshot is behind HEAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// Commits along first parents from HEAD back to the snapshot's commit: 0 when it is level; `None` when
    /// there is no snapshot, or its commit is not among HEAD's last 1,000 (another branch, an amended
    /// commit).
    pub behind_commits: Option<u32>,
    /// Seconds since the oldest commit that is missing was made, by its own clock, at least 0; 0 when
    /// level; `None` when `behind_commits` is.
    pub seconds: Option<u64>,
}

impl Freshness {
    /// Tells whether the snapshot is of HEAD.
    pub fn is_level(&self) -> bool {
        self.behind_commits == Some(0)
    }

    const UNKNOWN: Freshness = Freshness { behind_commits: None, seconds: None };
}

/// How the index of a repository stands, seen from one of its worktrees.
#[derive(Debug)]
pub struct Status {
    /// The daemon, if one answers.
    pub daemon: DaemonState,
    /// The current snapshot, if there is one that can be read.
    pub indexed: Option<Indexed>,
    /// Why there is a snapshot that cannot be read; the next refresh heals it.
    pub snapshot_error: Option<IndexError>,
    /// HEAD of the asking worktree; `None` before its first commit.
    pub head: Option<GitOid>,
    /// How far the snapshot is behind that HEAD.
    pub freshness: Freshness,
    /// The last hundred refreshes that succeeded, whoever did them, the newest last.
    pub refreshes: Vec<RefreshRecord>,
    /// What the index takes on the disk.
    pub sizes: Sizes,
}

/// What the index takes on the disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    /// What each blob says.
    pub facts: u64,
    /// The snapshots that are kept.
    pub snapshots: u64,
    /// The words, without the vectors.
    pub words: u64,
    /// The vectors, with the graph of their neighbours.
    pub vectors: u64,
}

impl Sizes {
    fn of(index_dir: &std::path::Path) -> Sizes {
        let size = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |it| it.len());
        let sum = |name: &str| -> u64 {
            let entries = std::fs::read_dir(index_dir.join(name)).into_iter().flatten().flatten();
            entries.map(|entry| size(&entry.path())).sum()
        };
        let vectors = ["words/vectors", "words/neighbours"].map(|it| size(&index_dir.join(it)));
        let vectors = vectors.into_iter().sum();
        Sizes {
            facts: size(&index_dir.join("facts.redb")),
            snapshots: sum("snapshots"),
            words: sum("words").saturating_sub(vectors),
            vectors,
        }
    }

    /// Returns all of them together.
    pub fn total(&self) -> u64 {
        self.facts + self.snapshots + self.words + self.vectors
    }
}

/// Whether a daemon runs.
#[derive(Debug)]
pub enum DaemonState {
    /// It answers.
    Running(Box<DaemonStatus>),
    /// None answers.
    Away {
        /// What the lock says of one that was killed, or that starts or ends just now.
        last_pid: Option<u32>,
    },
    /// Something answers, or should, and cannot be talked to.
    Unclear(ClientError),
}

/// The current snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indexed {
    /// Its commit.
    pub commit: GitOid,
    /// Digest of all that it says, apart from when it was made.
    pub content: Digest,
    /// When it was made: the last update.
    pub created_at: Timestamp,
    /// What it covers, with the numbers of files, symbols and calls.
    pub coverage: Coverage,
    /// What the words leave out, since the ceiling of memory has no room for it.
    pub left_out: Option<&'static str>,
}

/// Why the question could not be answered.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// HEAD could not be read.
    #[error(transparent)]
    Head(#[from] HeadError),
}

/// Returns how the index stands; nothing is started or changed.
///
/// - `now`: the current time.
///
/// # Errors
///
/// [`StatusError`] when HEAD cannot be read. A daemon that is away, or a damaged snapshot, is an answer.
pub fn status(repo: &Repo, now: Timestamp) -> Result<Status, StatusError> {
    let paths = Paths::of(repo);
    let daemon = daemon_state(repo, &paths);
    let (indexed, snapshot_error) = match Snapshot::open_current(&paths.index_dir) {
        Ok(snapshot) => (snapshot.map(|it| Indexed::of(&it, &paths.index_dir)), None),
        Err(err) => (None, Some(err)),
    };
    let head = match repo.head()? {
        Head::Commit { commit_id, .. } => Some(commit_id),
        Head::Unborn { .. } => None,
    };
    let freshness = match (&indexed, &head) {
        (Some(indexed), Some(head)) => freshness(repo, &indexed.commit, head, now),
        _ => Freshness::UNKNOWN,
    };
    let (refreshes, sizes) = (record::read(&paths.history()), Sizes::of(&paths.index_dir));
    Ok(Status { daemon, indexed, snapshot_error, head, freshness, refreshes, sizes })
}

impl Indexed {
    fn of(snapshot: &Snapshot, index_dir: &std::path::Path) -> Indexed {
        Indexed {
            commit: snapshot.commit(),
            content: snapshot.content_digest(),
            created_at: snapshot.created_at(),
            coverage: snapshot.coverage(),
            left_out: carnet_index::left_out(index_dir),
        }
    }
}

fn daemon_state(repo: &Repo, paths: &Paths) -> DaemonState {
    let asked = match Client::connect(repo) {
        Ok(Some(mut client)) => client.status().map(Some),
        Ok(None) => Ok(None),
        Err(err) => Err(err),
    };
    match asked {
        Ok(Some(status)) => DaemonState::Running(Box::new(status)),
        Err(err) if !err.is_away() => DaemonState::Unclear(err),
        _ => DaemonState::Away { last_pid: read_holder(&paths.lock()).map(|holder| holder.pid) },
    }
}

/// Returns how far a snapshot of `indexed` is behind `head`. An object that cannot be read ends the count
/// as unknown.
pub fn freshness(repo: &Repo, indexed: &GitOid, head: &GitOid, now: Timestamp) -> Freshness {
    if indexed == head {
        return Freshness { behind_commits: Some(0), seconds: Some(0) };
    }
    let (mut behind, mut oldest_missing) = (0, now);
    for commit in repo.first_parents(head) {
        let Ok(commit) = commit else { return Freshness::UNKNOWN };
        if commit.id == *indexed {
            let seconds = now.as_secs().saturating_sub(oldest_missing.as_secs());
            let seconds = u64::try_from(seconds).unwrap_or(0);
            return Freshness { behind_commits: Some(behind), seconds: Some(seconds) };
        }
        if behind == BEHIND_MAX {
            return Freshness::UNKNOWN;
        }
        behind += 1;
        oldest_missing = commit.time;
    }
    Freshness::UNKNOWN
}
