use carnet_core::{Content, RepoPath};
use proptest::prelude::*;

use super::*;
use crate::{
    FingerprintKey, Scan, scan_with_proof,
    test_text::{aws, base64, gzip, hex, percent, token},
};

fn origin() -> Origin {
    Origin::Committed(RepoPath::new(b"src/a.txt".to_vec()).unwrap())
}

fn scanned(rules: &RuleSet, text: &[u8]) -> (Scan, Option<Quiet>) {
    let content = Content { origin: origin(), bytes: text.to_vec() };
    scan_with_proof(rules, &FingerprintKey::from_bytes([7; 32]), &content)
}

/// What later versions were said to be: still quiet, or to be scanned.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Quiet,
    Scan,
    /// The first version is no ground for anything.
    NoProof,
}

/// Holds what is said of `after` against a scan of all of it.
fn check(rules: &RuleSet, before: &[u8], after: &[u8]) -> Said {
    let Some(proof) = scanned(rules, before).1 else { return Said::NoProof };
    let Some(still) = proof.still(rules, &origin(), before, after) else { return Said::Scan };
    let (scan, whole) = scanned(rules, after);
    assert_eq!(scan, Scan::default());
    let whole = whole.expect("a text that is still quiet is quiet by itself");
    assert!(whole.n_work <= still.n_work, "{whole:?} takes more than {still:?}");
    Said::Quiet
}

fn check_built_in(before: &[u8], after: &[u8]) -> Said {
    check(RuleSet::built_in(), before, after)
}

/// Lines of code, of which nothing is a secret, about `n_bytes` of them.
fn code(n_bytes: usize) -> String {
    let line = |n: usize| format!("    let value_{n} = compute(&things[{n}], \"name {n}\");\n");
    (0..n_bytes / 50).map(line).collect()
}

#[test]
fn a_change_without_anything_in_it_is_quiet_after_a_look_at_the_middle() {
    let (head, tail) = (code(20_000), code(20_000));
    let before = format!("{head}one\n{tail}");
    let after = format!("{head}two, three\n{tail}");
    assert_eq!(check_built_in(before.as_bytes(), after.as_bytes()), Said::Quiet);
    let middle = middle(after.as_bytes(), changed(before.as_bytes(), after.as_bytes()));
    assert!(middle.len() < 2 * MARGIN + 200, "{middle:?}");
}

#[test]
fn what_comes_in_is_never_said_to_be_quiet() {
    let (head, tail) = (code(20_000), code(20_000));
    let before = format!("{head}{tail}");
    for new in [
        format!("key = {}\n", token()),
        format!("password = \"{}\"\n", ["xK9", "vT2mQ", "8wLz"].concat()),
        format!("a({})\n", String::from_utf8(base64(token().as_bytes())).unwrap()),
        format!("a(\"{}\" + \"{}\");\n", &token()[..9], &token()[9..]),
        format!("mail: {}\n", ["ada.lovelace", "analytical.org"].join("@")),
        "a\0b\n".to_owned(),
    ] {
        let after = format!("{head}{new}{tail}");
        assert_eq!(check_built_in(before.as_bytes(), after.as_bytes()), Said::Scan, "{new}");
    }
}

#[test]
fn both_halves_of_a_value_may_be_old() {
    let (head, tail) = (code(20_000), code(20_000));
    let value = token();
    let (first, second) = value.split_at(12);
    for (between, then) in [(" ", ""), ("(", ""), ("\" - \"", "\" + \""), ("\n", "\\\n")] {
        let text = |between: &str| format!("{head}x(\"{first}{between}{second}\");\n{tail}");
        let said = check_built_in(text(between).as_bytes(), text(then).as_bytes());
        assert_eq!(said, Said::Scan, "{between:?}");
    }
}

#[test]
fn an_encoded_run_is_seen_whole_however_long_it_is() {
    let secret = format!("{}{}\n{}", "plain words, ".repeat(2_000), token(), code(200));
    let encoded = base64(secret.as_bytes());
    let lines = |text: &[u8]| -> String {
        let line = |line: &[u8]| format!("  {}\n", std::str::from_utf8(line).unwrap());
        text.chunks(76).map(line).collect()
    };
    let text = |run: String| format!("{}x = (\n{run}\n);\n{}", code(60_000), code(60_000));
    // Both alphabets in the first line: the run is read in parts, none of which begins at a fourth letter.
    let first = |letter: &str| format!("  A/{}{letter}c\n", "b".repeat(72));
    let before = text(format!("{}{}", first("-"), lines(&encoded)));
    let after = text(format!("{}{}", first("d"), lines(&encoded)));
    assert_ne!(scanned(RuleSet::built_in(), after.as_bytes()).0, Scan::default());
    assert_eq!(check_built_in(before.as_bytes(), after.as_bytes()), Said::Scan);
}

