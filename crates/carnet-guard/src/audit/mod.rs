//! The audit log: who did what that matters for secrets, keys and refusals, kept under `refs/carnet/audit/<writer>/<day>`.
//!
//! Each line names the SHA-256 of the line before it, over days too, and each commit signs its last line: what is edited, dropped,
//! put in, moved or cut off shows. Events name rules, places, accounts, secrets' and keys' names, never values. The form is
//! `docs/format/audit.md`, which also says what cannot be found.
//!
//! `append` writes, `chain` reads and verifies, `review` looks for what is unusual, by a function of entries alone.

mod append;
mod chain;
mod review;

pub use append::{AuditError, BATCH_MAX, append_audit};
pub(crate) use chain::read_message;
pub use chain::{AuditChain, AuditReport, Problem, Severity, read_audit, verify_audit};
pub use review::{Anomaly, Unusual, review};

use carnet_core::{Digest, RunId, Timestamp};
use serde::{Deserialize, Serialize};

/// The format that this version writes.
pub const AUDIT_FORMAT: &str = "carnet/audit/1";
/// DSSE payload type of an entry.
pub const AUDIT_PAYLOAD_TYPE: &str = "application/vnd.carnet.audit+json";
/// Where the logs lie.
pub(crate) const AUDIT_REFS: &str = "refs/carnet/audit/";

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditKind {
    /// A gate refused: a commit, a push, an artifact.
    Refusal,
    /// Something that went round a gate was found.
    Flag,
    /// A secret was taken out of a text.
    Redaction,
    /// Someone went over a gate, with a reason.
    Override,
    /// Someone let pass what had been held.
    Approval,
    /// A secret was read.
    SecretAccess,
    /// A signing key was made, or put out of use.
    KeyChange,
    /// An account was added or removed.
    AccountChange,
    /// A token was issued.
    TokenIssue,
    /// A token was presented to a privileged command, and counted.
    TokenUse,
    /// A token was presented and refused.
    TokenRefusal,
    /// A token or an account was revoked.
    Revocation,
    /// What a later version of carnet knows.
    #[serde(other)]
    Other,
}

impl AuditKind {
    /// Returns the word that the log holds.
    pub fn word(self) -> &'static str {
        match self {
            AuditKind::Refusal => "refusal",
            AuditKind::Flag => "flag",
            AuditKind::Redaction => "redaction",
            AuditKind::Override => "override",
            AuditKind::Approval => "approval",
            AuditKind::SecretAccess => "secret-access",
            AuditKind::KeyChange => "key-change",
            AuditKind::AccountChange => "account-change",
            AuditKind::TokenIssue => "token-issue",
            AuditKind::TokenUse => "token-use",
            AuditKind::TokenRefusal => "token-refusal",
            AuditKind::Revocation => "revocation",
            AuditKind::Other => "other",
        }
    }

    /// Tells whether something was denied.
    pub fn is_denial(self) -> bool {
        matches!(self, AuditKind::Refusal | AuditKind::TokenRefusal)
    }
}

/// One event, before it has its place in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvent {
    /// What happened.
    pub event: AuditKind,
    /// Where: a gate such as `pre-commit`, or a command such as `auth issue`.
    pub at_gate: String,
    /// When.
    pub at: Timestamp,
    /// The service account that acted; a person at the terminal has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// What it was about, by name: a secret, a key's or a token's id. Never a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The run it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// What was met: `rule path:line fingerprint`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
}

impl AuditEvent {
    /// Makes an event of which nothing else is known yet.
    pub fn new(event: AuditKind, at_gate: &str, at: Timestamp) -> AuditEvent {
        AuditEvent {
            event,
            at_gate: at_gate.to_owned(),
            at,
            account: None,
            subject: None,
            reason: None,
            run: None,
            findings: vec![],
        }
    }
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// Always [`AUDIT_FORMAT`].
    pub format: String,
    /// Who writes this log.
    pub writer: String,
    /// The writer's key, in the first line of a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// Place in the writer's log, from 1, over all days.
    pub n: u64,
    /// SHA-256 of the line before this one, wherever that stands; none for the first of all.
    pub previous: Option<Digest>,
    /// What happened.
    #[serde(flatten)]
    pub event: AuditEvent,
}
