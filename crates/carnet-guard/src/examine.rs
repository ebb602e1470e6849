//! Looking at contents: staged blobs, logs, artifacts, arguments.

use carnet_core::{Content, Digest, Finding, Origin, RepoPath, Timestamp, Verdict};
use carnet_git::{EntryMode, ObjectError, Repo, StagedError};
use carnet_policy::{ContentPolicy, judge};
use carnet_scan::{FingerprintKey, RuleSet, redact_findings, scan};

/// Largest blob that is examined, in bytes. A larger one is refused: what was not examined does not pass.
pub const BLOB_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The rules, the policy and the key that every content is examined with.
pub struct Guard<'a> {
    rules: &'a RuleSet,
    key: FingerprintKey,
    policy: ContentPolicy,
}

/// What an examination came to.
#[derive(Debug)]
pub struct Examination {
    /// What was found, in order of path and place.
    pub findings: Vec<Finding>,
    /// Allow, warn or deny.
    pub verdict: Verdict,
    /// Contents looked at.
    pub n_contents: usize,
    /// Bytes looked at.
    pub n_bytes: u64,
}

/// Why something could not be examined, and is refused for that.
#[derive(Debug, thiserror::Error)]
pub enum ExamineError {
    /// The index could not be read.
    #[error("read the index")]
    Staged(#[from] StagedError),
    /// A staged blob could not be read.
    #[error("read staged file `{path}`")]
    Blob {
        /// Its path.
        path: RepoPath,
        /// Why.
        #[source]
        source: ObjectError,
    },
}

impl<'a> Guard<'a> {
    /// Puts together what is needed to examine.
    pub fn new(rules: &'a RuleSet, key: FingerprintKey, policy: ContentPolicy) -> Guard<'a> {
        Guard { rules, key, policy }
    }

    /// Returns the digest of the rules.
    pub fn rules_digest(&self) -> Digest {
        self.rules.digest()
    }

    /// Examines what is staged, read from the index; the work tree is not looked at.
    ///
    /// # Errors
    ///
    /// [`ExamineError`] when anything staged could not be read: nothing passes then.
    pub fn examine_staged(&self, repo: &Repo, now: Timestamp) -> Result<Examination, ExamineError> {
        let mut findings = vec![];
        let (mut n_contents, mut n_bytes) = (0, 0);
        for entry in repo.staged()? {
            if entry.mode == EntryMode::Submodule {
                continue;
            }
            let bytes = repo
                .read_blob(&entry.blob_id, BLOB_BYTES_MAX)
                .map_err(|source| ExamineError::Blob { path: entry.path.clone(), source })?;
            n_contents += 1;
            n_bytes += bytes.len() as u64;
            findings.extend(self.scan(Origin::Staged(entry.path), bytes));
        }
        Ok(self.judged(findings, n_contents, n_bytes, now))
    }

    /// Examines contents that the caller has.
    pub fn examine(&self, contents: impl Iterator<Item = Content>, now: Timestamp) -> Examination {
        let mut findings = vec![];
        let (mut n_contents, mut n_bytes) = (0, 0);
        for content in contents {
            n_contents += 1;
            n_bytes += content.bytes.len() as u64;
            findings.extend(self.scan(content.origin, content.bytes));
        }
        self.judged(findings, n_contents, n_bytes, now)
    }

    /// Returns a log with every secret replaced, and how many there were.
    pub fn redact_log(&self, name: &str, bytes: &[u8]) -> (Vec<u8>, usize) {
        let origin = Origin::Log(name.to_owned());
        redact_findings(self.rules, &self.key, &Content { origin, bytes: bytes.to_vec() })
    }

    /// Returns the rule that keeps an artifact back, or `None` when it may be stored.
    pub fn examine_artifact(&self, name: &str, bytes: &[u8], now: Timestamp) -> Option<String> {
        let findings = self.scan(Origin::Artifact(name.to_owned()), bytes.to_vec());
        self.refusing_rule(&findings, now)
    }

    /// Returns the rule that keeps a command-line argument from being recorded.
    pub fn examine_argument(&self, argument: &str, now: Timestamp) -> Option<String> {
        let findings = self.scan(Origin::Prompt, argument.as_bytes().to_vec());
        self.refusing_rule(&findings, now)
    }

    fn refusing_rule(&self, findings: &[Finding], now: Timestamp) -> Option<String> {
        let verdict = judge(&self.policy, findings, now);
        let reason = verdict.reasons.first();
        (!verdict.is_allowed())
            .then(|| reason.map_or_else(|| "content".to_owned(), |reason| reason.rule.clone()))
    }

    fn scan(&self, origin: Origin, bytes: Vec<u8>) -> Vec<Finding> {
        scan(self.rules, &self.key, &Content { origin, bytes }).findings
    }

    fn judged(
        &self,
        findings: Vec<Finding>,
        n_contents: usize,
        n_bytes: u64,
        now: Timestamp,
    ) -> Examination {
        let verdict = judge(&self.policy, &findings, now);
        Examination { findings, verdict, n_contents, n_bytes }
    }
}
