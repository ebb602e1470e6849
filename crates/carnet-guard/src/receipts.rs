//! Guard receipts: signed lines that say that what a tree has beyond others was examined, and nothing was met.
//!
//! They lie in `refs/notes/carnet/guard`, on the tree, whatever becomes of the commit: a new message or author changes nothing. A
//! receipt counts for a commit when each of its base trees is the tree of a parent (what differs from all parents is then among what
//! differs from the base), when it was given under the very policy and rules that decide here, and when a key that is trusted here
//! signed it. Whoever reads them decides whether they count at all; `docs/format/notes.md` has the form.
//!
//! Signing and verifying is the caller's.

use std::collections::{HashMap, HashSet};

use carnet_core::{Digest, GitOid, Timestamp};
use carnet_git::{Author, NoteError, Repo};
use serde::{Deserialize, Serialize};

use crate::{
    examine::Guard,
    history::{self, CommitTree, HistoryError, Revisions},
};

/// Where receipts lie, by tree.
pub const GUARD_NOTES: &str = "refs/notes/carnet/guard";
/// What a receipt's signature says that it is of.
pub const RECEIPT_TYPE: &str = "application/vnd.carnet.guard-receipt+json";
/// Largest note that is read, in bytes.
const NOTE_BYTES_MAX: u64 = 64 << 20;
const FORMAT: &str = "carnet/guard-receipt/1";

/// One receipt. Its JSON is canonical (RFC 8785): the fields stand in order of their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardReceipt {
    /// When it was examined.
    pub at: Timestamp,
    /// What was not examined: files that are the same in one of these trees. None: everything was.
    pub base: Vec<GitOid>,
    /// Always `carnet/guard-receipt/1`.
    pub format: String,
    /// Digest of the content policy.
    pub policy: Digest,
    /// Digest of the rules, which holds the engine's version.
    pub rules: Digest,
    /// The tree.
    pub tree: GitOid,
}

/// A line of a note.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    pub(crate) receipt: GuardReceipt,
    pub(crate) signatures: serde_json::Value,
}

/// Tells whether the signatures, in their stored JSON, are of these bytes and by a trusted key.
pub type Verifier<'v> = &'v dyn Fn(&[u8], &[u8]) -> bool;

impl GuardReceipt {
    /// Returns the bytes that are signed.
    pub fn payload(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("because a receipt has string keys")
    }
}

/// Writes receipts with their signatures' JSON, all in one commit of the notes.
///
/// # Errors
///
/// [`NoteError`]; nothing was written then.
pub fn write_receipts(
    repo: &Repo,
    signed: Vec<(GuardReceipt, serde_json::Value)>,
    author: &Author,
    now: Timestamp,
) -> Result<(), NoteError> {
    let lines: Vec<(GitOid, String)> = signed
        .into_iter()
        .map(|(receipt, signatures)| {
            let tree = receipt.tree;
            let line = serde_json::to_string(&Line { receipt, signatures });
            (tree, line.expect("because a line has string keys"))
        })
        .collect();
    repo.append_notes(GUARD_NOTES, &lines, author, now)
}

impl Guard<'_> {
    /// Returns a receipt for each commit, to be signed.
    pub(crate) fn receipts(&self, commits: &[CommitTree], now: Timestamp) -> Vec<GuardReceipt> {
        let of = |commit: &CommitTree| GuardReceipt {
            at: now,
            base: commit.parent_trees.clone(),
            format: FORMAT.to_owned(),
            policy: self.policy_digest(),
            rules: self.verdicts_digest(),
            tree: commit.tree,
        };
        commits.iter().map(of).collect()
    }

    /// Returns the commits whose changes a receipt covers. What cannot be read covers nothing.
    pub(crate) fn covered(
        &self,
        repo: &Repo,
        revisions: &Revisions,
        verifier: Verifier<'_>,
    ) -> Result<HashSet<GitOid>, HistoryError> {
        let mut covered = HashSet::new();
        let mut notes: HashMap<GitOid, Vec<GuardReceipt>> = HashMap::new();
        for commit in history::commit_trees(repo, revisions, None)? {
            let receipts = notes
                .entry(commit.tree)
                .or_insert_with(|| verified_receipts(repo, &commit.tree, verifier));
            let is_of = |receipt: &GuardReceipt| {
                receipt.policy == self.policy_digest()
                    && receipt.rules == self.verdicts_digest()
                    && receipt.base.iter().all(|tree| commit.parent_trees.contains(tree))
            };
            if receipts.iter().any(is_of) {
                covered.insert(commit.id);
            }
        }
        tracing::debug!(target: "carnet_guard", n_covered = covered.len(), "receipts were read");
        Ok(covered)
    }
}

/// A receipt as it lies in the notes.
pub struct StoredReceipt {
    /// What the note is on, as the notes' tree spells it.
    pub target: String,
    /// What it says.
    pub receipt: GuardReceipt,
    /// The JSON of its signatures.
    pub signatures: Vec<u8>,
}

/// Returns every receipt of this format in the notes, and how many lines are of another or none.
///
/// # Errors
///
/// [`NoteError`] when the notes cannot be read.
pub fn stored_receipts(repo: &Repo) -> Result<(Vec<StoredReceipt>, usize), NoteError> {
    let Some(tip) = repo.read_ref(GUARD_NOTES)? else { return Ok((vec![], 0)) };
    let (mut found, mut n_others) = (vec![], 0);
    for file in repo.tree_files(&tip)? {
        let target = file.path.to_text().replace('/', "");
        let note = repo.read_blob(&file.id, NOTE_BYTES_MAX)?;
        for line in note.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice::<Line>(line) {
                Ok(line) if line.receipt.format == FORMAT => found.push(StoredReceipt {
                    target: target.clone(),
                    signatures: serde_json::to_vec(&line.signatures).unwrap_or_default(),
                    receipt: line.receipt,
                }),
                _ => n_others += 1,
            }
        }
    }
    Ok((found, n_others))
}

fn verified_receipts(repo: &Repo, tree: &GitOid, verifier: Verifier<'_>) -> Vec<GuardReceipt> {
    let note = repo.read_note(GUARD_NOTES, tree).ok().flatten().unwrap_or_default();
    let lines = note.split(|byte| *byte == b'\n');
    let lines = lines.filter_map(|line| serde_json::from_slice::<Line>(line).ok());
    let lines = lines.filter(|line| {
        let signatures = serde_json::to_vec(&line.signatures).unwrap_or_default();
        line.receipt.tree == *tree
            && line.receipt.format == FORMAT
            && verifier(&line.receipt.payload(), &signatures)
    });
    lines.map(|line| line.receipt).collect()
}
