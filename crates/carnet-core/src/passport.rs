//! The passport: an in-toto Statement v1 that binds a run's artifacts to its commit, environment, policy
//! and outcome. The stored form is described in `docs/format/passport.md`.
//!
//! Invariants: [`Statement::to_canonical_json`] is the only form that is stored, digested or signed; a
//! passport read back and written again gives the same bytes when it was written by the same version.
//! Readers ignore members they do not know, so that a passport of a later minor version can be read.

use serde::{Deserialize, Serialize};

use crate::{
    Digest, Enforcement, GitOid, LaneName, ObjectFormat, Outcome, OutputRule, Quota, RunId,
    Timestamp, Usage,
};

/// `_type` of every in-toto Statement v1.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// `predicateType` of a passport; its last part is the format's major version.
pub const PREDICATE_TYPE: &str = "https://carnet.dev/passport/v1";
/// DSSE `payloadType` of an in-toto Statement.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// An in-toto Statement v1 whose predicate is a [`Passport`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Always [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub statement_type: String,
    /// The source tree first, then every artifact.
    pub subject: Vec<Subject>,
    /// Always [`PREDICATE_TYPE`].
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// The passport itself.
    pub predicate: Passport,
}

/// One thing the statement is about (in-toto `ResourceDescriptor`, reduced to name and digest).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// `source`, or an artifact's name under `artifacts/`.
    pub name: String,
    /// Its digests.
    pub digest: DigestSet,
}

/// in-toto `DigestSet`: digests by algorithm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestSet {
    /// SHA-256 of the bytes, or of the tree as `docs/format/passport.md` defines it.
    pub sha256: Digest,
    /// Git's name for the tree, when the subject is one.
    #[serde(rename = "gitTree", default, skip_serializing_if = "Option::is_none")]
    pub git_tree: Option<GitOid>,
}

/// What ran, on what, under which rules, with which result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Passport {
    /// Which run this is.
    pub run: RunIdentity,
    /// The lane it ran in.
    pub lane: LaneName,
    /// What was asked (SLSA `externalParameters`).
    pub request: Request,
    /// What it ran on.
    pub source: Source,
    /// What surrounded it (SLSA `internalParameters`).
    pub environment: EnvSnapshot,
    /// Which policy admitted it.
    pub policy: PolicyRef,
    /// What truly confined it, per mechanism.
    pub enforcement: Vec<Enforcement>,
    /// What it was granted.
    pub quota: Quota,
    /// What it used.
    pub usage: Usage,
    /// The lane's caches, as the run found and left them; empty where the lane has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caches: Vec<CacheUse>,
    /// Outputs that were collected.
    pub artifacts: Vec<Artifact>,
    /// Declared outputs that were not collected, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<Withheld>,
    /// Standard output and standard error.
    pub logs: Vec<Log>,
    /// What was asked of a model; absent where there was none to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelUse>,
    /// When it started and ended.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether the run was asked to validate, succeeded, and nothing declared was withheld. Such a run is locked.
    pub validation_pass: bool,
    /// What the passport could not be told, as a lowercase fragment: the run crashed, or recording it failed. Such a run
    /// never locks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
}

/// Which run a passport belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunIdentity {
    /// The run's id.
    pub id: RunId,
    /// Why it ran.
    pub kind: RunKind,
    /// Who wrote it: the first 16 hex digits of the signing key's id.
    pub writer: String,
    /// The run that this one repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_of: Option<RunId>,
    /// The service account that started it; a person at the terminal has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// What made sure that it was done once at a time: `replay-<run>` for a replay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Version of carnet that ran it.
    pub carnet_version: String,
}

/// Why a run was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunKind {
    /// Ordinary work.
    Baseline,
    /// An urgent repair.
    Hotfix,
    /// A sample done to estimate.
    Rehearsal,
    /// An earlier run done again.
    Replay,
    /// A try of the confinement, outside the lane's allowlist.
    Sandbox,
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The argument vector as typed, tool name first.
    pub argv: Vec<String>,
    /// Globs of outputs to collect, relative to the workspace.
    pub outputs: Vec<String>,
    /// Whether success shall count as validation, and lock the run.
    #[serde(default, skip_serializing_if = "is_false")]
    pub validate: bool,
    /// How outputs are compared when the run is done again; the first glob that fits decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<OutputRule>,
    /// Whether the workspace's changes were asked for, as the artifact `changes.patch`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub patch: bool,
    /// The directory whose copy stood in for the source, where the confinement was tried on one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Names of the secrets that the command was handed; their values are nowhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// The address of the model that the command could ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// What a run saw as its workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// The commit.
    pub commit: GitOid,
    /// The tree that ran: the commit's own, or what the work tree held.
    pub tree: GitOid,
    /// Whether the tree holds uncommitted changes.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dirty: bool,
    /// The hash those ids were made with.
    pub object_format: ObjectFormat,
    /// Digest of the whole tree's content, independent of git's hash.
    pub tree_sha256: Digest,
}

/// Tool versions and variables around a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvSnapshot {
    /// The programs that were resolved from the request, and the sandbox's own.
    pub tools: Vec<Tool>,
    /// Operating system and architecture, such as `linux/x86_64`.
    pub platform: String,
    /// Kernel release as `uname -r` prints it.
    pub kernel: String,
    /// The variables the command saw, all of them named by carnet or the lane.
    pub variables: std::collections::BTreeMap<String, String>,
    /// What was held still around the command; absent in passports of before it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pins: Option<Pins>,
}

