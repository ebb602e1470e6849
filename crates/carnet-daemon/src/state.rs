//! What the daemon decides: a pure function of its state and an event.
//!
//! No clock, no file, no socket: time is an argument in milliseconds of a clock that never goes back, and
//! every deed is an [`Effect`] whose result returns as an [`Event`].
//!
//! How it thinks: every event that may mean "HEAD moved" counts up `asked`. A look at HEAD remembers the
//! count at which it began, so it is known to be recent enough or not, and any number of events during one
//! look or refresh lead to one more look. The *target* is the worktree of the oldest waiter or, when nobody
//! waits, the one that asked or hinted last.
//!
//! Invariants:
//! - At most one job is under way.
//! - A waiter is answered exactly once: at once, when the index is level, at a failure, at its deadline, or
//!   when the daemon ends.
//! - A refresh that failed is not tried again on the same commit before its pause is over.

use std::{collections::VecDeque, path::PathBuf};

use carnet_core::{Digest, GitOid, Timestamp};

use crate::{
    RefreshRecord, Worktree,
    protocol::{Answer, DaemonStatus, Request, WAIT_MS_MAX, WatchMode},
    work::EditsLook,
};

mod edits;
#[cfg(test)]
mod tests;

use edits::Edits;

/// First pause after a failed refresh; it doubles with each failure.
const PAUSE_MS_MIN: u64 = 1_000;
/// Longest pause.
const PAUSE_MS_MAX: u64 = 60_000;

/// After a backup ended, well or not, none is begun for so long.
const BACKUP_PAUSE_MS: u64 = 3_600_000;

/// After it was seen whether a new key for tokens is due, it is not looked again for so long.
const ROTATE_PAUSE_MS: u64 = 24 * 3_600_000;

/// After the vectors could not be looked after, it is not tried again for so long.
const VECTORS_PAUSE_MS: u64 = 60_000;

/// After a look at new commits failed, none is begun for so long.
const EXAMINE_PAUSE_MS: u64 = 60_000;

/// Names one request while it waits for its answer.
pub(crate) type RequestId = u64;

/// Everything that can happen.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// The loop begins.
    Started,
    /// Something in the git directory changed, or changes may have been missed.
    Stirred,
    /// A point in time was reached: the one that [`State::next_wake_ms`] named, or a later one.
    Tick,
    /// The look that [`Effect::Look`] asked for.
    Looked(Look),
    /// The refresh that [`Effect::Refresh`] asked for.
    RefreshEnded(Result<RefreshRecord, String>),
    /// The backup that [`Effect::Backup`] asked for.
    BackupEnded(Result<(), String>),
    /// What [`Effect::Rotate`] asked for.
    RotateEnded(Result<(), String>),
    /// What [`Effect::Vectors`] asked for, of the index at this commit.
    VectorsEnded(GitOid, Result<(), String>),
    /// The examination that [`Effect::Examine`] asked for, of what refs named then.
    Examined(Digest, Result<(), String>),
    /// Someone asks.
    Asked(RequestId, Request),
    /// The watcher began, grew or failed.
    WatchChanged(WatchMode),
    /// Something in the work tree changed, or changes may have been missed.
    EditsStirred,
    /// The look at the edits of a worktree that [`Effect::LookAtEdits`] asked for.
    EditsLooked(Worktree, EditsLook),
    /// How it went to watch the work tree, and whether directories were new.
    EditsWatched(WatchMode, bool),
    /// The system asks the daemon to end.
    Signalled,
}

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    pub head: Head,
    /// The commit of the current snapshot on disk.
    pub indexed: Option<GitOid>,
    /// How it stands with backups; `None` where none are configured.
    pub backups: Option<Backups>,
    /// Whether git's configuration leaves the keys for tokens to the daemon.
    pub rotates: bool,
    /// Digest of what refs name; `None` where carnet is not set up, or they cannot be read.
    pub refs: Option<Digest>,
}

/// How it stands with backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backups {
    /// When the last one was made.
    pub last: Option<Timestamp>,
    /// When the look was taken.
    pub now: Timestamp,
}

/// Where the HEAD of a worktree stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Head {
    At {
        commit: GitOid,
        tree: GitOid,
    },
    /// No commit yet.
    Unborn,
    /// HEAD cannot be read now.
    Unreadable(String),
    /// The worktree is gone; of the main one: the repository is gone.
    Gone,
}

