//! Looking at contents: staged blobs, logs, artifacts, arguments.

use carnet_core::{
    Confidence, Content, Decision, Digest, Finding, Fingerprint, GitOid, Origin, Reason, Region,
    RepoPath, Timestamp, Verdict,
};
use carnet_git::{EntryMode, Head, ObjectError, Repo, StagedError};
use carnet_policy::{ContentPolicy, Suppression, Suppressions, judge};
use carnet_scan::{
    FingerprintKey, KnownValues, LicenceReader, Redactor, RuleSet, Scan, StreamScanner, UNEXAMINED,
    scan,
};

use crate::{
    columns::TextColumns,
    history::HistoryError,
    known::Seen,
    licence::{findings_of, licence_findings},
    suppressions::{self, SuppressionsError},
    versions::Versions,
};

/// Largest blob that is examined, in bytes. A larger one is refused: what was not examined does not pass.
pub const BLOB_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The rules, the policy and the key that every content is examined with.
pub struct Guard<'a> {
    rules: &'a RuleSet,
    key: FingerprintKey,
    policy: ContentPolicy,
    suppressions: Option<Suppressions>,
    /// Addresses of those who commit here.
    published: Vec<Fingerprint>,
    published_digest: Digest,
}

/// A finding with all that reports say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    /// The finding.
    pub finding: Finding,
    /// What the policy says of it alone; a suppressed finding decides nothing.
    pub decision: Decision,
    /// Its columns as editors count; `None` when the path itself is the finding.
    pub columns: Option<TextColumns>,
    /// The commit that brought it, where history was examined.
    pub commit_id: Option<GitOid>,
}

/// A finding that someone accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppressed {
    /// The finding.
    pub met: Met,
    /// Where it was accepted, and why.
    pub by: SuppressedBy,
}

/// Where a finding was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SuppressedBy {
    /// By `carnet:allow` beside it.
    InSource {
        /// The reason given.
        reason: String,
    },
    /// By an entry of `allowlists/findings.toml`.
    File {
        /// The reason given.
        reason: String,
        /// Who answers for it.
        owner: String,
        /// The last day on which it counts, `YYYY-MM-DD`.
        until: String,
        /// Where the entry stands, as `file:line`.
        location: String,
    },
}

impl SuppressedBy {
    fn entry(entry: &Suppression) -> SuppressedBy {
        SuppressedBy::File {
            reason: entry.reason.clone(),
            owner: entry.owner.clone(),
            until: entry.until.clone(),
            location: entry.location.clone(),
        }
    }
}

/// What an examination came to.
#[derive(Debug)]
pub struct Examination {
    /// What was found and stands, in order of path and place.
    pub findings: Vec<Met>,
    /// What was found and accepted, in the same order.
    pub suppressed: Vec<Suppressed>,
    /// Allow, warn or deny.
    pub verdict: Verdict,
    /// Contents looked at; messages are not counted.
    pub n_contents: usize,
    /// Bytes looked at.
    pub n_bytes: u64,
    /// Contents that were not looked at, because an earlier scan of the history found them clean.
    pub n_known: usize,
}

/// Why something could not be examined, and is refused for that.
#[derive(Debug, thiserror::Error)]
pub enum ExamineError {
    /// The index could not be read.
    #[error("read the index")]
    Staged(#[from] StagedError),
    /// The file of accepted findings would be committed with an error in it, and nothing would pass from then on.
    #[error("the staged file of accepted findings is wrong")]
    Suppressions(#[source] Box<SuppressionsError>),
    /// A history could not be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// A tree could not be read.
    #[error("read tree {id}")]
    Tree {
        /// The commit or tree.
        id: GitOid,
        /// Why.
        #[source]
        source: ObjectError,
    },
    /// A blob could not be read.
    #[error("read file `{path}`")]
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
        Guard {
            rules,
            key,
            policy,
            suppressions: None,
            published: vec![],
            published_digest: Digest::of(b""),
        }
    }

    /// Accepts what the suppressions say; they are read under the fingerprint key that the guard was made with.
    #[must_use]
    pub fn with_suppressions(self, suppressions: Option<Suppressions>) -> Guard<'a> {
        Guard { suppressions, ..self }
    }

