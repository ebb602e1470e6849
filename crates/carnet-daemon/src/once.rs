//! `carnet daemon --once`: one refresh, for cron and for places where nothing may stay running.

use std::{
    thread,
    time::{Duration, Instant},
};

use carnet_core::{GitOid, Timestamp};
use carnet_git::{Head, OpenError, Repo};
use carnet_index::{RefreshReport, Snapshot};

use crate::{
    Client, ClientError, LockError, RefreshError, Waited,
    lock::{FileLock, Holder},
    paths::Paths,
    work::refresh,
};

/// How long a daemon is given to bring the index to HEAD.
const DAEMON_TIME: Duration = Duration::from_secs(600);

/// How long another single refresh is waited for, and how often it is asked whether it has ended.
const TURN_PATIENCE: Duration = Duration::from_secs(120);
const TURN_PAUSE: Duration = Duration::from_millis(10);

/// What a single refresh came to. In every case but the last the current snapshot is of `commit`.
#[derive(Debug)]
pub enum Once {
    /// It was done here.
    Refreshed {
        /// HEAD.
        commit: GitOid,
        /// What was done.
        report: Box<RefreshReport>,
    },
    /// A daemon did it, or had done it.
    ByDaemon {
        /// HEAD.
        commit: GitOid,
    },
    /// The index was at HEAD already.
    AlreadyFresh {
        /// HEAD.
        commit: GitOid,
    },
    /// HEAD has no commit yet.
    NothingToIndex,
}

/// Why the index is not at HEAD.
#[derive(Debug, thiserror::Error)]
pub enum OnceError {
    /// The refresh failed.
    #[error(transparent)]
    Refresh(#[from] RefreshError),
    /// Another process holds the lock and answers no questions, or the lock cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The daemon could not be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The daemon could not bring the index there.
    #[error("the daemon could not refresh the index: {0}")]
    Daemon(String),
}

impl From<OpenError> for OnceError {
    fn from(err: OpenError) -> OnceError {
        OnceError::Refresh(err.into())
    }
}

/// Brings the index to the HEAD of the worktree that `repo` was opened in.
///
/// Does it here when no daemon keeps the repository, else asks the daemon and waits, ten minutes at most. Of several that do it at
/// once, one works and the others wait for it.
///
/// - `now`: the time that the snapshot is made at.
///
/// # Errors
///
/// [`OnceError`]; the current snapshot is then as before.
pub fn refresh_once(repo: &Repo, now: Timestamp) -> Result<Once, OnceError> {
    let Head::Commit { commit_id, tree_id, .. } = repo.head().map_err(RefreshError::from)? else {
        return Ok(Once::NothingToIndex);
    };
    let paths = Paths::of(repo);
    let holder = Holder { pid: std::process::id(), started_at: now, socket: None };
    let begun = Instant::now();
    let held = loop {
        match FileLock::take(&paths.lock(), &holder) {
            Ok(lock) => break lock,
            Err(held @ LockError::Held { .. }) => match Client::connect(repo)? {
                Some(daemon) => return ask_daemon(daemon, &commit_id),
                None if begun.elapsed() > TURN_PATIENCE => return Err(held.into()),
                None => thread::sleep(TURN_PAUSE),
            },
            Err(err) => return Err(err.into()),
        }
    };
    let current = Snapshot::open_current(&paths.index_dir).ok().flatten();
    if current.is_some_and(|snapshot| snapshot.commit() == commit_id) {
        return Ok(Once::AlreadyFresh { commit: commit_id });
    }
    let (_, report) = refresh(&paths, repo.git_dir(), commit_id, tree_id, now)?;
    drop(held);
    Ok(Once::Refreshed { commit: commit_id, report: Box::new(report) })
}

fn ask_daemon(mut client: Client, commit: &GitOid) -> Result<Once, OnceError> {
    client.refresh()?;
    match client.wait_fresh(commit, DAEMON_TIME)? {
        Waited::Fresh { commit } => Ok(Once::ByDaemon { commit }),
        Waited::Late { .. } => Err(OnceError::Daemon("it took more than ten minutes".to_owned())),
        Waited::Failed { error } => Err(OnceError::Daemon(error)),
    }
}
