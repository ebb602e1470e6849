//! Bytes in, findings out: secrets and redaction.
//!
//! This crate does no IO: it takes bytes and names, and returns values. It never opens a file, reads the
//! environment, spawns, waits or asks the time, and it never prints or returns a byte of a secret beyond its
//! masked form. The rule files are compiled into the crate.
//!
//! Invariants:
//! - The windowed engine finds exactly what each rule's regex finds on the whole text (of up to 4 MiB).
//! - A stream gives the same findings, and the same redacted bytes, however it is cut into chunks.
//! - A rule set is whole or refused: one broken rule refuses all files, with file, line and field.
//! - Whatever cannot be decided is reported rather than dropped.
//!
//! Read the modules in the order below. The rule format is described in `docs/format/rules.md`.
#![warn(missing_docs)]
#![warn(clippy::disallowed_methods)]

mod rule;
mod rule_file;
mod rule_set;

mod rule_digest;
#[cfg(test)]
mod rule_encode;
mod rule_keywords;
mod rule_table;

mod built_in;
mod checksum;
mod content_class;
mod generic;
mod glob;
mod keyword_proof;
mod pattern;
mod placeholder;

mod engine;

mod beside;
mod known;

mod container;
mod encoding;
mod literals;
mod reading;

mod frame;
mod quiet;
mod scan;
mod stream;
mod unread;

mod licence;
mod personal;

mod allow;
mod fingerprint;
mod mask;
mod near;
mod overlap;
mod redact;
mod tokens;

#[cfg(test)]
mod test_text;

pub use built_in::BUILT_IN_FILES;
pub use fingerprint::FingerprintKey;
pub use known::{KnownError, KnownValue, KnownValues};
pub use licence::{
    Detection, Deviation, HeaderError, LicenceHeader, LicenceKind, LicenceReader, Licences,
    Unknown, licences, with_licence_header,
};
pub use pattern::PatternError;
pub use personal::{PersonalRule, Profile, Tier, personal_data, personal_rules};
pub use quiet::Quiet;
pub use redact::{RedactError, Redactor, Replaced, redact};
pub use rule::Rule;
pub use rule_file::{ProblemKind, RuleProblem};
pub use rule_set::{ExampleFailure, ExampleKind, RuleCost, RuleSet};
pub use scan::{Allowed, Scan, scan, scan_with_proof};
pub use stream::{Redacted, StreamRedactor, StreamScanner};
pub use tokens::{MapEntry, MapError, RedactionMap, Rehydrator};
pub use unread::{UNEXAMINED, Unread};
