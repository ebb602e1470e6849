//! A set of rules that is whole and ready to scan.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use carnet_core::{Digest, Digester};

use crate::{
    built_in::BUILT_IN_FILES,
    engine,
    rule::{ContentMatcher, Matcher, PathMatcher, Rule},
    rule_file::{Checks, FORMAT, Reading, RuleProblem},
};

/// Raised when the same rules begin to find other things, so that cached verdicts are not reused.
const ENGINE_VERSION: u64 = 1;

/// Rules, checked and ready to scan.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    keywords: AhoCorasick,
    /// For each keyword of the automaton, the rules that wait for it.
    waiting: Vec<Vec<u32>>,
    digest: OnceLock<Digest>,
}

/// An example of a rule that the rule does not live up to.
///
/// Names the example by its position and does not repeat it: it may look like a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rule `{rule_id}` {} its {kind} number {number}", match .kind {
    ExampleKind::Positive => "misses",
    ExampleKind::Negative => "wrongly matches",
})]
pub struct ExampleFailure {
    /// The rule.
    pub rule_id: String,
    /// Which list the example stands in.
    pub kind: ExampleKind,
    /// Position in the list, from 1.
    pub number: usize,
}

/// The two lists of examples in a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExampleKind {
    /// `examples`: the rule must match.
    Positive,
    /// `negative_examples`: the rule must not match.
    Negative,
}

impl std::fmt::Display for ExampleKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ExampleKind::Positive => "example",
            ExampleKind::Negative => "negative example",
        })
    }
}

impl RuleSet {
    /// Returns the rules that are compiled into carnet, made at the first call.
    ///
    /// Patterns are compiled when a content first needs them.
    pub fn built_in() -> &'static RuleSet {
        static BUILT_IN: OnceLock<RuleSet> = OnceLock::new();
        BUILT_IN.get_or_init(|| {
            RuleSet::read(BUILT_IN_FILES, Checks::Shape)
                .expect("because a test reads the built-in rules with all checks")
        })
    }

    /// Reads rule files, given as (name, text), into one set; see `docs/format/rules.md`.
    ///
    /// To add rules to the built-in ones, pass [`BUILT_IN_FILES`] too: ids must be unique over all files.
    ///
    /// # Errors
    ///
    /// Every [`RuleProblem`] of every file, in the order of the files. One problem refuses them all.
    pub fn parse(files: &[(&str, &str)]) -> Result<RuleSet, Vec<RuleProblem>> {
        RuleSet::read(files, Checks::All)
    }

    fn read(files: &[(&str, &str)], checks: Checks) -> Result<RuleSet, Vec<RuleProblem>> {
        let mut reading = Reading::default();
        for (file, text) in files {
            reading.read(file, text, checks);
        }
        if !reading.problems.is_empty() {
            return Err(reading.problems);
        }
        Ok(RuleSet::new(reading.rules))
    }

    fn new(mut rules: Vec<Rule>) -> RuleSet {
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        let mut stems: Vec<(&str, u32)> = Vec::new();
        for (rule_idx, rule) in rules.iter().enumerate() {
            if let Matcher::Content(content) = &rule.matcher {
                stems.extend(content.keywords.iter().map(|stem| (stem.as_str(), rule_idx as u32)));
            }
        }
        stems.sort_unstable();
        stems.dedup();
        let groups: Vec<&[(&str, u32)]> = stems.chunk_by(|a, b| a.0 == b.0).collect();
        let waiting =
            groups.iter().map(|group| group.iter().map(|(_, idx)| *idx).collect()).collect();
        // A DFA takes 0.2 ms longer to build than the compact automaton and searches twice as fast.
        let keywords = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::DFA))
            .build(groups.iter().map(|group| group[0].0))
            .expect("because rule files bound number and length of the keywords");
        RuleSet { rules, keywords, waiting, digest: OnceLock::new() }
    }

    /// Returns the rules, sorted by id.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Returns the digest of all that decides what the rules find and how a finding reads.
    ///
    /// Examples, references, comments and the layout of the files do not change it.
    pub fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| {
            let mut digester = Digester::new();
            digester.field(FORMAT.as_bytes()).field(&ENGINE_VERSION.to_le_bytes());
            self.rules.iter().for_each(|rule| digest_rule(rule, &mut digester));
            digester.finish()
        })
    }

    /// Runs every rule on its own examples and returns those that it fails; empty when all is well.
    ///
    /// For a path rule an example is a path, and the content is not considered.
    pub fn check_examples(&self) -> Vec<ExampleFailure> {
        let mut failures = Vec::new();
        for rule in &self.rules {
            let mut check = |kind, texts: &[String]| {
                for (idx, text) in texts.iter().enumerate() {
                    if is_met(rule, text.as_bytes()) != (kind == ExampleKind::Positive) {
                        failures.push(ExampleFailure {
                            rule_id: rule.id.clone(),
                            kind,
                            number: idx + 1,
                        });
                    }
                }
            };
            check(ExampleKind::Positive, &rule.examples);
            check(ExampleKind::Negative, &rule.negative_examples);
        }
        failures
    }

    /// Returns the automaton over all keywords.
    pub(crate) fn keywords(&self) -> &AhoCorasick {
        &self.keywords
    }

    /// Returns the rules that wait for a keyword of the automaton.
    pub(crate) fn waiting_for(&self, keyword_idx: usize) -> &[u32] {
        &self.waiting[keyword_idx]
    }
}

/// Tells whether the rule by itself is met, through the same keywords and windows as a scan.
fn is_met(rule: &Rule, text: &[u8]) -> bool {
    match &rule.matcher {
        Matcher::Path(path) => path.matches_path(text),
        Matcher::Content(content) => engine::meets(content, text),
    }
}

fn digest_rule(rule: &Rule, digester: &mut Digester) {
    for text in
        [&*rule.id, &*rule.family, &*rule.description, rule.severity.name(), rule.confidence.name()]
    {
        digester.field(text.as_bytes());
    }
    match &rule.matcher {
        Matcher::Content(content) => digest_content(content, digester.field(b"content")),
        Matcher::Path(path) => digest_path(path, digester.field(b"path")),
    }
}

fn digest_content(content: &ContentMatcher, digester: &mut Digester) {
    digester.field(content.pattern.text().as_bytes());
    digest_list(content.keywords.iter().map(String::as_str), digester);
    digest_list(content.entropy.map(|bits| bits.to_string()).as_deref().into_iter(), digester);
    digest_list(content.checksum.map(|checksum| checksum.name()).into_iter(), digester);
    for exception in [&content.unless_secret, &content.unless_match] {
        digest_list(exception.as_ref().map(|pattern| pattern.text()).into_iter(), digester);
    }
    digester.field(&[u8::from(content.drops_placeholders)]);
}

fn digest_path(path: &PathMatcher, digester: &mut Digester) {
    digest_list(path.globs.iter().map(|glob| glob.text()), digester);
    digest_list(path.unless.iter().map(|glob| glob.text()), digester);
    digest_list(path.unless_content.map(|class| class.name()).into_iter(), digester);
}

/// Adds a list: its length first, then each item as a field.
fn digest_list<'a>(items: impl Iterator<Item = &'a str>, digester: &mut Digester) {
    let items: Vec<&str> = items.collect();
    digester.field(&(items.len() as u64).to_le_bytes());
    items.iter().for_each(|item| {
        digester.field(item.as_bytes());
    });
}