    /// Lets the addresses of those who commit here pass in files: each commit publishes them anyway.
    #[must_use]
    pub fn with_published(self, addresses: &[String]) -> Guard<'a> {
        let name = |address: &String| self.key.personal(address.as_bytes());
        let published_digest = Digest::of(addresses.join("\n").as_bytes());
        Guard { published: addresses.iter().map(name).collect(), published_digest, ..self }
    }

    /// Returns the accepted findings in force.
    pub fn suppressions(&self) -> Option<&Suppressions> {
        self.suppressions.as_ref()
    }

    /// Returns the digest of the content policy.
    pub fn policy_digest(&self) -> Digest {
        self.policy.digest()
    }

    /// Returns the digest of the rules.
    pub fn rules_digest(&self) -> Digest {
        self.rules.digest()
    }

    /// Returns the digest of what decides whether a content is clean: the rules, and the policy where it speaks of licences.
    pub fn verdicts_digest(&self) -> Digest {
        if self.policy.licences().is_empty() {
            return self.rules.digest();
        }
        Digest::of(format!("{}\n{}", self.rules.digest(), self.policy.digest()).as_bytes())
    }

    /// Returns the same for verdicts that are kept: they depend on whose addresses are quiet and, as waivers of licences run out,
    /// on the day.
    pub fn kept_verdicts_digest(&self, now: Timestamp) -> Digest {
        let day = if self.policy.licences().is_empty() { String::new() } else { now.day() };
        let parts = format!("{}\n{}\n{day}", self.verdicts_digest(), self.published_digest);
        Digest::of(parts.as_bytes())
    }

    /// Judges the licences of contents, and nothing else.
    pub fn examine_licences(
        &self,
        contents: impl Iterator<Item = Content>,
        now: Timestamp,
    ) -> Examination {
        let mut tally = Tally::default();
        for content in contents {
            tally.n_contents += 1;
            tally.n_bytes += content.bytes.len() as u64;
            let findings = licence_findings(self.policy.licences(), &self.key, &content, now);
            let columns = |region: &Region| TextColumns::of(&content.bytes, region);
            self.sort_out(findings, &columns, None, now, &mut tally);
        }
        self.judged(tally, now)
    }

    /// Returns the policy.
    pub fn policy(&self) -> &ContentPolicy {
        &self.policy
    }

    /// Returns the rules.
    pub fn rules(&self) -> &'a RuleSet {
        self.rules
    }

    /// Examines what is staged, read from the index; the work tree is not looked at.
    ///
    /// # Errors
    ///
    /// [`ExamineError`] when anything staged could not be read: nothing passes then.
    pub fn examine_staged(&self, repo: &Repo, now: Timestamp) -> Result<Examination, ExamineError> {
        let mut tally = Tally::default();
        for entry in repo.staged()? {
            if entry.mode == EntryMode::Submodule {
                continue;
            }
            let bytes = repo
                .read_blob(&entry.blob_id, BLOB_BYTES_MAX)
                .map_err(|source| ExamineError::Blob { path: entry.path.clone(), source })?;
            suppressions::check_staged(&entry.path, &bytes, now)
                .map_err(|wrong| ExamineError::Suppressions(Box::new(wrong)))?;
            let n_before = tally.findings.len();
            let content = Content { origin: Origin::Staged(entry.path.clone()), bytes };
            self.look(&content, None, now, &mut tally);
            if tally.findings[n_before..].iter().any(|met| met.finding.is_personal()) {
                let committed = committed_bytes(repo, &entry.path);
                crate::published::retain_new(
                    &mut tally.findings,
                    n_before,
                    &content.bytes,
                    &committed,
                );
            }
        }
        Ok(self.judged(tally, now))
    }

    /// Examines every file of a commit or tree.
    ///
    /// # Errors
    ///
    /// [`ExamineError`] when anything in it could not be read: nothing passes then.
    pub fn examine_tree(
        &self,
        repo: &Repo,
        commit_or_tree: &GitOid,
        now: Timestamp,
    ) -> Result<Examination, ExamineError> {
        let mut tally = Tally::default();
        let files = repo
            .tree_files(commit_or_tree)
            .map_err(|source| ExamineError::Tree { id: *commit_or_tree, source })?;
        for file in files {
            if file.mode == EntryMode::Submodule {
                continue;
            }
            let bytes = repo
                .read_blob(&file.id, BLOB_BYTES_MAX)
                .map_err(|source| ExamineError::Blob { path: file.path.clone(), source })?;
            let content = Content { origin: Origin::Committed(file.path), bytes };
            self.look(&content, None, now, &mut tally);
        }
        Ok(self.judged(tally, now))
    }

    /// Examines the message that a commit is about to get, as git gives it to `commit-msg`.
    ///
    /// What follows git's scissors line is no part of it: there `git commit --verbose` shows the changes.
    pub fn examine_message(&self, file: &[u8], now: Timestamp) -> Examination {
        let origin = Origin::Message("message of this commit".to_owned());
        let content = Content { origin, bytes: before_scissors(file).to_vec() };
        self.examine(std::iter::once(content), now)
    }

    /// Examines contents that the caller has.
    pub fn examine(&self, contents: impl Iterator<Item = Content>, now: Timestamp) -> Examination {
        let mut tally = Tally::default();
        for content in contents {
            self.look(&content, None, now, &mut tally);
        }
        self.judged(tally, now)
    }

    /// Returns what texts that are kept or sent go through: rules, the policy's personal data, and values known by name.
    pub fn redactor(&self, known: KnownValues) -> Redactor<'a> {
        let at = self.policy.redact_personal_at();
        Redactor::new(self.rules).with_personal(at).with_known(known)
    }

    /// Begins the examination of an artifact that is read piece by piece.
    pub fn examine_artifact(&self, name: &str, now: Timestamp) -> ArtifactScan<'_> {
        let origin = Origin::Artifact(name.to_owned());
        let scanner = StreamScanner::new(self.rules, &self.key, origin);
        let licences = (!self.policy.licences().is_empty())
            .then(|| (name.to_owned(), LicenceReader::new(name.as_bytes())));
        ArtifactScan { guard: self, scanner, now, refused_by: None, licences }
    }

    /// Returns the rule that keeps a command-line argument from being recorded.
    pub fn examine_argument(&self, argument: &str, now: Timestamp) -> Option<String> {
        let content = Content { origin: Origin::Prompt, bytes: argument.as_bytes().to_vec() };
        self.refusing_rule(&scan(self.rules, &self.key, &content), now)
    }

    fn refusing_rule(&self, scan: &Scan, now: Timestamp) -> Option<String> {
        if !scan.unread.is_empty() {
            return Some(UNEXAMINED.to_owned());
        }
        let verdict = judge(&self.policy, &scan.findings, now);
        let reason = verdict.reasons.first();
        (!verdict.is_allowed())
            .then(|| reason.map_or_else(|| "content".to_owned(), |reason| reason.rule.clone()))
    }

    /// Whether it is the address of someone who commits here.
    fn is_published(&self, finding: &Finding) -> bool {
        finding.is_personal() && self.published.contains(&finding.fingerprint)
    }

    /// Scans one content and adds what it met; tells whether that was nothing at all.
    pub(crate) fn look(
        &self,
        content: &Content,
        commit_id: Option<GitOid>,
        now: Timestamp,
        tally: &mut Tally,
    ) -> bool {
        let scanned = scan(self.rules, &self.key, content);
        self.sort_scan(scanned, content, commit_id, now, tally)
    }

    /// Scans the next version of a file, as [`scan`] does.
    pub(crate) fn scan_version(&self, content: &Content, versions: &mut Versions) -> Scan {
        versions.scan(self.rules, &self.key, content)
    }

    /// Adds what a scan of a content met, and what its name and its licences say; tells whether that is nothing at all.
    pub(crate) fn sort_scan(
        &self,
        scanned: Scan,
        content: &Content,
        commit_id: Option<GitOid>,
        now: Timestamp,
        tally: &mut Tally,
    ) -> bool {
        if !matches!(content.origin, Origin::Message(_)) {
            tally.n_contents += 1;
            tally.n_bytes += content.bytes.len() as u64;
        }
        let licences = licence_findings(self.policy.licences(), &self.key, content, now);
        let columns = |region: &Region| TextColumns::of(&content.bytes, region);
        self.sort_met(scanned, licences, &content.origin, &columns, commit_id, now, tally)
    }

    /// Returns the name of the key that findings are named with.
    pub(crate) fn key_name(&self) -> Fingerprint {
        self.key.fingerprint("fingerprint-key", b"")
    }

    /// Whether what a scan met is all there is to know of a content, but for its name.
    pub(crate) fn is_judged_by_scan(&self) -> bool {
        self.policy.licences().is_empty()
    }

    /// Adds what a scan met earlier in a content that is not read again.
    pub(crate) fn sort_seen(
        &self,
        seen: Vec<Seen>,
        origin: &Origin,
        commit_id: Option<GitOid>,
        now: Timestamp,
        tally: &mut Tally,
    ) {
        let (scanned, columns) = Seen::scan(seen, origin);
        let nowhere = TextColumns { start: 1, end: 1 };
        let columns = |region: &Region| columns.get(region).copied().unwrap_or(nowhere);
        tally.n_known += usize::from(!matches!(origin, Origin::Message(_)));
        self.sort_met(scanned, vec![], origin, &columns, commit_id, now, tally);
    }

    #[expect(clippy::too_many_arguments, reason = "all that is known of one content")]
    fn sort_met(
        &self,
        mut scanned: Scan,
        licences: Vec<Finding>,
        origin: &Origin,
        columns: &dyn Fn(&Region) -> TextColumns,
        commit_id: Option<GitOid>,
        now: Timestamp,
        tally: &mut Tally,
    ) -> bool {
        let is_name_clean = match origin {
            Origin::Staged(path) | Origin::Committed(path) => {
                self.look_at_name("name of file", path.as_bytes(), commit_id, now, tally)
            }
            _ => true,
        };
        scanned.findings.retain(|finding| !crate::published::is_in_roster(finding));
        scanned.findings.retain(|finding| !self.is_published(finding));
        let unread = scanned.unread.iter().map(|unread| unread.finding(&self.key, origin));
        let findings: Vec<Finding> = unread.chain(scanned.findings).chain(licences).collect();
        // What is quiet for the sake of who asks is not clean for another.
        let is_clean = findings.is_empty() && scanned.allowed.is_empty() && is_name_clean;
        self.sort_out(findings, columns, commit_id, now, tally);
        tally.suppressed.extend(scanned.allowed.into_iter().map(|allowed| Suppressed {
            met: self.met(allowed.finding, columns, commit_id, now),
            by: SuppressedBy::InSource { reason: allowed.reason },
        }));
        is_clean
    }

    /// Scans a name that git shows to everyone, as a text of its own; tells whether nothing is in it.
    pub(crate) fn look_at_name(
        &self,
        whose: &str,
        name: &[u8],
        commit_id: Option<GitOid>,
        now: Timestamp,
        tally: &mut Tally,
    ) -> bool {
        let mut content =
            Content { origin: Origin::Message(whose.to_owned()), bytes: name.to_vec() };
        let Scan { findings, unread, .. } = scan(self.rules, &self.key, &content);
        if findings.is_empty() && unread.is_empty() {
            return true;
        }
        // The report names it without what is secret in it.
        let (shown, _) = Redactor::new(self.rules).redact(&content.bytes);
        content.origin = Origin::Message(format!("{whose} `{}`", String::from_utf8_lossy(&shown)));
        self.look(&content, commit_id, now, tally)
    }

    fn met(
        &self,
        finding: Finding,
        columns: &dyn Fn(&Region) -> TextColumns,
        commit_id: Option<GitOid>,
        now: Timestamp,
    ) -> Met {
        Met {
            decision: judge(&self.policy, [&finding], now).decision,
            columns: finding.region.as_ref().map(columns),
            finding,
            commit_id,
        }
    }

    /// Adds findings: to those that someone accepted, or to those that stand.
    fn sort_out(
        &self,
        findings: Vec<Finding>,
        columns: &dyn Fn(&Region) -> TextColumns,
        commit_id: Option<GitOid>,
        now: Timestamp,
        tally: &mut Tally,
    ) {
        for finding in findings {
            let mut met = self.met(finding, columns, commit_id, now);
            if met.finding.rule_id == UNEXAMINED && met.decision == Decision::Allow {
                met.decision = Decision::Deny;
            }
            let entry = self.suppressions.as_ref().and_then(|file| file.of(&met.finding));
            match entry.map(SuppressedBy::entry) {
                Some(by) => tally.suppressed.push(Suppressed { met, by }),
                None => tally.findings.push(met),
            }
        }
    }

    pub(crate) fn judged(&self, tally: Tally, now: Timestamp) -> Examination {
        let Tally { findings, suppressed, n_contents, n_bytes, n_known } = tally;
        let mut verdict = judge(&self.policy, findings.iter().map(|met| &met.finding), now);
        // Whatever the thresholds of the policy say: what was not examined does not pass.
        for met in findings.iter().filter(|met| met.finding.rule_id == UNEXAMINED) {
            if met.decision == Decision::Deny && verdict.decision != Decision::Deny {
                verdict.decision = Decision::Deny;
                verdict.reasons.insert(0, unexamined(&met.finding));
            }
        }
        Examination { findings, suppressed, verdict, n_contents, n_bytes, n_known }
    }
}

