//! Writes the table that [`crate::rule_table`] reads: for the build script, and for tests.

use crate::{
    checksum::Checksum,
    content_class::ContentClass,
    glob::Glob,
    pattern::Pattern,
    rule::{Matcher, Rule},
    rule_keywords::KeywordSearch,
    rule_table::Table,
};

/// Returns the bytes from which `Table::decode` makes the same table; documentation is left out.
pub(crate) fn encode(table: &Table) -> Vec<u8> {
    let mut writer = Writer(table.digest.as_bytes().to_vec());
    writer.number(table.rules.len());
    table.rules.iter().for_each(|rule| writer.rule(rule));
    writer.0.extend(encode_keywords(&table.keywords));
    writer.0
}

/// Returns the bytes from which `KeywordSearch::decode` makes the same automaton.
pub(crate) fn encode_keywords(search: &KeywordSearch) -> Vec<u8> {
    let mut bytes = Vec::new();
    for numbers in [
        &search.columns,
        &vec![search.hits_from, search.row_bytes],
        &search.ends.bounds,
        &search.ends.items,
        &search.lens,
        &search.waiting.bounds,
        &search.waiting.items,
    ] {
        bytes.extend((numbers.len() as u32).to_le_bytes());
        numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
    }
    bytes.extend_from_slice(&search.table);
    bytes
}

/// Appends to the encoded form: numbers as `u32`, texts and lists with their length first.
struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, number: usize) {
        self.0.extend((number as u32).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn list<'t>(&mut self, texts: impl ExactSizeIterator<Item = &'t str>) {
        self.number(texts.len());
        texts.for_each(|text| self.text(text));
    }

    fn optional(&mut self, text: Option<&str>) {
        self.list(text.into_iter());
    }

    fn rule(&mut self, rule: &Rule) {
        self.text(&rule.id);
        self.text(&rule.family);
        self.text(&rule.description);
        self.text(rule.severity.name());
        self.text(rule.confidence.name());
        match &rule.matcher {
            Matcher::Content(content) => {
                self.number(0);
                self.text(content.pattern.text());
                self.list(content.keywords.iter().map(|keyword| &**keyword));
                self.optional(content.entropy.map(|bits| bits.to_string()).as_deref());
                self.optional(content.checksum.map(Checksum::name));
                self.number(usize::from(content.drops_placeholders));
                self.optional(content.unless_secret.as_ref().map(Pattern::text));
                self.optional(content.unless_match.as_ref().map(Pattern::text));
            }
            Matcher::Assigned(kind) => {
                self.number(2);
                self.text(kind.name());
            }
            Matcher::Path(path) => {
                self.number(1);
                self.list(path.globs.iter().map(Glob::text));
                self.list(path.unless.iter().map(Glob::text));
                self.optional(path.unless_content.map(ContentClass::name));
            }
        }
    }
}
