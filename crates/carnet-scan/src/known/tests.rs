//! Values in, places out.

use proptest::prelude::*;

use super::*;
use crate::test_text as encode;

fn known(values: &[(&str, &[u8])]) -> (KnownValues, Vec<(String, KnownError)>) {
    KnownValues::new(values.iter().map(|(name, value)| KnownValue {
        name: (*name).to_owned(),
        value: Zeroizing::new(value.to_vec()),
    }))
}

fn met(known: &KnownValues, text: &[u8]) -> Vec<(Range<usize>, usize)> {
    let mut all = vec![];
    known.each_in(text, &mut |at, name_idx| all.push((at, name_idx)));
    all.sort_by_key(|(at, name_idx)| (at.end, at.start, *name_idx));
    all
}

/// Checks that the one value is met in `text`, and that what is left without it does not hold `trace`.
fn check(value: &[u8], text: &[u8], trace: &[u8]) {
    let (known, refused) = known(&[("NAME", value)]);
    assert_eq!(refused, []);
    let met = met(&known, text);
    assert!(!met.is_empty(), "{}", String::from_utf8_lossy(text));
    let mut left = text.to_vec();
    for (at, _) in met.iter().rev() {
        left.drain(at.clone());
    }
    assert!(memchr::memmem::find(&left, trace).is_none(), "{}", String::from_utf8_lossy(&left));
}

#[test]
fn a_value_is_met_as_programs_write_it() {
    let value = "p/w \"q\" ü<1>?&";
    let text = value.as_bytes();
    check(text, &[b"x", text, b"y"].concat(), b"w");
    check(text, &encode::hex(text), b"77");
    check(text, &encode::hex(text).to_ascii_uppercase(), b"77");
    check(text, b"a=p%2Fw%20%22q%22%20%C3%BC%3C1%3E%3F%26&b", b"w");
    check(text, b"a=p%2fw%20%22q%22%20%c3%bc%3c1%3e%3f%26&b", b"w");
    check(text, b"a=p%2Fw+%22q%22+%C3%BC%3C1%3E%3F%26&b", b"w");
    check(text, "{\"a\": \"p/w \\\"q\\\" ü<1>?&\"}".as_bytes(), b"w");
    check(text, "{\"a\": \"p\\/w \\\"q\\\" ü<1>?&\"}".as_bytes(), b"w");
    check(text, "{\"a\": \"p/w \\\"q\\\" ü\\u003c1\\u003e?\\u0026\"}".as_bytes(), b"w");
    check(text, b"{\"a\": \"p/w \\\"q\\\" \\u00fc<1>?&\"}", b"w");
    check(text, &encode::utf16le(value), b"w");
}

#[test]
fn the_longer_and_the_nested_value_are_both_met() {
    let (known, _) = known(&[("A", b"sesame"), ("B", b"sesame-open")]);
    assert_eq!(met(&known, b"sesame-open sesame"), [(0..6, 0), (0..11, 1), (12..18, 0)]);
}

#[test]
fn lines_of_a_value_are_met_by_themselves() {
    let (known, _) =
        known(&[("K", b"-----BEGIN X-----\nfirst line\nsecond line\n-----END X-----")]);
    assert_eq!(met(&known, b"a second line"), [(2..13, 0)]);
    assert_eq!(met(&known, b"-----BEGIN X-----"), []);
}

#[test]
fn values_that_would_be_everywhere_are_refused_by_name() {
    let (values, refused) = known(&[
        ("SHORT", b" true \n"),
        ("PLAIN", b"------=-----"),
        ("WORD", b"REDACTED"),
        ("OTHER", b"OTHER]"),
        ("A B", b"hunter2hunter"),
        ("LONG", &[b"ab".repeat(40_000), b"c".to_vec()].concat()),
    ]);
    let expect = [
        ("SHORT", KnownError::Short),
        ("PLAIN", KnownError::Plain),
        ("A B", KnownError::Name),
        ("LONG", KnownError::Long),
        ("WORD", KnownError::OfToken),
        ("OTHER", KnownError::OfToken),
    ];
    assert_eq!(refused, expect.map(|(name, why)| (name.to_owned(), why)));
    assert!(values.is_empty());
    assert_eq!(format!("{values:?}"), "KnownValues(WORD, OTHER)");
}

proptest! {
    /// Whatever stands around it, a value in base64 is met at each alignment, and no whole byte of it is left.
    #[test]
    fn base64_is_met_at_every_alignment(
        before in prop::collection::vec(any::<u8>(), 0..8),
        value in "[a-zA-Z0-9!-/]{6,40}",
        after in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let (known, refused) = known(&[("NAME", value.as_bytes())]);
        prop_assume!(refused.is_empty());
        let text = encode::base64(&[&before[..], value.as_bytes(), &after[..]].concat());
        let met = met(&known, &text);
        let whole = before.len() * 8 / 6..((before.len() + value.len()) * 8).div_ceil(6);
        prop_assert!(met.iter().any(|(at, _)| at.start <= whole.start && at.end >= whole.end), "{met:?} {whole:?}");
    }

    /// The table against a search for every pattern at every place.
    #[test]
    fn all_is_met_that_a_plain_search_meets(
        values in prop::collection::vec("[ab01]{6,12}|[ab]{3}[01ab]{13,27}", 1..8),
        text in "[ab01 ]{0,200}",
    ) {
        let named: Vec<(&str, &[u8])> = values.iter().map(|it| ("N", it.as_bytes())).collect();
        let (known, _) = known(&named);
        let mut expect: Vec<(usize, usize)> = vec![];
        for value in values.iter().filter(|it| !is_plain(it.as_bytes())) {
            for (at, _) in text.as_bytes().windows(value.len()).enumerate().filter(|it| it.1 == value.as_bytes()) {
                expect.push((at, at + value.len()));
            }
        }
        let mut met: Vec<(usize, usize)> = met(&known, text.as_bytes()).into_iter().map(|(at, _)| (at.start, at.end)).collect();
        met.sort_unstable();
        met.dedup();
        expect.sort_unstable();
        expect.dedup();
        prop_assert_eq!(met, expect);
    }
}
