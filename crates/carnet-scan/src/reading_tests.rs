use carnet_core::{Content, Origin};
use proptest::prelude::*;

use super::*;
use crate::{
    FingerprintKey, scan,
    test_text::{self as encode, aws, redacted, token},
};

fn content(text: &[u8]) -> Content {
    Content { origin: Origin::Stdin, bytes: text.to_vec() }
}

fn key() -> FingerprintKey {
    FingerprintKey::from_bytes([7; 32])
}

/// Checks that the only finding in `hidden`, with words around it, is the AWS key by `way` at exactly `hidden`.
fn check(hidden: &[u8], way: &str) {
    let text = [&b"value = \""[..], hidden, b"\"\n"].concat();
    let scan = scan(RuleSet::built_in(), &key(), &content(&text));
    let shown: Vec<String> =
        scan.findings.iter().map(|finding| finding.description.clone()).collect();
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert!(shown[0].ends_with(&format!("({way})")), "{shown:?}");
    let region = scan.findings[0].region.unwrap();
    assert_eq!(region.start..region.end, 9..9 + hidden.len());
    let plain = crate::scan(RuleSet::built_in(), &key(), &content(aws().as_bytes()));
    assert_eq!(scan.findings[0].fingerprint, plain.findings[0].fingerprint);
    let (left, n_replaced) = redacted(&text);
    assert_eq!(left, b"value = \"[REDACTED:aws-access-key-id]\"\n");
    assert_eq!(n_replaced, 1);
}

/// A line that holds the key, long enough for every encoding.
fn line() -> Vec<u8> {
    format!("the id is {} indeed\n", aws()).into_bytes()
}

#[test]
fn each_encoding_is_undone() {
    check(&encode::base64(&line()), "in base64");
    check(&encode::base64(aws().as_bytes()), "in base64");
    check(&encode::base64url(&[&line()[..], b"???>>>???>>>"].concat()), "in base64url");
    check(&encode::hex(&line()), "in hexadecimal");
    check(&encode::percent(&line()), "in percent-encoding");
}
#[test]
fn encodings_nest_three_deep_and_no_deeper() {
    let two = encode::base64(&encode::base64(&line()));
    check(&two, "in base64 in base64");
    let three = encode::hex(&two);
    check(&three, "in base64 in base64 in hexadecimal");
    let four = encode::base64(&three);
    let scanned = scan(RuleSet::built_in(), &key(), &content(&four));
    assert_eq!((scanned.findings, scanned.unread), (vec![], vec![Unread::Depth]));
}

/// Checks what of `text` is told as unread, by a scan and by redaction.
#[track_caller]
fn check_unread(text: &[u8], expect: &[Unread]) {
    assert_eq!(scan(RuleSet::built_in(), &key(), &content(text)).unread, expect);
    let (left, _) = redacted(text);
    assert_eq!(left.ends_with(b"[REDACTED:unexamined-text]"), !expect.is_empty());
}

