//! Notes: single lines attached to commits and trees, as `git notes` shows them.
//!
//! A note is a set of lines, sorted by bytes, each once: what `git notes merge -s cat_sort_uniq` makes of
//! it, so that notes of two clones merge without loss. Records are therefore single lines.
//!
//! Each line added writes the whole note again, so that a note that only grew would cost the square of its lines: after
//! [`NOTE_LINES_MAX`] of them a note stays as it is. Notes are a convenience, the ledger has it all.
//!
//! Invariant: a line that was added stays, however many processes add lines at once.

use std::{cell::RefCell, collections::BTreeSet, thread};

use carnet_core::{GitOid, Timestamp};
use gix::{
    hash::oid,
    note::plumbing::State,
    objs::{Data, Find, Kind, Write, WriteTo},
};

use crate::{
    Author, Cause, CommitSpec, ObjectError, ProgramError, RefError, RefUpdateError, Repo,
    WriteError, convert, turn::Backoff,
};

/// Largest note in bytes; a note is one line per run of one commit or tree.
pub(crate) const MAX_NOTE_BYTES: u64 = 64 << 20;
/// Most lines that [`Repo::append_note`] makes of one note; joined notes may have more.
pub const NOTE_LINES_MAX: usize = 256;
/// Most attempts of one append before [`NoteError::Contended`].
pub(crate) const MAX_ATTEMPTS: u32 = 500;

