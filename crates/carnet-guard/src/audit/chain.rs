//! Reading the logs, and whether they are what was written, on any clone. Nothing is written here.
//!
//! A signature is asked for at the newest commit of each day alone: the line it covers names all lines before it. Only where it
//! does not hold is every commit asked, to say where the trouble starts.

use std::collections::{BTreeMap, BTreeSet};

use carnet_access::{dsse::Signatures, keys::PublicKey};
use carnet_core::{Digest, GitOid, Timestamp};
use carnet_git::{RefError, Repo};

use super::{AUDIT_FORMAT, AUDIT_PAYLOAD_TYPE, AUDIT_REFS, AuditEntry, append::Mark};

/// Most commits of one day that are read.
const COMMITS_MAX: usize = 1_000_000;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something is not what was recorded.
    Wrong,
    /// It holds together, and is signed by someone who is not trusted here.
    Untrusted,
    /// Worth knowing.
    Note,
}

/// One thing that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The ref or the run.
    pub subject: String,
    /// What is wrong, as a lowercase fragment.
    pub message: String,
}

/// One day of one writer as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditChain {
    /// The ref it stands in here.
    pub ref_name: String,
    /// `audit/<writer>/<day>`, the same on every clone.
    pub name: String,
    /// Its commits, oldest first.
    pub commits: Vec<GitOid>,
    /// Lines after each of these commits.
    pub n_lines: Vec<usize>,
    /// Leaf hash (RFC 6962) of each line, oldest first.
    pub leaves: Vec<Digest>,
}

/// What was looked at and what does not hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// Lines, of own and fetched logs.
    pub n_entries: usize,
    /// The days, own and fetched.
    pub chains: Vec<AuditChain>,
    /// Sorted, worst first.
    pub problems: Vec<Problem>,
    /// Keys of writers that are not trusted here.
    pub untrusted_keys: BTreeSet<String>,
}

/// A line of the log as it stands there.
pub(crate) struct Line {
    pub(super) entry: AuditEntry,
    pub(super) digest: Digest,
    text: String,
}

/// One commit of a log.
pub(super) struct Batch {
    commit_id: GitOid,
    parent: Option<GitOid>,
    /// Never empty.
    pub(super) lines: Vec<Line>,
    signatures: Signatures,
}

impl Batch {
    /// Reads a commit; on failure says in words what is wrong with it.
    pub(super) fn read(repo: &Repo, commit_id: GitOid) -> Result<Batch, String> {
        let commit = repo.read_commit(&commit_id).map_err(|error| match error {
            carnet_git::ObjectError::Corrupt { source, .. } => format!("unreadable: {source}"),
            error => error.to_string(),
        })?;
        if commit.parents.len() > 1 {
            return Err("it has several parents, and a log has one end".to_owned());
        }
        let (lines, signatures) = read_message(&commit.message)?;
        Ok(Batch { commit_id, parent: commit.parents.first().copied(), lines, signatures })
    }

    pub(super) fn last(&self) -> &Line {
        self.lines.last().expect("because a split text has a last part")
    }

    fn is_signed_by(&self, key: &PublicKey) -> Result<(), String> {
        let signed = self.last().text.as_bytes();
        let verified =
            self.signatures.verify(AUDIT_PAYLOAD_TYPE, signed, std::slice::from_ref(key));
        verified.map(drop).map_err(|error| error.to_string())
    }
}

/// Reads the message of a commit of the log: its lines, of which there is one at least, and the signatures of the last.
pub(crate) fn read_message(message: &str) -> Result<(Vec<Line>, Signatures), String> {
    let shape = || "the commit message holds no audit entries".to_owned();
    let body = message.split_once("\n\n").ok_or_else(shape)?.1;
    let body = body.strip_suffix('\n').ok_or_else(shape)?;
    let (entries, signatures) = body.rsplit_once('\n').ok_or_else(shape)?;
    let signatures = Signatures::from_json(signatures.as_bytes())
        .map_err(|error| format!("malformed signature: {error}"))?;
    let lines = entries.split('\n').map(Line::parse).collect::<Result<_, _>>()?;
    Ok((lines, signatures))
}

