//! What is known of good answers beyond the words in them: names, kinds, tests, what others wrote.

use std::collections::HashSet;

use carnet_parse::{Symbol, SymbolKind, Visibility};

use tantivy::tokenizer::TextAnalyzer;

use super::{SearchQuery, score::Group, tokens};
use crate::{IndexError, Snapshot, snapshot::LiveFile};

/// Fewer words are no sentence: any of them may be the name of what is looked for.
const SENTENCE_WORDS_MIN: usize = 4;
/// A description begins as the name does: `Parses a date` and `parse_rfc2822`.
const BEGINS_ALIKE: f32 = 1.07;
/// A description has every word of the name.
const HAS_NAME: f32 = 1.06;
/// What a name gives to many things tells little of each: the power of their number that divides.
const COMMONNESS: f32 = 0.03;

/// The rules, as far as they depend on the query.
pub(super) struct Rules<'r> {
    snapshot: &'r Snapshot,
    /// The words of the query.
    groups: &'r [Group],
    prose: TextAnalyzer,
    /// The names that the query may mean; lower-cased, but as they are typed in a sentence.
    names: HashSet<String>,
    is_one_name: bool,
    is_question: bool,
    is_sentence: bool,
    speaks_of_tests: bool,
}

impl<'r> Rules<'r> {
    /// - `is_question`: whether the query describes something; then a word of it is a name only where it looks like one and is
    ///   what is described: a sentence names its subject first.
    pub fn new(
        snapshot: &'r Snapshot,
        query: &SearchQuery,
        groups: &'r [Group],
        is_question: bool,
    ) -> Rules<'r> {
        let words = || query.words.iter().map(|word| word.to_lowercase());
        let may_be_name = |word: &&String| !is_question || looks_like_name(word);
        let is_sentence = is_question && query.words.len() >= SENTENCE_WORDS_MIN;
        let n_may_be = if is_sentence { 1 } else { query.words.len() };
        let names = query.words.iter().take(n_may_be).filter(may_be_name);
        let names = names.map(|word| match is_sentence {
            true => word.clone(),
            false => word.to_lowercase(),
        });
        Rules {
            snapshot,
            groups,
            prose: tokens::prose(),
            names: names.collect(),
            is_one_name: query.words.len() == 1,
            is_question,
            is_sentence,
            speaks_of_tests: words().any(|name| name.starts_with("test") || name.contains("_test")),
        }
    }

    /// Returns the most that both factors together are.
    pub fn factor_max(&self, may_be_named: bool) -> f32 {
        self.factor_of_words_max() * self.factor_of_name(may_be_named && !self.names.is_empty())
    }

    /// Returns the most that [`Rules::factor_of_words`] returns.
    pub fn factor_of_words_max(&self) -> f32 {
        if self.is_question { BEGINS_ALIKE * HAS_NAME } else { 1.0 }
    }

    fn factor_of_name(&self, is_named: bool) -> f32 {
        match is_named {
            true if self.is_one_name => 3.0,
            true if self.is_question => 1.2,
            true => 1.3,
            false => 1.0,
        }
    }

    /// Returns what the points of a unit are multiplied with, but for [`Rules::factor_of_words`].
    ///
    /// - `may_be_named`: whether a whole word of the query stands in its name.
    pub fn factor(&self, file: &LiveFile, symbol: Option<&Symbol>, may_be_named: bool) -> f32 {
        let is_named = symbol.is_some_and(|symbol| match self.is_sentence {
            true => self.names.contains(&symbol.name),
            false => self.names.contains(&symbol.name.to_lowercase()),
        });
        let mut factor = self.factor_of_name(may_be_named && is_named);
        let path = file.path.to_text().to_ascii_lowercase();
        let has = |names: &[&str]| path.split('/').any(|part| names.contains(&part));
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_test = has(&[
            "test",
            "tests",
            "testing",
            "__tests__",
            "spec",
            "specs",
            "testdata",
            "fixtures",
        ]) || has(&["testutil", "testutils", "e2e"])
            || name.starts_with("test_")
            || ["_test.", ".test.", ".spec.", "_tests."].iter().any(|mark| name.contains(mark))
            || symbol.is_some_and(|it| it.container.split('.').any(|part| part == "tests"));
        if is_test && !self.speaks_of_tests {
            factor *= 0.6;
        }
        if has(&["vendor", "third_party", "third-party", "node_modules", "dist", "external"]) {
            factor *= 0.4;
        }
        if has(&["examples", "example", "benches", "benchmarks"]) {
            factor *= 0.8;
        }
        match symbol {
            Some(symbol) if self.is_question => factor *= factor_of_kind(symbol),
            Some(_) => {}
            None => factor *= if file.language.is_some() { 0.6 } else { 0.7 },
        }
        factor
    }

    /// Returns what points are multiplied with besides, where the query describes something: what the name has of its words, and
    /// how many have that name.
    pub fn factor_of_words(&mut self, symbol: Option<&Symbol>) -> Result<f32, IndexError> {
        let Some(name) = symbol.filter(|_| self.is_question).map(|it| it.name.as_str()) else {
            return Ok(1.0);
        };
        let n_named = self.snapshot.name_row(name)?.map_or(1, |row| row.n_definitions.max(1));
        let mut factor = (n_named as f32).powf(-COMMONNESS);
        let words = tokens::words(&mut self.prose, name);
        // A name of several parts stands before them.
        let parts = if words.len() > 1 { &words[1..] } else { &words[..] };
        let has = |part: &String| self.groups.iter().any(|it| it.stem() == part);
        if self.groups.first().is_some_and(|it| parts.first().is_some_and(|part| part == it.stem()))
        {
            factor *= BEGINS_ALIKE;
        }
        if !parts.is_empty() && parts.iter().all(has) {
            factor *= HAS_NAME;
        }
        Ok(factor)
    }
}

/// What a description describes is mostly something that is done, where it is done.
fn factor_of_kind(symbol: &Symbol) -> f32 {
    match symbol.kind {
        // Without a body: the signature of an overload, of an interface, of a trait.
        SymbolKind::Function | SymbolKind::Method if is_declared_alone(symbol) => 0.8,
        // What is kept to oneself is seldom what is meant.
        SymbolKind::Function | SymbolKind::Method if symbol.visibility != Visibility::Public => {
            0.95
        }
        SymbolKind::Function | SymbolKind::Method => 1.0,
        _ => 0.7,
    }
}

fn is_declared_alone(symbol: &Symbol) -> bool {
    // A signature ends where the body begins.
    let n_bytes = symbol.region.end.saturating_sub(symbol.region.start);
    n_bytes <= symbol.signature.len() + 1 || symbol.signature.ends_with(';')
}

/// Tells whether a word looks like the name of something in code.
pub(super) fn looks_like_name(word: &str) -> bool {
    word.contains('_') || word.chars().skip(1).any(char::is_uppercase)
}
