//! Rule files: any text is rules or problems with a line, and rules that were read can scan.
#![no_main]

use carnet_core::{Content, Origin};
use carnet_scan::{FingerprintKey, RuleSet, scan};

libfuzzer_sys::fuzz_target!(|text: &str| {
    match RuleSet::parse(&[("fuzzed.toml", text)]) {
        Ok(rules) => {
            rules.check_examples();
            let content = Content { origin: Origin::Stdin, bytes: text.as_bytes().to_vec() };
            scan(&rules, &FingerprintKey::from_bytes([0; 32]), &content);
        }
        Err(problems) => assert!(problems.iter().all(|problem| problem.line > 0)),
    }
});
