//! Redaction: with known values and personal data it settles, does not depend on how a text is cut, and the way back is exact.
#![no_main]

use carnet_core::Confidence;
use carnet_scan::{KnownValue, KnownValues, RedactionMap, Redactor, RuleSet};

libfuzzer_sys::fuzz_target!(|input: (Vec<Vec<u8>>, u8, Vec<u8>)| {
    let (values, cut, text) = input;
    let value = |(idx, value): (usize, Vec<u8>)| KnownValue {
        name: format!("NAME_{idx}"),
        value: value.into(),
    };
    let (known, _) = KnownValues::new(values.into_iter().take(16).enumerate().map(value));
    let redactor =
        Redactor::new(RuleSet::built_in()).with_personal(Confidence::Low).with_known(known);
    let (once, _) = redactor.redact(&text);
    let (twice, more) = redactor.redact(&once);
    assert_eq!((twice, more.n()), (once.clone(), 0));
    let mut stream = redactor.stream_with(RedactionMap::default());
    let mut left = vec![];
    for chunk in text.chunks(usize::from(cut).max(1)) {
        stream.push(chunk, &mut left);
    }
    let map = stream.finish(&mut left).map.expect("because one was given");
    let mut rehydrator = map.rehydrator();
    let mut back = vec![];
    for chunk in left.chunks(usize::from(cut).max(1)) {
        rehydrator.push(chunk, &mut back);
    }
    rehydrator.finish(&mut back);
    assert_eq!(back, text);
});
