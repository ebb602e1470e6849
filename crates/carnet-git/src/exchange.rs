//! Exchanging refs with another repository, and joining its notes with ours.
//!
//! Fetching and pushing are git's own; gix has no push. Notes are joined line by line, as
//! `git notes merge -s cat_sort_uniq` would, but by compare-and-swap: a line that another process adds meanwhile stays.

use std::{cell::RefCell, collections::HashSet};

use carnet_core::{GitOid, Timestamp};

use crate::{
    Author, CommitSpec, NoteError, ProgramError, RefUpdateError, Repo, convert,
    notes::{MAX_ATTEMPTS, Objects, lines_of_both},
};

/// Why a push did not go through.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The other side has something that we have not seen: fetch, join, push again.
    #[error("`{remote}` has moved on meanwhile")]
    Rejected {
        /// The remote.
        remote: String,
    },
    /// Git could not push.
    #[error(transparent)]
    Program(#[from] ProgramError),
}

/// What joining notes came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotesJoined {
    /// Everything was here already.
    Unchanged,
    /// There was nothing here that the other side lacks.
    Forwarded,
    /// Both had something; a merge commit has all of it.
    Merged,
}

/// Returns the refspecs that bring a remote's ledgers, locked runs, checkpoints, artifacts put by hand, audit logs and notes, into a namespace of their own: what this clone wrote is in
/// none of them, so a `git fetch --prune` takes nothing of it.
pub fn fetch_refspecs(remote: &str) -> [String; 6] {
    [
        ("carnet/ledger", "ledger"),
        ("carnet/locked", "locked"),
        ("carnet/checkpoint", "checkpoint"),
        ("carnet/artifacts", "artifacts"),
        ("carnet/audit", "audit"),
        ("notes/carnet", "notes"),
    ]
    .map(|(theirs, ours)| format!("+refs/{theirs}/*:refs/carnet/remotes/{remote}/{ours}/*"))
}

impl Repo {
    /// Returns the names of the configured remotes.
    ///
    /// # Errors
    ///
    /// [`ProgramError`] when git does not answer.
    pub fn remote_names(&self) -> Result<Vec<String>, ProgramError> {
        let answer = self.run_git(&["remote"], None)?;
        Ok(String::from_utf8_lossy(&answer).lines().map(str::to_owned).collect())
    }

