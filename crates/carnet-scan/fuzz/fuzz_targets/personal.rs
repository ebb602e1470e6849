//! Personal data: places lie within the text, in order and without overlaps, in both profiles.
#![no_main]

use carnet_scan::{Profile, Tier, personal_data};

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    for profile in [Profile::Commit, Profile::Outbound] {
        let mut end = 0;
        for (_, range) in personal_data(text, profile, Tier::Weak) {
            assert!(end <= range.start && range.start < range.end && range.end <= text.len());
            end = range.end;
        }
    }
});
