//! Looking at the pieces of a history on every core.
//!
//! One thread walks the commits and gathers pieces into batches; each worker reads its batches through a `git cat-file` of its own,
//! scans them, and gives back what came of each. A history that fits one batch starts no thread.
//!
//! Invariants: at most [`QUEUED_PER_WORKER`] batches wait for each worker, so memory is bounded by a few blobs and names; what a batch came to
//! depends on the batch alone; a worker that fails ends the examination with its error.

use std::{
    collections::HashMap,
    num::NonZero,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, SyncSender},
    },
    thread::{self, Scope},
};

use carnet_core::{Content, GitOid, Origin, Timestamp};
use carnet_git::Repo;

use crate::{
    examine::{BLOB_BYTES_MAX, ExamineError, Guard, MetName, Tally, Told},
    history::{HistoryError, ObjectReader, Piece, Speaker, message_of},
    known::{PieceKey, UncleanPiece},
};

/// Most threads that scan: git's own processes work beside them.
const WORKERS_MAX: usize = 8;
/// Batches that wait for each worker.
const QUEUED_PER_WORKER: usize = 2;

/// Pieces that are looked at together, in their order.
#[derive(Default)]
pub(crate) struct Batch {
    /// Its number; reports are in order of it.
    pub(crate) idx: usize,
    /// At most [`crate::history::ASKED_MAX`].
    pub(crate) pieces: Vec<Piece>,
    /// The name of each.
    pub(crate) keys: Vec<PieceKey>,
}

/// What a batch came to.
#[derive(Default)]
pub(crate) struct Looked {
    /// The batch's number.
    pub(crate) idx: usize,
    /// How much was looked at.
    pub(crate) counts: Tally,
    pub(crate) clean: Vec<PieceKey>,
    /// Pieces with something that no earlier piece of the batch has, and what that is.
    pub(crate) unclean: Vec<(UncleanPiece, Tally)>,
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
    batches: SyncSender<Batch>,
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
        // Refused when every worker ended; one of them then says why.
        if started.batches.send(batch).is_ok() {
            started.n_away += 1;
        } else {
            return started.all();
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
        Ok(vec![look_at(self.guard, self.now, self.told, reader, batch)?])
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
        let (batches, given) = mpsc::sync_channel(n_workers * QUEUED_PER_WORKER);
        let (sender, outcomes) = mpsc::channel();
        let given = Arc::new(Mutex::new(given));
        for _ in 0..n_workers {
            let mut reader = ObjectReader::start(self.repo, BLOB_BYTES_MAX)?;
            let (guard, now, told) = (self.guard, self.now, self.told);
            let (given, sender) = (Arc::clone(&given), sender.clone());
            self.scope.spawn(move || {
                // The lock is held while waiting: the others wait for the same.
                let next = || given.lock().unwrap_or_else(PoisonError::into_inner).recv();
                while let Ok(batch) = next() {
                    let outcome = look_at(guard, now, told, &mut reader, batch);
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

/// Reads and scans a batch.
fn look_at(
    guard: &Guard<'_>,
    now: Timestamp,
    told: Told,
    reader: &mut ObjectReader,
    batch: Batch,
) -> Outcome {
    let mut looked = Looked { idx: batch.idx, ..Looked::default() };
    let mut keys = batch.keys.into_iter();
    let mut first: HashMap<MetName, usize> = HashMap::new();
    reader.read(batch.pieces, |piece, bytes| {
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
        let is_clean = guard.look(&content, commit_id, now, &mut tally);
        looked.counts.take_counts(&mut tally);
        let key = keys.next();
        if is_clean {
            looked.clean.extend(key);
        } else {
            let idx = looked.unclean.len();
            tally.retain_told(told, |name| *first.entry(name).or_insert(idx) == idx);
            if !tally.is_empty() {
                looked.unclean.push((UncleanPiece::of(&piece), tally));
            }
        }
        Ok::<(), ExamineError>(())
    })?;
    Ok(looked)
}