    /// Fetches refs; nothing else that is configured for the remote is fetched, and no tag follows.
    ///
    /// # Errors
    ///
    /// [`ProgramError`] with what git said.
    pub fn fetch(&self, remote: &str, refspecs: &[&str]) -> Result<(), ProgramError> {
        // What is fetched here is read at once, in a partial clone too.
        let head = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-filter",
            "--no-write-fetch-head",
            "--refmap=",
            "--",
            remote,
        ];
        self.run_git(&[&head, refspecs].concat(), None).map(drop)
    }

    /// Returns the refs of a remote whose full names start with `prefix`, sorted by name.
    ///
    /// - `prefix`: ends at a `/`.
    ///
    /// # Errors
    ///
    /// [`ProgramError`] with what git said.
    pub fn remote_refs(
        &self,
        remote: &str,
        prefix: &str,
    ) -> Result<Vec<(String, GitOid)>, ProgramError> {
        let pattern = format!("{prefix}*");
        let answer = self.run_git(&["ls-remote", "--refs", "--", remote, &pattern], None)?;
        let answer = String::from_utf8_lossy(&answer);
        let refs = answer.lines().filter_map(|line| line.split_once('\t'));
        let refs = refs.filter(|(_, name)| name.starts_with(prefix));
        let refs =
            refs.filter_map(|(id, name)| Some((name.to_owned(), GitOid::from_hex(id).ok()?)));
        Ok(refs.collect())
    }

    /// Returns a commit and its ancestors, the newest first, at most `n_max`.
    ///
    /// # Errors
    ///
    /// [`ProgramError`] with what git said.
    pub fn newest_first(&self, tip: &GitOid, n_max: u32) -> Result<Vec<GitOid>, ProgramError> {
        let max = format!("--max-count={n_max}");
        let answer = self.run_git(&["rev-list", &max, &tip.to_string()], None)?;
        let answer = String::from_utf8_lossy(&answer);
        Ok(answer.lines().filter_map(|line| GitOid::from_hex(line).ok()).collect())
    }

    /// Pushes refs, all or none where the remote can. Hooks of this repository are not asked: they look at
    /// source, and what carnet pushes was examined when it was recorded.
    ///
    /// # Errors
    ///
    /// [`PushError::Rejected`] is for the caller to join and try again.
    pub fn push(&self, remote: &str, refspecs: &[&str]) -> Result<(), PushError> {
        let head = ["push", "--quiet", "--no-verify", "--", remote];
        match self.run_git(&[&head, refspecs].concat(), None) {
            Ok(_) => Ok(()),
            Err(ProgramError::Failed { stderr, .. }) if is_rejection(&stderr) => {
                Err(PushError::Rejected { remote: remote.to_owned() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Joins the notes commit `other` into `notes_ref`: every line of both stays, each once.
    ///
    /// # Errors
    ///
    /// [`NoteError`]; the ref is then unchanged.
    pub fn join_notes(
        &self,
        notes_ref: &str,
        other: &GitOid,
        author: &Author,
        time: Timestamp,
    ) -> Result<NotesJoined, NoteError> {
        for _ in 0..MAX_ATTEMPTS {
            let tip = self.read_ref(notes_ref)?;
            let (next, joined) = match tip {
                None => (*other, NotesJoined::Forwarded),
                Some(tip) if self.is_ancestor(other, &tip)? => return Ok(NotesJoined::Unchanged),
                Some(tip) if self.is_ancestor(&tip, other)? => (*other, NotesJoined::Forwarded),
                Some(tip) => {
                    (self.joined(notes_ref, &tip, other, author, time)?, NotesJoined::Merged)
                }
            };
            match self.update_ref(notes_ref, &next, tip.as_ref(), "notes: joined by carnet") {
                Ok(()) => return Ok(joined),
                Err(RefUpdateError::Raced { .. }) => {}
                Err(error) => return Err(NoteError::Update(error)),
            }
        }
        Err(NoteError::Contended { name: notes_ref.to_owned(), attempts: MAX_ATTEMPTS })
    }

    /// Writes the merge commit of two notes commits.
    fn joined(
        &self,
        notes_ref: &str,
        tip: &GitOid,
        other: &GitOid,
        author: &Author,
        time: Timestamp,
    ) -> Result<GitOid, NoteError> {
        let objects = Objects { repo: self, failure: RefCell::default() };
        let mut notes = self.open_notes(notes_ref, Some(tip), &objects)?;
        let mut tree = self.commit_tree(tip)?;
        let here: HashSet<_> =
            self.tree_files(tip)?.into_iter().map(|file| (file.path, file.id)).collect();
        for file in self.tree_files(other)? {
            if here.contains(&(file.path.clone(), file.id)) {
                continue;
            }
            // A note's path is its object's name, cut by slashes; anything else in the tree is no note.
            let Ok(target) = GitOid::from_hex(&file.path.to_text().replace('/', "")) else {
                continue;
            };
            let theirs = self.read_blob(&file.id, crate::notes::MAX_NOTE_BYTES)?;
            let ours = self.note_of(notes_ref, &mut notes, &target, &objects)?;
            let Some(both) = lines_of_both(ours.as_deref().unwrap_or_default(), &theirs) else {
                continue;
            };
            let blob_id = convert::to_gix(&self.write_blob(&both)?);
            let edited = notes
                .replace(convert::to_gix(&target), blob_id, &objects)
                .map_err(|error| objects.explain(notes_ref, error))?;
            tree = convert::from_gix(&edited.tree);
        }
        Ok(self.write_commit(&CommitSpec {
            tree,
            parents: vec![*tip, *other],
            message: "Notes joined by carnet".to_owned(),
            author: author.clone(),
            time,
        })?)
    }

    /// Tells whether `older` is `newer` or an ancestor of it, with what a hook's quarantine holds.
    ///
    /// # Errors
    ///
    /// [`ProgramError`] when git does not answer, such as for a commit that is not there.
    pub fn is_ancestor_in_hook(
        &self,
        older: &GitOid,
        newer: &GitOid,
    ) -> Result<bool, ProgramError> {
        let (older, newer) = (older.to_string(), newer.to_string());
        match self.run_git_as_hook(&["merge-base", "--is-ancestor", &older, &newer]) {
            Ok(_) => Ok(true),
            Err(ProgramError::Failed { code: Some(1), .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn is_ancestor(&self, older: &GitOid, newer: &GitOid) -> Result<bool, NoteError> {
        let (older, newer) = (older.to_string(), newer.to_string());
        match self.run_git(&["merge-base", "--is-ancestor", &older, &newer], None) {
            Ok(_) => Ok(true),
            Err(ProgramError::Failed { code: Some(1), .. }) => Ok(false),
            Err(error) => Err(NoteError::Program(error)),
        }
    }
}

/// What git, and servers, say when the other side has moved on or is being written by someone else. Anything else, such as a
/// missing right or a hook that declines, will not go away by trying again.
fn is_rejection(stderr: &str) -> bool {
    let transient = [
        "(fetch first)",
        "(non-fast-forward)",
        "(stale info)",
        "cannot lock ref",
        "failed to lock",
        "failed to update ref",
        "incorrect old value provided",
    ];
    transient.iter().any(|said| stderr.contains(said))
}
