//! The audit log: one signed-off line per refusal, kept under `refs/carnet/audit/<writer>/<day>`.
//!
//! Each event commit's only parent is the event before it, and its message holds one JSON line that names that
//! commit: a dropped, moved or changed event breaks the chain. Events name rules, places and fingerprints, never values.

use carnet_core::{GitOid, Timestamp};
use carnet_git::{Author, ChainError, CommitSpec, Repo, TreeSpec, WriteError};
use serde::Serialize;

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvent {
    /// Always `carnet/audit/1`.
    pub format: &'static str,
    /// What happened, such as `refusal`.
    pub event: &'static str,
    /// Where, such as `pre-commit`.
    pub at_gate: String,
    /// Who writes the log.
    pub writer: String,
    /// When.
    pub at: Timestamp,
    /// What was met: `rule path:line fingerprint`.
    pub findings: Vec<String>,
    /// The event before this one.
    pub previous: Option<GitOid>,
}

/// Why an event could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// An object could not be written.
    #[error("write the audit event")]
    Write(#[from] WriteError),
    /// The log's ref could not be moved.
    #[error("append to the audit log")]
    Append(#[from] ChainError),
}

/// Appends an event and returns its commit.
///
/// # Errors
///
/// [`AuditError`]; the log is then unchanged.
pub fn append_audit(repo: &Repo, event: &AuditEvent) -> Result<GitOid, AuditError> {
    let tree = repo.write_tree(&TreeSpec::new())?;
    let name = format!("refs/carnet/audit/{}/{}", event.writer, event.at.day());
    let author =
        Author { name: "carnet".to_owned(), email: format!("{}@carnet.invalid", event.writer) };
    let appended = repo.append_chain(&name, &|previous| {
        let event = AuditEvent { previous, ..event.clone() };
        let line = serde_json::to_string(&event).expect("because an event has string keys");
        Ok(CommitSpec {
            tree,
            parents: previous.into_iter().collect(),
            message: format!("{} at {}\n\n{line}\n", event.event, event.at_gate),
            author: author.clone(),
            time: event.at,
        })
    })?;
    Ok(appended)
}
