//! Containers: what begins as gzip, zip or tar is read within its bounds, and never panics.
#![no_main]

use carnet_core::{Content, Origin};
use carnet_scan::{FingerprintKey, RuleSet, scan};

libfuzzer_sys::fuzz_target!(|input: (u8, Vec<u8>)| {
    let (kind, mut bytes) = input;
    match kind % 3 {
        0 => drop(bytes.splice(0..0, *b"\x1f\x8b\x08\x00")),
        1 => drop(bytes.splice(0..0, *b"PK\x03\x04")),
        _ => {
            bytes.resize(bytes.len().max(512), b'0');
            bytes[257..262].copy_from_slice(b"ustar");
        }
    }
    let content = Content { origin: Origin::Artifact("fuzzed".to_owned()), bytes };
    scan(RuleSet::built_in(), &FingerprintKey::from_bytes([0; 32]), &content);
});
