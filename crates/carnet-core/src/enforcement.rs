//! What truly held while a run was confined.

use serde::{Deserialize, Serialize};

/// How far one mechanism held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EnforcementLevel {
    /// Not at all.
    None,
    /// In part; the detail says which.
    Partial,
    /// Wholly.
    Full,
}

impl EnforcementLevel {
    /// Returns its name in receipts and lanes.
    pub fn name(self) -> &'static str {
        match self {
            EnforcementLevel::None => "none",
            EnforcementLevel::Partial => "partial",
            EnforcementLevel::Full => "full",
        }
    }
}

/// What truly held, for one mechanism (as in Landlock's ruleset status).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Enforcement {
    /// The mechanism: `user-namespace`, `network`, `memory`, …
    pub mechanism: String,
    /// How far it held.
    pub level: EnforcementLevel,
    /// By what, or what is missing.
    pub detail: String,
}