fn unexamined(finding: &Finding) -> Reason {
    Reason {
        rule: finding.rule_id.clone(),
        rule_location: None,
        message: format!("{}: {}: {}", finding.origin.name(), finding.description, finding.masked),
        hint: Some(
            "accept it by rule and path with `carnet findings allow --rule unexamined --path PATH`"
                .to_owned(),
        ),
    }
}

/// Returns a file as HEAD's commit has it; nothing where it is new, or cannot be read.
fn committed_bytes(repo: &Repo, path: &RepoPath) -> Vec<u8> {
    let Ok(Head::Commit { commit_id, .. }) = repo.head() else { return vec![] };
    repo.read_path(&commit_id, path, BLOB_BYTES_MAX).ok().flatten().unwrap_or_default()
}

/// Git cuts a message here (`wt-status.c`, after the comment character).
const SCISSORS: &[u8] = b" ------------------------ >8 ------------------------";

fn before_scissors(file: &[u8]) -> &[u8] {
    let mut start = 0;
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        if text.strip_suffix(SCISSORS).is_some_and(|comment| !comment.contains(&b' ')) {
            return &file[..start];
        }
        start += line.len();
    }
    file
}

/// An artifact under examination; memory is bounded whatever its length.
pub struct ArtifactScan<'g> {
    guard: &'g Guard<'g>,
    scanner: StreamScanner<'g>,
    now: Timestamp,
    refused_by: Option<String>,
    /// Its name, and what looks for licences, where the policy speaks of them.
    licences: Option<(String, LicenceReader)>,
}

