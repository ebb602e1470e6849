//! The matcher against a slow oracle that tries every reading, and parsers against arbitrary text.

use proptest::{collection::vec, prelude::*, sample::select, sample::subsequence};

use crate::{
    ContentPolicy, Lane,
    element::Element,
    hole::Hole,
    pattern::{Dashes, Pattern, parse_after_dashes, parse_argv, parse_needs, parse_options},
};

const ARGUMENTS: [&str; 16] = [
    "t", "a", "b", "x/y", "3", "12", "-", "--", "-v", "-o", "-ov", "--n=3", "--n", "--n=a", "/x",
    "",
];
const POSITIONALS: [&str; 4] = ["a", "{path}", "{int:0..9}", "{one-of:a|b}"];
const TAILS: [&str; 6] =
    ["{path}...", "[{path}]", "[{path}...]", "[{int:0..9}...]", "{one-of:a|b}...", "a"];
const OPTIONS: [&str; 6] = ["-v", "-o {path}", "--n={int:0..9}", "--n {int:0..9}", "-ov", "--"];
const AFTER: [&str; 3] = ["-v", "-o {path}", "{int:0..9}"];

/// Matches one element by its spelling, knowing only the arguments above.
fn spelt(element: &str, argument: &str) -> bool {
    match element {
        "{path}" => ["t", "a", "b", "x/y", "3", "12"].contains(&argument),
        "{int:0..9}" => argument == "3",
        "{one-of:a|b}" => argument == "a" || argument == "b",
        "--n={int:0..9}" => argument == "--n=3",
        literal => literal == argument,
    }
}

#[derive(Debug, Clone)]
struct Spec {
    positionals: Vec<&'static str>,
    options: Vec<&'static str>,
    needs: Vec<&'static str>,
    after: Vec<&'static str>,
}

/// Tries every way to read `argv`: each argument as an option, as a positional, as the end of options.
fn readable(spec: &Spec, n_used: usize, ended: bool, needed: bool, argv: &[&str]) -> bool {
    let left = &spec.positionals[n_used..];
    let Some((first, rest)) = argv.split_first() else { return needed && complete(left) };
    let positional = left.first().is_some_and(|element| {
        let (body, repeated) = body(element);
        spelt(body, first)
            && (readable(spec, n_used + 1, ended, needed, rest)
                || (repeated && readable_again(spec, n_used, ended, needed, rest)))
    });
    if positional && (ended || !first.starts_with('-') || *first == "-") {
        return true;
    }
    if ended {
        return false;
    }
    if *first == "--" {
        let hands_over = !spec.after.is_empty() && needed && complete(left) && after(spec, rest);
        return hands_over
            || (spec.options.contains(&"--") && readable(spec, n_used, true, needed, rest));
    }
    let needed =
        needed || spec.needs.iter().any(|need| spelt(need.split(' ').next().unwrap(), first));
    one_option(&spec.options, argv, |rest| readable(spec, n_used, false, needed, rest))
}

/// A repeated tail has matched once and is now `[…...]`.
fn readable_again(spec: &Spec, n_used: usize, ended: bool, needed: bool, argv: &[&str]) -> bool {
    let mut spec = spec.clone();
    spec.positionals[n_used] = match body(spec.positionals[n_used]).0 {
        "{path}" => "[{path}...]",
        "{int:0..9}" => "[{int:0..9}...]",
        _ => "[{one-of:a|b}...]",
    };
    readable(&spec, n_used, ended, needed, argv)
}

fn one_option(options: &[&str], argv: &[&str], then: impl Fn(&[&str]) -> bool) -> bool {
    options.iter().any(|option| match option.split_once(' ') {
        Some((name, value)) => {
            argv[0] == name && argv.len() > 1 && spelt(value, argv[1]) && then(&argv[2..])
        }
        None => *option != "--" && spelt(option, argv[0]) && then(&argv[1..]),
    })
}

fn after(spec: &Spec, argv: &[&str]) -> bool {
    let Some((first, rest)) = argv.split_first() else { return true };
    spec.after.iter().any(|element| element.starts_with('{') && spelt(element, first))
        && after(spec, rest)
        || one_option(&spec.after, argv, |rest| after(spec, rest))
}

fn complete(left: &[&str]) -> bool {
    left.iter().all(|element| element.starts_with('['))
}

