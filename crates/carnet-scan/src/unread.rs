//! What of a content was not examined, and why.
//!
//! Every bound of the scanner that leaves bytes unread is told as one of these; the caller decides, and the guard
//! refuses. Invariant: a scan without any has looked at all that it can read.

use carnet_core::{Confidence, Finding, Origin, Severity};

use crate::fingerprint::FingerprintKey;

/// The rule id under which a content that was not examined in full is refused, accepted or excepted.
pub const UNEXAMINED: &str = "unexamined";

/// Why part of a content was not examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unread {
    /// Encodings or archives one inside the other, deeper than the scanner goes.
    Depth,
    /// Compressed data inflates to more than the scanner takes.
    Inflated,
    /// An archive has more members than the scanner takes.
    Members,
    /// A member of an archive is encrypted, or packed by a method that the scanner does not know.
    Packed,
    /// An archive is longer than the part of a content that is looked at as one.
    Long,
    /// The content asks for more work than its length allows.
    Work,
}

impl Unread {
    /// Returns a lowercase fragment that says why.
    pub fn reason(self) -> &'static str {
        match self {
            Unread::Depth => "encodings or archives nest deeper than 3",
            Unread::Inflated => {
                "compressed data inflates to more than 64 times the content, or 64 MiB"
            }
            Unread::Members => "an archive has more than 4096 members",
            Unread::Packed => "a member of an archive is encrypted, or packed by an unknown method",
            Unread::Long => "an archive is longer than 16 MiB",
            Unread::Work => "the content asks for more work than its length allows",
        }
    }

    /// Returns this as a finding of the rule [`UNEXAMINED`], for callers that refuse it.
    pub fn finding(self, key: &FingerprintKey, origin: &Origin) -> Finding {
        let place = [origin.name().as_bytes(), b"\0", self.reason().as_bytes()].concat();
        Finding {
            rule_id: UNEXAMINED.to_owned(),
            description: "content that was not examined in full".to_owned(),
            origin: origin.clone(),
            region: None,
            severity: Severity::Critical,
            confidence: Confidence::High,
            fingerprint: key.fingerprint(UNEXAMINED, &place),
            masked: self.reason().to_owned(),
        }
    }
}
