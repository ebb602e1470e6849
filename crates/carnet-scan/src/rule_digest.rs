//! The digest of a rule set: all that decides what the rules find and how a finding reads.
//!
//! Invariant: it depends on the rules alone, not on how they were written down or loaded.

use carnet_core::{Digest, Digester};

use crate::{
    rule::{ContentMatcher, Matcher, PathMatcher, Rule},
    rule_file::FORMAT,
};

/// Raised when the same rules begin to find other things, so that cached verdicts are not reused.
const ENGINE_VERSION: u64 = 9;

/// Returns the digest of rules in order of their ids.
pub(crate) fn digest_rules(rules: &[Rule]) -> Digest {
    let mut digester = Digester::new();
    digester.field(FORMAT.as_bytes()).field(&ENGINE_VERSION.to_le_bytes());
    rules.iter().for_each(|rule| digest_rule(rule, &mut digester));
    digester.finish()
}

fn digest_rule(rule: &Rule, digester: &mut Digester) {
    for text in
        [&*rule.id, &*rule.family, &*rule.description, rule.severity.name(), rule.confidence.name()]
    {
        digester.field(text.as_bytes());
    }
    match &rule.matcher {
        Matcher::Content(content) => digest_content(content, digester.field(b"content")),
        Matcher::Assigned(kind) => {
            digester.field(b"assigned").field(kind.name().as_bytes());
        }
        Matcher::Path(path) => digest_path(path, digester.field(b"path")),
    }
}

fn digest_content(content: &ContentMatcher, digester: &mut Digester) {
    digester.field(content.pattern.text().as_bytes());
    digest_list(content.keywords.iter().map(|keyword| &**keyword), digester);
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
