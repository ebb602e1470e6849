//! Looking at the pieces of a history on every core.
//!
//! One thread walks the commits and gathers pieces into batches; each worker reads its batches through a `git cat-file` of its own,
//! scans them, and gives back what came of each. A history that fits one batch starts no thread. All versions of a path go to the
//! same worker, which looks at what changed from one to the next ([`Versions`]).
//!
//! Invariants: at most [`QUEUED_PER_WORKER`] batches wait for each worker, so memory is bounded by a few blobs and names; what a batch came to
//! does not depend on which worker was faster; a worker that fails ends the examination with its error.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    num::NonZero,
    sync::mpsc::{self, Receiver, SyncSender},
    thread::{self, Scope},
};

use carnet_core::{Content, GitOid, Origin, Timestamp};
use carnet_git::Repo;

use crate::{
    examine::{BLOB_BYTES_MAX, ExamineError, Guard, MetName, Tally, Told},
    history::{HistoryError, ObjectReader, Piece, Speaker, message_of},
    known::{PieceKey, Seen, Unclean, UncleanPiece},
    versions::Versions,
};

/// Most threads that scan: git's own processes work beside them.
const WORKERS_MAX: usize = 8;
/// Batches that wait for each worker: names alone, so that one with long files keeps no other waiting.
const QUEUED_PER_WORKER: usize = 8;

/// Pieces that are looked at together, in their order; at most [`crate::history::ASKED_MAX`].
pub(crate) type Batch = Vec<Gathered>;

/// A piece of a history.
pub(crate) struct Gathered {
    /// Its number; reports are in order of it.
    pub(crate) idx: usize,
    pub(crate) piece: Piece,
    /// Its name.
    pub(crate) key: PieceKey,
}

/// What a batch came to.
#[derive(Default)]
pub(crate) struct Looked {
    /// How much was looked at.
    pub(crate) counts: Tally,
    pub(crate) clean: Vec<PieceKey>,
    /// Pieces with something that no earlier piece of the batch has, by their numbers, and what that is.
    pub(crate) unclean: Vec<(usize, Unclean, Tally)>,
    /// Tags that the tags of the batch name.
    pub(crate) inner_tags: Vec<GitOid>,
}

type Outcome = Result<Looked, ExamineError>;

/// The threads of one examination; none are started before there is more than one batch.
pub(crate) struct Workers<'s, 'e> {
    guard: &'e Guard<'e>,
    repo: &'e Repo,
    now: Timestamp,
    told: Told,
    scope: &'s Scope<'s, 'e>,
    /// Reads for this thread, while there is no other.
    own: Option<ObjectReader>,
    started: Option<Started>,
}

struct Started {
    /// One queue for each worker.
    batches: Vec<SyncSender<Batch>>,
    outcomes: Receiver<Outcome>,
    n_away: usize,
}

impl<'s, 'e> Workers<'s, 'e> {
    pub(crate) fn new(
        guard: &'e Guard<'e>,
        repo: &'e Repo,
        now: Timestamp,
        told: Told,
        scope: &'s Scope<'s, 'e>,
    ) -> Workers<'s, 'e> {
        Workers { guard, repo, now, told, scope, own: None, started: None }
    }

    /// Takes a full batch and returns what is done meanwhile; waits while the queue is full.
    pub(crate) fn give(&mut self, batch: Batch) -> Result<Vec<Looked>, ExamineError> {
        if self.started.is_none() {
            self.started = Some(self.start()?);
        }
        let Some(started) = &mut self.started else { return Ok(vec![]) };
        let mut parts: Vec<Batch> = started.batches.iter().map(|_| vec![]).collect();
        for gathered in batch {
            let whose = worker_of(&gathered.piece, parts.len());
            parts[whose].push(gathered);
        }
        for (part, worker) in parts.into_iter().zip(&started.batches) {
            if part.is_empty() {
                continue;
            }
            // Refused when the worker ended; it has then said why.
            if worker.send(part).is_err() {
                return started.all();
            }
            started.n_away += 1;
        }
        started.done()
    }

    /// Takes what is left and returns when everything that was given is done.
    pub(crate) fn give_last(&mut self, batch: Batch) -> Result<Vec<Looked>, ExamineError> {
        if self.started.is_some() {
            let mut looked = self.give(batch)?;
            if let Some(started) = &mut self.started {
                looked.extend(started.all()?);
            }
            return Ok(looked);
        }
        let reader = match &mut self.own {
            Some(reader) => reader,
            none => none.insert(ObjectReader::start(self.repo, BLOB_BYTES_MAX)?),
        };
        let mut versions = Versions::new(1);
        Ok(vec![look_at(self.guard, self.now, self.told, reader, &mut versions, batch)?])
    }

