//! Rules in the form that the program carries: decoded in a moment, with nothing that a scan does not need.
//!
//! The build script encodes what it has read and checked (`rule_encode.rs`); [`Table::decode`] is the way back. The form is
//! private to one build of carnet, so it has no version. Invariant: decoding what was encoded gives the same
//! rules, the same automaton and the same digest.

use std::borrow::Cow;

use carnet_core::{Confidence, Digest, Severity};

use crate::{
    checksum::Checksum,
    content_class::ContentClass,
    generic::Kind,
    glob::Glob,
    pattern::Pattern,
    rule::{ContentMatcher, Matcher, PathMatcher, Rule, Texts},
    rule_digest,
    rule_keywords::KeywordSearch,
};

const SEVERITIES: [Severity; 4] =
    [Severity::Low, Severity::Medium, Severity::High, Severity::Critical];
const CONFIDENCES: [Confidence; 3] = [Confidence::Low, Confidence::Medium, Confidence::High];

/// Rules in order of their ids, with all that is made of them.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) rules: Vec<Rule>,
    pub(crate) keywords: KeywordSearch,
    pub(crate) digest: Digest,
}

/// Where the texts of a decoded rule come from, by its position.
#[derive(Debug)]
pub(crate) struct Documentation {
    pub(crate) references: fn(usize) -> &'static [String],
    pub(crate) examples: fn(usize) -> &'static [String],
    pub(crate) negative_examples: fn(usize) -> &'static [String],
}

impl Table {
    /// Puts the rules in order and makes the rest of them.
    pub(crate) fn new(mut rules: Vec<Rule>) -> Table {
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        let mut stems: Vec<(&str, u32)> = Vec::new();
        for (rule_idx, rule) in rules.iter().enumerate() {
            let rule_idx = rule_idx as u32;
            match &rule.matcher {
                Matcher::Content(content) => {
                    stems.extend(content.keywords.iter().map(|stem| (&**stem, rule_idx)));
                }
                Matcher::Assigned(kind) => {
                    stems.extend(kind.stems().iter().map(|stem| (*stem, rule_idx)));
                }
                Matcher::Path(_) => {}
            }
        }
        let keywords = KeywordSearch::new(stems);
        let digest = rule_digest::digest_rules(&rules);
        Table { rules, keywords, digest }
    }

    /// Makes the table that was encoded. Texts stay where they are; patterns are compiled when needed.
    ///
    /// Returns `None` when the bytes are not those of a table.
    pub(crate) fn decode(bytes: &'static [u8], documentation: &Documentation) -> Option<Table> {
        let mut reader = Reader(bytes);
        let digest = Digest::from_bytes(*reader.take(32)?.first_chunk()?);
        let n_rules = reader.number()?;
        let rules = (0..n_rules)
            .map(|rule_idx| reader.rule(rule_idx, documentation))
            .collect::<Option<Vec<Rule>>>()?;
        let keywords = KeywordSearch::decode(reader.0)?;
        Some(Table { rules, keywords, digest })
    }
}

/// What is left of the encoded form.
struct Reader(&'static [u8]);

impl Reader {
    fn take(&mut self, len: usize) -> Option<&'static [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<usize> {
        Some(u32::from_le_bytes(*self.take(4)?.first_chunk()?) as usize)
    }

    fn text(&mut self) -> Option<&'static str> {
        let len = self.number()?;
        std::str::from_utf8(self.take(len)?).ok()
    }

    fn list<T>(&mut self, make: impl Fn(&'static str) -> Option<T>) -> Option<Vec<T>> {
        let len = self.number()?;
        (0..len).map(|_| self.text().and_then(&make)).collect()
    }

    fn optional<T>(&mut self, make: impl Fn(&'static str) -> Option<T>) -> Option<Option<T>> {
        let mut list = self.list(make)?;
        Some(list.pop())
    }

    fn rule(&mut self, rule_idx: usize, documentation: &Documentation) -> Option<Rule> {
        let (id, family, description) = (self.text()?, self.text()?, self.text()?);
        let (severity, confidence) = (self.text()?, self.text()?);
        let matcher = match self.number()? {
            0 => Matcher::Content(Box::new(self.content()?)),
            1 => Matcher::Path(self.path()?),
            2 => Matcher::Assigned(Kind::from_name(self.text()?)?),
            _ => return None,
        };
        Some(Rule {
            id: id.to_owned(),
            family: family.to_owned(),
            description: description.to_owned(),
            severity: SEVERITIES.into_iter().find(|one| one.name() == severity)?,
            confidence: CONFIDENCES.into_iter().find(|one| one.name() == confidence)?,
            references: Texts::BuiltIn(documentation.references, rule_idx),
            matcher,
            examples: Texts::BuiltIn(documentation.examples, rule_idx),
            negative_examples: Texts::BuiltIn(documentation.negative_examples, rule_idx),
        })
    }

    fn content(&mut self) -> Option<ContentMatcher> {
        let pattern = |text: &'static str| Some(Pattern::trusted(text));
        Some(ContentMatcher {
            pattern: pattern(self.text()?)?,
            keywords: self.list(|keyword| Some(Cow::Borrowed(keyword)))?,
            entropy: self.optional(|bits| bits.parse().ok())?,
            checksum: self.optional(Checksum::from_name)?,
            drops_placeholders: self.number()? == 1,
            unless_secret: self.optional(pattern)?,
            unless_match: self.optional(pattern)?,
        })
    }

    fn path(&mut self) -> Option<PathMatcher> {
        Some(PathMatcher {
            globs: self.list(Glob::new)?,
            unless: self.list(Glob::new)?,
            unless_content: self.optional(ContentClass::from_name)?,
        })
    }
}