#[test]
fn what_speaks_for_the_whole_text_is_no_ground() {
    let card = ["4539 ", "1488 ", "0343 ", "6467"].concat();
    let rows: String = (0..2_000).map(|n| format!("x,{n},{card}\n")).collect();
    let before = format!("a b c\n{rows}");
    let after = format!("name,id,card\n{rows}");
    assert_ne!(check_built_in(before.as_bytes(), after.as_bytes()), Said::Quiet);
    let archive = gzip(token().as_bytes());
    let broken = [b"\x1f\x8b\x09", &archive[3..], code(20_000).as_bytes()].concat();
    let whole = [&archive[..], code(20_000).as_bytes()].concat();
    assert_ne!(check_built_in(&broken, &whole), Said::Quiet);
    let marker = |word: &str| format!("-----{word} {} KEY-----\n", ["RSA PRI", "VATE"].concat());
    let body = String::from_utf8(base64(&[0x5a; 3_000])).unwrap();
    let text = |begin: &str| format!("{begin}{}\n{body}\n{}", code(9_000), marker("END"));
    let (before, after) = (text("-----"), text(&marker("BEGIN")));
    assert_ne!(check_built_in(before.as_bytes(), after.as_bytes()), Said::Quiet);
}

/// One match moves all that follow it: of a long row of letters every fifth place decides.
#[test]
fn a_match_far_away_that_a_change_moves_is_not_lost() {
    let file = "format = 'carnet/rules/1'\nfamily = 'test'\n[[rule]]\nid = 'row'\ndescription = 'd'\n\
                severity = 'low'\nconfidence = 'low'\npattern = 'zzz[zy][zy]'\nunless_secret = '^zzzz[zy]$|^zzzyz$'\n\
                keywords = ['zzz']\nexamples = ['zzzyy']\n";
    let rules = RuleSet::parse(&[("row.toml", file)]).unwrap();
    let text = |n: usize| format!("{}\n{}yy\n", code(9_000).replace('z', "s"), "z".repeat(n));
    let mut said = vec![];
    for n in 30_000..30_005 {
        let (before, after) = (text(n), text(n + 1));
        said.push(check(&rules, before.as_bytes(), after.as_bytes()));
    }
    assert!(!said.contains(&Said::Quiet), "{said:?}");
    assert!(said.contains(&Said::Scan), "{said:?}");
}

#[test]
fn what_versions_take_is_added_up() {
    let (head, tail) = (code(20_000), code(20_000));
    let text = |n: usize| format!("{head}{n}\n{tail}").into_bytes();
    let spent = Quiet { n_work: Work::granted(text(1).len()) };
    let proof = scanned(RuleSet::built_in(), &text(1)).1.unwrap();
    let still = |it: Quiet| it.still(RuleSet::built_in(), &origin(), &text(1), &text(2));
    assert!(still(proof).is_some());
    let new = format!("{head}key = basic 1\ntoken = basic 2\n{tail}").into_bytes();
    let later = spent.still(RuleSet::built_in(), &origin(), &text(1), &new);
    assert!(later.is_none_or(|it| it.n_work <= Work::granted(new.len())));
}

/// Pieces of which texts are made: alone they are nothing, side by side some are.
fn piece(kind: u8, n: usize) -> Vec<u8> {
    let (token, aws) = (token(), aws());
    let secret = format!("export TOKEN={token}\n{}", "and more words ".repeat(n % 40));
    let encoded = base64(secret.as_bytes());
    let (from, to) = (n % encoded.len(), encoded.len());
    match kind {
        0 => code(100 + n % 3_000).into_bytes(),
        1 => format!("{}\n", &token[..n % token.len()]).into_bytes(),
        2 => token.as_bytes()[n % token.len()..].to_vec(),
        3 => encoded[..from].to_vec(),
        4 => encoded[from..to].to_vec(),
        5 => encoded.chunks(64).flat_map(|line| [line, b"\n"].concat()).collect(),
        6 => format!("\"{}\" +\n  ", &aws[..n % aws.len()]).into_bytes(),
        7 => format!("\"{}\";\n", &aws[n % aws.len()..]).into_bytes(),
        8 => b"\n".repeat(1 + n % 3),
        9 => b" ".repeat(1 + n % 90),
        10 => hex(&secret.as_bytes()[..n % secret.len()]),
        11 => percent(&secret.as_bytes()[n % secret.len()..]),
        12 => [
            "Call +49 30 ",
            "mail ada.lovelace@",
            "analytical.org ",
            "12, 4539 1488 ",
            "0343 6467\n",
        ][n % 5]
            .into(),
        13 => ["password = \"", "xK9vT2m", "Q8wLz\"\n", "pass", "word: "][n % 5].into(),
        14 => b"\\\n".to_vec(),
        15 => format!("Words of prose that end with {n}\nor with a full stop.\n").into_bytes(),
        16 => vec![b"\r\n\"'`=,;(){}+.&"[n % 15]],
        _ => format!("# carnet:allow github-token reason {n}\n").into_bytes(),
    }
}

fn pieces(n_max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec((0_u8..18, any::<usize>()), 0..n_max)
        .prop_map(|picks| picks.into_iter().flat_map(|(kind, n)| piece(kind, n)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn quiet_is_said_of_nothing_in_which_a_scan_meets_something(
        (head, near, old, new, far, tail) in
            (0_usize..30_000, pieces(5), pieces(3), pieces(3), pieces(5), 0_usize..30_000),
    ) {
        let (head, tail) = (code(head), code(tail));
        let text = |middle: &[u8]| [head.as_bytes(), &near, middle, &far, tail.as_bytes()].concat();
        check_built_in(&text(&old), &text(&new));
        check_built_in(&text(&old), &text(b""));
        check_built_in(&text(b""), &text(&new));
    }
}
