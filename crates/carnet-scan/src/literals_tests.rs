use proptest::prelude::*;

use super::*;

/// Joins each chain of `text` and shows its pieces from the first seam on, with a bar at each seam.
fn chains(text: &str) -> Vec<String> {
    let mut chains = Vec::new();
    each_chain(text.as_bytes(), &mut |joined| {
        let mut shown = joined.text.clone();
        for (at, _) in joined.pieces.iter().skip(1).rev() {
            shown.insert(*at, b'|');
        }
        chains.push(String::from_utf8(shown).unwrap());
    });
    chains
}

fn check(text: &str, expect: &[&str]) {
    assert_eq!(chains(text), expect, "{text}");
}

#[test]
fn operators_join() {
    check(r#"k = "abc" + "def";"#, &[r#"k = "abc|def";"#]);
    check(r#"k = 'abc' . 'def';"#, &[r#"k = 'abc|def';"#]);
    check(r#"k = "abc" .. "def""#, &[r#"k = "abc|def""#]);
    check(r#"k = "abc" & "def""#, &[r#"k = "abc|def""#]);
    check(r#"k = "abc"+'def'"#, &[r#"k = "abc|def'"#]);
    check("k = 'abc' +\n    `def`", &["k = 'abc|def`"]);
}
#[test]
fn neighbours_join_when_their_quotes_agree() {
    check("k = ('abc' 'def'\n  'ghi')", &["k = ('abc|def|ghi')"]);
    check("k = 'abc' \\\n 'def'", &["k = 'abc|def'"]);
    check("k = 'abc' \"def\"", &[]);
    check("k = 'it''s'", &[]);
}
#[test]
fn long_chains_are_one() {
    check("'a1' + 'b2' +\n'c3'\n + 'd4'", &["'a1|b2|c3|d4'"]);
}
#[test]
fn a_chain_of_any_length_is_cut_nowhere() {
    // Each place in turn is where the secret stands that no single chain may miss.
    for (piece, n) in [("abcd", 3000), ("a", 2000), (&"x".repeat(300), 600)] {
        let literal = format!("'{piece}' +\n");
        for at in (0..n).step_by(97) {
            let text = format!(
                "k = {}'se' + 'cr' + 'et' + {}'z'",
                literal.repeat(at),
                literal.repeat(n - at)
            );
            let place = text.find("'se'").unwrap() + 1;
            let mut is_met = false;
            let mut n_bytes = 0;
            each_chain(text.as_bytes(), &mut |joined| {
                n_bytes += joined.text.len();
                if let Some(at) = memchr::memmem::find(&joined.text, b"secret") {
                    assert_eq!(joined.region(&(at..at + 6)), place..place + 16);
                    is_met = true;
                }
            });
            assert!(is_met, "`{}` × {n}, {at}", piece.len());
            assert!(n_bytes < 3 * text.len(), "the work is linear");
        }
    }
}
#[test]
fn lines_go_on_after_a_backslash() {
    check("k = abc\\\ndef\n", &["k = abc|def"]);
    check("k = \"abc\\\r\n    def\"\n", &["k = \"abc|def\""]);
    check("run a \\\n  b\n", &[]);
}
#[test]
fn lists_arguments_and_sentences_do_not_join() {
    check(r#"["abc", "def"].concat()"#, &[]);
    check(r#"f("abc", "def")"#, &[]);
    check(r#"{"abc": "def"}"#, &[]);
    check(r#""a word " + "more""#, &[]);
    check(r#""abc" + name + "def""#, &[]);
    check(r#""abc" == "def""#, &[]);
}
#[test]
fn regions_reach_from_the_first_piece_to_the_last() {
    let text = b"k = 'abc' + 'def'";
    let mut seen = 0;
    each_chain(text, &mut |joined| {
        seen += 1;
        let at = memchr::memmem::find(&joined.text, b"bcde").unwrap();
        assert!(joined.is_split(&(at..at + 4)));
        assert!(!joined.is_split(&(at..at + 2)));
        assert!(!joined.is_split(&(at + 2..at + 4)));
        assert_eq!(&text[joined.region(&(at..at + 4))], b"bc' + 'de");
    });
    assert_eq!(seen, 1);
}
#[test]
fn chains_are_bounded() {
    let text = "'ab' + ".repeat(30_000);
    let mut n_bytes = 0;
    let mut n_chains = 0;
    each_chain(text.as_bytes(), &mut |joined| {
        assert!(joined.pieces.len() <= PIECES_MAX + 1 && joined.text.len() <= CHAIN_BYTES_MAX);
        n_bytes += joined.text.len();
        n_chains += 1;
    });
    assert!(n_chains > 1 && n_bytes < text.len());
}

proptest! {
    #[test]
    fn nothing_panics_and_work_is_linear(text in "[a'\"`+.&\\\\\n\r ,b]{0,200}") {
        let text = text.as_bytes();
        let mut n_bytes = 0;
        each_chain(text, &mut |joined| {
            n_bytes += joined.text.len();
            let whole = joined.region(&(0..joined.text.len()));
            assert!(whole.end <= text.len());
        });
        prop_assert!(n_bytes <= 2 * text.len() + TAIL_BYTES);
    }
}