/// Everything that can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Look where HEAD and the index stand; ends with [`Event::Looked`].
    Look(Worktree),
    /// Bring the index to a commit; ends with [`Event::RefreshEnded`].
    Refresh { worktree: Worktree, commit: GitOid, tree: GitOid },
    /// Make a backup, beside everything else; ends with [`Event::BackupEnded`].
    Backup,
    /// Make a new key for tokens, where one is due, beside everything else; ends with [`Event::RotateEnded`].
    Rotate,
    /// Bring what belongs to the vectors up to date with the index at a commit, beside everything else; ends with
    /// [`Event::VectorsEnded`].
    Vectors(GitOid),
    /// Examine the commits that refs name and no hook saw, beside everything else; ends with [`Event::Examined`].
    Examine(Digest),
    /// Look at the uncommitted edits of a worktree, beside everything else; ends with [`Event::EditsLooked`].
    LookAtEdits(Worktree),
    /// Watch these directories of the work tree and no others, or none; ends with [`Event::EditsWatched`].
    WatchEdits(Option<Result<Vec<PathBuf>, String>>),
    /// Answer a request.
    Answer(RequestId, Answer),
    /// Compare what is watched with what is there.
    Rewatch,
    /// Write a line to the log.
    Note(String),
    /// End.
    Exit(StopReason),
}

/// Why a daemon ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// A client asked it to.
    Requested,
    /// The system asked it to (SIGTERM, SIGINT, SIGHUP).
    Signalled,
    /// Nothing was asked and no commit came for the idle time.
    Idle,
    /// The repository is gone.
    RepositoryGone,
}

/// The times the daemon keeps, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub idle_exit_ms: u64,
    pub poll_ms: u64,
}

/// What never changes while the daemon lives.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub pid: u32,
    pub version: String,
    pub started_at: Timestamp,
}

/// The one thing under way.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Job {
    Idle,
    Looking { worktree: Worktree, began: u64 },
    Refreshing { worktree: Worktree, began: u64, commit: GitOid },
}

/// The last look.
#[derive(Debug)]
struct Seen {
    worktree: Worktree,
    began: u64,
    head: Head,
}

#[derive(Debug)]
struct Waiter {
    id: RequestId,
    worktree: Worktree,
    commit: GitOid,
    deadline_ms: u64,
    /// Only a look that began at this count or later says where the asker's HEAD is.
    asked: u64,
}

#[derive(Debug)]
struct Failure {
    commit: GitOid,
    n: u32,
    retry_at_ms: u64,
    message: String,
}

/// HEAD could not be read. It is looked at again after a pause: whoever is deleting or repairing the
/// repository may finish without a further notice.
#[derive(Debug)]
struct HeadError {
    n: u32,
    retry_at_ms: u64,
    message: String,
}

/// All that the daemon knows.
#[derive(Debug)]
pub(crate) struct State {
    timing: Timing,
    identity: Identity,
    focus: Worktree,
    asked: u64,
    job: Job,
    seen: Option<Seen>,
    indexed: Option<GitOid>,
    waiters: VecDeque<Waiter>,
    failure: Option<Failure>,
    head_error: Option<HeadError>,
    last_refresh: Option<RefreshRecord>,
    n_refreshes: u64,
    watch: WatchMode,
    active_ms: u64,
    poll_at_ms: u64,
    is_backing_up: bool,
    backup_not_before_ms: u64,
    is_rotating: bool,
    rotate_not_before_ms: u64,
    is_at_vectors: bool,
    /// The commit whose vectors were looked after last.
    vectors_at: Option<GitOid>,
    vectors_not_before_ms: u64,
    is_examining: bool,
    /// What refs named at the last examination that succeeded.
    examined: Option<Digest>,
    examine_not_before_ms: u64,
    /// Edits that somebody asked about lately.
    edits: Option<Edits>,
    has_ended: bool,
}