impl ArtifactScan<'_> {
    /// Takes the next piece, of any length.
    pub fn push(&mut self, bytes: &[u8]) {
        if let Some((_, licences)) = &mut self.licences {
            licences.push(bytes);
        }
        let scan = self.scanner.push(bytes);
        if self.refused_by.is_none() {
            self.refused_by = self.guard.refusing_rule(&scan, self.now);
        }
    }

    /// Ends the artifact and returns the rule that keeps it back, or `None` when it may be stored.
    pub fn finish(self) -> Option<String> {
        let ArtifactScan { guard, scanner, now, refused_by, licences } = self;
        let by_licence = || {
            let (name, licences) = licences?;
            let origin = Origin::Artifact(name);
            let policy = guard.policy.licences();
            let findings =
                findings_of(policy, &guard.key, &origin, &licences.finish(), &|_| None, now);
            guard.refusing_rule(&Scan { findings, ..Scan::default() }, now)
        };
        refused_by.or_else(|| guard.refusing_rule(&scanner.finish(), now)).or_else(by_licence)
    }
}

/// How often a history tells of a secret that stays where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// By the first commit that has it.
    Once,
    /// By each commit that changes what it is in.
    ByCommit,
}

/// What is told once of a history: a secret in a file or message, as sure and as accepted as it is there.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct MetName {
    rule_id: String,
    fingerprint: Fingerprint,
    origin: String,
    confidence: Confidence,
    is_allowed_in_source: bool,
    commit_id: Option<GitOid>,
}

