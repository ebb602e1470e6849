use carnet_core::LineIndex;
use proptest::prelude::*;

use super::*;
use crate::{
    KnownValue, RedactionMap, engine,
    frame::Layout,
    test_text::{self as encode, redacted, token},
};

fn check(text: &str, regions: &[(usize, usize, &str)], expect: Result<&str, RedactError>) {
    let lines = LineIndex::new(text.as_bytes());
    let regions: Vec<(Region, &str)> = regions
        .iter()
        .map(|(start, end, name)| {
            (Region { start: *start, end: *end, ..lines.region(0, 0) }, *name)
        })
        .collect();
    let redacted = redact(text.as_bytes(), &regions);
    assert_eq!(redacted, expect.map(|text| text.as_bytes().to_vec()));
}

#[test]
fn no_regions_change_nothing() {
    check("abc", &[], Ok("abc"));
}
#[test]
fn regions_are_replaced_by_their_names() {
    check("abcdef", &[(1, 2, "X"), (4, 6, "Y")], Ok("a[REDACTED:X]cd[REDACTED:Y]"));
    check("abc", &[(0, 3, "X")], Ok("[REDACTED:X]"));
    check("abcd", &[(0, 2, "X"), (2, 4, "Y")], Ok("[REDACTED:X][REDACTED:Y]"));
}
#[test]
fn overlapping_regions_are_refused_whole() {
    let error = RedactError::Region { number: 2, start: 2, end: 4 };
    check("abcdef", &[(1, 3, "X"), (2, 4, "Y")], Err(error));
}
#[test]
fn regions_out_of_order_are_refused_whole() {
    let error = RedactError::Region { number: 2, start: 0, end: 1 };
    check("abcdef", &[(3, 4, "X"), (0, 1, "Y")], Err(error));
}
#[test]
fn regions_out_of_bounds_are_refused_whole() {
    check("abc", &[(1, 4, "X")], Err(RedactError::Region { number: 1, start: 1, end: 4 }));
    check("abc", &[(2, 1, "X")], Err(RedactError::Region { number: 1, start: 2, end: 1 }));
    check("abc", &[(9, 9, "X")], Err(RedactError::Region { number: 1, start: 9, end: 9 }));
}
#[test]
fn names_that_break_the_frame_are_refused() {
    for name in ["", "a]b", "[", "a\nb"] {
        check("abc", &[(0, 1, name)], Err(RedactError::Name { number: 1 }));
    }
}

#[test]
fn a_secret_gets_the_name_of_its_rule() {
    let token = ["gh", "p_", "a1B2c3D4e5F6g7H8i9", "J0k1L2m3N4o5P6q7R8"].concat();
    let (text, n_replaced) = redacted(format!("a {token} b").as_bytes());
    assert_eq!(text, b"a [REDACTED:github-personal-access-token] b");
    assert_eq!(n_replaced, 1);
}
#[test]
fn an_allow_has_no_say() {
    let token = ["gh", "p_", "a1B2c3D4e5F6g7H8i9", "J0k1L2m3N4o5P6q7R8"].concat();
    let line = format!("{token} # carnet:allow github-personal-access-token please");
    assert_eq!(redacted(line.as_bytes()).1, 1);
}
#[test]
fn a_secret_uncovered_by_redaction_is_redacted_too() {
    let token = ["gh", "p_", "a1B2c3D4e5F6g7H8i9", "J0k1L2m3N4o5P6q7R8"].concat();
    let url = ["postgres://a:", "k9Lq2mVx7", "@"].concat();
    let (text, _) = redacted(format!("{url}{token}").as_bytes());
    assert!(!String::from_utf8_lossy(&text).contains("a1B2"));
}
#[test]
fn a_text_that_never_settles_is_given_up_whole() {
    let rules = "format = 'carnet/rules/1'\nfamily = 't'\n[[rule]]\nid = 't'\ndescription = 'd'\n\
        severity = 'low'\nconfidence = 'low'\nplaceholders = 'keep'\npattern = 'redacted|REDACTED'\n\
        keywords = ['redacted']\nexamples = ['redacted']\n";
    let rules = RuleSet::parse(&[("t", rules)]).unwrap();
    let (text, _) = Redactor::new(&rules).redact(b"x redacted y");
    assert_eq!(text, b"[REDACTED:unsettled-text]");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn redacted_text_scans_clean_and_stays_as_it_is(
        picks in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..6), 1..10)
    ) {
        let rules = RuleSet::built_in().rules().iter().filter(|rule| !rule.is_path_rule());
        let examples: Vec<&str> = rules.flat_map(|rule| rule.examples.iter()).map(String::as_str).collect();
        let mut text = Vec::new();
        for (which, glue) in picks {
            text.extend_from_slice(examples[which.index(examples.len())].as_bytes());
            text.extend_from_slice([&b"\n"[..], b"", b" ", b"\0\xff", b"\"", b"@h"][glue]);
        }
        let (once, _) = redacted(&text);
        prop_assert!(engine::matches(RuleSet::built_in(), &once, &mut engine::Work::of(once.len())).is_empty());
        prop_assert_eq!(redacted(&once), (once, 0));
    }

    #[test]
    fn redact_keeps_all_outside_the_regions(text in prop::collection::vec(any::<u8>(), 0..60), cuts in prop::collection::vec(0_usize..61, 0..6)) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.sort_unstable();
        let zero = LineIndex::new(b"").region(0, 0);
        let regions: Vec<(Region, &str)> =
            cuts.chunks_exact(2).map(|pair| (Region { start: pair[0], end: pair[1], ..zero }, "N")).collect();
        let mut expect = text.clone();
        for (region, _) in regions.iter().rev() {
            expect.splice(region.start..region.end, *b"[REDACTED:N]");
        }
        prop_assert_eq!(redact(&text, &regions).unwrap(), expect);
    }
}

