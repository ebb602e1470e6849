//! Looking at what commits brought: a range, a push, the whole history.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    thread,
};

use carnet_core::{GitOid, Origin, Timestamp};
use carnet_git::Repo;

use crate::{
    examine::{Examination, ExamineError, Guard, MetName, Tally, Told},
    history::{self, ASKED_MAX, Change, Piece, Revisions, Speaker},
    known::{KnownHistory, LookedAt, PieceKey, Unclean, shallow_digest},
    workers::{Batch, Gathered, Looked, Workers},
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
    /// Examines what commits brought: each blob once under each of its paths, and the messages.
    ///
    /// - `tips`: objects with names, looked at besides when they are no commits: what a push brings may be a tag, a tree
    ///   or a blob.
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
        self.examine_uncovered(
            repo,
            revisions,
            (tips, &HashSet::new()),
            Told::Once,
            now,
            on_progress,
        )
    }

    /// The same, but for the files of the commits in `covered`, and told as often as `told` says.
    pub(crate) fn examine_uncovered(
        &self,
        repo: &Repo,
        revisions: &Revisions,
        (tips, covered): (&[(GitOid, String)], &HashSet<GitOid>),
        told: Told,
        now: Timestamp,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<Examination, ExamineError> {
        let mut nothing = KnownHistory::nothing(self.kept_verdicts_digest(now));
        let (tally, _) = self.looking(repo, &mut nothing, now, on_progress, told, |looking| {
            looking.covered.clone_from(covered);
            looking.add_names(tips.iter().map(|(_, name)| name.as_str()));
            looking.walk(revisions)?;
            for change in history::named_without_commit(repo, tips)? {
                looking.add(Piece::File(change))?;
            }
            let ids: Vec<_> = tips.iter().map(|(id, _)| *id).collect();
            looking.add_tags(history::tags_among(repo, &ids)?)
        })?;
        Ok(self.judged(tally, now))
    }

    /// Examines every file of every commit that a ref reaches, and what refs name without a commit.
    ///
    /// Of a secret that stays in a file for many commits, the first is told.
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
            again.clone_from(&before.unclean);
            if before.key != self.key_name() {
                again.iter_mut().for_each(|unclean| unclean.seen = None);
            }
        }
        let (tally, unclean) =
            self.looking(repo, known, now, on_progress, Told::Once, |looking| {
                for unclean in again {
                    looking.add_unclean(unclean)?;
                }
                looking.add_names(history::ref_names(repo)?.iter().map(String::as_str));
                looking.walk(&Revisions { options, revisions })?;
                let without_commit = history::refs_without_commit(repo)?;
                for change in history::named_without_commit(repo, &without_commit)? {
                    looking.add(Piece::File(change))?;
                }
                looking.add_tags(history::tag_refs(repo)?)
            })?;
        known.set_looked_at(LookedAt { tips, shallow, key: self.key_name(), unclean });
        Ok(self.judged(tally, now))
    }

    /// Has `gather` add pieces, and returns what was met in them, with the pieces that were not clean.
    fn looking(
        &self,
        repo: &Repo,
        known: &mut KnownHistory,
        now: Timestamp,
        on_progress: &mut dyn FnMut(Progress),
        told: Told,
        gather: impl FnOnce(&mut Looking<'_, '_, '_>) -> Result<(), ExamineError>,
    ) -> Result<(Tally, Vec<Unclean>), ExamineError> {
        thread::scope(|scope| {
            let mut looking = Looking {
                known,
                on_progress,
                guard: self,
                repo,
                now,
                told,
                workers: Workers::new(self, repo, now, told, scope),
                seen: HashSet::new(),
                waiting: vec![],
                n_gathered: 0,
                met: BTreeMap::new(),
                first: HashMap::new(),
                inner_tags: vec![],
                covered: HashSet::new(),
                counted: Tally::default(),
                n_commits: 0,
            };
            gather(&mut looking)?;
            looking.finish()
        })
    }
}

/// One examination under way: pieces are gathered here, and looked at by workers.
struct Looking<'l, 's, 'e> {
    known: &'l mut KnownHistory,
    on_progress: &'l mut dyn FnMut(Progress),
    guard: &'e Guard<'e>,
    repo: &'e Repo,
    now: Timestamp,
    told: Told,
    workers: Workers<'s, 'e>,
    /// Pieces that were added already, 16 bytes each: a million files take 16 MB and some.
    seen: HashSet<PieceKey>,
    /// Pieces to read, at most [`ASKED_MAX`].
    waiting: Batch,
    n_gathered: usize,
    /// What was met, by the number of the piece: reports do not depend on which worker was faster.
    met: BTreeMap<usize, (Unclean, Tally)>,
    /// Where each finding was met first: only there it is told, and only those pieces are looked at again the next time.
    first: HashMap<MetName, usize>,
    /// Tags that the tags read so far name.
    inner_tags: Vec<GitOid>,
    /// Commits whose files need no look.
    covered: HashSet<GitOid>,
    /// Files that were known to be clean, how much was looked at, and what names of refs hold.
    counted: Tally,
    n_commits: usize,
}