impl State {
    pub fn new(
        timing: Timing,
        identity: Identity,
        focus: Worktree,
        last_refresh: Option<RefreshRecord>,
        now_ms: u64,
    ) -> State {
        State {
            timing,
            identity,
            focus,
            asked: 0,
            job: Job::Idle,
            seen: None,
            indexed: None,
            waiters: VecDeque::new(),
            failure: None,
            head_error: None,
            last_refresh,
            n_refreshes: 0,
            watch: WatchMode::Polling { reason: "not watching yet".to_owned() },
            active_ms: now_ms,
            poll_at_ms: now_ms.saturating_add(timing.poll_ms),
            is_backing_up: false,
            backup_not_before_ms: now_ms,
            is_rotating: false,
            rotate_not_before_ms: now_ms,
            is_at_vectors: false,
            vectors_at: None,
            vectors_not_before_ms: now_ms,
            is_examining: false,
            examined: None,
            examine_not_before_ms: now_ms,
            edits: None,
            has_ended: false,
        }
    }

    /// Takes one event and says what to do, in order. After [`Effect::Exit`] nothing is done any more.
    pub fn step(&mut self, now_ms: u64, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.has_ended {
            if let Event::Asked(id, _) = event {
                effects.push(Effect::Answer(id, ending()));
            }
            return effects;
        }
        match event {
            Event::Started => self.asked += 1,
            Event::Stirred => {
                self.asked += 1;
                effects.push(Effect::Rewatch);
            }
            Event::Tick => self.tick(now_ms, &mut effects),
            Event::Looked(look) => self.looked(now_ms, look, &mut effects),
            Event::RefreshEnded(result) => self.refresh_ended(now_ms, result, &mut effects),
            Event::BackupEnded(result) => {
                self.is_backing_up = false;
                self.backup_not_before_ms = now_ms.saturating_add(BACKUP_PAUSE_MS);
                effects.push(Effect::Note(match result {
                    Ok(()) => "backup made".to_owned(),
                    Err(message) => format!("backup failed: {message}"),
                }));
            }
            Event::RotateEnded(result) => {
                self.is_rotating = false;
                self.rotate_not_before_ms = now_ms.saturating_add(ROTATE_PAUSE_MS);
                if let Err(message) = result {
                    effects.push(Effect::Note(format!("no new key for tokens: {message}")));
                }
            }
            Event::VectorsEnded(commit, result) => {
                // The index may have moved on meanwhile.
                self.asked += 1;
                self.is_at_vectors = false;
                match result {
                    Ok(()) => self.vectors_at = Some(commit),
                    Err(message) => {
                        self.vectors_not_before_ms = now_ms.saturating_add(VECTORS_PAUSE_MS);
                        effects.push(Effect::Note(format!("the vectors: {message}")));
                    }
                }
            }
            Event::Examined(refs, Ok(())) => {
                // They may have moved on meanwhile.
                self.asked += 1;
                self.is_examining = false;
                self.examined = Some(refs);
            }
            Event::Examined(_, Err(message)) => {
                self.is_examining = false;
                self.examine_not_before_ms = now_ms.saturating_add(EXAMINE_PAUSE_MS);
                effects.push(Effect::Note(format!("new commits were not examined: {message}")));
            }
            Event::Asked(id, request) => {
                self.active_ms = now_ms;
                self.answer_or_queue(now_ms, id, request, &mut effects);
            }
            Event::WatchChanged(mode) => self.watch = mode,
            Event::EditsStirred => self.edits_stirred(now_ms),
            Event::EditsLooked(worktree, look) => {
                if let Some(edits) = self.edits.as_mut().filter(|it| it.worktree == worktree) {
                    effects.push(Effect::WatchEdits(Some(look.dirs.clone())));
                    edits.looked(now_ms, look);
                }
            }
            Event::EditsWatched(mode, has_new) => {
                if let Some(edits) = &mut self.edits {
                    edits.watched(now_ms, mode, has_new);
                }
            }
            Event::Signalled => self.end(StopReason::Signalled, &mut effects),
        }
        self.advance(now_ms, &mut effects);
        if let Some(edits) = &mut self.edits
            && !self.has_ended
            && edits.begins(now_ms)
        {
            effects.push(Effect::LookAtEdits(edits.worktree.clone()));
        }
        effects
    }

