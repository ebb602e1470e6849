//! Appending to this clone's log.
//!
//! Invariants: when [`append_audit`] returns, the lines are on the disk. One process of a clone appends at a time. The clone
//! remembers its last line beside the repository: when the log does not hold that line any more, the next line names it all the
//! same, so that the hole stays visible to everyone, for good.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use carnet_access::{dsse::Signatures, keys::SigningKey};
use carnet_core::{Digest, GitOid};
use carnet_git::{Author, CommitSpec, RefError, RefUpdateError, Repo, Turn, WriteError, take_turn};
use serde::{Deserialize, Serialize};

use super::{
    AUDIT_FORMAT, AUDIT_PAYLOAD_TYPE, AUDIT_REFS, AuditEntry, AuditEvent,
    chain::{Batch, Batches},
};

/// Most events of one call, and so of one commit.
pub const BATCH_MAX: usize = 1_000;
/// How long another process of this clone is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
/// How often a ref that moved is tried again; only a process without the lock can move it.
const ATTEMPTS_MAX: u32 = 16;

/// Why events could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// More than [`BATCH_MAX`] at once.
    #[error("{0} events at once are more than {BATCH_MAX}")]
    TooMany(usize),
    /// An object could not be written.
    #[error("write the audit event")]
    Write(#[from] WriteError),
    /// The log's refs could not be read.
    #[error("read the audit log's refs")]
    Refs(#[from] RefError),
    /// The log's ref could not be moved.
    #[error("append to the audit log")]
    Update(#[from] RefUpdateError),
    /// The end of the log is damaged: what follows it would be lost with it.
    #[error("the audit log `{name}` cannot be read at its end: {message}")]
    Damaged {
        /// The ref.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// What this clone remembers of its log could not be read or kept.
    #[error("keep the place of the audit log in `{path}`")]
    Mark {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Others were faster, every time.
    #[error("another process appends to the audit log without end")]
    Contended,
}

/// The line that this clone wrote last, as it remembers it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Its place.
    pub(super) n: u64,
    /// Its SHA-256.
    pub(super) line: Digest,
    /// The commit that it ends: where that is the log's newest, its line need not be read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) commit: Option<GitOid>,
}

impl Mark {
    fn path(repo: &Repo) -> PathBuf {
        repo.state_dir().join("audit").join("last-line.json")
    }

    /// Reads what the clone remembers; nothing where it never wrote, or where a power loss left half a file.
    pub(super) fn read(repo: &Repo) -> Option<Mark> {
        serde_json::from_slice(&fs::read(Mark::path(repo)).ok()?).ok()
    }

    fn keep(self, repo: &Repo) -> Result<(), AuditError> {
        let path = Mark::path(repo);
        let beside = path.with_extension("new");
        let text = serde_json::to_vec(&self).expect("because a mark has string keys");
        fs::write(&beside, text)
            .and_then(|()| fs::rename(&beside, &path))
            .map_err(|source| AuditError::Mark { path, source })
    }
}

/// Appends events, in order, as one commit of this clone's log. None at all is done at once.
///
/// # Errors
///
/// [`AuditError`]. But for [`AuditError::Mark`] the log is then unchanged.
pub fn append_audit(
    repo: &Repo,
    key: &SigningKey,
    events: &[AuditEvent],
) -> Result<(), AuditError> {
    let Some(newest) = events.iter().map(|event| event.at).max() else { return Ok(()) };
    if events.len() > BATCH_MAX {
        return Err(AuditError::TooMany(events.len()));
    }
    let _turn = my_turn(&repo.state_dir().join("audit"))?;
    let writer = key.public().writer();
    let prefix = format!("{AUDIT_REFS}{writer}/");
    for _ in 0..ATTEMPTS_MAX {
        let today = format!("{prefix}{}", newest.day());
        let (name, after, previous) = match still_there(repo, &today)? {
            Some(mark) => (today, Some(mark), mark.commit),
            None => place_of(repo, &prefix, today)?,
        };
        let (spec, mark) = commit(repo, key, events, after, previous)?;
        let commit_id = repo.write_commit(&spec)?;
        let mark = Mark { commit: Some(commit_id), ..mark };
        let subject = spec.message.lines().next().unwrap_or_default();
        match repo.update_ref(&name, &commit_id, previous.as_ref(), subject) {
            Ok(()) => return mark.keep(repo),
            Err(RefUpdateError::Raced { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(AuditError::Contended)
}

/// What this clone remembers, where that is what today's log ends with: nearly always, and then nothing else need be read.
fn still_there(repo: &Repo, today: &str) -> Result<Option<Mark>, AuditError> {
    let Some(mark) = Mark::read(repo) else { return Ok(None) };
    let Some(commit) = mark.commit else { return Ok(None) };
    let is_there = repo.read_ref(today)? == Some(commit) && repo.has_object(&commit);
    Ok(is_there.then_some(mark))
}

/// Where the next line goes, by the whole log: the day, the line and the commit that it follows.
type Place = (String, Option<Mark>, Option<GitOid>);

fn place_of(repo: &Repo, prefix: &str, today: String) -> Result<Place, AuditError> {
    let mut days = repo.list_refs(prefix)?;
    // A clock that went back does not reopen a day that another has followed.
    let name = match days.last() {
        Some((last, _)) if *last > today => last.clone(),
        _ => today,
    };
    let after = end_of(repo, &days)?;
    let previous = days.pop_if(|(last, _)| *last == name).map(|(_, tip)| tip);
    Ok((name, after, previous))
}

/// The line that the next one follows: the last of the log; or, where the log lacks the one that this clone remembers, that one.
fn end_of(repo: &Repo, days: &[(String, GitOid)]) -> Result<Option<Mark>, AuditError> {
    let mark = Mark::read(repo);
    let Some((name, tip)) = days.last() else { return Ok(mark) };
    let damaged = |message| AuditError::Damaged { name: name.clone(), message };
    let batch = Batch::read(repo, *tip).map_err(damaged)?;
    let last = batch.last();
    let last = Mark { n: last.entry.n, line: last.digest, commit: Some(*tip) };
    match mark {
        // Nearly always: what was read just now need not be read again.
        Some(mark)
            if last.n >= mark.n && batch.lines.iter().any(|line| line.digest == mark.line) =>
        {
            Ok(Some(last))
        }
        Some(mark) if !holds(repo, days, mark) => Ok(Some(mark)),
        _ => Ok(Some(last)),
    }
}

/// Whether a remembered line stands in the two newest days: nearly always in the newest commit, after a crash in one before.
fn holds(repo: &Repo, days: &[(String, GitOid)], mark: Mark) -> bool {
    days.iter().rev().take(2).any(|(_, tip)| {
        Batches::new(repo, *tip)
            .map_while(Result::ok)
            .take_while(|batch| batch.last().entry.n >= mark.n)
            .any(|batch| batch.lines.iter().any(|line| line.digest == mark.line))
    })
}

fn commit(
    repo: &Repo,
    key: &SigningKey,
    events: &[AuditEvent],
    mut after: Option<Mark>,
    previous: Option<GitOid>,
) -> Result<(CommitSpec, Mark), AuditError> {
    let writer = key.public().writer();
    let mut body = String::new();
    let mut line = String::new();
    for (event_idx, event) in events.iter().enumerate() {
        let entry = AuditEntry {
            format: AUDIT_FORMAT.to_owned(),
            writer: writer.clone(),
            public_key: (event_idx == 0 && previous.is_none()).then(|| key.public().to_string()),
            n: after.map_or(1, |mark| mark.n.saturating_add(1)),
            previous: after.map(|mark| mark.line),
            event: event.clone(),
        };
        line = serde_json::to_string(&entry).expect("because an entry has string keys");
        after = Some(Mark { n: entry.n, line: Digest::of(line.as_bytes()), commit: None });
        body += &line;
        body.push('\n');
    }
    let signatures = Signatures::sign(AUDIT_PAYLOAD_TYPE, line.as_bytes(), key);
    let signatures = String::from_utf8_lossy(&signatures.to_json()).into_owned();
    let spec = CommitSpec {
        tree: repo.empty_tree(),
        parents: previous.into_iter().collect(),
        message: format!("{}\n\n{body}{signatures}\n", subject(events)),
        author: Author { name: "carnet".to_owned(), email: format!("{writer}@carnet.invalid") },
        time: events.last().expect("because there is an event").at,
    };
    Ok((spec, after.expect("because there is an event")))
}

fn subject(events: &[AuditEvent]) -> String {
    match events {
        [one] => {
            let gate: String = one.at_gate.chars().filter(|it| !it.is_control()).take(60).collect();
            format!("{} at {gate}", one.event.word())
        }
        many => format!("{} events", many.len()),
    }
}

/// Waits for this process's turn to append. A file system without locks gives none; the compare-and-swap of the ref still holds then.
fn my_turn(dir: &Path) -> Result<Turn, AuditError> {
    let path = dir.join("lock");
    match take_turn(&path, LOCK_PATIENCE) {
        Ok(Turn::Late) => Err(AuditError::Contended),
        Ok(turn) => Ok(turn),
        Err(source) => Err(AuditError::Mark { path, source }),
    }
}
