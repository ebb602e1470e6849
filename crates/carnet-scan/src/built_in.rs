//! The rule files that are compiled into carnet.
//!
//! The build script reads them with all checks, as a user's files are read, and leaves two things: the texts,
//! and a table of what a scan needs. Invariant: the table gives the same rules as the texts; a test compares.

use std::sync::OnceLock;

use crate::{
    rule::Rule,
    rule_file::{Checks, Reading},
    rule_table::{Documentation, Table},
};

include!(concat!(env!("OUT_DIR"), "/built_in_files.rs"));

/// What the build script made of [`BUILT_IN_FILES`].
static TABLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/built_in_table.bin"));

/// Returns the built-in rules, ready to scan.
pub(crate) fn table() -> Table {
    let documentation = Documentation {
        references: |rule_idx| &documented(rule_idx).references,
        examples: |rule_idx| &documented(rule_idx).examples,
        negative_examples: |rule_idx| &documented(rule_idx).negative_examples,
    };
    Table::decode(TABLE, &documentation).expect("because the build script wrote the table")
}

/// Returns a built-in rule as its file has it, with all texts; the files are read at the first call.
fn documented(rule_idx: usize) -> &'static Rule {
    static RULES: OnceLock<Vec<Rule>> = OnceLock::new();
    let rules = RULES.get_or_init(|| {
        let mut reading = Reading::default();
        for (file, text) in BUILT_IN_FILES {
            reading.read(file, text, Checks::Shape);
        }
        Table::new(reading.rules).rules
    });
    &rules[rule_idx]
}

#[cfg(test)]
mod tests {
    use crate::{RuleSet, rule::Matcher};

    use super::*;

    #[test]
    fn the_table_is_what_the_files_say() {
        let mut reading = Reading::default();
        for (file, text) in BUILT_IN_FILES {
            reading.read(file, text, Checks::Shape);
        }
        assert_eq!(reading.problems, []);
        let (read, embedded) = (Table::new(reading.rules), table());
        assert_eq!(crate::rule_encode::encode(&read), TABLE);
        assert_eq!(read.digest, embedded.digest);
        assert_eq!(read.digest, crate::rule_digest::digest_rules(&embedded.rules));
        assert_eq!(read.keywords, embedded.keywords);
        assert_eq!(read.rules.len(), embedded.rules.len());
        for (read, embedded) in read.rules.iter().zip(&embedded.rules) {
            assert_eq!(read.id, embedded.id);
            assert_eq!(*read.references, *embedded.references, "{}", read.id);
            assert_eq!(*read.examples, *embedded.examples, "{}", read.id);
            assert_eq!(*read.negative_examples, *embedded.negative_examples, "{}", read.id);
        }
    }

    #[test]
    fn a_table_cut_short_is_refused() {
        let none: fn(usize) -> &'static [String] = |_| &[];
        let documentation =
            Documentation { references: none, examples: none, negative_examples: none };
        for len in (0..60).chain([1_000, 10_000]) {
            assert!(Table::decode(&TABLE[..len], &documentation).is_none(), "{len}");
        }
    }

    #[test]
    fn few_rules_are_without_a_bound() {
        let is_endless = |rule: &&Rule| match &rule.matcher {
            Matcher::Content(content) => content.pattern.compiled().len_max.is_none(),
            Matcher::Path(_) | Matcher::Assigned(_) => false,
        };
        let endless: Vec<&str> =
            RuleSet::built_in().rules().iter().filter(is_endless).map(Rule::id).collect();
        assert_eq!(endless, ["json-web-token", "private-key", "putty-private-key"]);
    }

    #[test]
    fn the_rules_cover_what_they_promise() {
        let rules = RuleSet::built_in().rules();
        assert!(rules.len() >= 400, "{}", rules.len());
        let silent: Vec<&str> =
            rules.iter().filter(|rule| rule.references.is_empty()).map(Rule::id).collect();
        assert!(silent.len() <= 4, "rules without a reference: {silent:?}");
    }
}