impl Looking<'_, '_, '_> {
    fn walk(&mut self, revisions: &Revisions) -> Result<(), ExamineError> {
        let repo = self.repo;
        history::each_piece(repo, revisions, |piece| {
            self.n_commits += usize::from(matches!(piece, Piece::Message(_)));
            self.add(piece)
        })
    }

    /// Looks at the names of refs.
    fn add_names<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        for name in names {
            let (guard, now) = (self.guard, self.now);
            guard.look_at_name("name of ref", name.as_bytes(), None, now, &mut self.counted);
        }
    }

    /// Looks at the messages of tags, and of the tags that they name; ends, as no piece is looked at twice.
    fn add_tags(&mut self, mut tags: Vec<GitOid>) -> Result<(), ExamineError> {
        while !tags.is_empty() {
            for tag in tags {
                self.add(Piece::Message(Speaker::Tag(tag)))?;
            }
            self.flush()?;
            tags = std::mem::take(&mut self.inner_tags);
        }
        Ok(())
    }

    /// Adds what was not clean before: judged by what was met in it, where that is known and the piece is a file.
    fn add_unclean(&mut self, unclean: Unclean) -> Result<(), ExamineError> {
        // A piece that is none: the file was tampered with.
        let Some(piece) = unclean.piece.piece() else { return Ok(()) };
        let (change, seen) = match (piece, &unclean.seen) {
            (Piece::File(change), Some(seen)) if self.guard.is_judged_by_scan() => (change, seen),
            (piece, _) => return self.add(piece),
        };
        let (origin, commit_id) = (Origin::Committed(change.path.clone()), change.commit_id);
        if !self.seen.insert(self.known.key(&Piece::File(change))) {
            return Ok(());
        }
        let mut counts = Tally::default();
        let mut tally = Tally::default();
        self.guard.sort_seen(seen.clone(), &origin, commit_id, self.now, &mut tally);
        counts.take_counts(&mut tally);
        let here = self.n_gathered;
        self.n_gathered += 1;
        self.keep(vec![Looked {
            counts,
            unclean: vec![(here, unclean, tally)],
            ..Looked::default()
        }]);
        Ok(())
    }

    fn add(&mut self, piece: Piece) -> Result<(), ExamineError> {
        if let Piece::File(Change { commit_id: Some(commit_id), .. }) = &piece
            && self.covered.contains(commit_id)
        {
            self.counted.n_known += 1;
            return Ok(());
        }
        let key = self.known.key(&piece);
        if !self.seen.insert(key) {
            return Ok(());
        }
        // A tag is read again, as only its object says whether it names another.
        if !matches!(piece, Piece::Message(Speaker::Tag(_))) && self.known.is_clean(&key) {
            self.counted.n_known += usize::from(matches!(piece, Piece::File(_)));
            return Ok(());
        }
        self.waiting.push(Gathered { idx: self.n_gathered, piece, key });
        self.n_gathered += 1;
        if self.waiting.len() < ASKED_MAX {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.waiting);
        let looked = self.workers.give(batch)?;
        self.keep(looked);
        Ok(())
    }

    /// Waits until everything that was added is looked at.
    fn flush(&mut self) -> Result<(), ExamineError> {
        let batch = std::mem::take(&mut self.waiting);
        let looked = self.workers.give_last(batch)?;
        self.keep(looked);
        Ok(())
    }

    fn keep(&mut self, looked: Vec<Looked>) {
        for Looked { mut counts, clean, unclean, inner_tags } in looked {
            clean.into_iter().for_each(|key| self.known.add_clean(key));
            self.inner_tags.extend(inner_tags);
            self.counted.take_counts(&mut counts);
            for (here, piece, mut tally) in unclean {
                tally.retain_told(self.told, |name| {
                    let first = self.first.entry(name).or_insert(here);
                    *first = here.min(*first);
                    *first == here
                });
                if !tally.is_empty() {
                    self.met.insert(here, (piece, tally));
                }
            }
        }
        let Tally { n_contents, n_bytes, .. } = self.counted;
        (self.on_progress)(Progress { n_commits: self.n_commits, n_contents, n_bytes });
    }

    /// Returns everything that was met, and the pieces that were not clean, in order.
    fn finish(mut self) -> Result<(Tally, Vec<Unclean>), ExamineError> {
        self.flush()?;
        self.workers.finish()?;
        let mut unclean = vec![];
        let mut tally = self.counted;
        for (here, (piece, mut met)) in self.met {
            // What came later may have been earlier in the history.
            met.retain_told(self.told, |name| self.first.get(&name) == Some(&here));
            if !met.is_empty() {
                tally.append(met);
                unclean.push(piece);
            }
        }
        Ok((tally, unclean))
    }
}
