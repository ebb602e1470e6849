//! Reading blobs, trees and commits.
//!
//! Every read is bounded. An object that is missing because the clone is partial is told apart from one
//! that is missing: the first is at the remote, the second is damage.

use carnet_core::{GitOid, RepoPath, Timestamp};
use gix::{
    objs::{CommitRefIter, Find as _, Kind, TreeRefIter, commit::ref_iter::Token},
    odb::Header as _,
};

use crate::{Cause, EntryMode, Repo, convert};

/// Largest tree or commit object read, in bytes; git itself stays far below.
pub(crate) const MAX_STRUCTURE_BYTES: u64 = 256 << 20;

/// Why an object could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The repository does not have it: damage, or an id from elsewhere.
    #[error("object `{id}` is missing")]
    Missing {
        /// Its name.
        id: GitOid,
    },
    /// This partial clone does not have it; its promisor remote does.
    #[error("object `{id}` was not fetched by this partial clone")]
    Promised {
        /// Its name.
        id: GitOid,
    },
    /// It is another kind of object.
    #[error("object `{id}` is a {actual}, not a {expected}")]
    WrongKind {
        /// Its name.
        id: GitOid,
        /// What was asked for: `blob`, `tree` or `commit`.
        expected: &'static str,
        /// What it is.
        actual: String,
    },
    /// It is larger than the caller accepts.
    #[error("object `{id}` has {size} bytes, more than the limit of {max}")]
    TooLarge {
        /// Its name.
        id: GitOid,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// Its name is of the other hash than this repository uses.
    #[error("object id `{id}` is not of this repository's object format")]
    ForeignFormat {
        /// The id.
        id: GitOid,
    },
    /// Its bytes make no sense, or the store could not be read.
    #[error("read object `{id}`")]
    Corrupt {
        /// Its name.
        id: GitOid,
        /// Why.
        #[source]
        source: Cause,
    },
}

/// Why no objects can be looked for by the beginning of their names.
#[derive(Debug, thiserror::Error)]
pub enum PrefixError {
    /// Too few digits, or something else than digits.
    #[error("`{0}` is not the beginning of an object's name")]
    NoDigits(String),
    /// The store of objects could not be read.
    #[error("look through the names of objects")]
    Unreadable(#[source] Cause),
}

/// Who wrote a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The name; never `<`, `>`, a newline or NUL.
    pub name: String,
    /// The address; the same bytes are barred.
    pub email: String,
}

/// A commit, as far as carnet uses one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its own name.
    pub id: GitOid,
    /// The tree it records.
    pub tree: GitOid,
    /// Its parents in order; those that a shallow clone lacks included.
    pub parents: Vec<GitOid>,
    /// The whole message, with invalid UTF-8 replaced.
    pub message: String,
    /// When it was committed, to the second.
    pub time: Timestamp,
    /// Who wrote it.
    pub author: Author,
}

impl Repo {
    /// Returns the bytes of a blob.
    ///
    /// - `max_bytes`: larger blobs are refused before they are read.
    ///
    /// # Errors
    ///
    /// [`ObjectError`], each way to fail by its own variant.
    pub fn read_blob(&self, blob_id: &GitOid, max_bytes: u64) -> Result<Vec<u8>, ObjectError> {
        self.read_object(blob_id, Kind::Blob, max_bytes)
    }

    /// Returns the size of a blob in bytes, without reading it.
    ///
    /// # Errors
    ///
    /// [`ObjectError`] when it is missing, unreadable or no blob.
    pub fn blob_size(&self, blob_id: &GitOid) -> Result<u64, ObjectError> {
        self.object_size(blob_id, Kind::Blob)
    }

    /// Returns the blobs whose names begin with some digits: none, one, or those that share them.
    ///
    /// - `digits`: at least four hexadecimal digits.
    ///
    /// # Errors
    ///
    /// [`PrefixError`] where the digits are none, or the store cannot be read.
    pub fn blobs_named(&self, digits: &str) -> Result<Vec<GitOid>, PrefixError> {
        let prefix = gix::hash::Prefix::from_hex(digits);
        let prefix = prefix.map_err(|_| PrefixError::NoDigits(digits.to_owned()))?;
        let mut found = Default::default();
        self.gix
            .objects
            .lookup_prefix(prefix, Some(&mut found))
            .map_err(|err| PrefixError::Unreadable(Box::new(err)))?;
        let ids = found.iter().map(|id| convert::from_gix(id));
        let mut blobs: Vec<_> = ids.filter(|id| self.blob_size(id).is_ok()).collect();
        blobs.sort();
        Ok(blobs)
    }

