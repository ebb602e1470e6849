use proptest::prelude::*;

use super::*;
use crate::BUILT_IN_FILES;

/// Rules that overlap in every way: bounded and not, with context, with assertions, short.
fn small_rules() -> &'static RuleSet {
    static RULES: std::sync::OnceLock<RuleSet> = std::sync::OnceLock::new();
    RULES.get_or_init(|| {
        let rule = |id: &str, pattern: &str, keywords: &str| {
            format!(
                "[[rule]]\nid = '{id}'\ndescription = 'd'\nseverity = 'low'\nconfidence = 'low'\n\
                 pattern = '{pattern}'\nkeywords = {keywords}\nexamples = ['none']\n"
            )
        };
        let text = [
            "format = 'carnet/rules/1'\nfamily = 'test'\n".to_owned(),
            rule("word", r"\babc[ab]{1,4}\b", "['abc']"),
            rule("context", r"(?i)abc=(?P<secret>[a-c]{2,5})c", "['abc=']"),
            rule("late", r"[ab]{0,6}c=ab", "['c=a']"),
            rule("either", r"(?:aab|bba){1,3}", "['aab', 'bba']"),
            rule("endless", r"cab[^=]+=", "['cab']"),
            rule("lazy", r"(?-u)bab[\x00-\xff]*?c", "['bab']"),
            rule("line", r"(?m)^abc.{0,3}$", "['abc']"),
        ]
        .concat();
        RuleSet::parse(&[("small.toml", &text)]).unwrap()
    })
}

fn all_matches(rules: &RuleSet, bytes: &[u8]) -> Vec<Match> {
    let mut work = Work::of(bytes.len());
    let found = matches(rules, bytes, &mut work);
    assert!(!work.is_spent);
    found
}

fn check(text: &[u8]) {
    assert_eq!(all_matches(small_rules(), text), oracle(small_rules(), text));
    assert_eq!(all_matches(RuleSet::built_in(), text), oracle(RuleSet::built_in(), text));
}

/// Every example of the built-in rules, positive and negative.
fn all_examples() -> Vec<&'static str> {
    let rules = RuleSet::built_in().rules().iter();
    rules
        .flat_map(|rule| rule.examples.iter().chain(&rule.negative_examples))
        .map(String::as_str)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]
    #[test]
    fn windows_find_what_the_whole_text_holds(text in "[abcABC= \n\u{ff}]{0,120}") {
        let text = text.as_bytes();
        prop_assert_eq!(all_matches(small_rules(), text), oracle(small_rules(), text));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn mangled_examples_are_found_as_by_the_oracle(
        picks in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0_u8..6), 1..12)
    ) {
        let examples = all_examples();
        let mut text = Vec::new();
        for (which, at, glue) in picks {
            let example = examples[which.index(examples.len())].as_bytes();
            let cut = at.index(example.len() + 1);
            text.extend_from_slice(match glue { 0 => &example[..cut], 1 => &example[cut..], _ => example });
            text.extend_from_slice([&b"\n"[..], b"", b" ", b"\0\xff", b"\"", b"="][usize::from(glue)]);
        }
        prop_assert_eq!(all_matches(RuleSet::built_in(), &text), oracle(RuleSet::built_in(), &text));
    }
}

#[test]
fn the_small_rules_do_find_something() {
    let found = all_matches(small_rules(), b"abcab ABC=aabc cabx= bab\xff\nc aabbba c=ab\nabc\n");
    let ids: std::collections::BTreeSet<usize> = found.iter().map(|found| found.rule_idx).collect();
    assert_eq!(ids.len(), small_rules().rules().len());
}

#[test]
fn a_million_keywords_finish_and_stay_exact() {
    let many = b"key=".repeat(1_000_000);
    assert_eq!(all_matches(small_rules(), &many), oracle(small_rules(), &many));
    assert_eq!(all_matches(RuleSet::built_in(), &many), []);
    check(&many[..many.len() / 100]);
    let found = b"abc=".repeat(100_000);
    assert_eq!(all_matches(small_rules(), &found), oracle(small_rules(), &found));
}

#[test]
fn a_line_of_ten_megabytes_finishes_and_its_secret_is_found() {
    let token = [b"ghp", &b"_a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"[..]].concat();
    let mut text = b"x9/".repeat((10 << 20) / 3 + 1);
    text.push(b' ');
    text.extend_from_slice(&token);
    let found = all_matches(RuleSet::built_in(), &text);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].secret, text.len() - token.len()..text.len());
}

#[test]
fn nuls_and_invalid_utf8_are_ordinary_bytes() {
    let token = [b"ghp", &b"_a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"[..]].concat();
    for border in [&b"\0"[..], b"\xff", b"\xc3\x28", b"\n"] {
        let text = [border, &token, border].concat();
        assert_eq!(all_matches(RuleSet::built_in(), &text).len(), 1, "{border:?}");
        check(&text);
    }
    check(&[0; 10_000]);
    check(&[0xff; 10_000]);
}

#[test]
fn entropy_of_known_texts() {
    assert_eq!(entropy(b"aaaa"), 0.0);
    assert_eq!(entropy(b"abcd"), 2.0);
}

#[test]
fn the_built_in_files_pass_all_checks() {
    let problems = RuleSet::parse(BUILT_IN_FILES).err().unwrap_or_default();
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(shown, Vec::<String>::new());
}

#[test]
fn every_built_in_rule_lives_up_to_its_examples() {
    let shown: Vec<String> =
        RuleSet::built_in().check_examples().iter().map(ToString::to_string).collect();
    assert_eq!(shown, Vec::<String>::new());
}

#[test]
fn every_built_in_rule_has_negative_examples() {
    let without =
        RuleSet::built_in().rules().iter().filter(|rule| rule.negative_examples.is_empty());
    assert_eq!(without.map(Rule::id).collect::<Vec<_>>(), Vec::<&str>::new());
}

use crate::Rule;
