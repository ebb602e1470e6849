//! Parses, on all cores, the blobs whose facts are not known yet.
//!
//! A worker holds one source at a time, and the channel to the writer holds a bounded number of encoded
//! facts, so memory does not grow with the repository.

use std::sync::{
    atomic::{AtomicBool, AtomicUsize, Ordering},
    mpsc::{Receiver, sync_channel},
};

use carnet_core::GitOid;

use crate::{
    BlobError, BlobSource, IndexError,
    facts::{EncodedFact, FactKey, FactStore, Subject, fact_key},
    manifest::Manifest,
};

/// Most threads that parse.
const WORKERS_MAX: usize = 16;
/// Most encoded facts on their way to the writer.
const QUEUE_MAX: usize = 64;
/// A batch is stored when it has this many bytes.
const BATCH_BYTES: usize = 8 << 20;

/// A blob to parse.
pub(crate) struct Job {
    pub subject: Subject,
    pub blob_id: GitOid,
}

/// A blob that could not be read, by its position in the jobs.
pub(crate) struct Unread {
    pub job_idx: usize,
    pub error: BlobError,
}

type Outcome = (usize, Result<Result<EncodedFact, IndexError>, BlobError>);

/// Parses every job and stores its facts; returns those whose blob could not be read, in job order.
pub(crate) fn parse_all(
    jobs: &[Job],
    blobs: &dyn BlobSource,
    facts: &FactStore,
) -> Result<Vec<Unread>, IndexError> {
    let n_cores = std::thread::available_parallelism().map_or(1, usize::from);
    let n_workers = n_cores.min(WORKERS_MAX).min(jobs.len());
    let next = AtomicUsize::new(0);
    let is_cancelled = AtomicBool::new(false);
    let (sender, receiver) = sync_channel::<Outcome>(QUEUE_MAX);
    std::thread::scope(|scope| {
        for _ in 0..n_workers {
            let (sender, next, is_cancelled) = (sender.clone(), &next, &is_cancelled);
            scope.spawn(move || {
                while !is_cancelled.load(Ordering::Relaxed) {
                    let job_idx = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(job_idx) else { return };
                    if sender.send((job_idx, parse_one(job, blobs))).is_err() {
                        return; // The writer failed and says so itself.
                    }
                }
            });
        }
        drop(sender);
        let stored = store_all(jobs, receiver, facts);
        is_cancelled.store(true, Ordering::Relaxed);
        stored
    })
}

fn parse_one(
    job: &Job,
    blobs: &dyn BlobSource,
) -> Result<Result<EncodedFact, IndexError>, BlobError> {
    let source = blobs.read(&job.blob_id)?;
    Ok(match job.subject {
        Subject::Code(language) => EncodedFact::of_parsed(&carnet_parse::parse(language, &source)),
        Subject::Manifest(kind) => EncodedFact::of_manifest(&Manifest::read(kind, &source)),
    })
}

fn store_all(
    jobs: &[Job],
    receiver: Receiver<Outcome>,
    facts: &FactStore,
) -> Result<Vec<Unread>, IndexError> {
    let (mut unread, mut n_bytes) = (Vec::new(), 0);
    let mut batch: Vec<(FactKey, EncodedFact)> = Vec::new();
    for (job_idx, outcome) in receiver {
        match outcome {
            Err(error) => unread.push(Unread { job_idx, error }),
            Ok(fact) => {
                let fact = fact?;
                n_bytes += fact.len();
                batch.push((fact_key(jobs[job_idx].subject, &jobs[job_idx].blob_id), fact));
            }
        }
        if n_bytes >= BATCH_BYTES {
            facts.insert(&batch)?;
            batch.clear();
            n_bytes = 0;
        }
    }
    facts.insert(&batch)?;
    unread.sort_by_key(|unread| unread.job_idx);
    Ok(unread)
}
