//! Refs that only grow: locked runs, checkpoints, the audit log, ledgers and their notes. What would rewrite one is refused, and so is
//! deleting what must not be lost.
//!
//! Asked by `reference-transaction` here and by `update` and `pre-receive` on a server. Hooks can be gone round; `carnet
//! verify` finds what was done then.

use std::fs;

use carnet_core::GitOid;
use carnet_git::{ProgramError, RefError, Repo};

use crate::push::{PushError, PushGate, RefChange};

/// Refs that are neither rewritten nor deleted.
const KEPT: [&str; 3] = ["refs/carnet/locked/", "refs/carnet/checkpoint/", "refs/carnet/audit/"];
/// Refs that are not rewritten; days that expired may be deleted.
const GROWING: [&str; 2] = ["refs/carnet/ledger/", "refs/notes/carnet/"];

/// A change that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The ref.
    pub name: String,
    /// Why, as a lowercase fragment.
    pub why: &'static str,
}

/// Why a change could not be judged; it is refused then.
#[derive(Debug, thiserror::Error)]
pub enum ProtectError {
    /// The ref could not be read.
    #[error(transparent)]
    Ref(#[from] RefError),
    /// Git could not say which commit is newer.
    #[error("ask git which commit is newer")]
    Program(#[from] ProgramError),
}

/// Reads what `reference-transaction` is given, and keeps the lines about refs that only grow.
///
/// # Errors
///
/// [`PushError::Line`] for such a line that is not as `githooks(5)` says.
pub fn parse_transaction(input: &[u8]) -> Result<Vec<RefChange>, PushError> {
    let ours = |line: &&[u8]| {
        let name = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
        KEPT.iter().chain(&GROWING).any(|prefix| name.starts_with(prefix.as_bytes()))
    };
    let lines: Vec<&[u8]> = input.split(|byte| *byte == b'\n').filter(ours).collect();
    PushGate::Arriving.parse(&lines.join(&b'\n'))
}

/// Returns the first change that must not be made.
///
/// # Errors
///
/// [`ProtectError`]: nothing may be changed then.
pub fn refused_change(repo: &Repo, changes: &[RefChange]) -> Result<Option<Refused>, ProtectError> {
    for change in changes {
        let is_kept = starts_with_any(&change.name, &KEPT);
        if !is_kept && !starts_with_any(&change.name, &GROWING) {
            continue;
        }
        // Without an expectation git says that there was nothing; the ref itself knows better.
        let old = match change.old {
            Some(old) => Some(old),
            None => repo.read_ref(&change.name)?,
        };
        let why = match (old, change.new) {
            (Some(old), None) if is_kept && !is_packed_copy(repo, &change.name, &old) => {
                Some("it is kept for good, and cannot be deleted")
            }
            (Some(old), Some(new)) if !grows(repo, &old, &new)? => {
                Some("it only grows, and this would rewrite it")
            }
            _ => None,
        };
        if let Some(why) = why {
            return Ok(Some(Refused { name: change.name.clone(), why }));
        }
    }
    Ok(None)
}

/// Tells whether a deletion only takes the loose copy of a packed ref away, as `git gc` does: git 2.47 asks the hook about that
/// too. A ref that truly goes is taken out of `packed-refs` in the same transaction, which holds that file's lock.
fn is_packed_copy(repo: &Repo, name: &str, old: &GitOid) -> bool {
    let packed = repo.common_dir().join("packed-refs");
    if repo.is_reftable() || packed.with_extension("lock").exists() {
        return false;
    }
    let line = format!("{old} {name}");
    fs::read(packed)
        .is_ok_and(|text| text.split(|byte| *byte == b'\n').any(|it| it == line.as_bytes()))
}

fn starts_with_any(name: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

fn grows(repo: &Repo, old: &GitOid, new: &GitOid) -> Result<bool, ProgramError> {
    if old == new {
        return Ok(true);
    }
    repo.is_ancestor_in_hook(old, new)
}
