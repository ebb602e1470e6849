//! Decoders and joined literals: any bytes are scanned, regions lie within, and redaction settles.
#![no_main]

use carnet_core::{Content, Origin};
use carnet_scan::{FingerprintKey, Redactor, RuleSet, scan};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let key = FingerprintKey::from_bytes([0; 32]);
    let content = Content { origin: Origin::Stdin, bytes: bytes.to_vec() };
    for finding in scan(RuleSet::built_in(), &key, &content).findings {
        let region = finding.region.expect("because no path rule looks at standard input");
        assert!(region.start < region.end && region.end <= bytes.len());
    }
    let redactor = Redactor::new(RuleSet::built_in());
    let (redacted, _) = redactor.redact(&content.bytes);
    let (again, replaced) = redactor.redact(&redacted);
    assert_eq!((again, replaced.n()), (redacted, 0));
});
