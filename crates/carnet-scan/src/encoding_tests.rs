use proptest::prelude::*;

use super::*;
use crate::test_text as encode;

fn runs(text: &[u8]) -> Vec<(Range<usize>, Step, Vec<u8>)> {
    let mut runs = Vec::new();
    each_run(text, false, &mut |run| runs.push((run.range, run.step, run.decoded)));
    runs
}

/// Checks that `run`, with words around it, is found as it is and says `expect`.
fn check(run: &[u8], step: Step, expect: &[u8]) {
    for (before, after) in [("", ""), ("x = \"", "\"\n"), ("\n", " ")] {
        let text = [before.as_bytes(), run, after.as_bytes()].concat();
        let place = before.len()..before.len() + run.len();
        let found = runs(&text);
        assert!(found.contains(&(place, step, expect.to_vec())), "{found:?} in {text:?}");
    }
}

const SAYS: &[u8] = b"a secret of ???>>>???>>> bytes, with ???>>> marks";

#[test]
fn base64_is_decoded_with_and_without_padding() {
    for len in 20..SAYS.len() {
        let run = encode::base64(&SAYS[..len]);
        check(&run, Step::Base64, &SAYS[..len]);
        let bare: Vec<u8> = run.into_iter().filter(|byte| *byte != b'=').collect();
        check(&bare, Step::Base64, &SAYS[..len]);
    }
}
#[test]
fn base64url_is_decoded() {
    check(&encode::base64url(SAYS), Step::Base64Url, SAYS);
}
#[test]
fn wrapped_base64_is_one_run() {
    let says = SAYS.repeat(6);
    for separator in ["\n", "\r\n", "\n    "] {
        let lines: Vec<Vec<u8>> = encode::base64(&says).chunks(76).map(<[u8]>::to_vec).collect();
        check(&lines.join(separator.as_bytes()), Step::Base64, &says);
    }
}
#[test]
fn hexadecimal_is_decoded() {
    check(&encode::hex(SAYS), Step::Hex, SAYS);
    check(&encode::hex(SAYS).to_ascii_uppercase(), Step::Hex, SAYS);
}
#[test]
fn percent_encoding_is_decoded() {
    check(&encode::percent(SAYS), Step::Percent, SAYS);
    check(b"token%3Dabcdefghijkl", Step::Percent, b"token=abcdefghijkl");
}
#[test]
fn utf16_is_decoded_in_both_orders_with_and_without_a_mark() {
    let says = "password = hunter2";
    check_utf16(&encode::utf16le(says), says);
    check_utf16(&encode::utf16be(says), says);
    check_utf16(&[&b"\xff\xfe"[..], &encode::utf16le(says)].concat(), says);
    check_utf16(&[&b"\xfe\xff"[..], &encode::utf16be(says)].concat(), says);
}

fn check_utf16(text: &[u8], says: &str) {
    let found = runs(text);
    assert_eq!(found.len(), 1, "{found:?}");
    let (range, step, decoded) = &found[0];
    assert_eq!((*step, decoded.as_slice()), (Step::Utf16, says.as_bytes()));
    assert_eq!(range.len(), says.len() * 2);
}

#[test]
fn source_and_digests_are_no_runs() {
    for text in [
        "fn some_quite_long_function_name(argument: &str) -> Result<(), Error> {}",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
        "use carnet_core::short;",
        "100% of it, %d and %s, 50%",
    ] {
        let found = runs(text.as_bytes());
        assert!(found.iter().all(|(_, step, _)| *step == Step::Base64), "{text}: {found:?}");
        assert!(found.len() <= 1, "{text}: {found:?}");
    }
}

#[test]
fn a_run_cut_at_its_beginning_is_read_in_each_alignment() {
    let run = encode::base64(&SAYS.repeat(2));
    for skip in 1..8 {
        let mut found = Vec::new();
        each_run(&run[skip..], true, &mut |run| found.push(run.decoded));
        let tail = &SAYS[..SAYS.len() - 2];
        let holds = |decoded: &Vec<u8>| memchr::memmem::find(decoded, tail).is_some();
        assert!(found.iter().any(holds), "{skip}");
    }
}

#[test]
fn a_long_run_is_read_in_pieces_that_overlap() {
    let says = b"0123456789abcdef ".repeat(40_000);
    let run = encode::base64(&says);
    let found = runs(&run);
    assert!(
        found.len() > 3 && found.iter().all(|(range, _, _)| range.len() <= PIECE_BYTES_MAX + 2)
    );
    assert!(found.windows(2).all(|pair| pair[0].0.end == pair[1].0.start + PIECE_OVERLAP));
    assert_eq!(found.last().unwrap().0.end, run.len());
}

proptest! {
    #[test]
    fn nothing_panics_and_decodings_are_no_longer_than_their_runs(
        text in prop::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(b'%'), Just(b'4'), Just(b'A'), Just(b'\n')], 0..400),
        is_cut in any::<bool>()
    ) {
        let mut n_decoded = 0;
        each_run(&text, is_cut, &mut |run| {
            assert!(run.range.end <= text.len());
            assert!(run.decoded.len() <= run.range.len());
            n_decoded += run.decoded.len();
        });
        prop_assert!(n_decoded <= text.len() * 8);
    }

    #[test]
    fn any_bytes_after_a_few_words_come_back(bytes in prop::collection::vec(any::<u8>(), 10..200)) {
        let says = [&b"some words "[..], b".", &bytes].concat();
        let found = runs(&encode::base64(&says));
        prop_assert!(found.iter().any(|(_, _, decoded)| *decoded == says));
    }

    #[test]
    fn the_probing_search_finds_the_words_of_the_plain_one(text in "[a-zA-Z0-9+/ ]{0,300}") {
        let text = text.as_bytes();
        let mut found = Vec::new();
        each_word(text, &mut |word| found.push(word));
        let mut plain = Vec::new();
        let mut start = 0;
        for part in text.split(|byte| *byte == b' ') {
            if part.len() >= RUN_MIN {
                plain.push(start..start + part.len());
            }
            start += part.len() + 1;
        }
        prop_assert_eq!(found, plain);
    }
}
