//! Looking at what commits brought: a range, a push, the whole history.

use std::collections::HashSet;

use carnet_core::{Content, GitOid, Origin, Timestamp};
use carnet_git::Repo;

use crate::{
    examine::{BLOB_BYTES_MAX, Examination, ExamineError, Guard, Tally},
    history::{self, ASKED_MAX, BlobReader, Change, Revisions},
    known::{KnownHistory, LookedAt, PairKey, UncleanChange, shallow_digest},
};

/// How far a long examination is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Commits walked.
    pub n_commits: usize,
    /// Files looked at.
    pub n_contents: usize,
    /// Their bytes.
    pub n_bytes: u64,
}

impl Guard<'_> {
    /// Examines what commits brought; each blob once under each of its paths.
    ///
    /// - `tips`: objects with names, looked at besides when they are no commits: what a push brings may be a tree or a blob.
    /// - `on_progress`: called about every 256 files.
    ///
    /// # Errors
    ///
    /// [`ExamineError`] when anything could not be read: nothing passes then.
    pub fn examine_commits(
        &self,
        repo: &Repo,
        revisions: &Revisions,
        tips: &[(GitOid, String)],
        now: Timestamp,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<Examination, ExamineError> {
        let mut nothing = KnownHistory::nothing(self.rules_digest());
        let mut looking = Looking::new(self, repo, &mut nothing, now, on_progress)?;
        looking.walk(revisions)?;
        for change in history::named_without_commit(repo, tips)? {
            looking.add(change)?;
        }
        looking.finish()
    }

    /// Examines every file of every commit that a ref reaches, and what refs name without a commit.
    ///
    /// `known` is what earlier scans found clean; it is brought up to date, and saved by the caller.
    ///
    /// # Errors
    ///
    /// As [`Guard::examine_commits`]; `known` then holds what was found clean before the error.
    pub fn examine_history(
        &self,
        repo: &Repo,
        known: &mut KnownHistory,
        now: Timestamp,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<Examination, ExamineError> {
        let tips = history::tips(repo)?;
        let shallow = shallow_digest(repo);
        let options = vec!["--all".to_owned()];
        let mut revisions = vec![];
        let mut again = vec![];
        if let Some(before) = known.looked_at()
            && before.shallow == shallow
            && history::are_reachable(repo, &before.tips)?
        {
            revisions.extend(before.tips.iter().map(|tip| format!("^{tip}")));
            again.extend(before.unclean.iter().filter_map(UncleanChange::change));
        }
        let mut looking = Looking::new(self, repo, known, now, on_progress)?;
        for change in again {
            looking.add(change)?;
        }
        looking.walk(&Revisions { options, revisions })?;
        for change in history::named_without_commit(repo, &history::refs_without_commit(repo)?)? {
            looking.add(change)?;
        }
        looking.flush()?;
        let unclean = std::mem::take(&mut looking.unclean);
        let examination = looking.finish()?;
        known.set_looked_at(LookedAt { tips, shallow, unclean });
        Ok(examination)
    }
}

/// One examination under way.
struct Looking<'l, 'a> {
    guard: &'l Guard<'a>,
    repo: &'l Repo,
    known: &'l mut KnownHistory,
    now: Timestamp,
    on_progress: &'l mut dyn FnMut(Progress),
    reader: BlobReader,
    /// Pairs that were added already, 16 bytes each: a million files take 16 MB and some.
    seen: HashSet<PairKey>,
    /// Changes to read, at most [`ASKED_MAX`].
    waiting: Vec<Change>,
    unclean: Vec<UncleanChange>,
    tally: Tally,
    n_commits: usize,
}

impl<'l, 'a> Looking<'l, 'a> {
    fn new(
        guard: &'l Guard<'a>,
        repo: &'l Repo,
        known: &'l mut KnownHistory,
        now: Timestamp,
        on_progress: &'l mut dyn FnMut(Progress),
    ) -> Result<Looking<'l, 'a>, ExamineError> {
        Ok(Looking {
            guard,
            repo,
            known,
            now,
            on_progress,
            reader: BlobReader::start(repo, BLOB_BYTES_MAX)?,
            seen: HashSet::new(),
            waiting: vec![],
            unclean: vec![],
            tally: Tally::default(),
            n_commits: 0,
        })
    }

    fn walk(&mut self, revisions: &Revisions) -> Result<(), ExamineError> {
        let repo = self.repo;
        history::each_change(repo, revisions, |change| match change {
            Some(change) => self.add(change),
            None => {
                self.n_commits += 1;
                Ok(())
            }
        })
    }

    fn add(&mut self, change: Change) -> Result<(), ExamineError> {
        let key = self.known.key(&change);
        if !self.seen.insert(key) {
            return Ok(());
        }
        if self.known.is_clean(&key) {
            self.tally.n_known += 1;
            return Ok(());
        }
        self.waiting.push(change);
        if self.waiting.len() < ASKED_MAX { Ok(()) } else { self.flush() }
    }

    /// Reads and scans what waits.
    fn flush(&mut self) -> Result<(), ExamineError> {
        let Looking { guard, known, now, reader, waiting, unclean, tally, .. } = self;
        reader.read(std::mem::take(waiting), |change, bytes| {
            let content = Content { origin: Origin::Committed(change.path.clone()), bytes };
            if guard.look(&content, change.commit_id, *now, tally) {
                known.add_clean(known.key(&change));
            } else {
                unclean.push(UncleanChange::of(&change));
            }
            Ok::<(), ExamineError>(())
        })?;
        let Tally { n_contents, n_bytes, .. } = *tally;
        (self.on_progress)(Progress { n_commits: self.n_commits, n_contents, n_bytes });
        Ok(())
    }

    fn finish(mut self) -> Result<Examination, ExamineError> {
        self.flush()?;
        self.reader.finish()?;
        Ok(self.guard.judged(self.tally, self.now))
    }
}
