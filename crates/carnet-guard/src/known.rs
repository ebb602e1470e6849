//! What earlier scans of the history knew, so that an unchanged history answers fast.
//!
//! Two things are kept under the state directory, in one file per rule set (its digest holds the engine's version): which
//! (blob, path) pairs were clean, and up to which tips everything was looked at, with the changes that were not clean. Verdicts are not kept:
//! what was not clean is scanned again, under the policy and the acceptances of today.
//!
//! The file is a cache: it may be deleted at any time, a damaged one counts as none, and it is used by `carnet scan --history`
//! alone. Whoever can write into the git directory can plant one; gates never read it.

use std::{collections::HashSet, fs, io, path::PathBuf};

use carnet_core::{Digest, Digester, GitOid, RepoPath};
use carnet_git::Repo;
use serde::{Deserialize, Serialize};

use crate::history::{Change, Piece, Speaker};

const FORMAT: &str = "carnet/scan-cache/2";
const KEY_BYTES: usize = 16;

/// Name of a (blob, path) pair or a message under one rule set: the first 16 bytes of their digest.
pub(crate) type PieceKey = [u8; KEY_BYTES];

/// What is known of a history.
pub struct KnownHistory {
    path: PathBuf,
    rules: Digest,
    clean: HashSet<PieceKey>,
    looked_at: Option<LookedAt>,
}

/// The first line of the file; the keys of clean pairs follow it.
#[derive(Serialize, Deserialize)]
struct Head {
    format: String,
    rules: Digest,
    looked_at: Option<LookedAt>,
    n_clean: usize,
}

/// How far a whole scan came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LookedAt {
    /// What refs named.
    pub(crate) tips: Vec<GitOid>,
    /// Digest of the file that says where a shallow clone ends.
    pub(crate) shallow: Digest,
    /// What was not clean.
    pub(crate) unclean: Vec<UncleanPiece>,
}

/// A piece of the history with findings, accepted or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum UncleanPiece {
    File { commit_id: Option<GitOid>, path: Vec<u8>, blob_id: GitOid },
    CommitMessage(GitOid),
    TagMessage(GitOid),
}

impl UncleanPiece {
    pub(crate) fn of(piece: &Piece) -> UncleanPiece {
        match piece {
            Piece::File(Change { commit_id, path, blob_id }) => {
                let path = path.as_bytes().to_vec();
                UncleanPiece::File { commit_id: *commit_id, path, blob_id: *blob_id }
            }
            Piece::Message(Speaker::Commit(id)) => UncleanPiece::CommitMessage(*id),
            Piece::Message(Speaker::Tag(id)) => UncleanPiece::TagMessage(*id),
        }
    }

    /// Returns the piece; `None` when the file was tampered with.
    pub(crate) fn piece(&self) -> Option<Piece> {
        Some(match self {
            UncleanPiece::File { commit_id, path, blob_id } => {
                let path = RepoPath::new(path.clone()).ok()?;
                Piece::File(Change { commit_id: *commit_id, path, blob_id: *blob_id })
            }
            UncleanPiece::CommitMessage(id) => Piece::Message(Speaker::Commit(*id)),
            UncleanPiece::TagMessage(id) => Piece::Message(Speaker::Tag(*id)),
        })
    }
}

impl KnownHistory {
    /// Returns the knowledge of nothing, which is never saved.
    pub(crate) fn nothing(rules: Digest) -> KnownHistory {
        KnownHistory { path: PathBuf::new(), rules, clean: HashSet::new(), looked_at: None }
    }

    /// Reads what is known under a rule set; nothing when there is no sound file.
    pub fn load(repo: &Repo, rules: Digest) -> KnownHistory {
        let path = repo.state_dir().join("scan-cache");
        let read = fs::read(&path).ok().and_then(|bytes| parse(&bytes, rules));
        let (clean, looked_at) = read.unwrap_or_default();
        KnownHistory { path, rules, clean, looked_at }
    }

    /// Writes what is known now, beside the old file and then in its place.
    ///
    /// # Errors
    ///
    /// What the system said; the old file is then as it was.
    pub fn save(&self) -> io::Result<()> {
        let head = Head {
            format: FORMAT.to_owned(),
            rules: self.rules,
            looked_at: self.looked_at.clone(),
            n_clean: self.clean.len(),
        };
        let mut bytes = serde_json::to_vec(&head)?;
        bytes.push(b'\n');
        self.clean.iter().for_each(|key| bytes.extend_from_slice(key));
        if let Some(dir) = self.path.parent() {
            fs::create_dir_all(dir)?;
        }
        let beside = self.path.with_extension(format!("{}.new", std::process::id()));
        fs::write(&beside, bytes)?;
        fs::rename(&beside, &self.path)
    }

    pub(crate) fn key(&self, piece: &Piece) -> PieceKey {
        // No path is empty: a message is never taken for a file.
        let (id, path) = match piece {
            Piece::File(change) => (change.blob_id, change.path.as_bytes()),
            Piece::Message(speaker) => (speaker.id(), &b""[..]),
        };
        let mut digester = Digester::new();
        digester.field(self.rules.as_bytes()).field(id.as_bytes()).field(path);
        let mut key = PieceKey::default();
        key.copy_from_slice(&digester.finish().as_bytes()[..KEY_BYTES]);
        key
    }

    pub(crate) fn is_clean(&self, key: &PieceKey) -> bool {
        self.clean.contains(key)
    }

    pub(crate) fn add_clean(&mut self, key: PieceKey) {
        self.clean.insert(key);
    }

    pub(crate) fn looked_at(&self) -> Option<&LookedAt> {
        self.looked_at.as_ref()
    }

    pub(crate) fn set_looked_at(&mut self, looked_at: LookedAt) {
        self.looked_at = Some(looked_at);
    }
}

/// Returns the digest of the file that says where a shallow clone ends; of nothing when it is whole.
pub(crate) fn shallow_digest(repo: &Repo) -> Digest {
    Digest::of(&fs::read(repo.common_dir().join("shallow")).unwrap_or_default())
}

fn parse(bytes: &[u8], rules: Digest) -> Option<(HashSet<PieceKey>, Option<LookedAt>)> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let head: Head = serde_json::from_slice(&bytes[..end]).ok()?;
    let keys = &bytes[end + 1..];
    let is_whole = head.n_clean.checked_mul(KEY_BYTES) == Some(keys.len());
    if head.format != FORMAT || head.rules != rules || !is_whole {
        return None;
    }
    let keys = keys.chunks_exact(KEY_BYTES).map(|chunk| {
        let mut key = PieceKey::default();
        key.copy_from_slice(chunk);
        key
    });
    Some((keys.collect(), head.looked_at))
}
