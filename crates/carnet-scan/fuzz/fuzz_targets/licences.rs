//! Licences and manifests: any bytes under any name give spans that lie within, and a header is written once.
#![no_main]

use carnet_scan::{HeaderError, LicenceHeader, licences, with_licence_header};

const NAMES: [&str; 8] = [
    "LICENSE", "Cargo.toml", "package.json", "pyproject.toml", "Cargo.lock", "go.mod", "a.rs", "a.html",
];

libfuzzer_sys::fuzz_target!(|input: (u8, &[u8])| {
    let (name, bytes) = input;
    let name = NAMES[usize::from(name) % NAMES.len()];
    for met in licences(name.as_bytes(), bytes).detections {
        assert!(met.span.start <= met.span.end && met.span.end <= bytes.len());
        assert!(met.coverage >= 0.0 && met.coverage <= 1.0);
    }
    let header = LicenceHeader { expression: "MIT".to_owned(), copyright: None };
    if let Ok(with) = with_licence_header(name, bytes, &header) {
        assert_eq!(with_licence_header(name, &with, &header), Err(HeaderError::Tagged));
    }
});
