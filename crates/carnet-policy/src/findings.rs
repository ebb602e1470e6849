//! `allowlists/findings.toml`: findings that someone accepts, why, who answers for it, and until when.
//!
//! The form is described in `docs/format/findings.md`. Invariant: suppressions exist only if nothing at all is wrong with
//! their text on the day they are read; an entry that ran out is wrong.

use std::ops::Range;

use carnet_core::{Digest, Finding, Origin, Timestamp};
use globset::{GlobBuilder, GlobMatcher};

use crate::{
    baseline::ByFingerprint,
    problem::{PolicyProblem, Problems},
    reader::{self, TableReader},
};

const FORMAT: &str = "carnet/findings/1";
const ENTRIES_MAX: usize = 10_000;
const FINGERPRINT_DIGITS: usize = 32;

/// The accepted findings of one file.
#[derive(Debug, Clone)]
pub struct Suppressions {
    salt: Digest,
    entries: Vec<Suppression>,
    /// The first entry of each fingerprint.
    by_fingerprint: ByFingerprint,
    /// The entries by rule and path.
    by_path: Vec<usize>,
}

/// A finding accepted by someone, with reason and end date (SARIF 2.1.0 §3.35).
#[derive(Debug, Clone)]
pub struct Suppression {
    accepts: Accepts,
    /// Why.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// The last day on which it counts, `YYYY-MM-DD` in UTC.
    pub until: String,
    /// Where it stands, as `file:line`.
    pub location: String,
    line: u32,
}

/// What an entry accepts.
#[derive(Debug, Clone)]
enum Accepts {
    /// One secret, wherever it lies, by the digits of its fingerprint.
    Fingerprint(String),
    /// Every finding of a rule in some paths of the repository.
    RuleAndPath { rule: String, glob: String, paths: GlobMatcher },
}

/// What a new entry shall accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewEntry {
    /// One secret, by the 32 digits of its fingerprint.
    Fingerprint(String),
    /// Every finding of a rule in some paths.
    RuleAndPath {
        /// The rule's id.
        rule: String,
        /// The glob.
        path: String,
    },
}

impl Suppressions {
    /// Reads a file; `file` names it in messages, `now` decides what ran out.
    ///
    /// # Errors
    ///
    /// Every [`PolicyProblem`], in the order of their lines; never an empty list.
    pub fn parse(
        file: &str,
        text: &str,
        now: Timestamp,
    ) -> Result<Suppressions, Vec<PolicyProblem>> {
        let mut problems = Problems::new(file, text);
        match read_file(text, &now.day(), &mut problems) {
            Some(suppressions) if problems.is_empty() => Ok(suppressions),
            _ => Err(problems.finish()),
        }
    }

    /// Returns the key of the repository's fingerprints.
    pub fn fingerprint_key(&self) -> [u8; 32] {
        *self.salt.as_bytes()
    }

    /// Returns the entries, in the order of the file.
    pub fn entries(&self) -> &[Suppression] {
        &self.entries
    }

    /// Returns the first entry that accepts the finding.
    ///
    /// Only what lies in files can be accepted: nothing vouches for a prompt, a log or an artifact.
    pub fn of(&self, finding: &Finding) -> Option<&Suppression> {
        let named = self.by_fingerprint.get(&finding.fingerprint.to_string());
        let mut accepting = named.into_iter().chain(&self.by_path).copied();
        accepting.find_map(|idx| Some(&self.entries[idx]).filter(|entry| entry.accepts(finding)))
    }

    /// Accepts what `others` do besides, unless they go by another salt: their fingerprints would mean nothing here.
    #[must_use]
    pub fn with_others(mut self, others: Suppressions) -> Suppressions {
        if others.salt == self.salt {
            others.entries.into_iter().for_each(|entry| self.push(entry));
        }
        self
    }

    fn push(&mut self, entry: Suppression) {
        match entry.accepts.clone() {
            Accepts::Fingerprint(digits) => self.add(digits, entry),
            Accepts::RuleAndPath { .. } => {
                self.by_path.push(self.entries.len());
                self.entries.push(entry);
            }
        }
    }

