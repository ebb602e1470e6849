//! Checkpoints: a writer signs where every chain stood, so that a later rewrite or loss shows, on any clone that has the
//! checkpoint. The form is `docs/format/ledger.md`.
//!
//! One chain of commits a writer, `refs/carnet/checkpoint/<writer>`. A checkpoint names each chain of runs that the clone has,
//! its own and others', and each day of the audit logs, by tip, length and Merkle root: SHA-256 over what was signed, whatever hash git uses.

use carnet_access::{
    dsse::{Signatures, VerifyError},
    keys::{PublicKey, SigningKey},
};
use carnet_core::{Digest, GitOid, Timestamp};
use carnet_git::{ChainError, CommitSpec, RefError, Repo, TreeSpec, WriteError};
use carnet_guard::audit::{AuditChain, Problem, Severity, verify_audit};
use serde::{Deserialize, Serialize};

use crate::{
    ledger::{chains, read_event},
    record::author,
};

/// The format that this version writes.
pub const CHECKPOINT_FORMAT: &str = "carnet/checkpoint/1";
/// DSSE payload type of a checkpoint.
pub const CHECKPOINT_PAYLOAD_TYPE: &str = "application/vnd.carnet.checkpoint+json";

/// Names of chains that are days of audit logs.
pub(crate) const AUDIT_CHAINS: &str = "audit/";

/// Where every chain stood at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Checkpoint {
    /// Always [`CHECKPOINT_FORMAT`].
    pub format: String,
    /// Who signed it.
    pub writer: String,
    /// The signer's key, so that others can decide to trust it.
    pub public_key: String,
    /// When.
    pub at: Timestamp,
    /// The checkpoint before this one in the same ref.
    pub previous: Option<GitOid>,
    /// The chains, sorted by name.
    pub chains: Vec<ChainState>,
}

/// Where one chain stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainState {
    /// `ledger/<writer>/<day>`, `locked/<writer>/<month>` or `audit/<writer>/<day>`, wherever this clone keeps it.
    pub name: String,
    /// Its newest event commit.
    pub tip: GitOid,
    /// Its length in events.
    pub n_events: u64,
    /// Merkle tree hash of the event lines, oldest first.
    pub root: Digest,
}

