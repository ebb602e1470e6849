//! What is known of good answers beyond the words in them: names, kinds, tests, what others wrote.

use std::collections::HashSet;

use carnet_parse::{Symbol, SymbolKind};

use super::SearchQuery;
use crate::snapshot::LiveFile;

/// The rules, as far as they depend on the query.
pub(super) struct Rules {
    /// The names that the query may mean, lower-cased.
    names: HashSet<String>,
    is_one_name: bool,
    is_question: bool,
    speaks_of_tests: bool,
}

impl Rules {
    /// - `is_question`: whether the query describes something; then a word of it is a name only where it looks like one.
    pub fn new(query: &SearchQuery, is_question: bool) -> Rules {
        let words = || query.words.iter().map(|word| word.to_lowercase());
        let may_be_name = |word: &&String| !is_question || looks_like_name(word);
        let names = query.words.iter().filter(may_be_name).map(|word| word.to_lowercase());
        Rules {
            names: names.collect(),
            is_one_name: query.words.len() == 1,
            is_question,
            speaks_of_tests: words().any(|name| name.starts_with("test") || name.contains("_test")),
        }
    }

    /// Returns the most that [`Rules::factor`] returns.
    pub fn factor_max(&self, may_be_named: bool) -> f32 {
        match may_be_named && !self.names.is_empty() {
            true if self.is_one_name => 3.0,
            true => 1.3,
            false => 1.0,
        }
    }

    /// Returns what the points of a unit are multiplied with.
    ///
    /// - `may_be_named`: whether a whole word of the query stands in its name.
    pub fn factor(&self, file: &LiveFile, symbol: Option<&Symbol>, may_be_named: bool) -> f32 {
        let is_named =
            symbol.is_some_and(|symbol| self.names.contains(&symbol.name.to_lowercase()));
        let mut factor = self.factor_max(may_be_named && is_named);
        let path = file.path.to_text().to_ascii_lowercase();
        let has = |names: &[&str]| path.split('/').any(|part| names.contains(&part));
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_test =
            has(&["test", "tests", "testing", "__tests__", "spec", "testdata", "fixtures"])
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
}

/// What a description describes is mostly something that is done, where it is done.
fn factor_of_kind(symbol: &Symbol) -> f32 {
    match symbol.kind {
        // Without a body: the signature of an overload, of an interface, of a trait.
        SymbolKind::Function | SymbolKind::Method if is_declared_alone(symbol) => 0.8,
        SymbolKind::Function | SymbolKind::Method => 1.0,
        _ => 0.7,
    }
}

fn is_declared_alone(symbol: &Symbol) -> bool {
    // A signature ends where the body begins.
    let n_bytes = symbol.region.end.saturating_sub(symbol.region.start);
    n_bytes <= symbol.signature.len() + 1
}

/// Tells whether a word looks like the name of something in code.
pub(super) fn looks_like_name(word: &str) -> bool {
    word.contains('_') || word.chars().skip(1).any(char::is_uppercase)
}
