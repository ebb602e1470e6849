use carnet_core::{LineIndex, Origin};
use proptest::prelude::*;

use super::*;
use crate::engine;

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

fn redacted(bytes: &[u8]) -> (Vec<u8>, usize) {
    let content = Content { origin: Origin::Prompt, bytes: bytes.to_vec() };
    redact_findings(RuleSet::built_in(), &FingerprintKey::from_bytes([0; 32]), &content)
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
    let content = Content { origin: Origin::Prompt, bytes: b"x redacted y".to_vec() };
    let (text, _) = redact_findings(&rules, &FingerprintKey::from_bytes([0; 32]), &content);
    assert_eq!(text, UNSETTLED);
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
