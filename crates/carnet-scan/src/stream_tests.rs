use carnet_core::Content;
use proptest::prelude::*;

use super::*;
use crate::{
    scan,
    test_text::{self as encode, aws, redacted, token},
};

/// Small enough that a short text has many frames, large enough for a token and its encodings.
const SMALL: Layout = Layout { first_of_container: 4096, core: 700, reach: 300, whole: 1 << 20 };

fn key() -> FingerprintKey {
    FingerprintKey::from_bytes([7; 32])
}

fn content(text: &[u8]) -> Content {
    Content { origin: Origin::File("a/.env".to_owned()), bytes: text.to_vec() }
}

/// Cuts `text` at lengths that repeat from `lengths`.
fn chunks<'t>(text: &'t [u8], lengths: &[usize]) -> Vec<&'t [u8]> {
    let mut chunks = Vec::new();
    let mut rest = text;
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, later) = rest.split_at((*length).clamp(1, rest.len()));
        chunks.push(chunk);
        rest = later;
    }
    chunks
}

fn scan_in_chunks(layout: Layout, chunks: &[&[u8]]) -> Scan {
    let origin = Origin::File("a/.env".to_owned());
    let mut scanner =
        StreamScanner::with_layout(crate::RuleSet::built_in(), &key(), origin, layout);
    let mut all = Scan::default();
    let mut add = |part: Scan| {
        all.findings.extend(part.findings);
        all.allowed.extend(part.allowed);
    };
    for chunk in chunks {
        add(scanner.push(chunk));
    }
    add(scanner.finish());
    all
}

fn redact_in_chunks(layout: Layout, chunks: &[&[u8]]) -> (Vec<u8>, usize) {
    let redactor = Redactor::new(crate::RuleSet::built_in());
    let mut redactor = StreamRedactor::with_layout(&redactor, None, layout);
    let mut out = Vec::new();
    for chunk in chunks {
        redactor.push(chunk, &mut out);
    }
    let n_replaced = redactor.finish(&mut out).replaced.n();
    (out, n_replaced)
}

/// A text of pieces that hold secrets in many forms, with filling between them.
fn assemble(picks: &[(usize, usize)]) -> Vec<u8> {
    let line = format!("the id is {} indeed\n", aws());
    let pieces: [Vec<u8>; 10] = [
        token().into_bytes(),
        line.clone().into_bytes(),
        encode::base64(line.as_bytes()),
        encode::utf16le(&line),
        format!("{}\" + \"{}", &aws()[..9], &aws()[9..]).into_bytes(),
        b"# carnet:allow aws-access-key-id a fixture\n".to_vec(),
        encode::base64(&encode::gzip(line.as_bytes())),
        format!("https://bot:{}@git.internal/ ", token()).into_bytes(),
        b"key=".to_vec(),
        encode::hex(line.as_bytes()),
    ];
    let mut text = Vec::new();
    for (which, n_filling) in picks {
        text.extend_from_slice(&pieces[which % pieces.len()]);
        text.extend_from_slice(&b" some filling,\n"[..n_filling % 16].repeat(1 + n_filling / 16));
    }
    text
}

/// Everything found, allowed or not, by place.
fn all_of(scan: Scan) -> Vec<carnet_core::Finding> {
    let mut all = scan.findings;
    all.extend(scan.allowed.into_iter().map(|allowed| allowed.finding));
    all.sort_by_key(|finding| (finding.region, finding.rule_id.clone()));
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_split_gives_the_result_of_the_whole(
        picks in prop::collection::vec((0_usize..10, 0_usize..300), 0..40),
        lengths in prop::collection::vec(1_usize..900, 1..8)
    ) {
        let text = assemble(&picks);
        let (whole, pieces) = ([&text[..]], chunks(&text, &lengths));
        // The real layout, against the calls that take a whole text.
        let of_whole = scan(crate::RuleSet::built_in(), &key(), &content(&text));
        prop_assert_eq!(scan_in_chunks(LAYOUT, &pieces), of_whole.clone());
        prop_assert_eq!(redact_in_chunks(LAYOUT, &pieces), redacted(&text));
        // Many frames, against one chunk.
        let of_frames = scan_in_chunks(SMALL, &whole);
        prop_assert_eq!(scan_in_chunks(SMALL, &pieces), of_frames.clone());
        let redacted_frames = redact_in_chunks(SMALL, &whole);
        prop_assert_eq!(redact_in_chunks(SMALL, &pieces), redacted_frames);
        // Many frames find what one frame finds, as these secrets are shorter than the reach; only a
        // `carnet:allow` may be out of reach.
        prop_assert_eq!(all_of(of_frames), all_of(of_whole));
    }
}

#[test]
fn a_secret_split_at_any_byte_is_found_and_replaced() {
    let text = format!("before {} after", token());
    let expect = redacted(text.as_bytes());
    assert_eq!(expect.1, 1);
    for at in 0..=text.len() {
        let (head, tail) = text.as_bytes().split_at(at);
        assert_eq!(redact_in_chunks(LAYOUT, &[head, tail]), expect);
    }
}

#[test]
fn a_long_stream_is_scanned_and_redacted_in_bounded_memory() {
    let layout =
        Layout { first_of_container: 64 << 10, core: 16 << 10, reach: 2 << 10, whole: 1 << 10 };
    let rules = crate::RuleSet::built_in();
    let mut scanner = StreamScanner::with_layout(rules, &key(), Origin::Prompt, layout);
    let all = Redactor::new(rules);
    let mut redactor = StreamRedactor::with_layout(&all, None, layout);
    let chunk = format!("{} {}\n", "filling ".repeat(400), token());
    let (mut out, mut n_found, n_chunks) = (Vec::new(), 0, 100);
    for _ in 0..n_chunks {
        n_found += scanner.push(chunk.as_bytes()).findings.len();
        redactor.push(chunk.as_bytes(), &mut out);
        assert!(scanner.n_held_bytes() <= 2 * (18 << 10));
        assert!(redactor.n_held_bytes() <= 2 * PASSES_MAX * (20 << 10));
    }
    n_found += scanner.finish().findings.len();
    assert_eq!(n_found, n_chunks);
    assert_eq!(redactor.finish(&mut out).replaced.n(), n_chunks);
    assert_eq!(out.len(), (chunk.len() - 40 + 39) * n_chunks);
    assert!(memchr::memmem::find(&out, token().as_bytes()).is_none());
}

#[test]
fn a_base64_run_longer_than_a_frame_is_read_throughout() {
    let text = encode::base64(format!("{} ", aws()).repeat(200).as_bytes());
    let mut redacted = redact_in_chunks(SMALL, &chunks(&text, &[77])).0;
    redacted.truncate(200);
    assert!(redacted.starts_with(b"[REDACTED:"), "{}", String::from_utf8_lossy(&redacted));
}

#[test]
fn a_stream_that_never_settles_ends_where_it_does_not() {
    let rules = "format = 'carnet/rules/1'\nfamily = 't'\n[[rule]]\nid = 't'\ndescription = 'd'\n\
        severity = 'low'\nconfidence = 'low'\nplaceholders = 'keep'\npattern = 'redacted|REDACTED'\n\
        keywords = ['redacted']\nexamples = ['redacted']\n";
    let rules = crate::RuleSet::parse(&[("t", rules)]).unwrap();
    let redactor = Redactor::new(&rules);
    let mut redactor = redactor.stream();
    let mut out = Vec::new();
    redactor.push(b"x redac", &mut out);
    redactor.push(b"ted y", &mut out);
    redactor.finish(&mut out);
    assert_eq!(out, b"[REDACTED:unsettled-text]");
}
