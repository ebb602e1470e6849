//! What a push brings: the lines that git gives to `pre-push` and `pre-receive`, and the commits that the other side lacks.

use std::collections::HashSet;

use carnet_core::{GitOid, GitOidParseError, Timestamp};
use carnet_git::{RefError, Repo};
use carnet_policy::Suppressions;

use crate::{
    examine::{Examination, ExamineError, Guard, Told},
    history::{self, HistoryError, Peeled, Revisions},
    receipts::Verifier,
    suppressions::{SuppressionsError, suppressions_of},
};

/// One ref that a push changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefChange {
    /// The ref on the other side, such as `refs/heads/main`.
    pub name: String,
    /// What it named there; `None` when it is new.
    pub old: Option<GitOid>,
    /// What it shall name; `None` when it is deleted.
    pub new: Option<GitOid>,
}

/// Why a push could not be understood.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// A line is not what git's documentation says.
    #[error("line {line} on standard input is not what git gives to this hook")]
    Line {
        /// Which, from 1.
        line: usize,
    },
    /// Refs could not be read.
    #[error("read the refs")]
    Refs(#[from] RefError),
    /// Objects could not be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// Something could not be examined.
    #[error(transparent)]
    Examine(#[from] ExamineError),
    /// The file of accepted findings that the push brings could not be read.
    #[error(transparent)]
    Suppressions(#[from] SuppressionsError),
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushGate {
    /// `pre-push`: the remote's name, or its address when it has none.
    Leaving {
        /// The hook's first argument.
        remote: String,
    },
    /// `pre-receive`: the objects lie in quarantine, and no ref was changed yet.
    Arriving,
}

impl PushGate {
    /// Reads the hook's standard input; empty lines are passed over.
    ///
    /// # Errors
    ///
    /// [`PushError::Line`] for any line that is not as `githooks(5)` says.
    pub fn parse(&self, input: &[u8]) -> Result<Vec<RefChange>, PushError> {
        let lines = input.split(|byte| *byte == b'\n').enumerate();
        let lines = lines.filter(|(_, line)| !line.is_empty());
        let read =
            lines.map(|(idx, line)| self.parse_line(line).ok_or(PushError::Line { line: idx + 1 }));
        read.collect()
    }

    fn parse_line(&self, line: &[u8]) -> Option<RefChange> {
        let text = String::from_utf8_lossy(line);
        // A local ref may be any revision, such as `HEAD@{1 day ago}`: fields are counted from the end.
        let mut fields = text.rsplitn(4, ' ').collect::<Vec<_>>();
        fields.reverse();
        let (old, new, name) = match (self, &fields[..]) {
            (PushGate::Leaving { .. }, [_, new, name, old]) => (old, new, name),
            // A ref has no space in its name.
            (PushGate::Arriving, [old, new, name]) => (old, new, name),
            _ => return None,
        };
        let name = (*name).to_owned();
        Some(RefChange { name, old: object(old).ok()?, new: object(new).ok()? })
    }
}

/// Reads an object id; the null id is none.
fn object(text: &str) -> Result<Option<GitOid>, GitOidParseError> {
    let id = GitOid::from_hex(text)?;
    Ok(id.as_bytes().iter().any(|byte| *byte != 0).then_some(id))
}

impl Guard<'_> {
    /// Examines what a push brings that the other side lacks.
    ///
    /// - `trusts`: whose receipts count; where there is none, everything is examined anew. Messages are in any case.
    ///
    /// # Errors
    ///
    /// [`PushError`] when anything could not be read: the push is refused then.
    pub fn examine_push(
        &self,
        repo: &Repo,
        gate: &PushGate,
        changes: &[RefChange],
        trusts: Option<Verifier<'_>>,
        now: Timestamp,
    ) -> Result<Examination, PushError> {
        let tips: Vec<(GitOid, String)> =
            changes.iter().filter_map(|change| Some((change.new?, change.name.clone()))).collect();
        let new = commits(repo, tips.iter().map(|(id, _)| *id).collect())?;
        let mut revisions: Vec<String> = new.iter().map(ToString::to_string).collect();
        if !revisions.is_empty() {
            let there = there_already(repo, gate, changes)?;
            revisions.extend(there.iter().map(|id| format!("^{id}")));
        }
        let revisions = Revisions { options: vec![], revisions };
        let covered = match trusts {
            Some(verifier) => self.covered(repo, &revisions, verifier)?,
            None => HashSet::new(),
        };
        Ok(self.examine_uncovered(
            repo,
            &revisions,
            (&tips, &covered),
            Told::Once,
            now,
            &mut |_| {},
        )?)
    }
}

/// Returns what the other side has, as far as it is known here.
fn there_already(
    repo: &Repo,
    gate: &PushGate,
    changes: &[RefChange],
) -> Result<Vec<GitOid>, PushError> {
    match gate {
        PushGate::Arriving => Ok(history::tips(repo)?),
        PushGate::Leaving { remote } => {
            let mut there: Vec<GitOid> = changes.iter().filter_map(|change| change.old).collect();
            there.retain(|id| repo.has_object(id));
            let is_named = repo.config_get(&format!("remote.{remote}.url")).is_some();
            if is_named {
                let tracked = repo.list_refs(&format!("refs/remotes/{remote}/"))?;
                there.extend(tracked.into_iter().map(|(_, id)| id));
            }
            there.sort();
            there.dedup();
            commits(repo, there)
        }
    }
}

/// Keeps what is a commit, or a tag of one.
fn commits(repo: &Repo, ids: Vec<GitOid>) -> Result<Vec<GitOid>, PushError> {
    let peeled = history::peel(repo, &ids)?;
    let kept = ids.into_iter().zip(peeled).filter(|(_, peeled)| *peeled == Peeled::Commit);
    Ok(kept.map(|(id, _)| id).collect())
}

/// Returns a sound file of accepted findings when every commit that the push makes a tip holds one; else `None`.
///
/// # Errors
///
/// [`PushError`] when a tip cannot be read, or its file is wrong.
pub fn pushed_suppressions(
    repo: &Repo,
    changes: &[RefChange],
    now: Timestamp,
) -> Result<Option<Suppressions>, PushError> {
    let mut sound = None;
    for tip in commits(repo, changes.iter().filter_map(|change| change.new).collect())? {
        match suppressions_of(repo, &tip, now)? {
            Some(file) => sound = Some(file),
            None => return Ok(None),
        }
    }
    Ok(sound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_githooks_says_and_nothing_else_is() {
        let (a, zero) = ("ab".repeat(20), "0".repeat(40));
        let id = GitOid::from_hex(&a).unwrap();
        let leaving = PushGate::Leaving { remote: "origin".to_owned() };
        let line = format!("HEAD@{{1 day ago}} {a} refs/heads/x {zero}\n\n");
        let expected = RefChange { name: "refs/heads/x".to_owned(), old: None, new: Some(id) };
        assert_eq!(leaving.parse(line.as_bytes()).unwrap(), [expected]);
        let deleted = format!("{a} {zero} refs/heads/x\n");
        let expected = RefChange { name: "refs/heads/x".to_owned(), old: Some(id), new: None };
        assert_eq!(PushGate::Arriving.parse(deleted.as_bytes()).unwrap(), [expected]);
        assert!(leaving.parse(b"").unwrap().is_empty());
        for bad in ["x", "a b c", &format!("{a} {a}"), &format!("{a} {a} r r"), &format!("{a} x r")]
        {
            let read = PushGate::Arriving.parse(bad.as_bytes());
            assert!(matches!(read, Err(PushError::Line { line: 1 })), "{bad}");
        }
        assert!(leaving.parse(deleted.as_bytes()).is_err());
    }
}
