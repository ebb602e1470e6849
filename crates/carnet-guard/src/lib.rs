//! Decides what may be committed or sent, and writes refusals to the audit log.
//!
//! The room composes: git hands over bytes, scan finds, policy judges. It refuses to let pass what could not be
//! examined. After [`Guard`] looked at a content there are regions, rule names and fingerprints, never the secret's bytes.
//!
//! Read the modules in the order below.
#![warn(missing_docs)]

/// What texts go through on their way out, as [`Guard::redactor`] makes it.
pub use carnet_scan::{KnownValue, KnownValues, Redactor};

mod policy;
mod suppressions;

mod columns;
mod examine;
mod licence;
mod published;

mod history;
mod known;

mod examine_history;
mod receipts;
mod versions;
mod workers;

#[doc(hidden)]
pub mod stored_forms;

mod newcomers;
mod push;

mod protected;

pub mod audit;

mod install;

pub use audit::{AuditError, AuditEvent, AuditKind, BATCH_MAX, append_audit};
pub use columns::TextColumns;
pub use examine::{ArtifactScan, Examination, ExamineError, Guard, Met, Suppressed, SuppressedBy};
pub use examine_history::Progress;
pub use history::{HistoryError, Revisions};
pub use install::{
    COMMIT_MSG, ConfigLine, EVENTS, HookFile, HookStyle, InstallError, InstallPlan, SHIM_VERSION,
    UninstallReport, apply_install, missing_parts, plan_install, plan_uninstall, uninstall,
};
pub use known::KnownHistory;
pub use newcomers::{LookedOver, Newcomers};
pub use policy::{
    PolicyError, PolicyInForce, RULES_DIR, TOOL_LOCK_FILE, content_policy, policy_file, rule_files,
};
pub use protected::{ProtectError, Refused, parse_transaction, refused_change};
pub use push::{PushError, PushGate, RefChange, pushed_suppressions};
pub use receipts::{
    GUARD_NOTES, GuardReceipt, RECEIPT_TYPE, StoredReceipt, Verifier, stored_receipts,
    write_receipts,
};
pub use suppressions::{
    BASELINE_FILE, FINDINGS_FILE, SuppressionsError, staged_suppressions, suppressions_in_force,
    suppressions_of,
};