    /// When the next [`Event::Tick`] is due, at the latest.
    pub fn next_wake_ms(&self, now_ms: u64) -> u64 {
        let deadlines = self.waiters.iter().map(|waiter| waiter.deadline_ms);
        let retry = self.failure.iter().map(|failure| failure.retry_at_ms);
        let retry = retry.chain(self.head_error.iter().map(|error| error.retry_at_ms));
        let retry = retry.filter(|retry_at_ms| *retry_at_ms > now_ms);
        let idle = self.is_idle().then(|| self.active_ms.saturating_add(self.timing.idle_exit_ms));
        let edits = self.edits.iter().map(Edits::wake_ms);
        let earliest = deadlines.chain(retry).chain(idle).chain(edits).min();
        earliest.map_or(self.poll_at_ms, |earliest| earliest.min(self.poll_at_ms))
    }

    fn tick(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        if now_ms >= self.poll_at_ms {
            self.asked += 1;
            self.poll_at_ms = now_ms.saturating_add(self.timing.poll_ms);
            effects.push(Effect::Rewatch);
            self.edits_stirred(now_ms);
        }
        if self.edits.as_ref().is_some_and(|edits| now_ms >= edits.until_ms) {
            self.leave_edits(effects);
        }
        if self.job == Job::Idle
            && self.head_error.as_ref().is_some_and(|err| now_ms >= err.retry_at_ms)
        {
            self.asked += 1;
        }
        let indexed = self.indexed;
        self.answer_waiters(effects, |waiter| {
            (waiter.deadline_ms <= now_ms).then_some(Answer::Late { commit: indexed })
        });
        let quiet_ms = now_ms.saturating_sub(self.active_ms);
        if self.is_idle() && quiet_ms >= self.timing.idle_exit_ms {
            self.end(StopReason::Idle, effects);
        }
    }

    fn edits_stirred(&mut self, now_ms: u64) {
        if let Some(edits) = &mut self.edits {
            edits.stirred(now_ms);
        }
    }

    fn leave_edits(&mut self, effects: &mut Vec<Effect>) {
        self.edits = None;
        effects.push(Effect::WatchEdits(None));
    }

    fn is_idle(&self) -> bool {
        self.job == Job::Idle && self.waiters.is_empty()
    }

    fn looked(&mut self, now_ms: u64, look: Look, effects: &mut Vec<Effect>) {
        let Job::Looking { worktree, began } = std::mem::replace(&mut self.job, Job::Idle) else {
            return; // Nobody asked; the next look is the truth.
        };
        self.indexed = look.indexed;
        if look.backups.is_some_and(|backups| self.backup_is_due(now_ms, &backups)) {
            self.is_backing_up = true;
            effects.push(Effect::Backup);
        }
        if look.rotates && !self.is_rotating && now_ms >= self.rotate_not_before_ms {
            self.is_rotating = true;
            effects.push(Effect::Rotate);
        }
        if let Some(commit) = look.indexed
            && !self.is_at_vectors
            && self.vectors_at != Some(commit)
            && now_ms >= self.vectors_not_before_ms
        {
            self.is_at_vectors = true;
            effects.push(Effect::Vectors(commit));
        }
        if let Some(refs) = look.refs
            && !self.is_examining
            && self.examined != Some(refs)
            && now_ms >= self.examine_not_before_ms
        {
            self.is_examining = true;
            effects.push(Effect::Examine(refs));
        }
        self.head_error = match (&look.head, self.head_error.take()) {
            (Head::Unreadable(message), before) => {
                if before.as_ref().is_none_or(|before| before.message != *message) {
                    effects.push(Effect::Note(format!("HEAD: {message}")));
                }
                let message = message.clone();
                Some(match before {
                    // Looks that events led to do not lengthen the pause: a deletion makes many.
                    Some(before) if now_ms < before.retry_at_ms => HeadError { message, ..before },
                    before => {
                        let n = before.map_or(0, |before| before.n.saturating_add(1));
                        let retry_at_ms = now_ms.saturating_add(pause_ms(n));
                        HeadError { n, retry_at_ms, message }
                    }
                })
            }
            _ => None,
        };
        if look.head == Head::Gone {
            self.worktree_is_gone(&worktree, effects);
        }
        let has_moved = self.seen.as_ref().is_none_or(|seen| seen.head != look.head);
        if has_moved && matches!(look.head, Head::At { .. }) {
            self.active_ms = now_ms;
        }
        self.seen = Some(Seen { worktree, began, head: look.head });
    }

