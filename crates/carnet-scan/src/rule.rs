//! One thing to look for.

use std::{borrow::Cow, ops::Deref};

use carnet_core::{Confidence, Severity};

use crate::{
    checksum::Checksum, content_class::ContentClass, generic::Kind, glob::Glob, pattern::Pattern,
};

/// One thing to look for: what it is called, how it is recognised, and texts that prove it.
#[derive(Debug)]
pub struct Rule {
    pub(crate) id: String,
    pub(crate) family: String,
    pub(crate) description: String,
    pub(crate) severity: Severity,
    pub(crate) confidence: Confidence,
    pub(crate) references: Texts,
    pub(crate) matcher: Matcher,
    pub(crate) examples: Texts,
    pub(crate) negative_examples: Texts,
}

/// Texts that a scan does not need: at hand, or fetched when someone asks.
#[derive(Debug)]
pub(crate) enum Texts {
    /// At hand.
    Given(Vec<String>),
    /// Of a built-in rule: where they come from, and the rule's position in order of ids.
    BuiltIn(fn(usize) -> &'static [String], usize),
}

impl Deref for Texts {
    type Target = [String];

    fn deref(&self) -> &[String] {
        match self {
            Texts::Given(texts) => texts,
            Texts::BuiltIn(fetch, rule_idx) => fetch(*rule_idx),
        }
    }
}

impl<'t> IntoIterator for &'t Texts {
    type Item = &'t String;
    type IntoIter = std::slice::Iter<'t, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// How a rule is recognised.
#[derive(Debug)]
pub(crate) enum Matcher {
    /// By the bytes of a content.
    Content(Box<ContentMatcher>),
    /// By a name that speaks of a secret, and a model of the value given to it.
    Assigned(Kind),
    /// By the path of a content.
    Path(PathMatcher),
}

/// Recognises bytes.
#[derive(Debug)]
pub(crate) struct ContentMatcher {
    pub(crate) pattern: Pattern,
    /// Lowercase stems, one of which lies in every match.
    pub(crate) keywords: Vec<Cow<'static, str>>,
    /// Floor of the secret's Shannon entropy, in bits per byte.
    pub(crate) entropy: Option<f64>,
    pub(crate) checksum: Option<Checksum>,
    /// Whether a secret that is a placeholder is dropped.
    pub(crate) drops_placeholders: bool,
    /// A secret that this pattern matches is dropped.
    pub(crate) unless_secret: Option<Pattern>,
    /// A match, context included, that this pattern matches is dropped.
    pub(crate) unless_match: Option<Pattern>,
}

/// Recognises paths.
#[derive(Debug)]
pub(crate) struct PathMatcher {
    pub(crate) globs: Vec<Glob>,
    pub(crate) unless: Vec<Glob>,
    pub(crate) unless_content: Option<ContentClass>,
}

impl PathMatcher {
    /// Tells whether the path alone is one the rule looks for.
    pub(crate) fn matches_path(&self, path: &[u8]) -> bool {
        self.globs.iter().any(|glob| glob.matches(path))
            && !self.unless.iter().any(|glob| glob.matches(path))
    }
}

impl Rule {
    /// Returns the name, unique in its rule set, such as `aws-access-key-id`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the provider family, such as `aws`; fingerprints are per family.
    pub fn family(&self) -> &str {
        &self.family
    }

    /// Returns what is looked for, in a few words.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Returns how bad a real finding is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// Returns how likely a finding is real; a checksum that holds raises a finding to high.
    pub fn confidence(&self) -> Confidence {
        self.confidence
    }

    /// Returns the addresses of the provider's public documentation.
    pub fn references(&self) -> &[String] {
        &self.references
    }

    /// Returns texts that the rule must match; they may look like secrets.
    pub fn examples(&self) -> &[String] {
        &self.examples
    }

    /// Returns texts that the rule must not match.
    pub fn negative_examples(&self) -> &[String] {
        &self.negative_examples
    }

    /// Returns the stems, one of which stands in each match; empty for a rule on paths.
    pub fn keywords(&self) -> Vec<&str> {
        match &self.matcher {
            Matcher::Content(content) => content.keywords.iter().map(|stem| &**stem).collect(),
            Matcher::Assigned(kind) => kind.stems().to_vec(),
            Matcher::Path(_) => Vec::new(),
        }
    }

    /// Returns what it looks for as its file says it: a regex, globs, or the kind of names that are given values.
    pub fn pattern(&self) -> String {
        match &self.matcher {
            Matcher::Content(content) => content.pattern.text().to_owned(),
            Matcher::Assigned(kind) => kind.name().to_owned(),
            Matcher::Path(path) => path.globs.iter().map(Glob::text).collect::<Vec<_>>().join(" "),
        }
    }

    /// Tells whether the rule looks at paths rather than bytes.
    pub fn is_path_rule(&self) -> bool {
        matches!(self.matcher, Matcher::Path(_))
    }

    /// Tells whether the rule belongs to no provider: it yields to every specific rule on the same bytes.
    pub(crate) fn is_generic(&self) -> bool {
        self.family == "generic"
    }
}
