//! Licences and manifests: any bytes under any name give spans that lie within, however they are cut into pieces, and a header is
//! written once.
#![no_main]

use carnet_scan::{HeaderError, LicenceHeader, LicenceReader, licences, with_licence_header};

const NAMES: [&str; 8] = [
    "LICENSE", "Cargo.toml", "package.json", "pyproject.toml", "Cargo.lock", "go.mod", "a.rs", "a.html",
];

libfuzzer_sys::fuzz_target!(|input: (u8, u8, &[u8])| {
    let (name, cut, bytes) = input;
    let name = NAMES[usize::from(name) % NAMES.len()];
    let whole = licences(name.as_bytes(), bytes);
    let mut reader = LicenceReader::new(name.as_bytes());
    bytes.chunks(usize::from(cut).max(1)).for_each(|piece| reader.push(piece));
    assert_eq!(reader.finish(), whole);
    for met in whole.detections {
        assert!(met.span.start <= met.span.end && met.span.end <= bytes.len());
        assert!(met.coverage >= 0.0 && met.coverage <= 1.0);
    }
    let header = LicenceHeader { expression: "MIT".to_owned(), copyright: None };
    if let Ok(with) = with_licence_header(name, bytes, &header) {
        assert_eq!(with_licence_header(name, &with, &header), Err(HeaderError::Tagged));
    }
});