    /// Adds an entry for a fingerprint; one that was there before counts first.
    pub(crate) fn add(&mut self, fingerprint: String, entry: Suppression) {
        self.by_fingerprint.entry(fingerprint).or_insert(self.entries.len());
        self.entries.push(entry);
    }
}

impl Suppression {
    /// Makes the entry that a line of a baseline is.
    pub(crate) fn in_baseline(
        fingerprint: String,
        reason: String,
        (owner, until): (String, String),
        location: String,
    ) -> Suppression {
        let accepts = Accepts::Fingerprint(fingerprint);
        Suppression { accepts, reason, owner, until, location, line: 0 }
    }

    /// Tells whether the entry accepts the finding.
    pub fn accepts(&self, finding: &Finding) -> bool {
        match (&self.accepts, &finding.origin) {
            (_, Origin::Prompt | Origin::Artifact(_) | Origin::Log(_)) => false,
            (Accepts::Fingerprint(digits), _) => *digits == finding.fingerprint.to_string(),
            (
                Accepts::RuleAndPath { rule, paths, .. },
                Origin::Staged(path) | Origin::Committed(path),
            ) => *rule == finding.rule_id && paths.is_match(path.to_text()),
            (Accepts::RuleAndPath { .. }, Origin::File(_) | Origin::Message(_) | Origin::Stdin) => {
                false
            }
        }
    }

    /// Returns what it accepts, in words: the fingerprint, or `rule in path`.
    pub fn subject(&self) -> String {
        match &self.accepts {
            Accepts::Fingerprint(digits) => digits.clone(),
            Accepts::RuleAndPath { rule, glob, .. } => format!("{rule} in {glob}"),
        }
    }

    /// Fingerprints first, in order; then rules and paths.
    fn sort_key(&self) -> (bool, String) {
        (matches!(self.accepts, Accepts::RuleAndPath { .. }), self.subject())
    }
}

fn read_file(text: &str, today: &str, problems: &mut Problems<'_>) -> Option<Suppressions> {
    let document = reader::parse_document(text, problems)?;
    let mut table = TableReader::new(document.get_ref(), 0..0, "");
    table.format(FORMAT, problems);
    let salt = table.string("salt", problems);
    let salt = salt.and_then(|salt| {
        let read = Digest::from_hex(&salt.value).ok();
        if read.is_none() {
            problems.add(&salt.span, "salt", "must be 64 lowercase hex digits");
        }
        read
    });
    let mut tables = table.tables("finding", problems);
    if let Some(first_over) = tables.get(ENTRIES_MAX) {
        problems.add(first_over.span(), "finding", format!("more than {ENTRIES_MAX} entries"));
        tables.truncate(ENTRIES_MAX);
    }
    let entries: Vec<Suppression> =
        tables.into_iter().filter_map(|table| read_entry(table, today, problems)).collect();
    table.finish(problems);
    let mut suppressions = Suppressions {
        salt: salt?,
        entries: vec![],
        by_fingerprint: ByFingerprint::new(),
        by_path: vec![],
    };
    entries.into_iter().for_each(|entry| suppressions.push(entry));
    Some(suppressions)
}

fn read_entry(
    mut table: TableReader<'_, '_>,
    today: &str,
    problems: &mut Problems<'_>,
) -> Option<Suppression> {
    let span = table.span().clone();
    let accepts = read_accepts(&mut table, &span, problems);
    let reason = not_blank(&mut table, "reason", problems);
    let owner = not_blank(&mut table, "owner", problems);
    let until_span = table.take("until").map_or_else(|| span.clone(), toml::Spanned::span);
    let until = table.day("until", problems);
    if let Some(until) = until.as_deref().filter(|until| *until < today) {
        problems.add(&until_span, "finding.until", format!("ran out on {until}"));
    }
    let line = problems.line(&span);
    let location = format!("{}:{line}", problems.file());
    table.finish(problems);
    Some(Suppression {
        accepts: accepts?,
        reason: reason?,
        owner: owner?,
        until: until?,
        location,
        line,
    })
}

fn not_blank(
    table: &mut TableReader<'_, '_>,
    key: &'static str,
    problems: &mut Problems<'_>,
) -> Option<String> {
    let text = table.string(key, problems)?;
    if text.value.trim().is_empty() {
        problems.add(&text.span, &table.field(key), "is blank");
        return None;
    }
    Some(text.value)
}

