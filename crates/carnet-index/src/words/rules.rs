//! What is known of good answers beyond the words in them: names, tests, what others wrote.

use std::collections::HashSet;

use carnet_parse::Symbol;

use super::SearchQuery;
use crate::snapshot::LiveFile;

/// The rules, as far as they depend on the query.
pub(super) struct Rules {
    /// The names that the query may mean, lower-cased.
    names: HashSet<String>,
    is_one_name: bool,
    speaks_of_tests: bool,
}

impl Rules {
    pub fn new(query: &SearchQuery) -> Rules {
        let names: HashSet<String> = query.words.iter().map(|word| word.to_lowercase()).collect();
        Rules {
            is_one_name: query.words.len() == 1,
            speaks_of_tests: names
                .iter()
                .any(|name| name.starts_with("test") || name.contains("_test")),
            names,
        }
    }

    pub fn factor(&self, file: &LiveFile, symbol: Option<&Symbol>) -> f32 {
        let mut factor = 1.0;
        let is_named =
            symbol.is_some_and(|symbol| self.names.contains(&symbol.name.to_lowercase()));
        match is_named {
            true if self.is_one_name => factor *= 3.0,
            true => factor *= 1.3,
            false => {}
        }
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
        if symbol.is_none() {
            factor *= if file.language.is_some() { 0.6 } else { 0.7 };
        }
        factor
    }
}