impl Line {
    /// Returns the line as it stands there.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    fn parse(text: &str) -> Result<Line, String> {
        let entry: AuditEntry =
            serde_json::from_str(text).map_err(|error| format!("malformed entry: {error}"))?;
        if entry.format != AUDIT_FORMAT {
            return Err(format!("format `{}` is not read by this version", entry.format));
        }
        Ok(Line { entry, digest: Digest::of(text.as_bytes()), text: text.to_owned() })
    }
}

/// The commits of a day, newest first.
pub(super) struct Batches<'r> {
    repo: &'r Repo,
    next: Option<GitOid>,
    n_left: usize,
}

impl<'r> Batches<'r> {
    pub(super) fn new(repo: &'r Repo, tip: GitOid) -> Batches<'r> {
        Batches { repo, next: Some(tip), n_left: COMMITS_MAX }
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<Batch, (GitOid, String)>;

    fn next(&mut self) -> Option<Self::Item> {
        let commit_id = self.next.take()?;
        if self.n_left == 0 {
            let message = format!("more than {COMMITS_MAX} commits in one day are not read");
            return Some(Err((commit_id, message)));
        }
        self.n_left -= 1;
        let batch = Batch::read(self.repo, commit_id);
        self.next = batch.as_ref().ok().and_then(|batch| batch.parent);
        Some(batch.map_err(|message| (commit_id, message)))
    }
}

/// Every log: its ref here, `own` or the remote it was fetched from, its writer and day, its tip.
struct Day {
    ref_name: String,
    copy: String,
    writer: String,
    tip: GitOid,
}

fn days(repo: &Repo) -> Result<Vec<Day>, RefError> {
    let own = repo.list_refs(AUDIT_REFS)?.into_iter().map(|(name, tip)| {
        let writer = name.split('/').nth(3).unwrap_or_default().to_owned();
        Day { ref_name: name, copy: String::new(), writer, tip }
    });
    let fetched = repo.list_refs("refs/carnet/remotes/")?.into_iter();
    let fetched = fetched.filter(|(name, _)| name.split('/').nth(4) == Some("audit"));
    let fetched = fetched.map(|(name, tip)| {
        let mut parts = name.split('/').skip(3);
        let copy = parts.next().unwrap_or_default().to_owned();
        let writer = parts.nth(1).unwrap_or_default().to_owned();
        Day { ref_name: name, copy, writer, tip }
    });
    Ok(own.chain(fetched).collect())
}

/// Returns the entries of every log since a time, each once, in order of time; those that cannot be read are left to
/// [`verify_audit`].
///
/// # Errors
///
/// [`RefError`] when the refs cannot be listed.
pub fn read_audit(repo: &Repo, since: Option<Timestamp>) -> Result<Vec<AuditEntry>, RefError> {
    let first_day = since.map(Timestamp::day);
    let mut seen = BTreeSet::new();
    let mut entries = vec![];
    for day in days(repo)? {
        let is_before = |first: &String| day.ref_name.rsplit('/').next() < Some(first);
        if first_day.as_ref().is_some_and(is_before) {
            continue;
        }
        for batch in Batches::new(repo, day.tip).map_while(Result::ok) {
            for line in batch.lines {
                let is_wanted = since.is_none_or(|since| line.entry.event.at >= since);
                if is_wanted && seen.insert(line.digest) {
                    entries.push(line.entry);
                }
            }
        }
    }
    entries.sort_by(|a, b| (a.event.at, &a.writer, a.n).cmp(&(b.event.at, &b.writer, b.n)));
    Ok(entries)
}

/// Verifies every log that stands here, own and fetched.
///
/// - `own_writer`: this clone's, whose log must reach as far as the clone remembers.
///
/// # Errors
///
/// [`RefError`] when the refs cannot be listed; everything else is in the report.
pub fn verify_audit(
    repo: &Repo,
    trusted: &[PublicKey],
    own_writer: Option<&str>,
) -> Result<AuditReport, RefError> {
    let mut logs: BTreeMap<(String, String), Vec<Day>> = BTreeMap::new();
    for day in days(repo)? {
        logs.entry((day.copy.clone(), day.writer.clone())).or_default().push(day);
    }
    let mut all = Verification { repo, trusted, report: AuditReport::default() };
    let mut own_end = None;
    for ((copy, writer), mut days) in logs {
        days.sort_by(|a, b| a.ref_name.cmp(&b.ref_name));
        let end = all.log(&days);
        if copy.is_empty() && own_writer == Some(&writer) {
            own_end = end;
        }
    }
    if let (Some(writer), Some(mark)) = (own_writer, Mark::read(repo)) {
        all.reaches(writer, own_end, mark);
    }
    all.copies_agree();
    all.report.problems.sort();
    all.report.problems.dedup();
    Ok(all.report)
}

struct Verification<'a> {
    repo: &'a Repo,
    trusted: &'a [PublicKey],
    report: AuditReport,
}

impl Verification<'_> {
    fn add(&mut self, severity: Severity, subject: &str, message: impl Into<String>) {
        let (subject, message) = (subject.to_owned(), message.into());
        self.report.problems.push(Problem { severity, subject, message });
    }

