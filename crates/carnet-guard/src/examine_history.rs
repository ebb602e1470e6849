//! Looking at what commits brought: a range, a push, the whole history.

use std::collections::HashSet;

use carnet_core::{Content, GitOid, Origin, Timestamp};
use carnet_git::Repo;

use crate::{
    examine::{BLOB_BYTES_MAX, Examination, ExamineError, Guard, Tally},
    history::{self, ASKED_MAX, Change, ObjectReader, Piece, Revisions, Speaker, message_of},
    known::{KnownHistory, LookedAt, PieceKey, UncleanPiece, shallow_digest},
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
        self.examine_uncovered(repo, revisions, tips, HashSet::new(), now, on_progress)
    }

    /// The same, but for the files of the commits in `covered`.
    pub(crate) fn examine_uncovered(
        &self,
        repo: &Repo,
        revisions: &Revisions,
        tips: &[(GitOid, String)],
        covered: HashSet<GitOid>,
        now: Timestamp,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<Examination, ExamineError> {
        let mut nothing = KnownHistory::nothing(self.verdicts_digest());
        let mut looking = Looking::new(self, repo, &mut nothing, now, on_progress)?;
        looking.covered = covered;
        looking.walk(revisions)?;
        for change in history::named_without_commit(repo, tips)? {
            looking.add(Piece::File(change))?;
        }
        let ids: Vec<_> = tips.iter().map(|(id, _)| *id).collect();
        looking.add_tags(history::tags_among(repo, &ids)?)?;
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
            again.extend(before.unclean.iter().filter_map(UncleanPiece::piece));
        }
        let mut looking = Looking::new(self, repo, known, now, on_progress)?;
        for piece in again {
            looking.add(piece)?;
        }
        looking.walk(&Revisions { options, revisions })?;
        for change in history::named_without_commit(repo, &history::refs_without_commit(repo)?)? {
            looking.add(Piece::File(change))?;
        }
        looking.add_tags(history::tag_refs(repo)?)?;
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
    reader: ObjectReader,
    /// Pieces that were added already, 16 bytes each: a million files take 16 MB and some.
    seen: HashSet<PieceKey>,
    /// Pieces to read, at most [`ASKED_MAX`].
    waiting: Vec<Piece>,
    unclean: Vec<UncleanPiece>,
    /// Tags that the tags read so far name.
    inner_tags: Vec<GitOid>,
    /// Commits whose files need no look.
    covered: HashSet<GitOid>,
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
            reader: ObjectReader::start(repo, BLOB_BYTES_MAX)?,
            seen: HashSet::new(),
            waiting: vec![],
            unclean: vec![],
            inner_tags: vec![],
            covered: HashSet::new(),
            tally: Tally::default(),
            n_commits: 0,
        })
    }

    fn walk(&mut self, revisions: &Revisions) -> Result<(), ExamineError> {
        let repo = self.repo;
        history::each_piece(repo, revisions, |piece| {
            self.n_commits += usize::from(matches!(piece, Piece::Message(_)));
            self.add(piece)
        })
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

    fn add(&mut self, piece: Piece) -> Result<(), ExamineError> {
        if let Piece::File(Change { commit_id: Some(commit_id), .. }) = &piece
            && self.covered.contains(commit_id)
        {
            self.tally.n_known += 1;
            return Ok(());
        }
        let key = self.known.key(&piece);
        if !self.seen.insert(key) {
            return Ok(());
        }
        // A tag is read again, as only its object says whether it names another.
        if !matches!(piece, Piece::Message(Speaker::Tag(_))) && self.known.is_clean(&key) {
            self.tally.n_known += usize::from(matches!(piece, Piece::File(_)));
            return Ok(());
        }
        self.waiting.push(piece);
        if self.waiting.len() < ASKED_MAX { Ok(()) } else { self.flush() }
    }

    /// Reads and scans what waits.
    fn flush(&mut self) -> Result<(), ExamineError> {
        let Looking { guard, known, now, reader, waiting, unclean, inner_tags, tally, .. } = self;
        reader.read(std::mem::take(waiting), |piece, bytes| {
            let is_clean = match &piece {
                Piece::File(change) => {
                    let content = Content { origin: Origin::Committed(change.path.clone()), bytes };
                    guard.look(&content, change.commit_id, *now, tally)
                }
                Piece::Message(speaker) => {
                    let (message, inner_tag) = message_of(&bytes);
                    inner_tags.extend(inner_tag);
                    let origin = Origin::Message(speaker.message_name());
                    let commit_id = match speaker {
                        Speaker::Commit(id) => Some(*id),
                        Speaker::Tag(_) => None,
                    };
                    let content = Content { origin, bytes: message.to_vec() };
                    guard.look(&content, commit_id, *now, tally)
                }
            };
            if is_clean {
                known.add_clean(known.key(&piece));
            } else {
                unclean.push(UncleanPiece::of(&piece));
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
