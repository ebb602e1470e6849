//! Reads rule files: TOML in, rules or problems out. See `docs/format/rules.md`.
//!
//! Every key is checked; an unknown key, a missing field or a pattern that does not compile is a problem that
//! names file, line and field. All problems of a file are reported, not only the first.

use std::{borrow::Cow, ops::Range};

use carnet_core::{Confidence, LineIndex, Severity};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    checksum::Checksum,
    content_class::ContentClass,
    generic::Kind,
    glob::Glob,
    keyword_proof,
    pattern::{Pattern, PatternError},
    rule::{ContentMatcher, Matcher, PathMatcher, Rule, Texts},
};

/// The format that this version reads.
pub(crate) const FORMAT: &str = "carnet/rules/1";
/// Bytes of one rule file.
const FILE_BYTES_MAX: usize = 1 << 20;
/// Bytes of a keyword: shorter ones would be met everywhere.
const KEYWORD_BYTES: Range<usize> = 3..65;

const RULE_KEYS: [&str; 8] = [
    "id",
    "description",
    "severity",
    "confidence",
    "references",
    "examples",
    "negative_examples",
    "path",
];
const CONTENT_KEYS: [&str; 7] =
    ["pattern", "keywords", "entropy", "checksum", "placeholders", "unless_secret", "unless_match"];
const PATH_KEYS: [&str; 2] = ["unless_path", "unless_content"];

/// What is wrong in a rule file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {field}: {kind}")]
pub struct RuleProblem {
    /// Name of the rule file, as it was given.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// The key concerned, such as `pattern`; `file` when it is the file as a whole.
    pub field: String,
    /// What is wrong.
    pub kind: ProblemKind,
}

/// What can be wrong in a rule file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProblemKind {
    /// The text is not TOML.
    #[error("not TOML: {0}")]
    Syntax(String),
    /// The file is larger than a rule file may be.
    #[error("the file has more than {FILE_BYTES_MAX} bytes")]
    TooLarge,
    /// The format is not one that this version reads.
    #[error("the format is `{0}`, not `{FORMAT}`")]
    Format(String),
    /// A key that this format does not have, or that this kind of rule does not have.
    #[error("unknown key")]
    UnknownKey,
    /// A required key is missing.
    #[error("missing")]
    Missing,
    /// A value of another type or range; the field says which is wanted.
    #[error("must be {0}")]
    Wanted(&'static str),
    /// A rule of this id stands in an earlier place.
    #[error("`{0}` is already defined")]
    Duplicate(String),
    /// The pattern is refused.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

/// How far a file's patterns are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checks {
    /// Compile each pattern, and prove that its keywords suffice.
    All,
    /// Take patterns as they are: for the built-in files, which the build checks in full.
    Shape,
}

/// Rules read so far, the line of each, and the problems met.
#[derive(Default)]
pub(crate) struct Reading {
    pub(crate) rules: Vec<Rule>,
    pub(crate) problems: Vec<RuleProblem>,
}

impl Reading {
    /// Reads one file and adds its rules and problems.
    pub(crate) fn read(&mut self, file: &str, text: &str, checks: Checks) {
        let mut reader = Reader { file, text, lines: None, checks, problems: Vec::new() };
        if text.len() > FILE_BYTES_MAX {
            reader.problem(0, "file", ProblemKind::TooLarge);
        } else {
            match DeTable::parse(text) {
                Ok(table) => reader.file_table(table.get_ref(), &mut self.rules),
                Err(error) => {
                    let at = error.span().map_or(0, |span| span.start);
                    reader.problem(at, "file", ProblemKind::Syntax(error.message().to_owned()));
                }
            }
        }
        self.problems.append(&mut reader.problems);
    }
}

/// Reads one file.
struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    lines: Option<LineIndex>,
    checks: Checks,
    problems: Vec<RuleProblem>,
}

/// A table of the file, with the place where it begins.
#[derive(Clone, Copy)]
struct Table<'t, 'i> {
    at: usize,
    table: &'t DeTable<'i>,
}

impl<'t, 'i> Table<'t, 'i> {
    fn get(&self, key: &str) -> Option<&'t Spanned<DeValue<'i>>> {
        self.table.get(key)
    }
}