impl MetName {
    fn of(met: &Met, told: Told, is_allowed_in_source: bool) -> MetName {
        let Finding { rule_id, fingerprint, origin, confidence, .. } = &met.finding;
        MetName {
            rule_id: rule_id.clone(),
            fingerprint: *fingerprint,
            // Messages are named after their commit, which is another each time.
            origin: match origin {
                Origin::Message(name) if !name.starts_with("name of ") => String::new(),
                other => other.name(),
            },
            confidence: *confidence,
            is_allowed_in_source,
            commit_id: met.commit_id.filter(|_| told == Told::ByCommit),
        }
    }
}

/// What has been met so far.
#[derive(Default)]
pub(crate) struct Tally {
    findings: Vec<Met>,
    suppressed: Vec<Suppressed>,
    pub(crate) n_contents: usize,
    pub(crate) n_bytes: u64,
    pub(crate) n_known: usize,
}

impl Tally {
    /// Takes the counts of another, and leaves it what it met.
    pub(crate) fn take_counts(&mut self, other: &mut Tally) {
        self.n_contents += std::mem::take(&mut other.n_contents);
        self.n_bytes += std::mem::take(&mut other.n_bytes);
        self.n_known += std::mem::take(&mut other.n_known);
    }

    /// Keeps of everything that was met what `is_told` says of its name.
    pub(crate) fn retain_told(&mut self, told: Told, mut is_told: impl FnMut(MetName) -> bool) {
        self.findings.retain(|met| is_told(MetName::of(met, told, false)));
        let is_in_source = |by: &SuppressedBy| matches!(by, SuppressedBy::InSource { .. });
        self.suppressed.retain(|it| is_told(MetName::of(&it.met, told, is_in_source(&it.by))));
    }

    /// Tells whether nothing was met.
    pub(crate) fn is_empty(&self) -> bool {
        self.findings.is_empty() && self.suppressed.is_empty()
    }

    /// Adds another, met later.
    pub(crate) fn append(&mut self, mut other: Tally) {
        self.take_counts(&mut other);
        self.findings.append(&mut other.findings);
        self.suppressed.append(&mut other.suppressed);
    }
}