fn read_accepts(
    table: &mut TableReader<'_, '_>,
    span: &Range<usize>,
    problems: &mut Problems<'_>,
) -> Option<Accepts> {
    let fingerprint = table.string_if_any("fingerprint", problems);
    let rule = table.string_if_any("rule", problems);
    let path = table.string_if_any("path", problems);
    match (fingerprint, rule, path) {
        (Some(digits), None, None) => {
            if is_fingerprint(&digits.value) {
                return Some(Accepts::Fingerprint(digits.value));
            }
            let message = format!("must be {FINGERPRINT_DIGITS} lowercase hex digits");
            problems.add(&digits.span, "finding.fingerprint", message);
        }
        (None, Some(rule), Some(path)) => match glob(&path.value) {
            Ok(paths) => {
                return Some(Accepts::RuleAndPath { rule: rule.value, glob: path.value, paths });
            }
            Err(why) => problems.add(&path.span, "finding.path", format!("no glob: {why}")),
        },
        _ => problems.add(span, "finding", "needs either `fingerprint`, or `rule` and `path`"),
    }
    None
}

pub(crate) fn is_fingerprint(text: &str) -> bool {
    text.len() == FINGERPRINT_DIGITS
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn glob(text: &str) -> Result<GlobMatcher, String> {
    let glob = GlobBuilder::new(text).literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| error.kind().to_string())
}

/// Returns a findings file that accepts nothing.
pub fn empty_findings(salt: &[u8; 32]) -> String {
    format!(
        "# Findings that were accepted; the form is carnet's docs/format/findings.md.\nformat = \"{FORMAT}\"\nsalt = \"{}\"\n",
        Digest::from_bytes(*salt)
    )
}

/// Returns the text of a findings file with one more entry in its sorted place; every other byte stays.
///
/// - `text`: the file as it is, or `None` when there is none yet; then `salt` begins it.
/// - `until`: `YYYY-MM-DD`; today or later.
///
/// # Errors
///
/// Every [`PolicyProblem`] of the file as it is or as it would become; nothing is to be written then.
pub fn with_entry(
    file: &str,
    text: Option<&str>,
    salt: &[u8; 32],
    entry: &NewEntry,
    (reason, owner, until): (&str, &str, &str),
    now: Timestamp,
) -> Result<String, Vec<PolicyProblem>> {
    let start = empty_findings(salt);
    let text = text.unwrap_or(&start);
    let old = Suppressions::parse(file, text, now)?;
    let block = block(entry, reason, owner, until);
    let new_file = format!("{start}\n{block}");
    let new = Suppressions::parse(file, &new_file, now)?;
    let key = new.entries.first().map(Suppression::sort_key);
    let next = old.entries.iter().find(|old| Some(old.sort_key()) > key);
    let mut made = match next {
        None => format!("{}\n\n{block}", text.trim_end()),
        Some(next) => {
            let at = line_start(text, next.line);
            format!("{}{block}\n{}", &text[..at], &text[at..])
        }
    };
    if !made.ends_with('\n') {
        made.push('\n');
    }
    Suppressions::parse(file, &made, now)?;
    Ok(made)
}

fn line_start(text: &str, line: u32) -> usize {
    let before = text.split_inclusive('\n').take(line.saturating_sub(1) as usize);
    before.map(str::len).sum()
}

fn block(entry: &NewEntry, reason: &str, owner: &str, until: &str) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let subject = match entry {
        NewEntry::Fingerprint(digits) => format!("fingerprint = {}\n", quoted(digits)),
        NewEntry::RuleAndPath { rule, path } => {
            format!("rule = {}\npath = {}\n", quoted(rule), quoted(path))
        }
    };
    // A day is written bare; anything else becomes a string, which the reader refuses by line and field.
    let is_day =
        until.len() == 10 && until.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let until = if is_day { until.to_owned() } else { quoted(until) };
    format!(
        "[[finding]]\n{subject}reason = {}\nowner = {}\nuntil = {until}\n",
        quoted(reason),
        quoted(owner)
    )
}

#[cfg(test)]
#[path = "findings_tests.rs"]
mod tests;
