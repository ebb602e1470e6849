//! Versions: what is said to be still quiet is a text in which a scan meets nothing.
#![no_main]

use carnet_core::{Content, Origin};
use carnet_scan::{FingerprintKey, RuleSet, Scan, scan_with_proof};

libfuzzer_sys::fuzz_target!(|input: (u16, Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>)| {
    let (n_lines, head, old, new, tail) = input;
    let code = "let a = b(c);\n".repeat(usize::from(n_lines) % 2_048);
    let text = |middle: &[u8]| [code.as_bytes(), &head, middle, &tail, code.as_bytes()].concat();
    let (rules, key) = (RuleSet::built_in(), FingerprintKey::from_bytes([0; 32]));
    let scanned = |bytes| scan_with_proof(rules, &key, &Content { origin: Origin::Stdin, bytes });
    let (_, proof) = scanned(text(&old));
    let still = proof.and_then(|it| it.still(rules, &Origin::Stdin, &text(&old), &text(&new)));
    if still.is_some() {
        assert_eq!(scanned(text(&new)).0, Scan::default());
    }
});
