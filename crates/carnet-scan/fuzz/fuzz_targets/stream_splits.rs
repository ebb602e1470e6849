//! Streams: however a text is cut, the findings and the redacted bytes are those of the whole.
#![no_main]

use carnet_core::{Content, Origin};
use carnet_scan::{FingerprintKey, Redactor, RuleSet, StreamScanner, scan};

libfuzzer_sys::fuzz_target!(|input: (Vec<u8>, Vec<u8>)| {
    let (cuts, bytes) = input;
    let key = FingerprintKey::from_bytes([0; 32]);
    let mut scanner = StreamScanner::new(RuleSet::built_in(), &key, Origin::Stdin);
    let all = Redactor::new(RuleSet::built_in());
    let mut redactor = all.stream();
    let (mut findings, mut redacted) = (Vec::new(), Vec::new());
    let mut rest = &bytes[..];
    for cut in cuts {
        let (chunk, after) = rest.split_at(usize::from(cut).min(rest.len()));
        findings.extend(scanner.push(chunk).findings);
        redactor.push(chunk, &mut redacted);
        rest = after;
    }
    findings.extend(scanner.push(rest).findings);
    redactor.push(rest, &mut redacted);
    findings.extend(scanner.finish().findings);
    redactor.finish(&mut redacted);
    let content = Content { origin: Origin::Stdin, bytes };
    assert_eq!(findings, scan(RuleSet::built_in(), &key, &content).findings);
    assert_eq!(redacted, all.redact(&content.bytes).0);
});