    /// Ends the threads and makes sure that no reader had anything to complain of.
    pub(crate) fn finish(self) -> Result<(), ExamineError> {
        if let Some(reader) = self.own {
            reader.finish()?;
        }
        let Some(Started { batches, outcomes, .. }) = self.started else { return Ok(()) };
        drop(batches);
        outcomes.into_iter().try_for_each(|outcome| outcome.map(|_| ()))
    }

    fn start(&self) -> Result<Started, HistoryError> {
        let n_workers = thread::available_parallelism().map_or(1, NonZero::get).min(WORKERS_MAX);
        let (sender, outcomes) = mpsc::channel();
        let mut batches = vec![];
        for _ in 0..n_workers {
            let (queue, given) = mpsc::sync_channel(QUEUED_PER_WORKER);
            batches.push(queue);
            let mut reader = ObjectReader::start(self.repo, BLOB_BYTES_MAX)?;
            let mut versions = Versions::new(n_workers);
            let (guard, now, told) = (self.guard, self.now, self.told);
            let sender = sender.clone();
            self.scope.spawn(move || {
                for batch in given {
                    let outcome = look_at(guard, now, told, &mut reader, &mut versions, batch);
                    let is_over = outcome.is_err();
                    if sender.send(outcome).is_err() || is_over {
                        return;
                    }
                }
                if let Err(error) = reader.finish() {
                    let _ = sender.send(Err(error.into()));
                }
            });
        }
        Ok(Started { batches, outcomes, n_away: 0 })
    }
}

impl Started {
    /// Returns what is done by now.
    fn done(&mut self) -> Result<Vec<Looked>, ExamineError> {
        let looked = self.outcomes.try_iter().collect::<Result<Vec<_>, _>>()?;
        self.n_away -= looked.len();
        Ok(looked)
    }

    /// Waits for everything that was given.
    fn all(&mut self) -> Result<Vec<Looked>, ExamineError> {
        let mut looked = vec![];
        while self.n_away > 0 {
            let outcome = self.outcomes.recv();
            // Only a worker that panicked ends without a word, and its panic ends the examination.
            looked.push(outcome.map_err(|_| HistoryError::Answer { command: "cat-file" })??);
            self.n_away -= 1;
        }
        Ok(looked)
    }
}

/// Returns which of so many workers looks at a piece: the same for all versions of a path.
fn worker_of(piece: &Piece, n_workers: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    match piece {
        Piece::File(change) => change.path.as_bytes().hash(&mut hasher),
        Piece::Message(speaker) => speaker.id().as_bytes().hash(&mut hasher),
    }
    (hasher.finish() % n_workers.max(1) as u64) as usize
}

/// Reads and scans a batch.
fn look_at(
    guard: &Guard<'_>,
    now: Timestamp,
    told: Told,
    reader: &mut ObjectReader,
    versions: &mut Versions,
    batch: Batch,
) -> Outcome {
    let mut looked = Looked::default();
    let mut first: HashMap<MetName, usize> = HashMap::new();
    reader.read(batch, |Gathered { idx, piece, key }, bytes| {
        let (content, commit_id) = match &piece {
            Piece::File(change) => {
                let origin = Origin::Committed(change.path.clone());
                (Content { origin, bytes }, change.commit_id)
            }
            Piece::Message(speaker) => {
                let (message, inner_tag) = message_of(&bytes);
                looked.inner_tags.extend(inner_tag);
                let commit_id = match speaker {
                    Speaker::Commit(id) => Some(*id),
                    Speaker::Tag(_) => None,
                };
                let origin = Origin::Message(speaker.message_name());
                (Content { origin, bytes: message.to_vec() }, commit_id)
            }
        };
        let mut tally = Tally::default();
        let scanned = guard.scan_version(&content, versions);
        let is_clean = guard.sort_scan(scanned.clone(), &content, commit_id, now, &mut tally);
        looked.counts.take_counts(&mut tally);
        if is_clean {
            looked.clean.push(key);
        } else {
            tally.retain_told(told, |name| *first.entry(name).or_insert(idx) == idx);
            if !tally.is_empty() {
                let seen = guard.is_judged_by_scan().then(|| Seen::all(&scanned, &content));
                let unclean = Unclean { piece: UncleanPiece::of(&piece), seen: seen.flatten() };
                looked.unclean.push((idx, unclean, tally));
            }
        }
        Ok::<(), ExamineError>(())
    })?;
    Ok(looked)
}
