//! `policy/content.toml`: which findings are refused, which are a warning, and which licences may be where.
//!
//! The `personal` section speaks about findings of personal data, the `secrets` section about all others. An
//! exception never silences a finding: it turns a refusal into a warning, in some paths, until a day.
//! Invariant: a policy exists only if nothing at all is wrong with its text.

use carnet_core::{Confidence, Digest, Severity};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::{
    licence::{self, LicencePolicy},
    problem::{PolicyProblem, Problems},
    reader::{self, Located, TableReader},
};

const FORMAT: &str = "carnet/content/1";
const EXCEPTIONS_MAX: usize = 1000;

/// Decides about findings; see [`judge`](crate::judge()).
#[derive(Debug, Clone)]
pub struct ContentPolicy {
    pub(crate) digest: Digest,
    pub(crate) secrets: Thresholds,
    pub(crate) personal: Thresholds,
    pub(crate) redact_personal_at: Confidence,
    pub(crate) exceptions: Vec<Exception>,
    pub(crate) licences: LicencePolicy,
}

/// From where on findings of one family are refused, and from where on they are warned of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thresholds {
    pub(crate) refuse: Threshold,
    pub(crate) warn: Threshold,
}

/// What a finding must reach, both at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Threshold {
    pub(crate) severity: Severity,
    pub(crate) confidence: Confidence,
}

/// A refusal that is a warning, for one rule in some paths, until a day.
#[derive(Debug, Clone)]
pub(crate) struct Exception {
    pub(crate) rule: String,
    pub(crate) paths: GlobSet,
    pub(crate) reason: String,
    /// The last day on which it holds, `YYYY-MM-DD` in UTC.
    pub(crate) until: String,
    pub(crate) location: String,
}

impl ContentPolicy {
    /// Returns the policy that carnet ships with.
    pub fn built_in() -> ContentPolicy {
        let text = include_str!("../../../policy/content.toml");
        ContentPolicy::parse("policy/content.toml", text)
            .expect("because a test reads the built-in policy")
    }

    /// Reads a policy; `file` names it in messages.
    ///
    /// # Errors
    ///
    /// Every [`PolicyProblem`], in the order of their lines; never an empty list.
    pub fn parse(file: &str, text: &str) -> Result<ContentPolicy, Vec<PolicyProblem>> {
        let mut problems = Problems::new(file, text);
        let policy = read_policy(text, &mut problems);
        match policy {
            Some(policy) if problems.is_empty() => Ok(policy),
            _ => Err(problems.finish()),
        }
    }

    /// Returns which licences may be where.
    pub fn licences(&self) -> &LicencePolicy {
        &self.licences
    }

    /// Returns how sure personal data must be to be replaced in what is kept or sent.
    pub fn redact_personal_at(&self) -> Confidence {
        self.redact_personal_at
    }

    /// Returns the digest of the policy's text.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl Threshold {
    pub(crate) fn is_met(self, severity: Severity, confidence: Confidence) -> bool {
        severity >= self.severity && confidence >= self.confidence
    }
}

fn read_policy(text: &str, problems: &mut Problems<'_>) -> Option<ContentPolicy> {
    let document = reader::parse_document(text, problems)?;
    let mut table = TableReader::new(document.get_ref(), 0..0, "");
    table.format(FORMAT, problems);
    table.string_if_any("description", problems);
    let secrets = table.table("secrets", problems);
    let secrets = secrets.and_then(|secrets| read_thresholds(secrets, "secrets", problems));
    let personal = match table.table_if_any("personal", problems) {
        Some(personal) => read_personal(personal, problems),
        None => Some((PERSONAL, Confidence::Medium)),
    };
    let licences = table.table_if_any("licences", problems);
    let licences =
        licences.map_or(Some(LicencePolicy::default()), |table| licence::read(table, problems));
    let mut exceptions = table.tables("exception", problems);
    if let Some(first_over) = exceptions.get(EXCEPTIONS_MAX) {
        let message = format!("more than {EXCEPTIONS_MAX} exceptions");
        problems.add(first_over.span(), "exception", message);
        exceptions.truncate(EXCEPTIONS_MAX);
    }
    let exceptions = exceptions.into_iter();
    let exceptions = exceptions.filter_map(|table| read_exception(table, problems)).collect();
    table.finish(problems);
    let (personal, redact_personal_at) = personal?;
    let digest = Digest::of(text.as_bytes());
    Some(ContentPolicy {
        digest,
        secrets: secrets?,
        personal,
        redact_personal_at,
        exceptions,
        licences: licences?,
    })
}