/// What is the same in every run, so that the same command makes the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pins {
    /// Modification time of every file of the checkout, in seconds since 1970.
    pub mtime_seconds: i64,
    /// Where the command starts and sees the checkout.
    pub workspace: String,
    /// The machine's name as the command sees it.
    pub hostname: String,
    /// The user and group id that the command sees of itself.
    pub uid: u32,
    /// The file mode creation mask, in octal.
    pub umask: String,
}

/// One program, by content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tool {
    /// The name it was asked by.
    pub name: String,
    /// Its absolute path.
    pub path: String,
    /// Digest of its bytes.
    pub sha256: Digest,
}

/// Which policy decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRef {
    /// `built-in`, or the commit that the configured policy ref named.
    pub origin: String,
    /// Digest of the lane's file.
    pub lane_sha256: Digest,
    /// The rule that admitted the command.
    pub rule: String,
    /// Digest of the rule set that scanned logs and artifacts.
    pub scan_rules_sha256: Digest,
    /// Files of the work tree that tightened the policy; empty where it said nothing else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tightened_by: Vec<PolicyFile>,
}

/// A file that a policy was read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyFile {
    /// Its path in the work tree.
    pub path: String,
    /// Digest of its bytes.
    pub sha256: Digest,
}

/// A run's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// Path in the workspace and under `artifacts/`.
    pub name: String,
    /// Digest of its bytes.
    pub sha256: Digest,
    /// Length in bytes.
    pub size_bytes: u64,
    /// Media type, `application/octet-stream` when unknown.
    pub media_type: String,
    /// Whether it was executable.
    pub executable: bool,
}

/// A directory that runs of a lane find again, as one of them found and left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheUse {
    /// Its name in the lane.
    pub name: String,
    /// The run that had kept what was found; absent where it was empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found_of: Option<RunId>,
    /// Bytes of what was found.
    pub found_bytes: u64,
    /// Whether the next run finds what this one left.
    pub kept: bool,
    /// Why it was kept, or was not, as a lowercase fragment.
    pub reason: String,
}

/// A declared output that was not collected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Withheld {
    /// Path in the workspace, or the glob that matched nothing.
    pub name: String,
    /// Why: a link, too large, a finding's rule, no match.
    pub reason: String,
}

/// One captured stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Log {
    /// `stdout` or `stderr`.
    pub name: String,
    /// Digest of what was stored, after redaction.
    pub sha256: Digest,
    /// Length of what was stored, in bytes.
    pub size_bytes: u64,
    /// Secrets that were replaced before storing.
    pub n_redactions: u32,
    /// Whether output beyond the bound was dropped.
    pub truncated: bool,
}

/// What a command asked of a model, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelUse {
    /// Requests that are recorded with their replies.
    pub n_exchanges: u32,
    /// Digest of the record.
    pub sha256: Digest,
    /// Length of the record, in bytes.
    pub size_bytes: u64,
    /// Places that were replaced in requests before they were sent, and in replies before the command saw them.
    pub n_redactions: u32,
    /// Whether exchanges beyond the bound were not recorded: such a run cannot be replayed.
    pub truncated: bool,
}

/// Members that are left out when they say nothing.
fn is_false(value: &bool) -> bool {
    !value
}

impl Statement {
    /// Wraps a passport, with the source tree and every artifact as subjects.
    pub fn new(passport: Passport) -> Statement {
        let source =
            DigestSet { sha256: passport.source.tree_sha256, git_tree: Some(passport.source.tree) };
        let mut subject = vec![Subject { name: "source".to_owned(), digest: source }];
        subject.extend(passport.artifacts.iter().map(|artifact| Subject {
            name: format!("artifacts/{}", artifact.name),
            digest: DigestSet { sha256: artifact.sha256, git_tree: None },
        }));
        Statement {
            statement_type: STATEMENT_TYPE.to_owned(),
            subject,
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: passport,
        }
    }

    /// Returns the canonical JSON (RFC 8785) that is stored, digested and signed.
    pub fn to_canonical_json(&self) -> Vec<u8> {
        serde_json_canonicalizer::to_vec(self)
            .expect("because a passport has string keys and no floating-point numbers")
    }

    /// Reads a statement and checks that it is a passport of a known version.
    ///
    /// # Errors
    ///
    /// [`PassportError`] says whether the text is no JSON of the right form, or of another type.
    pub fn from_json(bytes: &[u8]) -> Result<Statement, PassportError> {
        let statement: Statement = serde_json::from_slice(bytes)?;
        if statement.statement_type != STATEMENT_TYPE {
            return Err(PassportError::Type(statement.statement_type));
        }
        if statement.predicate_type != PREDICATE_TYPE {
            return Err(PassportError::Type(statement.predicate_type));
        }
        Ok(statement)
    }
}

/// Why some bytes are no passport.
#[derive(Debug, thiserror::Error)]
pub enum PassportError {
    /// Not JSON, or a member is missing or of the wrong type.
    #[error("the passport is not valid JSON of its schema")]
    Json(#[from] serde_json::Error),
    /// Another kind of statement, or a later major version.
    #[error("statement type `{0}` is not one this version of carnet reads")]
    Type(String),
}