/// Why no checkpoint was made.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The refs could not be listed.
    #[error("list the ledger's refs")]
    Refs(#[from] RefError),
    /// A chain is broken, and a checkpoint of it would vouch for the break.
    #[error("`{name}` cannot be read past commit `{commit}`: {message}")]
    Broken {
        /// The chain.
        name: String,
        /// Where reading stopped.
        commit: GitOid,
        /// What is wrong there.
        message: String,
    },
    /// The checkpoint could not be written.
    #[error("write the checkpoint")]
    Write(#[from] WriteError),
    /// The checkpoint's ref could not be moved.
    #[error("append the checkpoint")]
    Append(#[from] ChainError),
}

/// Returns the ref of a writer's checkpoints.
pub fn checkpoint_ref(writer: &str) -> String {
    format!("refs/carnet/checkpoint/{writer}")
}

/// The name that a chain has on every clone: `refs/carnet/` and `refs/carnet/remotes/<remote>/` taken away.
pub fn chain_name(ref_name: &str) -> &str {
    let name = ref_name.strip_prefix("refs/carnet/").unwrap_or(ref_name);
    match name.strip_prefix("remotes/").and_then(|rest| rest.split_once('/')) {
        Some((_, name)) => name,
        None => name,
    }
}

/// Signs where every chain stands now and appends that to this clone's checkpoints; `None` when there is no chain.
///
/// Of a chain that stands here twice, own and fetched, the longer is taken.
///
/// # Errors
///
/// [`CheckpointError`]; the checkpoints are then unchanged.
pub fn write(
    repo: &Repo,
    key: &SigningKey,
    now: Timestamp,
) -> Result<Option<Checkpoint>, CheckpointError> {
    let mut states: Vec<ChainState> = vec![];
    for (ref_name, tip) in chains(repo)? {
        let state = chain_state(repo, &ref_name, tip)?;
        match states.iter_mut().find(|known| known.name == state.name) {
            Some(known) if known.n_events < state.n_events => *known = state,
            Some(_) => {}
            None => states.push(state),
        }
    }
    for chain in verify_audit(repo, &[], None)?.chains {
        let Some(state) = audit_state(&chain) else { continue };
        match states.iter_mut().find(|known| known.name == state.name) {
            Some(known) if known.n_events < state.n_events => *known = state,
            Some(_) => {}
            None => states.push(state),
        }
    }
    if states.is_empty() {
        return Ok(None);
    }
    states.sort_by(|a, b| a.name.cmp(&b.name));
    let writer = key.public().writer();
    let checkpoint = Checkpoint {
        format: CHECKPOINT_FORMAT.to_owned(),
        writer: writer.clone(),
        public_key: key.public().to_string(),
        at: now,
        previous: None,
        chains: states,
    };
    let tree = repo.write_tree(&TreeSpec::new())?;
    let written = std::cell::RefCell::new(checkpoint);
    repo.append_chain(&checkpoint_ref(&writer), &|previous| {
        let mut checkpoint = written.borrow_mut();
        checkpoint.previous = previous;
        Ok(CommitSpec {
            tree,
            parents: previous.into_iter().collect(),
            message: message(&checkpoint, key),
            author: author(&writer),
            time: now,
        })
    })?;
    Ok(Some(written.into_inner()))
}

/// The same, unless this clone made one on the same day already.
///
/// # Errors
///
/// [`CheckpointError`].
pub fn write_daily(repo: &Repo, key: &SigningKey, now: Timestamp) -> Result<(), CheckpointError> {
    let newest = repo.read_ref(&checkpoint_ref(&key.public().writer()))?;
    let newest = newest.and_then(|commit| SignedCheckpoint::read(repo, commit).ok());
    match newest {
        Some(newest) if newest.checkpoint.at.day() == now.day() => Ok(()),
        _ => write(repo, key, now).map(drop),
    }
}

fn message(checkpoint: &Checkpoint, key: &SigningKey) -> String {
    let line = serde_json_canonicalizer::to_string(checkpoint)
        .expect("because a checkpoint has string keys and no floating-point numbers");
    let signatures = Signatures::sign(CHECKPOINT_PAYLOAD_TYPE, line.as_bytes(), key);
    let signatures = String::from_utf8_lossy(&signatures.to_json()).into_owned();
    format!("checkpoint of {} chains\n\n{line}\n{signatures}\n", checkpoint.chains.len())
}

fn chain_state(repo: &Repo, ref_name: &str, tip: GitOid) -> Result<ChainState, CheckpointError> {
    let mut leaves = vec![];
    let mut next = Some(tip);
    while let Some(commit) = next {
        let event = read_event(repo, commit).map_err(|message| CheckpointError::Broken {
            name: ref_name.to_owned(),
            commit,
            message,
        })?;
        leaves.push(leaf(event.line()));
        next = event.event.previous;
    }
    leaves.reverse();
    let name = chain_name(ref_name).to_owned();
    Ok(ChainState { name, tip, n_events: leaves.len() as u64, root: merkle_root(&leaves) })
}

fn audit_state(chain: &AuditChain) -> Option<ChainState> {
    Some(ChainState {
        name: chain.name.clone(),
        tip: *chain.commits.last()?,
        n_events: chain.leaves.len() as u64,
        root: merkle_root(&chain.leaves),
    })
}

/// Returns what the newest checkpoints of each writer, own and fetched, say of audit logs and does not hold: entries may follow,
/// none may be gone or changed. Checkpoints that are broken or not by a trusted key are left to `verify_all`.
///
/// # Errors
///
/// [`RefError`] when the refs cannot be listed.
pub fn audit_against_checkpoints(
    repo: &Repo,
    trusted: &[PublicKey],
    chains: &[AuditChain],
) -> Result<Vec<Problem>, RefError> {
    let mut problems = vec![];
    for (ref_name, tip) in checkpoints(repo)? {
        let Ok(signed) = SignedCheckpoint::read(repo, tip) else { continue };
        if signed.verify(trusted).is_err() {
            continue;
        }
        let states = signed.checkpoint.chains.iter();
        for state in states.filter(|state| state.name.starts_with(AUDIT_CHAINS)) {
            if !chains.iter().any(|chain| reaches(chain, state)) {
                let message = format!(
                    "it held {} entries at {} by {ref_name}; they are gone or were changed",
                    state.n_events, signed.checkpoint.at
                );
                let severity = Severity::Wrong;
                problems.push(Problem { severity, subject: state.name.clone(), message });
            }
        }
    }
    Ok(problems)
}

fn reaches(chain: &AuditChain, state: &ChainState) -> bool {
    let n_events = usize::try_from(state.n_events).unwrap_or(usize::MAX);
    chain.name == state.name
        && chain.leaves.get(..n_events).is_some_and(|leaves| merkle_root(leaves) == state.root)
}

/// Returns every ref of checkpoints with its tip, own and fetched.
pub(crate) fn checkpoints(repo: &Repo) -> Result<Vec<(String, GitOid)>, RefError> {
    let mut refs = repo.list_refs("refs/carnet/checkpoint/")?;
    let fetched = repo.list_refs("refs/carnet/remotes/")?;
    refs.extend(
        fetched.into_iter().filter(|(name, _)| name.split('/').nth(4) == Some("checkpoint")),
    );
    Ok(refs)
}

/// A checkpoint as it was read.
#[derive(Debug, Clone)]
pub struct SignedCheckpoint {
    /// What it says.
    pub checkpoint: Checkpoint,
    line: String,
    signatures: Signatures,
}

impl SignedCheckpoint {
    /// Reads a checkpoint commit.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    pub fn read(repo: &Repo, commit_id: GitOid) -> Result<SignedCheckpoint, String> {
        let commit =
            repo.read_commit(&commit_id).map_err(|error| crate::record::describe_chain(&error))?;
        let signed = SignedCheckpoint::parse(&commit.message)?;
        if commit.parents != signed.checkpoint.previous.into_iter().collect::<Vec<_>>() {
            return Err("the commit's parent is not the checkpoint before it".to_owned());
        }
        Ok(signed)
    }

    /// Reads the message of a checkpoint commit; says in words what is wrong with it.
    pub(crate) fn parse(message: &str) -> Result<SignedCheckpoint, String> {
        let shape = || "the commit message holds no checkpoint".to_owned();
        let body = message.split_once("\n\n").ok_or_else(shape)?.1;
        let (line, rest) = body.split_once('\n').ok_or_else(shape)?;
        let checkpoint: Checkpoint =
            serde_json::from_str(line).map_err(|error| format!("malformed checkpoint: {error}"))?;
        if checkpoint.format != CHECKPOINT_FORMAT {
            return Err(format!("format `{}` is not read by this version", checkpoint.format));
        }
        let signatures = Signatures::from_json(rest.trim_end().as_bytes())
            .map_err(|error| format!("malformed signature: {error}"))?;
        Ok(SignedCheckpoint { checkpoint, line: line.to_owned(), signatures })
    }

    /// Checks the signature and returns the signer's key id.
    ///
    /// # Errors
    ///
    /// [`VerifyError`].
    pub fn verify(&self, trusted: &[PublicKey]) -> Result<Digest, VerifyError> {
        self.signatures.verify(CHECKPOINT_PAYLOAD_TYPE, self.line.as_bytes(), trusted)
    }
}

/// The hash of one event line, as a leaf.
pub fn leaf(line: &str) -> Digest {
    Digest::of(&[&[0], line.as_bytes()].concat())
}

/// Returns the Merkle tree hash of leaves in order.
///
/// # Source
///
/// RFC 6962 §2.1: leaves are hashed with a zero byte before them, nodes with a one; a tree is split at the largest power of
/// two below its size.
pub fn merkle_root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of(b""),
        [only] => *only,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            let (left, right) = (merkle_root(left), merkle_root(right));
            Digest::of(&[&[1], &left.as_bytes()[..], &right.as_bytes()[..]].concat())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_the_one_of_rfc_6962() {
        // Known roots of the certificate transparency test tree (leaves "", 00, 10, 2021, …).
        let leaves: Vec<Digest> = [&[][..], &[0x00], &[0x10], &[0x20, 0x21]]
            .iter()
            .map(|leaf| Digest::of(&[&[0][..], leaf].concat()))
            .collect();
        let root = |n: usize| merkle_root(&leaves[..n]).to_string();
        assert_eq!(root(1), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        assert_eq!(root(2), "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
        assert_eq!(root(3), "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77");
        assert_eq!(root(4), "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7");
    }

    #[test]
    fn a_chain_has_one_name_on_every_clone() {
        for name in ["refs/carnet/ledger/w/d", "refs/carnet/remotes/origin/ledger/w/d"] {
            assert_eq!(chain_name(name), "ledger/w/d");
        }
    }
}