    /// At most once a day, in UTC, and not again soon after one failed.
    fn backup_is_due(&self, now_ms: u64, backups: &Backups) -> bool {
        let was_today = backups.last.is_some_and(|last| last.day() == backups.now.day());
        !was_today && !self.is_backing_up && now_ms >= self.backup_not_before_ms
    }

    fn worktree_is_gone(&mut self, worktree: &Worktree, effects: &mut Vec<Effect>) {
        if *worktree == Worktree::Main {
            return self.end(StopReason::RepositoryGone, effects);
        }
        effects.push(Effect::Note(format!("worktree `{worktree}` is gone")));
        if self.edits.as_ref().is_some_and(|edits| edits.worktree == *worktree) {
            self.leave_edits(effects);
        }
        self.answer_waiters(effects, |waiter| {
            let error = "the worktree is gone".to_owned();
            (waiter.worktree == *worktree).then_some(Answer::Failed { error })
        });
        if self.focus == *worktree {
            self.focus = Worktree::Main;
        }
    }

    fn refresh_ended(
        &mut self,
        now_ms: u64,
        result: Result<RefreshRecord, String>,
        effects: &mut Vec<Effect>,
    ) {
        let Job::Refreshing { worktree, began, commit } =
            std::mem::replace(&mut self.job, Job::Idle)
        else {
            return;
        };
        match result {
            Ok(record) => {
                let RefreshRecord { commit, duration_ms, n_files, n_parsed, .. } = &record;
                effects.push(Effect::Note(format!(
                    "index at {commit} after {duration_ms} ms: {n_files} files, {n_parsed} parsed"
                )));
                self.indexed = Some(record.commit);
                self.failure = None;
                self.n_refreshes += 1;
                self.last_refresh = Some(record);
                // What differs, differs from another commit now.
                self.edits_stirred(now_ms);
            }
            Err(message) => {
                effects.push(Effect::Note(format!("refresh to {commit} failed: {message}")));
                self.answer_waiters(effects, |waiter| {
                    let is_meant = waiter.worktree == worktree && waiter.asked <= began;
                    let error = message.clone();
                    (is_meant || waiter.commit == commit).then_some(Answer::Failed { error })
                });
                self.remember_failure(now_ms, commit, message);
                self.asked += 1; // The look that follows says what the failure left on the disk.
            }
        }
    }

    fn remember_failure(&mut self, now_ms: u64, commit: GitOid, message: String) {
        let n = self.failure.as_ref().map_or(0, |failure| failure.n);
        let retry_at_ms = now_ms.saturating_add(pause_ms(n));
        self.failure = Some(Failure { commit, n: n.saturating_add(1), retry_at_ms, message });
    }

    fn answer_or_queue(
        &mut self,
        now_ms: u64,
        id: RequestId,
        request: Request,
        effects: &mut Vec<Effect>,
    ) {
        let answer = match request {
            Request::Ping => {
                Answer::Pong { pid: self.identity.pid, version: self.identity.version.clone() }
            }
            Request::Status => Answer::Status(Box::new(self.status())),
            Request::Hint { worktree } => {
                self.focus = worktree;
                self.asked += 1;
                Answer::Done
            }
            Request::Refresh { worktree } => {
                self.focus = worktree;
                self.asked += 1;
                self.failure = None;
                Answer::Done
            }
            Request::Edits { worktree } => {
                match self.edits.as_mut().filter(|it| it.worktree == worktree) {
                    Some(edits) => edits.asked(now_ms),
                    None => self.edits = Some(Edits::new(worktree, now_ms)),
                }
                Answer::Done
            }
            Request::WaitFresh { worktree, commit, .. } if self.indexed == Some(commit) => {
                self.focus = worktree;
                Answer::Fresh { commit }
            }
            Request::WaitFresh { worktree, commit, timeout_ms } => {
                self.focus = worktree.clone();
                self.asked += 1;
                let deadline_ms = now_ms.saturating_add(timeout_ms.min(WAIT_MS_MAX));
                let asked = self.asked;
                self.waiters.push_back(Waiter { id, worktree, commit, deadline_ms, asked });
                return;
            }
            Request::Stop => {
                effects.push(Effect::Answer(id, Answer::Done));
                return self.end(StopReason::Requested, effects);
            }
        };
        effects.push(Effect::Answer(id, answer));
    }

