//! The nouns of carnet: ids, digests, regions, findings, verdicts, quotas, outcomes, passports, exit codes.
//!
//! This crate does no IO: it never opens a file, spawns a process, reads a clock or an environment
//! variable. A type enters when two rooms use it; it is not the attic.
//!
//! Read the modules in the order below.
#![warn(missing_docs)]
#![warn(clippy::disallowed_methods)]

mod digest;
mod oid;
mod path;
mod time;

mod finding;
mod license;
mod license_list;
mod region;
mod verdict;

mod enforcement;
mod host;
mod lane;
mod outcome;
mod output_class;
mod quota;
mod run_id;

mod model_record;
pub mod passport;

mod exit;

pub use digest::{Digest, DigestParseError, Digester};
pub use enforcement::{Enforcement, EnforcementLevel, Required};
pub use exit::ExitCode;
pub use finding::{Confidence, Content, Finding, Fingerprint, Origin, Severity};
pub use host::{Host, HostError, HostPort};
pub use lane::{LaneName, LaneNameError};
pub use license::{LicenseExpression, LicenseExpressionError, LicenseTerm};
pub use license_list::{
    current_license, gnu_or_later, license_family, listed_expression, listed_license,
};
pub use model_record::{
    Body, EXCHANGE_FORMAT, ModelExchange, ModelRecord, ModelRecordError, ModelReply, ModelRequest,
    RECORD_BYTES_MAX, RecordedReplies,
};
pub use oid::{GitOid, GitOidParseError, ObjectFormat};
pub use outcome::{LimitKind, Outcome};
pub use output_class::{Normaliser, OutputClass, OutputRule, OutputRuleError};
pub use path::{RepoPath, RepoPathError};
pub use quota::{Quota, Usage};
pub use region::{LineIndex, Region};
pub use run_id::{RunId, RunIdParseError};
pub use time::Timestamp;
pub use verdict::{Decision, Reason, Verdict};
