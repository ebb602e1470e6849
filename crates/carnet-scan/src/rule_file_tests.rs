use crate::RuleSet;

const GOOD: &str = "format = 'carnet/rules/1'
family = 'test'
[[rule]]
id = 'a-b'
description = 'd'
severity = 'low'
confidence = 'high'
pattern = 'key=[0-9]{4}'
keywords = ['key=']
examples = ['key=1234', ['key=', '5678']]
";

fn problems(text: &str) -> Vec<String> {
    RuleSet::parse(&[("t.toml", text)])
        .err()
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// Replaces `from` in a good file by `to` and compares the beginning of the only problem.
fn check(from: &str, to: &str, expect: &str) {
    assert!(GOOD.contains(from));
    let problems = problems(&GOOD.replace(from, to));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with(expect), "{problems:?}");
}

#[test]
fn a_good_file_is_read() {
    let rules = RuleSet::parse(&[("t.toml", GOOD)]).unwrap();
    assert_eq!(rules.rules()[0].id(), "a-b");
    assert_eq!(rules.check_examples(), []);
}
#[test]
fn another_format_is_refused() {
    check("rules/1", "rules/2", "t.toml:1: format: the format is `carnet/rules/2`");
}
#[test]
fn an_unknown_key_is_refused() {
    check("description", "colour = 'red'\ndescription", "t.toml:5: colour: unknown key");
    check("family", "author = 'x'\nfamily", "t.toml:2: author: unknown key");
    check("examples", "unless_path = ['x']\nexamples", "t.toml:10: unless_path: unknown key");
}
#[test]
fn a_missing_key_is_refused() {
    check("severity = 'low'\n", "", "t.toml:3: severity: missing");
    check("keywords = ['key=']\n", "", "t.toml:3: keywords: missing");
    check(
        "examples = ['key=1234', ['key=', '5678']]",
        "examples = []",
        "t.toml:3: examples: missing",
    );
    check("family = 'test'\n", "", "t.toml:1: family: missing");
}
#[test]
fn a_value_out_of_range_is_refused() {
    check("'low'", "'lowest'", "t.toml:6: severity: must be");
    check("'high'", "7", "t.toml:7: confidence: must be a string");
    check("'a-b'", "'A B'", "t.toml:4: id: must be small letters");
    check("examples", "entropy = 9\nexamples", "t.toml:10: entropy: must be");
    check("examples", "entropy = nan\nexamples", "t.toml:10: entropy: must be");
    check("examples", "checksum = 'md5'\nexamples", "t.toml:10: checksum: must be");
    check("examples", "references = ['http://x']\nexamples", "t.toml:10: references: must be");
    check("['key=']", "['ke']", "t.toml:9: keywords: must be of 3 to 64 bytes");
}
#[test]
fn a_broken_pattern_is_refused() {
    check("[0-9]{4}", "[0-9{4}", "t.toml:8: pattern: not a regular expression");
    check(
        "[0-9]{4}",
        "(?:[0-9a-z]{900}){900}",
        "t.toml:8: pattern: the compiled pattern is larger",
    );
    check("'key=[0-9]{4}'", "'(?:key=)?'", "t.toml:8: pattern: the pattern matches the empty");
}
#[test]
fn a_pattern_without_its_keyword_is_refused() {
    check(
        "'key=[0-9]{4}'",
        "'key=[0-9]{4}|[0-9]{16}'",
        "t.toml:8: pattern: the pattern has matches",
    );
}
#[test]
fn two_rules_of_one_id_are_refused() {
    let twice = format!("{GOOD}{}", &GOOD[GOOD.find("[[rule]]").unwrap()..]);
    assert_eq!(problems(&twice), ["t.toml:11: id: `a-b` is already defined"]);
    assert_eq!(RuleSet::parse(&[("a", GOOD), ("b", GOOD)]).unwrap_err()[0].file, "b");
}
#[test]
fn what_is_not_toml_is_refused() {
    check("family = 'test'", "family = ", "t.toml:2: file: not TOML");
}
#[test]
fn a_huge_file_is_refused() {
    assert_eq!(problems(&" ".repeat(2 << 20)).len(), 1);
}
#[test]
fn a_path_rule_takes_no_content_keys() {
    check(
        "pattern = 'key=[0-9]{4}'\nkeywords = ['key=']",
        "path = '*.x'\nentropy = 3",
        "t.toml:9: entropy: unknown",
    );
    check(
        "pattern = 'key=[0-9]{4}'\nkeywords = ['key=']",
        "path = 'a**'",
        "t.toml:8: path: must be",
    );
}
#[test]
fn all_problems_are_told() {
    assert_eq!(problems(&GOOD.replace("'low'", "'x'").replace("'high'", "'y'")).len(), 2);
}
#[test]
fn the_digest_ignores_layout_and_examples_and_nothing_else() {
    let digest = |text: &str| RuleSet::parse(&[("t", text)]).unwrap().digest();
    let good = digest(GOOD);
    assert_eq!(good, digest(&GOOD.replace("'key=1234', ", "").replace('\n', "\n# c\n")));
    for (from, to) in [("{4}", "{5}"), ("'low'", "'high'"), ("'d'", "'e'"), ("['key=']", "['key']")]
    {
        assert_ne!(good, digest(&GOOD.replacen(from, to, 1)), "{from}");
    }
    assert_ne!(good, digest(&GOOD.replace("examples", "placeholders = 'keep'\nexamples")));
}
#[test]
fn an_assigned_rule_takes_a_kind_and_no_pattern() {
    let pattern = "pattern = 'key=[0-9]{4}'\nkeywords = ['key=']";
    check(pattern, "assigned_to = 'wallet'", "t.toml:8: assigned_to: must be");
    check(pattern, "assigned_to = 'secret'\nentropy = 3", "t.toml:9: entropy: unknown");
    let good = GOOD.replace(pattern, "assigned_to = 'password'");
    let rules = RuleSet::parse(&[("t", &good)]).unwrap();
    assert!(rules.rules()[0].keywords().contains(&"pass"));
}
#[test]
fn patterns_that_explode_are_refused_at_load() {
    for pattern in ["key=(?:a{999}){999}", "key=(?:(?:a?){99}){99}{99}", "(?:key=.{0,900}){900}"] {
        check("key=[0-9]{4}", pattern, "t.toml:8: pattern: ");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    /// The bounded twin of the fuzz target `rule_files`.
    #[test]
    fn any_text_is_rules_or_problems_with_a_line(
        changes in proptest::collection::vec(
            (proptest::prelude::any::<proptest::sample::Index>(), "[\"'=\\[\\]{}()a-z0-9.\\\\*+?|\n é-]{0,6}"), 0..6
        )
    ) {
        let mut text = GOOD.to_owned();
        for (at, piece) in changes {
            let at = at.index(text.len());
            let at = (at..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.insert_str(at, &piece);
        }
        match RuleSet::parse(&[("t.toml", &text)]) {
            Ok(rules) => drop(rules.check_examples()),
            Err(problems) => proptest::prop_assert!(problems.iter().all(|problem| problem.line > 0)),
        }
    }
}