    /// Verifies one copy of one writer's log, day by day, and returns its last line.
    fn log(&mut self, days: &[Day]) -> Option<Mark> {
        let mut end = None;
        let mut key = None;
        for day in days {
            end = self.day(day, end, &mut key);
        }
        end
    }

    fn day(
        &mut self,
        day: &Day,
        mut end: Option<Mark>,
        key: &mut Option<PublicKey>,
    ) -> Option<Mark> {
        let name = day.ref_name.as_str();
        if name.rsplit('/').next().is_none_or(|last| Timestamp::parse(last).is_none()) {
            self.add(Severity::Wrong, name, "it is not named for a day");
        }
        let mut batches = vec![];
        for batch in Batches::new(self.repo, day.tip) {
            match batch {
                Ok(batch) => batches.push(batch),
                Err((commit, message)) => {
                    let message = format!("commit {}: {message}", commit.short());
                    self.add(Severity::Wrong, name, message);
                }
            }
        }
        batches.reverse();
        let declared = batches.first().and_then(|batch| batch.lines[0].entry.public_key.clone());
        if key.is_none() {
            *key = self.key_of(day, declared);
        }
        if let Some(key) = key {
            self.signatures(name, &batches, key);
        }
        let mut last_at = None;
        let (mut commits, mut n_lines, mut leaves) = (vec![], vec![], vec![]);
        for batch in &batches {
            let subject = format!("{name} commit {}", batch.commit_id.short());
            for line in &batch.lines {
                if let Some(message) = follows(&line.entry, end) {
                    self.add(Severity::Wrong, &subject, message);
                }
                if line.entry.writer != day.writer {
                    let message = format!("entry {} is another writer's", line.entry.n);
                    self.add(Severity::Wrong, &subject, message);
                }
                if last_at.is_some_and(|last| line.entry.event.at < last) {
                    let message = format!("the clock had gone back at entry {}", line.entry.n);
                    self.add(Severity::Note, &subject, message);
                }
                last_at = Some(line.entry.event.at);
                end = Some(Mark { n: line.entry.n, line: line.digest, commit: None });
                leaves.push(Digest::of(&[&[0], line.text.as_bytes()].concat()));
            }
            commits.push(batch.commit_id);
            n_lines.push(leaves.len());
        }
        self.report.n_entries += leaves.len();
        let at = name.find("audit/").unwrap_or_default();
        self.report.chains.push(AuditChain {
            ref_name: name.to_owned(),
            name: name[at..].to_owned(),
            commits,
            n_lines,
            leaves,
        });
        end
    }