    /// Tells whether the repository has an object of this name.
    pub fn has_object(&self, id: &GitOid) -> bool {
        id.format() == self.object_format() && matches!(self.object_header(id), Ok(Some(_)))
    }

    /// Returns the bytes of the file at `path` in a commit or tree; `None` when there is none, or when the
    /// path is a directory or a submodule. A symbolic link gives its target.
    ///
    /// # Errors
    ///
    /// [`ObjectError`] for the first tree or blob that cannot be read.
    pub fn read_path(
        &self,
        commit_or_tree: &GitOid,
        path: &RepoPath,
        max_bytes: u64,
    ) -> Result<Option<Vec<u8>>, ObjectError> {
        let Some((mode, id)) = self.find_path(commit_or_tree, path)? else { return Ok(None) };
        match EntryMode::from_gix(mode) {
            None | Some(EntryMode::Submodule) => Ok(None),
            Some(_) => self.read_blob(&id, max_bytes).map(Some),
        }
    }

    /// Returns mode and name of the file at `path` in a commit or tree; `None` when there is none or a directory.
    ///
    /// # Errors
    ///
    /// [`ObjectError`] for the first tree that cannot be read.
    pub fn entry_at(
        &self,
        commit_or_tree: &GitOid,
        path: &RepoPath,
    ) -> Result<Option<(EntryMode, GitOid)>, ObjectError> {
        let found = self.find_path(commit_or_tree, path)?;
        Ok(found.and_then(|(mode, id)| EntryMode::from_gix(mode).map(|mode| (mode, id))))
    }

    /// Returns the tree at `path` in a commit or tree, or `None`.
    ///
    /// # Errors
    ///
    /// [`ObjectError`] for the first tree that cannot be read.
    pub fn subtree(
        &self,
        commit_or_tree: &GitOid,
        path: &RepoPath,
    ) -> Result<Option<GitOid>, ObjectError> {
        let found = self.find_path(commit_or_tree, path)?;
        Ok(found.and_then(|(mode, id)| mode.is_tree().then_some(id)))
    }

    fn find_path(
        &self,
        commit_or_tree: &GitOid,
        path: &RepoPath,
    ) -> Result<Option<(gix::objs::tree::EntryMode, GitOid)>, ObjectError> {
        let mut id = self.tree_of(commit_or_tree)?;
        let mut found = None;
        for component in path.as_bytes().split(|byte| *byte == b'/') {
            if let Some((mode, tree_id)) = found.take() {
                if !gix::objs::tree::EntryMode::is_tree(&mode) {
                    return Ok(None);
                }
                id = tree_id;
            }
            let data = self.read_object(&id, Kind::Tree, MAX_STRUCTURE_BYTES)?;
            for entry in TreeRefIter::from_bytes(&data, self.gix.object_hash()) {
                let entry = entry.map_err(|err| corrupt(&id, err))?;
                if entry.filename == component {
                    found = Some((entry.mode, convert::from_gix(entry.oid)));
                    break;
                }
            }
            if found.is_none() {
                return Ok(None);
            }
        }
        Ok(found)
    }

    /// Reads a commit.
    ///
    /// # Errors
    ///
    /// [`ObjectError`] when it is missing, no commit, or malformed.
    pub fn read_commit(&self, commit_id: &GitOid) -> Result<Commit, ObjectError> {
        let data = self.read_object(commit_id, Kind::Commit, MAX_STRUCTURE_BYTES)?;
        let commit = gix::objs::CommitRef::from_bytes(&data, self.gix.object_hash())
            .map_err(|err| corrupt(commit_id, err))?;
        let author = commit.author().map_err(|err| corrupt(commit_id, err))?;
        let committer = commit.committer().map_err(|err| corrupt(commit_id, err))?;
        Ok(Commit {
            id: *commit_id,
            tree: convert::from_gix(&commit.tree()),
            parents: commit.parents().map(|id| convert::from_gix(&id)).collect(),
            message: commit.message.to_string(),
            time: Timestamp::from_millis(committer.seconds().saturating_mul(1000)),
            author: Author { name: author.name.to_string(), email: author.email.to_string() },
        })
    }

