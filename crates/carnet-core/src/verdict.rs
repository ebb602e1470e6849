//! Decisions with their reasons.

use crate::Digest;

/// What a policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decision {
    /// Go on.
    Allow,
    /// Go on, and tell the person.
    Warn,
    /// Stop.
    Deny,
}

/// One reason for a decision, fit for people and machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The rule that spoke, such as `aws-access-key-id` or `code-impl/cargo-test`.
    pub rule: String,
    /// Where that rule stands, as `file:line`, when it stands in a file.
    pub rule_location: Option<String>,
    /// A lowercase fragment saying what was met.
    pub message: String,
    /// An imperative sentence with the command to type next.
    pub hint: Option<String>,
}

/// Allow, warn or deny, the reasons, and the digest of the policy that said so (SLSA `verificationResult`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The decision.
    pub decision: Decision,
    /// Why; never empty for a denial.
    pub reasons: Vec<Reason>,
    /// Digest of the policy text that decided.
    pub policy_digest: Digest,
}

impl Verdict {
    /// Tells whether the thing may go on.
    pub fn is_allowed(&self) -> bool {
        self.decision != Decision::Deny
    }
}