#[test]
fn what_a_bound_leaves_unread_is_told() {
    let bomb = encode::gzip(&vec![0; 10 << 20]);
    check_unread(&bomb, &[Unread::Inflated]);
    check_unread(&encode::zip(&[("a", &bomb)], None), &[Unread::Inflated]);
    check_unread(&encode::zip(&vec![("a", &b"x"[..]); 5000], None), &[Unread::Members]);
    let nested = (0..6).fold(line(), |inner, _| encode::gzip(&inner));
    check_unread(&nested, &[Unread::Depth]);
    let mut encrypted = encode::zip(&[("a", b"what it says, and says again")], None);
    encrypted[6] |= 1;
    check_unread(&encrypted, &[Unread::Packed]);
}
#[test]
fn what_was_read_in_full_has_nothing_unread() {
    for text in [
        line(),
        encode::gzip(b"as it stands"),
        encode::zip(&[("../../etc/passwd", b"root"), ("dir/", b"")], None),
        encode::tar(&[("a", b"x")]),
        encode::base64(&encode::base64(&encode::base64(
            b"three deep is as deep as it goes, and that is fine",
        ))),
        b"key=".repeat(1000),
        b"\xff\xfe\x00\x00 \xc3\x28".to_vec(),
        vec![0; 4096],
    ] {
        check_unread(&text, &[]);
    }
}
#[test]
fn a_content_that_asks_for_too_much_work_is_told() {
    let mut file = "format = 'carnet/rules/1'\nfamily = 'test'\n".to_owned();
    for rule_idx in 0..120 {
        file.push_str(&format!(
            "[[rule]]\nid = 'r{rule_idx}'\ndescription = 'd'\nseverity = 'low'\nconfidence = 'low'\n\
             pattern = 'abc.{{0,40}}{rule_idx}z'\nkeywords = ['abc']\nexamples = ['abc{rule_idx}z']\n"
        ));
    }
    let rules = RuleSet::parse(&[("many.toml", &file)]).unwrap();
    let unread = |n_bytes: usize| {
        let text = b"abc ".repeat(n_bytes / 4);
        scan(&rules, &key(), &content(&text)).unread
    };
    assert_eq!(unread(16 << 10), []);
    assert_eq!(unread(128 << 10), [Unread::Work]);
}
#[test]
fn a_million_keys_and_a_line_of_ten_megabytes_are_read() {
    for text in [b"key=".repeat(1 << 20), b"x1".repeat(5 << 20), b"password='".repeat(100_000)] {
        let scanned = scan(RuleSet::built_in(), &key(), &content(&text));
        assert_eq!(scanned.unread, []);
    }
}
#[test]
fn archives_in_runs_are_opened() {
    check(&encode::base64(&encode::gzip(&line())), "in gzip in base64");
    check(&encode::base64(&encode::zip(&[("a", &line())], None)), "in zip in base64");
    let tar_gz = encode::gzip(&encode::tar(&[("../a", &line())]));
    check(&encode::base64(&tar_gz), "in gzip in base64");
    check(
        &encode::base64(&encode::utf16le(&String::from_utf8(line()).unwrap())),
        "in UTF-16 in base64",
    );
}

#[test]
fn an_archive_is_a_finding_as_a_whole_and_names_each_secret() {
    let members = [("a", &*line()), ("../b", token().as_bytes()), ("c", &line())]
        .map(|m| (m.0, m.1.to_vec()));
    let members: Vec<(&str, &[u8])> =
        members.iter().map(|(name, bytes)| (*name, &bytes[..])).collect();
    let file = encode::zip(&members, None);
    let found = scan(RuleSet::built_in(), &key(), &content(&file)).findings;
    let shown: Vec<&str> = found.iter().map(|finding| finding.rule_id.as_str()).collect();
    assert_eq!(shown, ["aws-access-key-id", "github-personal-access-token"]);
    assert!(found.iter().all(|finding| finding.region.unwrap().end == file.len()));
    let (left, _) = redacted(&file);
    assert!(left.starts_with(b"[REDACTED:") && left.len() < 60);
}

#[test]
fn in_utf16_the_secret_alone_is_the_region() {
    let text = format!("id = {} !", aws());
    for utf16 in [encode::utf16le(&text), encode::utf16be(&text)] {
        let found = scan(RuleSet::built_in(), &key(), &content(&utf16)).findings;
        assert_eq!(found.len(), 1);
        let region = found[0].region.unwrap();
        assert_eq!(region.start..region.end, 10..50);
    }
}

#[test]
fn split_values_are_joined() {
    let (head, tail) = (&aws()[..7], &aws()[7..]);
    for between in [
        "\" + \"",
        "\" . \"",
        "\" .. \"",
        "\" & \"",
        "\" \"",
        "\"\n    + \"",
        "\" \\\n  \"",
        "\\\n    ",
    ] {
        check(format!("{head}{between}{tail}").as_bytes(), "in split literals");
    }
    let run = String::from_utf8(encode::base64(&line())).unwrap();
    let (head, tail) = run.split_at(30);
    check(format!("{head}\" + \"{tail}").as_bytes(), "in base64 in split literals");
}
#[test]
fn elements_of_a_list_are_not_joined() {
    let text = format!("[\"{}\", \"{}\"].concat()", &aws()[..4], &aws()[4..]);
    assert_eq!(scan(RuleSet::built_in(), &key(), &content(text.as_bytes())).findings, []);
}
#[test]
fn a_secret_that_stands_there_plainly_is_found_once() {
    for text in [
        format!("https://host/?q=a%20b&id={}", aws()),
        format!("\"x\" + \"{} \"", aws()),
        format!("x = \"{}\" + \"more\"", token()),
    ] {
        let found = scan(RuleSet::built_in(), &key(), &content(text.as_bytes())).findings;
        assert!(
            found.iter().all(|finding| !finding.description.contains("(in ")),
            "{text}: {found:?}"
        );
        assert!(found.len() <= 1);
    }
}
#[test]
fn an_allow_counts_for_an_encoded_secret_too() {
    let run = String::from_utf8(encode::base64(&line())).unwrap();
    let text = format!("{run} # carnet:allow aws-access-key-id a fixture");
    let scan = scan(RuleSet::built_in(), &key(), &content(text.as_bytes()));
    assert_eq!((scan.findings.len(), scan.allowed.len()), (0, 1));
}