impl Reader<'_> {
    fn problem(&mut self, at: usize, field: &str, kind: impl Into<ProblemKind>) {
        let text = self.text.as_bytes();
        let lines = self.lines.get_or_insert_with(|| LineIndex::new(text));
        let (line, _) = lines.line_column(at);
        let (file, field) = (self.file.to_owned(), field.to_owned());
        self.problems.push(RuleProblem { file, line, field, kind: kind.into() });
    }

    fn file_table(&mut self, table: &DeTable<'_>, rules: &mut Vec<Rule>) {
        let root = Table { at: 0, table };
        match self.string(root, "format") {
            Some(format) if format == FORMAT => {}
            Some(format) => return self.problem(0, "format", ProblemKind::Format(format)),
            None => return,
        }
        self.refuse_unknown(root, &[&["format", "family", "rule"]]);
        let Some(family) = self.name(root, "family") else { return };
        let Some(entries) = root.get("rule") else {
            return self.problem(0, "rule", ProblemKind::Missing);
        };
        let Some(array) = entries.get_ref().as_array() else {
            return self.problem(
                entries.span().start,
                "rule",
                ProblemKind::Wanted("an array of tables"),
            );
        };
        for entry in array.iter() {
            let at = entry.span().start;
            match entry.get_ref().as_table() {
                Some(table) => self.rule(Table { at, table }, &family, rules),
                None => self.problem(at, "rule", ProblemKind::Wanted("an array of tables")),
            }
        }
    }

    fn rule(&mut self, table: Table<'_, '_>, family: &str, rules: &mut Vec<Rule>) {
        let id = self.name(table, "id");
        if let Some(id) = id.as_ref().filter(|id| rules.iter().any(|rule| rule.id == **id)) {
            self.problem(table.at, "id", ProblemKind::Duplicate(id.clone()));
        }
        let description = self.string(table, "description");
        let severity = self.string(table, "severity").and_then(|name| self.severity(table, &name));
        let confidence =
            self.string(table, "confidence").and_then(|name| self.confidence(table, &name));
        let references = self.references(table);
        let examples = self.examples(table, "examples");
        if examples.is_empty() {
            self.problem(table.at, "examples", ProblemKind::Missing);
        }
        let negative_examples = self.examples(table, "negative_examples");
        let matcher = match table.get("path") {
            Some(_) => self.path_matcher(table).map(Matcher::Path),
            None if table.get("assigned_to").is_some() => {
                self.assigned_kind(table).map(Matcher::Assigned)
            }
            None => self.content_matcher(table).map(|content| Matcher::Content(Box::new(content))),
        };
        let family = family.to_owned();
        if let (Some(id), Some(description), Some(severity), Some(confidence), Some(matcher)) =
            (id, description, severity, confidence, matcher)
        {
            rules.push(Rule {
                id,
                family,
                description,
                severity,
                confidence,
                references: Texts::Given(references),
                matcher,
                examples: Texts::Given(examples),
                negative_examples: Texts::Given(negative_examples),
            });
        }
    }

    fn path_matcher(&mut self, table: Table<'_, '_>) -> Option<PathMatcher> {
        self.refuse_unknown(table, &[&RULE_KEYS, &PATH_KEYS]);
        let n_problems = self.problems.len();
        let globs = self.globs(table, "path");
        if globs.is_empty() && self.problems.len() == n_problems {
            self.value_problem(table, "path", ProblemKind::Wanted("one glob or more"));
        }
        let unless = self.globs(table, "unless_path");
        let unless_content = match self.optional_string(table, "unless_content") {
            None => None,
            Some(name) => match ContentClass::from_name(&name) {
                Some(class) => Some(class),
                None => {
                    let wanted = ProblemKind::Wanted("`public-pem` or `no-values`");
                    self.value_problem(table, "unless_content", wanted);
                    return None;
                }
            },
        };
        Some(PathMatcher { globs, unless, unless_content })
    }

    fn assigned_kind(&mut self, table: Table<'_, '_>) -> Option<Kind> {
        self.refuse_unknown(table, &[&RULE_KEYS, &["assigned_to"]]);
        let kind = self.string(table, "assigned_to").as_deref().and_then(Kind::from_name);
        if kind.is_none() {
            let wanted = ProblemKind::Wanted("`password` or `secret`");
            self.value_problem(table, "assigned_to", wanted);
        }
        kind
    }

    fn content_matcher(&mut self, table: Table<'_, '_>) -> Option<ContentMatcher> {
        self.refuse_unknown(table, &[&RULE_KEYS, &CONTENT_KEYS]);
        let keywords = self.keywords(table);
        let pattern = self.string(table, "pattern").and_then(|text| {
            let checked = self.pattern(&text, &keywords);
            checked.map_err(|error| self.value_problem(table, "pattern", error)).ok()
        });
        let unless_secret = self.exception(table, "unless_secret");
        let unless_match = self.exception(table, "unless_match");
        let entropy = self.entropy(table);
        let checksum = self.optional_string(table, "checksum").and_then(|name| {
            let checksum = Checksum::from_name(&name);
            if checksum.is_none() {
                self.value_problem(table, "checksum", ProblemKind::Wanted("`github-crc32`"));
            }
            checksum
        });
        let drops_placeholders = match self.optional_string(table, "placeholders").as_deref() {
            None | Some("drop") => true,
            Some("keep") => false,
            Some(_) => {
                self.value_problem(table, "placeholders", ProblemKind::Wanted("`drop` or `keep`"));
                true
            }
        };
        let pattern = pattern?;
        Some(ContentMatcher {
            pattern,
            keywords: keywords.into_iter().map(Cow::Owned).collect(),
            entropy,
            checksum,
            drops_placeholders,
            unless_secret,
            unless_match,
        })
    }

    fn exception(&mut self, table: Table<'_, '_>, field: &str) -> Option<Pattern> {
        let text = self.optional_string(table, field)?;
        self.pattern(&text, &[]).map_err(|error| self.value_problem(table, field, error)).ok()
    }

    fn pattern(&self, text: &str, keywords: &[String]) -> Result<Pattern, PatternError> {
        if self.checks == Checks::Shape {
            return Ok(Pattern::trusted(text.to_owned()));
        }
        let (pattern, hir) = Pattern::checked(text)?;
        if !keywords.is_empty() {
            keyword_proof::prove(&hir, keywords)?;
        }
        Ok(pattern)
    }

    fn keywords(&mut self, table: Table<'_, '_>) -> Vec<String> {
        let keywords = self.strings(table, "keywords");
        if keywords.is_empty() {
            self.problem(table.at, "keywords", ProblemKind::Missing);
        }
        if keywords.iter().any(|keyword| !KEYWORD_BYTES.contains(&keyword.len())) {
            self.value_problem(table, "keywords", ProblemKind::Wanted("of 3 to 64 bytes each"));
        }
        keywords.iter().map(|keyword| keyword.to_ascii_lowercase()).collect()
    }

    fn entropy(&mut self, table: Table<'_, '_>) -> Option<f64> {
        let value = table.get("entropy")?;
        let number = match value.get_ref() {
            DeValue::Float(float) => float.as_str().parse::<f64>().ok(),
            DeValue::Integer(integer) => integer.as_str().parse::<f64>().ok(),
            _ => None,
        };
        let entropy = number.filter(|bits| (0.0..=8.0).contains(bits));
        if entropy.is_none() {
            self.value_problem(table, "entropy", ProblemKind::Wanted("a number from 0 to 8"));
        }
        entropy
    }

    fn globs(&mut self, table: Table<'_, '_>, field: &str) -> Vec<Glob> {
        let texts = match table.get(field).map(|value| value.get_ref()) {
            Some(DeValue::String(text)) => vec![text.to_string()],
            _ => self.strings(table, field),
        };
        let globs: Vec<Option<Glob>> = texts.iter().map(|text| Glob::new(text)).collect();
        if globs.contains(&None) {
            let wanted =
                ProblemKind::Wanted("globs without empty components and with `**` standing alone");
            self.value_problem(table, field, wanted);
        }
        globs.into_iter().flatten().collect()
    }

    fn references(&mut self, table: Table<'_, '_>) -> Vec<String> {
        let references = self.strings(table, "references");
        if !references.iter().all(|address| address.starts_with("https://")) {
            self.value_problem(table, "references", ProblemKind::Wanted("addresses with https://"));
        }
        references
    }

    fn severity(&mut self, table: Table<'_, '_>, name: &str) -> Option<Severity> {
        let all = [Severity::Low, Severity::Medium, Severity::High, Severity::Critical];
        let severity = all.into_iter().find(|severity| severity.name() == name);
        if severity.is_none() {
            let wanted = ProblemKind::Wanted("`low`, `medium`, `high` or `critical`");
            self.value_problem(table, "severity", wanted);
        }
        severity
    }

    fn confidence(&mut self, table: Table<'_, '_>, name: &str) -> Option<Confidence> {
        let all = [Confidence::Low, Confidence::Medium, Confidence::High];
        let confidence = all.into_iter().find(|confidence| confidence.name() == name);
        if confidence.is_none() {
            self.value_problem(
                table,
                "confidence",
                ProblemKind::Wanted("`low`, `medium` or `high`"),
            );
        }
        confidence
    }

    /// Reads texts, each given whole or as an array of parts.
    fn examples(&mut self, table: Table<'_, '_>, field: &str) -> Vec<String> {
        let Some(value) = table.get(field) else { return Vec::new() };
        let joined = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Array(parts) => parts.iter().map(|part| part.get_ref().as_str()).collect(),
            _ => None,
        };
        let texts = value.get_ref().as_array().map(|array| array.iter().map(joined).collect());
        match texts {
            Some(Some(texts)) => texts,
            _ => {
                let wanted = ProblemKind::Wanted(
                    "an array of strings, or of arrays of strings to be joined",
                );
                self.value_problem(table, field, wanted);
                Vec::new()
            }
        }
    }

    fn strings(&mut self, table: Table<'_, '_>, field: &str) -> Vec<String> {
        let Some(value) = table.get(field) else { return Vec::new() };
        let text = |value: &Spanned<DeValue<'_>>| value.get_ref().as_str().map(str::to_owned);
        match value.get_ref().as_array().map(|array| array.iter().map(text).collect()) {
            Some(Some(texts)) => texts,
            _ => {
                self.value_problem(table, field, ProblemKind::Wanted("an array of strings"));
                Vec::new()
            }
        }
    }

    /// Reads a required name: small letters, digits and single hyphens.
    fn name(&mut self, table: Table<'_, '_>, field: &str) -> Option<String> {
        let name = self.string(table, field)?;
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        if name.len() <= 64 && name.split('-').all(is_word) {
            return Some(name);
        }
        self.value_problem(
            table,
            field,
            ProblemKind::Wanted("small letters, digits and single hyphens"),
        );
        None
    }

    fn string(&mut self, table: Table<'_, '_>, field: &str) -> Option<String> {
        if table.get(field).is_none() {
            self.problem(table.at, field, ProblemKind::Missing);
        }
        self.optional_string(table, field)
    }

    fn optional_string(&mut self, table: Table<'_, '_>, field: &str) -> Option<String> {
        let value = table.get(field)?;
        match value.get_ref().as_str() {
            Some("") => {
                self.value_problem(table, field, ProblemKind::Wanted("a text that is not empty"));
                None
            }
            Some(text) => Some(text.to_owned()),
            None => {
                self.value_problem(table, field, ProblemKind::Wanted("a string"));
                None
            }
        }
    }

    fn value_problem(&mut self, table: Table<'_, '_>, field: &str, kind: impl Into<ProblemKind>) {
        let at = table.get(field).map_or(table.at, |value| value.span().start);
        self.problem(at, field, kind);
    }

    fn refuse_unknown(&mut self, table: Table<'_, '_>, known: &[&[&str]]) {
        for key in table.table.keys() {
            let name: &str = key.get_ref();
            if !known.iter().any(|names| names.contains(&name)) {
                self.problem(key.span().start, name, ProblemKind::UnknownKey);
            }
        }
    }
}

#[cfg(test)]
#[path = "rule_file_tests.rs"]
mod tests;
