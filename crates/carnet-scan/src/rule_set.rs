//! A set of rules that is whole and ready to scan.

use std::sync::OnceLock;

use carnet_core::Digest;

use crate::{
    built_in, engine,
    rule::{Matcher, Rule},
    rule_digest,
    rule_file::{Checks, Reading, RuleProblem},
    rule_keywords::KeywordSearch,
    rule_table::Table,
};

/// Rules, checked and ready to scan.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    keywords: KeywordSearch,
    digest: OnceLock<Digest>,
    reach: OnceLock<Reach>,
}

/// How far the matches of rules go.
#[derive(Debug)]
pub(crate) struct Reach {
    /// Bytes that nothing exceeds which a rule with a bound looks at.
    pub(crate) bounded: usize,
    /// The rules without a bound.
    pub(crate) unbounded: Vec<usize>,
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

/// What one rule costs on some text; made by [`RuleSet::each_cost`].
pub struct RuleCost<'c> {
    /// The rule.
    pub rule: &'c Rule,
    /// How often its keywords stand in the text.
    pub n_keywords: usize,
    /// Bytes that its regex, or its reader of names and values, looks at.
    pub n_bytes: usize,
    /// Looks at them, and returns how many secrets were met: for callers with a clock.
    pub look: &'c mut dyn FnMut() -> usize,
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
    /// The build script has read and checked the rule files; what is made here is what a scan needs and no
    /// more. Patterns are compiled when a content first needs them, and examples and references are read from
    /// the files when someone asks.
    pub fn built_in() -> &'static RuleSet {
        static BUILT_IN: OnceLock<RuleSet> = OnceLock::new();
        BUILT_IN.get_or_init(|| {
            let Table { rules, keywords, digest } = built_in::table();
            RuleSet { rules, keywords, digest: OnceLock::from(digest), reach: OnceLock::new() }
        })
    }

    /// Reads rule files, given as (name, text), into one set; see `docs/format/rules.md`.
    ///
    /// To add rules to the built-in ones, pass [`crate::BUILT_IN_FILES`] too: ids must be unique over all files.
    ///
    /// # Errors
    ///
    /// Every [`RuleProblem`] of every file, in the order of the files. One problem refuses them all.
    pub fn parse(files: &[(&str, &str)]) -> Result<RuleSet, Vec<RuleProblem>> {
        RuleSet::read(files, Checks::All)
    }

    /// Adds rule files, given as (name, text), to the built-in rules.
    ///
    /// # Errors
    ///
    /// Every [`RuleProblem`] of every file; an id of a built-in rule is taken. One problem refuses them all.
    pub fn extended(files: &[(&str, &str)]) -> Result<RuleSet, Vec<RuleProblem>> {
        let mut reading = Reading { rules: built_in::table().rules, problems: Vec::new() };
        for (file, text) in files {
            reading.read(file, text, Checks::All);
        }
        RuleSet::made(reading)
    }

    fn read(files: &[(&str, &str)], checks: Checks) -> Result<RuleSet, Vec<RuleProblem>> {
        let mut reading = Reading::default();
        for (file, text) in files {
            reading.read(file, text, checks);
        }
        RuleSet::made(reading)
    }

    fn made(reading: Reading) -> Result<RuleSet, Vec<RuleProblem>> {
        if !reading.problems.is_empty() {
            return Err(reading.problems);
        }
        let Table { rules, keywords, .. } = Table::new(reading.rules);
        Ok(RuleSet { rules, keywords, digest: OnceLock::new(), reach: OnceLock::new() })
    }

    /// Returns the rules, sorted by id.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Returns the digest of all that decides what the rules find and how a finding reads.
    ///
    /// Examples, references, comments and the layout of the files do not change it.
    pub fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| rule_digest::digest_rules(&self.rules))
    }

    /// Returns how far the matches go, made at the first call: each pattern is parsed for it.
    pub(crate) fn reach(&self) -> &Reach {
        /// Bytes that readers of assigned values and of personal data look at, around what they judge.
        const READERS: usize = 1 << 10;
        self.reach.get_or_init(|| {
            let mut reach = Reach { bounded: READERS, unbounded: vec![] };
            for (rule_idx, rule) in self.rules.iter().enumerate() {
                let Matcher::Content(content) = &rule.matcher else { continue };
                match content.pattern.len_max() {
                    Some(len) => reach.bounded = reach.bounded.max(len),
                    None => reach.unbounded.push(rule_idx),
                }
            }
            reach
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

    /// Hands what each rule that meets a keyword in `text` costs to `visit`, in order of ids.
    pub fn each_cost(&self, text: &[u8], visit: &mut dyn FnMut(RuleCost<'_>)) {
        engine::each_cost(self, text, visit);
    }

    /// Returns the automaton over all keywords.
    pub(crate) fn keywords(&self) -> &KeywordSearch {
        &self.keywords
    }

    /// Returns the rules that wait for a keyword of the automaton.
    pub(crate) fn waiting_for(&self, keyword_idx: usize) -> &[u32] {
        self.keywords.waiting_for(keyword_idx)
    }
}

/// Tells whether the rule by itself is met, through the same keywords and windows as a scan.
fn is_met(rule: &Rule, text: &[u8]) -> bool {
    match &rule.matcher {
        Matcher::Path(path) => path.matches_path(text),
        Matcher::Content(content) => engine::meets(content, text),
        Matcher::Assigned(kind) => engine::is_assigned_in(*kind, text),
    }
}