/// Reads `text` and returns how many bytes were read in all, and how many could be inflated in the end.
fn work(text: &[u8]) -> (usize, usize) {
    let mut reader =
        Reader::new(RuleSet::built_in(), Beside::default(), text.len(), INFLATE_BYTES.end);
    reader.read(text, Place::Beginning, DEPTH_MAX, true);
    (reader.n_read_bytes, INFLATE_BYTES.end - reader.budget.inflate_left)
}

/// All readings of a text without archives together are at most this many times its length.
const WORK_RATIO_MAX: usize = 12;

#[test]
fn hostile_texts_take_linear_work() {
    let mut nested = b"x".repeat(20_000);
    (0..6).for_each(|_| nested = encode::base64(&nested));
    for text in [
        nested,
        b"key=".repeat(50_000),
        b"'a' + ".repeat(30_000),
        b"%41".repeat(60_000),
        b"\0a".repeat(90_000),
        b"QUFB".repeat(90_000),
        b"4141".repeat(90_000),
        b"a-b/".repeat(90_000),
        b"a\\\n".repeat(60_000),
        vec![b'A'; 600 << 10],
    ] {
        let (n_read, n_inflated) = work(&text);
        assert!(n_read <= WORK_RATIO_MAX * text.len(), "{n_read} of {}", text.len());
        assert_eq!(n_inflated, 0);
    }
}

#[test]
fn bombs_are_bounded_by_the_size_of_the_text() {
    let bomb = encode::gzip(&vec![0; 2 << 20]);
    let in_bomb = encode::gzip(&encode::gzip(&encode::gzip(&bomb)));
    let many = [&encode::base64(&bomb)[..], b"\n"].concat().repeat(10);
    let zipped = encode::zip(&[("a", &bomb), ("b", &bomb)], None);
    for text in [bomb, in_bomb, many, zipped] {
        let inflate_left = text.len() * INFLATE_RATIO_MAX;
        let mut reader =
            Reader::new(RuleSet::built_in(), Beside::default(), text.len(), inflate_left);
        reader.read(&text, Place::Beginning, DEPTH_MAX, true);
        let n_most = text.len() * (WORK_RATIO_MAX + INFLATE_RATIO_MAX * WORK_RATIO_MAX);
        assert!(reader.n_read_bytes <= n_most);
    }
}

#[test]
fn a_line_of_many_assignments_still_gives_its_secret() {
    let mut text = b"key=".repeat(200_000);
    text.extend_from_slice(&[b" ", token().as_bytes(), b" "].concat());
    let found = scan(RuleSet::built_in(), &key(), &content(&text)).findings;
    assert!(found.iter().any(|finding| finding.rule_id == "github-personal-access-token"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn nothing_panics_and_regions_lie_within_the_text(
        picks in prop::collection::vec((0_usize..12, any::<prop::sample::Index>(), any::<bool>()), 1..12)
    ) {
        let pieces: [Vec<u8>; 12] = [
            encode::base64(&line()),
            encode::hex(&line()),
            encode::percent(&line()),
            encode::utf16le(&aws()),
            encode::gzip(&line()),
            encode::zip(&[("a", &line())], None),
            encode::tar(&[("a", &encode::gzip(&line()))]),
            b"\" + \"".to_vec(),
            b"\\\n".to_vec(),
            line(),
            encode::base64(&encode::gzip(&line())),
            vec![0, 255, 10],
        ];
        let mut text = Vec::new();
        for (which, at, is_whole) in picks {
            let piece = &pieces[which];
            text.extend_from_slice(if is_whole { piece } else { &piece[..at.index(piece.len() + 1)] });
        }
        let (n_read, n_inflated) = work(&text);
        prop_assert!(n_read <= WORK_RATIO_MAX * (text.len() + n_inflated));
        let hits = read(RuleSet::built_in(), Beside::default(), &text, Place::Beginning).hits;
        prop_assert!(hits.iter().all(|hit| hit.region.start < hit.region.end && hit.region.end <= text.len()));
        let (once, _) = redacted(&text);
        let again = redacted(&once);
        prop_assert_eq!(again, (once, 0));
    }
}
