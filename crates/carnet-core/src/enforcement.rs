//! What must hold while a run is confined, and what truly held.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::LimitKind;

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

/// One layer of confinement without which a run may not start, named as in a run's receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Required {
    /// Landlock, with at least this ABI. From 2 up it can be applied, from 6 up the receipt says full.
    Landlock {
        /// The oldest that will do.
        abi_min: u32,
    },
    /// The seccomp filter.
    Seccomp,
    /// A limit that is held at least so far.
    Limit {
        /// Which one.
        limit: LimitKind,
        /// The least that will do.
        level_min: EnforcementLevel,
    },
}

impl fmt::Display for Required {
    /// Writes the layer as it stands in a lane: `landlock:6`, `seccomp`, `memory:full`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Required::Landlock { abi_min } => write!(f, "landlock:{abi_min}"),
            Required::Seccomp => f.write_str("seccomp"),
            Required::Limit { limit, level_min } => {
                write!(f, "{}:{}", limit.name(), level_min.name())
            }
        }
    }
}