const VALUES: [(&str, &str); 3] = [
    ("API_TOKEN", "q7Rk-29xZ/ab+c!"),
    ("DB_PASSWORD", "correct horse \"42\""),
    ("PREFIX", "q7Rk-29"),
];

fn all() -> Redactor<'static> {
    let value = |(name, value): (&str, &str)| KnownValue {
        name: name.to_owned(),
        value: value.as_bytes().to_vec().into(),
    };
    let (known, refused) = KnownValues::new(VALUES.map(value));
    assert_eq!(refused, []);
    Redactor::new(RuleSet::built_in()).with_personal(Confidence::Medium).with_known(known)
}

fn check_all(text: &str, expect: &str) {
    let (left, _) = all().redact(text.as_bytes());
    assert_eq!(String::from_utf8_lossy(&left), expect);
}

fn ssn() -> String {
    ["536", "90", "4399"].join("-")
}

fn mail() -> String {
    ["ada.lovelace", "analytical.org"].join("@")
}

#[test]
fn a_known_value_goes_by_its_name_in_every_encoding() {
    let value = VALUES[0].1;
    check_all(&format!("x {value} y"), "x [REDACTED:API_TOKEN] y");
    check_all(&format!("token={value}"), "token=[REDACTED:API_TOKEN]");
    check_all("x q7Rk-29xZ%2Fab%2Bc%21 y", "x [REDACTED:API_TOKEN] y");
    check_all(
        &format!("x {} y", String::from_utf8_lossy(&encode::hex(value.as_bytes()))),
        "x [REDACTED:API_TOKEN] y",
    );
    let run = encode::base64(format!("before the value {value} and after").as_bytes());
    let (left, _) = all().redact(&run);
    let left = String::from_utf8(left).unwrap();
    assert!(
        left.starts_with("YmVmb3JlIHRoZSB2YWx1ZS") && left.contains("[REDACTED:API_TOKEN]"),
        "{left}"
    );
    let zipped = encode::gzip(format!("a {value} b").as_bytes());
    assert_eq!(all().redact(&zipped).0, b"[REDACTED:API_TOKEN]");
}

#[test]
fn personal_data_goes_from_the_tier_that_was_asked_for_and_from_encoded_text() {
    let (text, ssn) = (format!("her ssn is {}, write to {}", ssn(), mail()), ssn());
    check_all(&text, "her ssn is [REDACTED:pii-us-ssn], write to [REDACTED:pii-email]");
    let run = encode::base64(text.as_bytes());
    check_all(&format!("x {} y", String::from_utf8_lossy(&run)), "x [REDACTED:pii-email] y");
    let (left, _) = Redactor::new(RuleSet::built_in()).redact(text.as_bytes());
    assert_eq!(left, text.as_bytes());
    let high = Redactor::new(RuleSet::built_in()).with_personal(Confidence::High);
    assert_eq!(
        high.redact(format!("no {ssn} word").as_bytes()).0,
        format!("no {ssn} word").as_bytes()
    );
}

#[test]
fn tokens_do_not_speak_of_their_neighbours() {
    let numbers: Vec<String> = (0..40).map(|n| format!("53690{}", 4400 + n)).collect();
    let (left, _) = all().redact(format!("ssn: {}", numbers.join(" ")).as_bytes());
    let (again, replaced) = all().redact(&left);
    assert_eq!((replaced.n(), &again), (0, &left));
    assert!(!String::from_utf8_lossy(&left).contains("unsettled"));
}

#[test]
fn the_same_bytes_keep_their_name() {
    let number = ["4539", "1488", "0343", "6467"].concat();
    let (left, _) = all().redact(format!("card {number}; {number}").as_bytes());
    assert_eq!(left, b"card [REDACTED:pii-card]; [REDACTED:pii-card]");
}

