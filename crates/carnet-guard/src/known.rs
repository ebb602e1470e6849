//! What earlier scans of the history knew, so that an unchanged history answers fast.
//!
//! Two things are kept under the state directory, in one file per rule set (its digest holds the engine's version): which
//! (blob, path) pairs were clean, and up to which tips everything was looked at, with the changes that were not clean and what was met in
//! them: places, masked forms and keyed fingerprints. Verdicts are not kept: what was met is judged again, under the policy and the
//! acceptances of today, and scanned again where more than that decides.
//!
//! The file is a cache: it may be deleted at any time, a damaged one counts as none, and it is used by `carnet scan --history`
//! alone. Whoever can write into the git directory can plant one; gates never read it.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::PathBuf,
};

use carnet_core::{
    Confidence, Content, Digest, Digester, Finding, Fingerprint, GitOid, Origin, Region, RepoPath,
    Severity,
};
use carnet_git::Repo;
use carnet_scan::{Allowed, Scan};
use serde::{Deserialize, Serialize};

use crate::{
    columns::TextColumns,
    history::{Change, Piece, Speaker},
};

const FORMAT: &str = "carnet/scan-cache/3";
/// Findings of one file that are kept; one with more is scanned again.
const SEEN_MAX: usize = 4096;
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
    /// The name of the key that findings were named with: another in each call where there is no key yet.
    pub(crate) key: Fingerprint,
    /// What was not clean.
    pub(crate) unclean: Vec<Unclean>,
}

/// What was not clean, and what a scan of it met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unclean {
    pub(crate) piece: UncleanPiece,
    /// Nothing when the piece is to be scanned again.
    pub(crate) seen: Option<Vec<Seen>>,
}

/// A finding, without what its piece says: where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    rule_id: String,
    description: String,
    region: Option<Region>,
    columns: Option<TextColumns>,
    severity: Severity,
    confidence: Confidence,
    fingerprint: Fingerprint,
    masked: String,
    /// The reason for which it was accepted beside it.
    allowed: Option<String>,
}

impl Seen {
    /// Returns what a scan met, for as much of it as is kept.
    pub(crate) fn all(scan: &Scan, content: &Content) -> Option<Vec<Seen>> {
        let Scan { findings, allowed, unread } = scan;
        if !unread.is_empty() || findings.len() + allowed.len() > SEEN_MAX {
            return None;
        }
        let seen = |finding: &Finding, allowed: Option<&String>| Seen {
            rule_id: finding.rule_id.clone(),
            description: finding.description.clone(),
            region: finding.region,
            columns: finding.region.map(|region| TextColumns::of(&content.bytes, &region)),
            severity: finding.severity,
            confidence: finding.confidence,
            fingerprint: finding.fingerprint,
            masked: finding.masked.clone(),
            allowed: allowed.cloned(),
        };
        let findings = findings.iter().map(|finding| seen(finding, None));
        let allowed = allowed.iter().map(|it| seen(&it.finding, Some(&it.reason)));
        Some(findings.chain(allowed).collect())
    }

    /// Returns what the scan met, and the columns of each place.
    pub(crate) fn scan(seen: Vec<Seen>, origin: &Origin) -> (Scan, HashMap<Region, TextColumns>) {
        let (mut scan, mut columns) = (Scan::default(), HashMap::new());
        for it in seen {
            columns.extend(it.region.zip(it.columns));
            let finding = Finding {
                rule_id: it.rule_id,
                description: it.description,
                origin: origin.clone(),
                region: it.region,
                severity: it.severity,
                confidence: it.confidence,
                fingerprint: it.fingerprint,
                masked: it.masked,
            };
            match it.allowed {
                Some(reason) => scan.allowed.push(Allowed { finding, reason }),
                None => scan.findings.push(finding),
            }
        }
        (scan, columns)
    }
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