    /// Walks from `tip` along first parents, newest first, until a root or the border of a shallow clone.
    pub fn first_parents(&self, tip: &GitOid) -> FirstParents<'_> {
        FirstParents { repo: self, next: Some(*tip), shallow: None }
    }

    /// Returns the tree of a commit; a tree gives itself.
    pub(crate) fn tree_of(&self, commit_or_tree: &GitOid) -> Result<GitOid, ObjectError> {
        match self.object_header(commit_or_tree)? {
            Some((Kind::Tree, _)) => Ok(*commit_or_tree),
            _ => self.commit_tree(commit_or_tree),
        }
    }

    /// Returns the tree of a commit, reading no more of it than that.
    pub(crate) fn commit_tree(&self, commit_id: &GitOid) -> Result<GitOid, ObjectError> {
        let data = self.read_object(commit_id, Kind::Commit, MAX_STRUCTURE_BYTES)?;
        match CommitRefIter::from_bytes(&data, self.gix.object_hash()).next() {
            Some(Ok(Token::Tree { id })) => Ok(convert::from_gix(&id)),
            Some(Err(err)) => Err(corrupt(commit_id, err)),
            _ => Err(ObjectError::Corrupt { id: *commit_id, source: "no tree".into() }),
        }
    }

    /// Reads an object of one kind, once its size is known to be in bounds.
    pub(crate) fn read_object(
        &self,
        id: &GitOid,
        kind: Kind,
        max: u64,
    ) -> Result<Vec<u8>, ObjectError> {
        let size = self.object_size(id, kind)?;
        if size > max {
            return Err(ObjectError::TooLarge { id: *id, size, max });
        }
        let mut data = Vec::new();
        let gix_id = convert::to_gix(id);
        if self.gix.objects.try_find(&gix_id, &mut data).map_err(|err| corrupt(id, err))?.is_some()
        {
            return Ok(data);
        }
        for store in &self.env_objects {
            if store.try_find(&gix_id, &mut data).map_err(|err| corrupt(id, err))?.is_some() {
                return Ok(data);
            }
        }
        Err(self.missing(id))
    }

    fn object_size(&self, id: &GitOid, expected: Kind) -> Result<u64, ObjectError> {
        let (kind, size) = self.object_header(id)?.ok_or_else(|| self.missing(id))?;
        if kind != expected {
            let expected = kind_name(expected);
            return Err(ObjectError::WrongKind { id: *id, expected, actual: kind.to_string() });
        }
        Ok(size)
    }

    fn object_header(&self, id: &GitOid) -> Result<Option<(Kind, u64)>, ObjectError> {
        if id.format() != self.object_format() {
            return Err(ObjectError::ForeignFormat { id: *id });
        }
        let gix_id = convert::to_gix(id);
        let mut header = self.gix.objects.try_header(&gix_id).map_err(|err| corrupt(id, err))?;
        for store in &self.env_objects {
            if header.is_some() {
                break;
            }
            header = store.try_header(&gix_id).map_err(|err| corrupt(id, err))?;
        }
        Ok(header.map(|header| (header.kind(), header.size())))
    }

    fn missing(&self, id: &GitOid) -> ObjectError {
        if self.is_partial_clone() {
            ObjectError::Promised { id: *id }
        } else {
            ObjectError::Missing { id: *id }
        }
    }

    pub(crate) fn is_partial_clone(&self) -> bool {
        let config = self.gix.config_snapshot();
        let promisor = |section: gix::config::file::SectionRef<'_>| {
            section.body().value("promisor").is_some_and(|value| value != "false")
        };
        config.string("extensions.partialClone").is_some()
            || config
                .plumbing()
                .sections_by_name("remote")
                .is_some_and(|mut sections| sections.any(promisor))
    }
}

/// Commits along first parents. See [`Repo::first_parents`].
pub struct FirstParents<'repo> {
    repo: &'repo Repo,
    next: Option<GitOid>,
    shallow: Option<Vec<GitOid>>,
}

impl Iterator for FirstParents<'_> {
    type Item = Result<Commit, ObjectError>;

    fn next(&mut self) -> Option<Result<Commit, ObjectError>> {
        let id = self.next.take()?;
        let commit = match self.repo.read_commit(&id) {
            Ok(commit) => commit,
            Err(err) => return Some(Err(err)),
        };
        if let Some(parent) = commit.parents.first() {
            let repo = self.repo;
            let shallow = self.shallow.get_or_insert_with(|| repo.shallow_border());
            if !shallow.contains(&id) {
                self.next = Some(*parent);
            }
        }
        Some(Ok(commit))
    }
}

impl Repo {
    /// The commits whose parents a shallow clone lacks; empty in a full one.
    fn shallow_border(&self) -> Vec<GitOid> {
        match self.gix.shallow_commits() {
            Ok(Some(commits)) => commits.iter().map(|id| convert::from_gix(id)).collect(),
            _ => Vec::new(),
        }
    }
}

pub(crate) fn corrupt(id: &GitOid, err: gix::Error) -> ObjectError {
    ObjectError::Corrupt { id: *id, source: convert::cause(err) }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Blob => "blob",
        Kind::Tree => "tree",
        Kind::Commit => "commit",
        Kind::Tag => "tag",
    }
}