fn there_and_back(text: &[u8], map: RedactionMap) -> (Vec<u8>, Vec<u8>, RedactionMap) {
    let redactor = all();
    let mut stream = redactor.stream_with(map);
    let mut left = vec![];
    stream.push(text, &mut left);
    let map = stream.finish(&mut left).map.unwrap();
    let mut rehydrator = map.rehydrator();
    let mut back = vec![];
    rehydrator.push(&left, &mut back);
    rehydrator.finish(&mut back);
    (left, back, map)
}

#[test]
fn with_a_map_each_value_has_a_token_of_its_own_and_comes_back() {
    let (a, b) = (mail(), mail().replace("ada", "eva"));
    let text = format!("{a} {b} {a} [REDACTED:pii-email] [REDACTED:");
    let (left, back, map) = there_and_back(text.as_bytes(), RedactionMap::default());
    let expect = "[REDACTED:pii-email] [REDACTED:pii-email#2] [REDACTED:pii-email] [REDACTED:text] [REDACTED:text#2]";
    assert_eq!(String::from_utf8_lossy(&left), expect);
    assert_eq!(back, text.as_bytes());
    // A second text goes by the same map; what was redacted before stays as it is.
    let (again, _, map) = there_and_back(&left, map);
    assert_eq!(again, left);
    let (more, _, _) = there_and_back(format!("{b} {}", token()).as_bytes(), map);
    assert_eq!(more, b"[REDACTED:pii-email#2] [REDACTED:github-personal-access-token]");
}

#[test]
fn what_is_given_up_comes_back_too() {
    let rules = "format = 'carnet/rules/1'\nfamily = 't'\n[[rule]]\nid = 't'\ndescription = 'd'\n\
        severity = 'low'\nconfidence = 'low'\nplaceholders = 'keep'\npattern = 'redacted|REDACTED'\n\
        keywords = ['redacted']\nexamples = ['redacted']\n";
    let rules = RuleSet::parse(&[("t", rules)]).unwrap();
    let redactor = Redactor::new(&rules);
    let mut stream = redactor.stream_with(RedactionMap::default());
    let mut left = vec![];
    stream.push(b"x redacted y", &mut left);
    let map = stream.finish(&mut left).map.unwrap();
    assert_eq!(left, b"[REDACTED:unsettled-text]");
    let (mut rehydrator, mut back) = (map.rehydrator(), vec![]);
    rehydrator.push(&left, &mut back);
    rehydrator.finish(&mut back);
    assert_eq!(back, b"x redacted y");
}

/// Texts of pieces that hold something to replace, or look as if it had been.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let value = VALUES[1].1;
    let pieces: Vec<Vec<u8>> = vec![
        VALUES[0].1.into(),
        value.into(),
        encode::base64(format!("a{value}b").as_bytes()),
        encode::utf16le(&format!("{value} and {}", mail())),
        ssn().into(),
        mail().into(),
        token().into(),
        b"ssn: ".to_vec(),
        b"[REDACTED:pii-email]".to_vec(),
        b"[REDACTED:".to_vec(),
        b"[REDACTED:API_TOKEN".to_vec(),
        b"] ".to_vec(),
        b" tel 030 90182345, ".to_vec(),
        b"\xff\0\n".to_vec(),
        b"name,ssn\n".to_vec(),
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..24).prop_map(|it| it.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn all_of_it_settles_is_the_same_at_every_split_and_comes_back(
        text in pieces(),
        lengths in prop::collection::vec(1_usize..60, 1..6),
    ) {
        let redactor = all();
        let (once, replaced) = redactor.redact(&text);
        let (twice, more) = redactor.redact(&once);
        prop_assert_eq!(more.n(), 0);
        prop_assert_eq!(&twice, &once);
        let mut stream = redactor.stream();
        let mut split = vec![];
        let (mut rest, mut lengths) = (&text[..], lengths.into_iter().cycle());
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(lengths.next().unwrap().min(rest.len()));
            stream.push(chunk, &mut split);
            rest = after;
        }
        let done = stream.finish(&mut split);
        prop_assert_eq!((split, done.replaced), (once, replaced));
        let (left, back, map) = there_and_back(&text, RedactionMap::default());
        prop_assert_eq!(back, text);
        prop_assert_eq!(there_and_back(&left, map).0, left);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Looking again around what was replaced, against looking again everywhere.
    #[test]
    fn what_is_near_is_all_there_is_to_look_at_again(texts in prop::collection::vec(pieces(), 1..4)) {
        let filling = "    let total = sum(\"some words\", 12); // and so on, for a while\n".repeat(700);
        let text: Vec<u8> = texts.iter().flat_map(|text| [filling.as_bytes(), text]).flatten().copied().collect();
        let redacted = |whole: usize| {
            let redactor = all();
            let mut stream = StreamRedactor::with_layout(&redactor, None, Layout { whole, ..LAYOUT });
            let mut left = vec![];
            stream.push(&text, &mut left);
            let done = stream.finish(&mut left);
            (String::from_utf8_lossy(&left).into_owned(), done.replaced)
        };
        prop_assert_eq!(redacted(0), redacted(usize::MAX));
    }
}