/// Why a note could not be read or extended.
#[derive(Debug, thiserror::Error)]
pub enum NoteError {
    /// An empty line, or a line with a newline in it.
    #[error("a note's line is one non-empty line")]
    Line,
    /// The notes tree is unreadable.
    #[error("read the notes of `{notes_ref}`")]
    Tree {
        /// The notes ref.
        notes_ref: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The note itself is unreadable.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The notes ref is unreadable.
    #[error(transparent)]
    Read(#[from] RefError),
    /// The new note could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The notes ref could not be moved.
    #[error(transparent)]
    Update(RefUpdateError),
    /// Git could not be asked which notes are newer.
    #[error(transparent)]
    Program(ProgramError),
    /// Others were faster, every time.
    #[error("notes ref `{name}` changed under each of {attempts} attempts")]
    Contended {
        /// The notes ref.
        name: String,
        /// How often it was tried.
        attempts: u32,
    },
}

impl Repo {
    /// Adds one line to the note of an object; nothing changes when the line is there already, or
    /// [`NOTE_LINES_MAX`] others are.
    ///
    /// - `notes_ref`: a full name below `refs/notes/`.
    /// - `target`: the object annotated; it need not exist here.
    /// - `line`: without newline, not empty.
    /// - `author`, `time`: of the notes commit.
    ///
    /// # Errors
    ///
    /// [`NoteError`]; the note is then unchanged.
    pub fn append_note(
        &self,
        notes_ref: &str,
        target: &GitOid,
        line: &str,
        author: &Author,
        time: Timestamp,
    ) -> Result<(), NoteError> {
        self.append_notes(notes_ref, &[(*target, line.to_owned())], author, time)
    }

    /// The same for many lines, in one commit of the notes; either all are there then or none.
    ///
    /// # Errors
    ///
    /// As [`Repo::append_note`].
    pub fn append_notes(
        &self,
        notes_ref: &str,
        lines: &[(GitOid, String)],
        author: &Author,
        time: Timestamp,
    ) -> Result<(), NoteError> {
        if lines.iter().any(|(_, line)| line.is_empty() || line.contains(['\n', '\0'])) {
            return Err(NoteError::Line);
        }
        let _turn = self.take_turn(notes_ref);
        let mut backoff = Backoff::at_a_ref();
        for _ in 0..MAX_ATTEMPTS {
            let tip = self.read_ref(notes_ref)?;
            let Some(tree) = self.add_lines(notes_ref, tip.as_ref(), lines)? else {
                return Ok(());
            };
            let commit_id = self.write_commit(&CommitSpec {
                tree,
                parents: tip.into_iter().collect(),
                message: "Notes added by carnet".to_owned(),
                author: author.clone(),
                time,
            })?;
            match self.update_ref(notes_ref, &commit_id, tip.as_ref(), "notes: added by carnet") {
                Ok(()) => return Ok(()),
                Err(RefUpdateError::Raced { .. }) => thread::sleep(backoff.next_pause()),
                Err(err) => return Err(NoteError::Update(err)),
            }
        }
        Err(NoteError::Contended { name: notes_ref.to_owned(), attempts: MAX_ATTEMPTS })
    }

    /// Returns the bytes of the note of an object, or `None`.
    ///
    /// # Errors
    ///
    /// [`NoteError`] when the ref, the notes tree or the note is unreadable.
    pub fn read_note(
        &self,
        notes_ref: &str,
        target: &GitOid,
    ) -> Result<Option<Vec<u8>>, NoteError> {
        let Some(tip) = self.read_ref(notes_ref)? else { return Ok(None) };
        let objects = Objects { repo: self, failure: RefCell::default() };
        let mut notes = self.open_notes(notes_ref, Some(&tip), &objects)?;
        self.note_of(notes_ref, &mut notes, target, &objects)
    }

    /// Returns the notes tree with more lines in it; `None` when it shall stay as it is.
    fn add_lines(
        &self,
        notes_ref: &str,
        tip: Option<&GitOid>,
        lines: &[(GitOid, String)],
    ) -> Result<Option<GitOid>, NoteError> {
        let objects = Objects { repo: self, failure: RefCell::default() };
        let mut notes = self.open_notes(notes_ref, tip, &objects)?;
        let mut tree = None;
        for (target, line) in lines {
            let old = self.note_of(notes_ref, &mut notes, target, &objects)?;
            let old = old.as_deref().unwrap_or_default();
            if old.iter().filter(|byte| **byte == b'\n').count() >= NOTE_LINES_MAX {
                continue;
            }
            let Some(new) = lines_of_both(old, line.as_bytes()) else { continue };
            let blob_id = self.write_blob(&new)?;
            let edited = notes
                .replace(convert::to_gix(target), convert::to_gix(&blob_id), &objects)
                .map_err(|err| objects.explain(notes_ref, err))?;
            tree = Some(convert::from_gix(&edited.tree));
        }
        Ok(tree)
    }

    pub(crate) fn open_notes(
        &self,
        notes_ref: &str,
        tip: Option<&GitOid>,
        objects: &Objects<'_>,
    ) -> Result<State, NoteError> {
        let tree_id = match tip {
            Some(tip) => convert::to_gix(&self.commit_tree(tip)?),
            None => gix::ObjectId::empty_tree(self.gix.object_hash()),
        };
        State::new(tree_id, objects).map_err(|err| objects.explain(notes_ref, err))
    }

    pub(crate) fn note_of(
        &self,
        notes_ref: &str,
        notes: &mut State,
        target: &GitOid,
        objects: &Objects<'_>,
    ) -> Result<Option<Vec<u8>>, NoteError> {
        let found = notes
            .get(&convert::to_gix(target), objects)
            .map_err(|err| objects.explain(notes_ref, err))?;
        match found {
            Some(id) => Ok(Some(self.read_blob(&convert::from_gix(&id), MAX_NOTE_BYTES)?)),
            None => Ok(None),
        }
    }
}

/// The lines of two notes, sorted, each once; `None` when `more` has nothing new.
pub(crate) fn lines_of_both(note: &[u8], more: &[u8]) -> Option<Vec<u8>> {
    let lines_of =
        |note| <[u8]>::split(note, |byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut lines: BTreeSet<&[u8]> = lines_of(note).collect();
    let n_before = lines.len();
    lines.extend(lines_of(more));
    if lines.len() == n_before {
        return None;
    }
    let mut text = Vec::with_capacity(note.len() + more.len() + 1);
    for line in lines {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    Some(text)
}

/// The object store as gix-note wants it: reads and writes go through this room's own, so that they are
/// bounded, remembered for the flush, and placed where the environment says.
pub(crate) struct Objects<'repo> {
    pub(crate) repo: &'repo Repo,
    pub(crate) failure: RefCell<Option<WriteError>>,
}

impl Objects<'_> {
    pub(crate) fn explain(&self, notes_ref: &str, err: gix::Error) -> NoteError {
        match self.failure.take() {
            Some(failure) => NoteError::Write(failure),
            None => {
                NoteError::Tree { notes_ref: notes_ref.to_owned(), source: convert::cause(err) }
            }
        }
    }

    fn write_bytes(&self, kind: Kind, bytes: &[u8]) -> Result<gix::ObjectId, gix::Error> {
        self.repo.write_object(kind, bytes).map(|id| convert::to_gix(&id)).map_err(|failure| {
            *self.failure.borrow_mut() = Some(failure);
            gix::Error::from_error(std::io::Error::other("the note could not be written"))
        })
    }
}

impl Find for Objects<'_> {
    fn try_find<'a>(
        &self,
        id: &oid,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Option<Data<'a>>, gix::Error> {
        self.repo.gix.objects.try_find(id, buffer)
    }
}