    /// Answers who can be answered, then begins the next job if there is one to begin.
    fn advance(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        // Each turn begins a job, or answers at least one waiter, or ends.
        while !self.has_ended && self.job == Job::Idle {
            self.settle(effects);
            let target = self.waiters.front().map_or(&self.focus, |waiter| &waiter.worktree);
            let recent = |seen: &&Seen| seen.worktree == *target && seen.began >= self.asked;
            let Some(seen) = self.seen.as_ref().filter(recent) else {
                self.job = Job::Looking { worktree: target.clone(), began: self.asked };
                return effects.push(Effect::Look(target.clone()));
            };
            let (target, began) = (target.clone(), seen.began);
            let wall = match &seen.head {
                Head::At { commit, .. } if self.indexed == Some(*commit) => {
                    self.failure = None;
                    return;
                }
                Head::At { commit, tree } => match self.held_back(now_ms, commit) {
                    Some(message) => message,
                    None => {
                        let (commit, tree) = (*commit, *tree);
                        self.job = Job::Refreshing { worktree: target.clone(), began, commit };
                        let worktree = target;
                        return effects.push(Effect::Refresh { worktree, commit, tree });
                    }
                },
                Head::Unborn => "HEAD has no commit yet".to_owned(),
                Head::Unreadable(error) => error.clone(),
                Head::Gone => "the worktree is gone".to_owned(),
            };
            let n_waiters = self.waiters.len();
            self.answer_waiters(effects, |waiter| {
                let error = wall.clone();
                (waiter.worktree == target).then_some(Answer::Failed { error })
            });
            if self.waiters.len() == n_waiters {
                return; // Nobody waits here; the next event or poll looks again.
            }
        }
        self.settle(effects);
    }

    /// Answers the waiters whose commit is indexed, or was overtaken by one that is.
    fn settle(&mut self, effects: &mut Vec<Effect>) {
        let Some(indexed) = self.indexed else { return };
        let level = self
            .seen
            .as_ref()
            .filter(|seen| matches!(seen.head, Head::At { commit, .. } if commit == indexed));
        let level = level.map(|seen| (seen.worktree.clone(), seen.began));
        self.answer_waiters(effects, |waiter| {
            let has_overtaken = level.as_ref().is_some_and(|(worktree, began)| {
                waiter.worktree == *worktree && waiter.asked <= *began
            });
            (waiter.commit == indexed || has_overtaken).then_some(Answer::Fresh { commit: indexed })
        });
    }

    fn held_back(&self, now_ms: u64, commit: &GitOid) -> Option<String> {
        let failure = self.failure.as_ref()?;
        (failure.commit == *commit && now_ms < failure.retry_at_ms).then(|| failure.message.clone())
    }

    fn answer_waiters(
        &mut self,
        effects: &mut Vec<Effect>,
        answer: impl Fn(&Waiter) -> Option<Answer>,
    ) {
        self.waiters.retain(|waiter| match answer(waiter) {
            Some(answer) => {
                effects.push(Effect::Answer(waiter.id, answer));
                false
            }
            None => true,
        });
    }

    fn end(&mut self, reason: StopReason, effects: &mut Vec<Effect>) {
        self.has_ended = true;
        self.answer_waiters(effects, |_| Some(ending()));
        effects.push(Effect::Exit(reason));
    }

    fn status(&self) -> DaemonStatus {
        let Identity { pid, version, started_at } = self.identity.clone();
        let failure = self.failure.as_ref().map(|failure| failure.message.clone());
        DaemonStatus {
            pid,
            version,
            started_at,
            follows: self.focus.clone(),
            indexed: self.indexed,
            is_refreshing: matches!(self.job, Job::Refreshing { .. }),
            n_refreshes: self.n_refreshes,
            last_refresh: self.last_refresh.clone(),
            watch: self.watch.clone(),
            edits: self.edits.as_ref().map(Edits::status),
            last_error: failure.or_else(|| self.head_error.as_ref().map(|err| err.message.clone())),
        }
    }
}

/// How long to wait after the failure that follows `n` others.
fn pause_ms(n: u32) -> u64 {
    (PAUSE_MS_MIN << n.min(16)).min(PAUSE_MS_MAX)
}

fn ending() -> Answer {
    Answer::Failed { error: "the daemon ends".to_owned() }
}