/// What holds for personal data where a policy has no such section: the same as in the built-in one.
const PERSONAL: Thresholds = Thresholds {
    refuse: Threshold { severity: Severity::High, confidence: Confidence::High },
    warn: Threshold { severity: Severity::Medium, confidence: Confidence::Medium },
};

fn read_personal(
    mut table: TableReader<'_, '_>,
    problems: &mut Problems<'_>,
) -> Option<(Thresholds, Confidence)> {
    let word = table.string("redact_at_confidence", problems);
    let word = word.map(|word| (word, table.field("redact_at_confidence")));
    let redact = word.and_then(|word| level(word, &CONFIDENCES, Confidence::name, problems));
    let thresholds = read_thresholds(table, "personal", problems);
    Some((thresholds?, redact?))
}

fn read_thresholds(
    mut table: TableReader<'_, '_>,
    name: &'static str,
    problems: &mut Problems<'_>,
) -> Option<Thresholds> {
    let span = table.span().clone();
    let mut word = |key| {
        let word = table.string(key, problems);
        word.map(|word| (word, table.field(key)))
    };
    let (severity, confidence) = (word("refuse_at_severity"), word("refuse_at_confidence"));
    let (warn_severity, warn_confidence) = (word("warn_at_severity"), word("warn_at_confidence"));
    table.finish(problems);
    let severity = severity.and_then(|word| level(word, &SEVERITIES, Severity::name, problems));
    let confidence =
        confidence.and_then(|word| level(word, &CONFIDENCES, Confidence::name, problems));
    let warn_severity =
        warn_severity.and_then(|word| level(word, &SEVERITIES, Severity::name, problems));
    let warn_confidence =
        warn_confidence.and_then(|word| level(word, &CONFIDENCES, Confidence::name, problems));
    let refuse = Threshold { severity: severity?, confidence: confidence? };
    let warn = Threshold { severity: warn_severity?, confidence: warn_confidence? };
    if warn.severity > refuse.severity || warn.confidence > refuse.confidence {
        problems.add(&span, name, "warns later than it refuses");
    }
    Some(Thresholds { refuse, warn })
}

const SEVERITIES: [Severity; 4] =
    [Severity::Low, Severity::Medium, Severity::High, Severity::Critical];
const CONFIDENCES: [Confidence; 3] = [Confidence::Low, Confidence::Medium, Confidence::High];

/// Reads one of a few words.
fn level<T: Copy>(
    (word, field): (Located<String>, String),
    levels: &[T],
    name: fn(T) -> &'static str,
    problems: &mut Problems<'_>,
) -> Option<T> {
    let found = levels.iter().copied().find(|level| name(*level) == word.value);
    if found.is_none() {
        let names: Vec<_> = levels.iter().map(|level| format!("`{}`", name(*level))).collect();
        let message =
            format!("must be one of {}, not `{}`", names.join(", "), crate::show(&word.value));
        problems.add(&word.span, &field, message);
    }
    found
}

fn read_exception(
    mut table: TableReader<'_, '_>,
    problems: &mut Problems<'_>,
) -> Option<Exception> {
    let rule = table.string("rule", problems);
    let globs = table.strings("paths", problems);
    if globs.is_empty() {
        problems.add(table.span(), "exception.paths", "is missing or empty");
    }
    let paths = read_globs(&globs, problems);
    let reason = table.string("reason", problems);
    let until = table.day("until", problems);
    let line = problems.line(table.span());
    table.finish(problems);
    Some(Exception {
        rule: rule?.value,
        paths: paths?,
        reason: reason?.value,
        until: until?,
        location: format!("{}:{line}", problems.file()),
    })
}

fn read_globs(globs: &[Located<String>], problems: &mut Problems<'_>) -> Option<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        match GlobBuilder::new(&glob.value).literal_separator(true).build() {
            Ok(built) => drop(set.add(built)),
            Err(error) => {
                problems.add(&glob.span, "exception.paths", format!("no glob: {}", error.kind()));
                return None;
            }
        }
    }
    set.build().ok()
}