    /// The key of a log's writer: a trusted one, else the one that the log itself declares.
    fn key_of(&mut self, day: &Day, declared: Option<String>) -> Option<PublicKey> {
        let writer = &day.writer;
        if let Some(key) = self.trusted.iter().find(|key| key.writer() == *writer) {
            return Some(key.clone());
        }
        let declared = declared.and_then(|text| PublicKey::parse(&text).ok());
        let declared = declared.filter(|key| key.writer() == *writer);
        let message = match &declared {
            Some(key) => {
                self.report.untrusted_keys.insert(key.to_string());
                format!("signed by writer {writer}, whose key is not trusted here")
            }
            None => format!("no key of writer {writer} is trusted here, or in the log"),
        };
        self.add(Severity::Untrusted, &day.ref_name, message);
        declared
    }

    fn signatures(&mut self, name: &str, batches: &[Batch], key: &PublicKey) {
        let Some(tip) = batches.last() else { return };
        if tip.is_signed_by(key).is_ok() {
            return;
        }
        for batch in batches {
            if let Err(message) = batch.is_signed_by(key) {
                let subject = format!("{name} commit {}", batch.commit_id.short());
                self.add(Severity::Wrong, &subject, message);
                return;
            }
        }
    }

    /// This clone's log ends where the clone remembers, or, after a crash, later.
    fn reaches(&mut self, writer: &str, end: Option<Mark>, mark: Mark) {
        let n_end = end.map_or(0, |end| end.n);
        let message = if n_end < mark.n {
            format!("it ends at entry {n_end}; this clone has written {}", mark.n)
        } else if n_end == mark.n && end.map(|end| end.line) != Some(mark.line) {
            format!("entry {n_end} is not the one that this clone has written")
        } else {
            return;
        };
        self.add(Severity::Wrong, &format!("{AUDIT_REFS}{writer}"), message);
    }

    /// Of a day that stands here twice, one copy continues the other.
    fn copies_agree(&mut self) {
        let mut by_name: BTreeMap<&str, Vec<&AuditChain>> = BTreeMap::new();
        for chain in &self.report.chains {
            by_name.entry(&chain.name).or_default().push(chain);
        }
        let mut found = vec![];
        for copies in by_name.values() {
            let Some(longest) = copies.iter().max_by_key(|chain| chain.commits.len()) else {
                continue;
            };
            for copy in copies {
                if !longest.commits.starts_with(&copy.commits) {
                    let message =
                        format!("it went apart from {}: one was rewritten", longest.ref_name);
                    found.push((copy.ref_name.clone(), message));
                } else if copy.ref_name.starts_with(AUDIT_REFS)
                    && copy.commits.len() < longest.commits.len()
                {
                    let n_lost = longest.leaves.len() - copy.leaves.len();
                    let message =
                        format!("it lacks {n_lost} entries that {} has", longest.ref_name);
                    found.push((copy.ref_name.clone(), message));
                }
            }
        }
        for (subject, message) in found {
            self.add(Severity::Wrong, &subject, message);
        }
    }
}

/// What is wrong between a line and the one before it.
fn follows(entry: &AuditEntry, end: Option<Mark>) -> Option<String> {
    let (n, line) = end.map_or((0, None), |end| (end.n, Some(end.line)));
    if entry.n != n + 1 {
        Some(match entry.n.checked_sub(n + 2) {
            Some(0) => format!("entry {} is missing", n + 1),
            Some(_) => format!("entries {} to {} are missing", n + 1, entry.n - 1),
            None => format!("entry {} stands after entry {n}", entry.n),
        })
    } else if entry.previous != line {
        Some(format!("entry {} does not follow the one before it: that was changed", entry.n))
    } else {
        None
    }
}
