//! What a scan met, and where.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Digest, Region, RepoPath};

/// Where some bytes come from, or are going.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A blob in the git index, about to be committed.
    Staged(RepoPath),
    /// A blob in a commit's tree.
    Committed(RepoPath),
    /// A file outside git's view, named as the user named it.
    File(String),
    /// The message of a commit or a tag, by the name that reports use.
    Message(String),
    /// Standard input.
    Stdin,
    /// Text about to be sent to a model.
    Prompt,
    /// An output of a run, by its name.
    Artifact(String),
    /// A log of a run, by its name (`stdout`, `stderr`).
    Log(String),
}

impl Origin {
    /// Returns the path or name that people and reports know it by.
    pub fn name(&self) -> String {
        match self {
            Origin::Staged(path) | Origin::Committed(path) => path.to_text(),
            Origin::File(name)
            | Origin::Message(name)
            | Origin::Artifact(name)
            | Origin::Log(name) => name.clone(),
            Origin::Stdin => "<stdin>".to_owned(),
            Origin::Prompt => "<prompt>".to_owned(),
        }
    }
}

/// Bytes on their way somewhere.
#[derive(Clone)]
pub struct Content {
    /// Where they come from.
    pub origin: Origin,
    /// The bytes, UTF-8 or not.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Content {
    /// Never prints the bytes: they may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({}, {} bytes)", self.origin.name(), self.bytes.len())
    }
}

/// How bad a finding is when it is real.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth a look.
    Low,
    /// Should not be shared.
    Medium,
    /// Gives access to something.
    High,
    /// Gives access to much.
    Critical,
}

/// How likely a finding is real.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Looks like it.
    Low,
    /// Has the right form in the right surroundings.
    Medium,
    /// Has a form that nothing else has, or a checksum that holds.
    High,
}

impl Severity {
    /// Returns the word used in rule files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}

impl Confidence {
    /// Returns the word used in rule files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Confidence::Low => "low",
            Confidence::Medium => "medium",
            Confidence::High => "high",
        }
    }
}

/// Name of a finding that survives moved lines and renamed files.
///
/// A keyed hash of the matched bytes and the rule's family: equal secrets have equal fingerprints in one
/// repository, and without the repository's key it tells nothing of the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fingerprint(pub Digest);

impl fmt::Display for Fingerprint {
    /// Prints the first 32 hex digits: 128 bits name a finding well enough.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_string()[..32])
    }
}

/// One rule met in one content. Holds no byte of the secret: only its place and its masked form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Id of the rule, such as `aws-access-key-id`.
    pub rule_id: String,
    /// What the rule looks for, in a few words.
    pub description: String,
    /// Where the content came from.
    pub origin: Origin,
    /// Where the secret lies; `None` when the path itself is the finding.
    pub region: Option<Region>,
    /// How bad.
    pub severity: Severity,
    /// How likely.
    pub confidence: Confidence,
    /// Its lasting name.
    pub fingerprint: Fingerprint,
    /// The secret with all but a few characters hidden, safe to print.
    pub masked: String,
}

impl Finding {
    /// Tells whether it is personal data: its rule is of the family `pii`.
    pub fn is_personal(&self) -> bool {
        self.rule_id.starts_with("pii-")
    }
}