impl Write for Objects<'_> {
    fn write(&self, object: &dyn WriteTo) -> Result<gix::ObjectId, gix::Error> {
        let mut bytes = Vec::new();
        object.write_to(&mut bytes).map_err(gix::Error::from_error)?;
        self.write_bytes(object.kind(), &bytes)
    }

    fn write_buf(&self, kind: Kind, from: &[u8]) -> Result<gix::ObjectId, gix::Error> {
        self.write_bytes(kind, from)
    }

    fn write_buf_with_known_id(
        &self,
        kind: Kind,
        from: &[u8],
        _id: gix::ObjectId,
    ) -> Result<gix::ObjectId, gix::Error> {
        self.write_bytes(kind, from)
    }

    fn write_stream(
        &self,
        kind: Kind,
        _size: u64,
        from: &mut dyn std::io::Read,
    ) -> Result<gix::ObjectId, gix::Error> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).map_err(gix::Error::from_error)?;
        self.write_bytes(kind, &bytes)
    }

    fn write_stream_with_known_id(
        &self,
        kind: Kind,
        size: u64,
        from: &mut dyn std::io::Read,
        _id: gix::ObjectId,
    ) -> Result<gix::ObjectId, gix::Error> {
        self.write_stream(kind, size, from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_sorted_and_kept_once() {
        assert_eq!(lines_of_both(b"b\nd\n", b"c").unwrap(), b"b\nc\nd\n");
        assert_eq!(lines_of_both(b"", b"x").unwrap(), b"x\n");
        assert_eq!(lines_of_both(b"\n\nb\na", b"c").unwrap(), b"a\nb\nc\n");
        assert_eq!(lines_of_both(b"a\nb\n", b"b"), None);
    }

    proptest::proptest! {
        #[test]
        fn joined_notes_have_each_line_of_both_once_whichever_comes_first(
            ours in "[abc\n]{0,12}",
            theirs in "[abc\n]{0,12}",
        ) {
            let set = |text: &str| -> BTreeSet<String> {
                text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
            };
            let expected: BTreeSet<String> = set(&ours).union(&set(&theirs)).cloned().collect();
            let joined = |a: &str, b: &str| match lines_of_both(a.as_bytes(), b.as_bytes()) {
                Some(both) => String::from_utf8(both).unwrap(),
                None => a.to_owned(),
            };
            proptest::prop_assert_eq!(set(&joined(&ours, &theirs)), expected.clone());
            proptest::prop_assert_eq!(set(&joined(&theirs, &ours)), expected);
            let once = joined(&ours, &theirs);
            proptest::prop_assert_eq!(joined(&once, &theirs), once);
        }
    }
}