fn body(element: &str) -> (&str, bool) {
    let inner = element.trim_start_matches('[').trim_end_matches(']');
    inner.strip_suffix("...").map_or((inner, false), |body| (body, true))
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn build(spec: &Spec) -> Option<Pattern> {
    let argv: Vec<_> = ["t"].iter().chain(&spec.positionals).copied().collect();
    let (lead, fixed, tail) = parse_argv(&owned(&argv)).ok()?;
    let (options, ends) = parse_options(&owned(&spec.options)).ok()?;
    let (after, elements) = parse_after_dashes(&owned(&spec.after)).ok()?;
    let dashes = match (spec.after.is_empty(), ends) {
        (true, true) => Dashes::EndOptions,
        (true, false) => Dashes::Refused,
        (false, false) => Dashes::HandOver { options: after, elements },
        (false, true) => return None,
    };
    let needs = parse_needs(&owned(&spec.needs), &owned(&spec.options)).ok()?;
    Some(Pattern { lead, fixed, tail, options, needs, dashes })
}

fn specs() -> impl Strategy<Value = Spec> {
    let fixed = vec(select(&POSITIONALS[1..3]), 0..3);
    let tail = select(&TAILS[..5]);
    let options = subsequence(OPTIONS.to_vec(), 0..=OPTIONS.len());
    let after = prop_oneof![Just(Vec::new()), subsequence(AFTER.to_vec(), 1..=AFTER.len())];
    let needs = any::<[bool; 6]>();
    (fixed, tail, options, after, needs).prop_map(
        |(mut positionals, tail, options, after, needs)| {
            // A first `{one-of:…}` would be a leading word; a tail never is.
            positionals.push(tail);
            let needs =
                options.iter().zip(needs).filter(|(option, need)| *need && **option != "--");
            let needs = needs.map(|(option, _)| *option).collect();
            Spec { positionals, options, needs, after }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_matcher_finds_what_trying_every_reading_finds(
        spec in specs(),
        rest in vec(select(&ARGUMENTS[..]), 0..6),
    ) {
        if let Some(pattern) = build(&spec) {
            let mut argv = vec!["t"];
            argv.extend(&rest);
            let slow = readable(&spec, 0, false, spec.needs.is_empty(), &rest);
            let fast = pattern.matches(&owned(&argv));
            prop_assert_eq!(fast.is_ok(), slow, "{:?} {:?} {:?}", spec, argv, fast);
            if let Err(mismatch) = fast {
                prop_assert!(mismatch.argument_idx <= argv.len());
            }
        }
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in "\\PC{0,200}", raw in any::<String>()) {
        for text in [&text, &raw] {
            let _ = Hole::parse(text);
            let _ = Element::parse(text);
            let _ = parse_argv(std::slice::from_ref(text));
            let _ = parse_options(std::slice::from_ref(text));
            let _ = Lane::parse(("x.toml", text), ("deny.toml", text));
            let _ = ContentPolicy::parse("c.toml", text);
        }
    }

    #[test]
    fn no_change_of_a_shipped_lane_makes_the_parser_panic(
        file in 0usize..8, at in 0.0f64..1.0, len in 0usize..40, put in "[\\[\\]{}\"'=#\n a-z.]{0,12}",
    ) {
        let files = crate::built_in_files();
        let text = files[file].1;
        let floor = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
        let start = floor((at * text.len() as f64) as usize).unwrap();
        let end = floor(start + len).unwrap();
        // Cut short, so that one case stays cheap.
        let until = floor(end + 600).unwrap();
        let changed = format!("{}{put}{}", &text[floor(start.saturating_sub(600)).unwrap()..start], &text[end..until]);
        let _ = Lane::parse(("x.toml", &changed), ("deny.toml", &changed));
    }

    #[test]
    fn paths_that_match_stay_inside_when_they_are_resolved(text in "[a./~@:=-]{0,8}") {
        if Hole::parse("path").unwrap().matches(&text) {
            prop_assert!(!text.starts_with('/'));
            let mut depth = 0i32;
            for component in text.split('/') {
                depth += match component { "" | "." => 0, ".." => -1, _ => 1 };
                prop_assert!(depth >= 0, "{}", text);
            }
        }
    }
}
