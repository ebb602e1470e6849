//! Licences: data in, text out; tampered texts; any bytes.

use proptest::prelude::*;

use super::{Licences, align, index::Index, layout::SOFT, licences};

const MIT: &str = include_str!("../../../../LICENSE-MIT");
const APACHE: &str = include_str!("../../../../LICENSE-APACHE");

/// One line per detection: kind, expression, and `*` when the text is modified.
fn lines(path: &str, text: &str) -> String {
    let found = licences(path.as_bytes(), text.as_bytes());
    let line = |met: &super::Detection| {
        format!("{:?} {}{}", met.kind, met.expression, if met.is_modified() { " *" } else { "" })
    };
    let unknown = found.unknown.iter().map(|open| format!("? {}", open.what));
    found.detections.iter().map(line).chain(unknown).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn check(path: &str, text: &str, expect: &str) {
    assert_eq!(lines(path, text), expect);
}

#[test]
fn full_texts_are_known_in_any_dress() {
    check("LICENSE", MIT, "Text MIT");
    check("LICENSE", APACHE, "Text Apache-2.0");
    let commented: String = MIT.lines().map(|line| format!("// {line}\n")).collect();
    check("a.rs", &commented, "Text MIT");
    let quoted: String =
        MIT.lines().map(|line| format!("\"{}\\n\"\n", line.replace('"', "\\\""))).collect();
    check("a.c", &quoted, "Text MIT");
    check("a.txt", &MIT.to_uppercase(), "Text MIT");
    check("NOTICE", &format!("{MIT}\n\n{APACHE}"), "Text MIT\nText Apache-2.0");
}

#[test]
fn tags_count_in_comments_only() {
    let tag = ["SPDX-License", "-Identifier:"].concat();
    check("a.rs", &format!("// {tag} mit OR apache-2.0\n"), "Tag MIT OR Apache-2.0");
    check("a.c", &format!("/* {tag} GPL-2.0+ */\nint x;\n"), "Tag GPL-2.0-or-later");
    check(
        "a.html",
        &format!("<!-- {tag} GPL-2.0-only WITH Classpath-exception-2.0 -->"),
        "Tag GPL-2.0-only WITH Classpath-exception-2.0",
    );
    check("a.c", &format!("int x; // {tag} (MIT AND Zlib)\n"), "Tag MIT AND Zlib");
    check("a.rs", &format!("let text = \"{tag} MIT\";\n"), "Mention MIT");
    check(
        "a.py",
        &format!("# REUSE-IgnoreStart\n# {tag} MIT\n# REUSE-IgnoreEnd\n# {tag} Zlib\n"),
        "Mention MIT\nTag Zlib",
    );
}

#[test]
fn notices_know_versions_and_or_later() {
    let gnu = |name: &str, version: &str| {
        format!(
            "This program is free software; you can redistribute it and/or modify it under the terms of the {name} as published by the Free Software Foundation; {version}"
        )
    };
    let later = "either version 2 of the License, or (at your option) any later version.";
    check("a.c", &gnu("GNU General Public License", later), "Notice GPL-2.0-or-later");
    check(
        "a.c",
        &gnu("GNU General Public License", "version 2 of the License."),
        "Notice GPL-2.0-only",
    );
    check("a.c", &gnu("GNU Lesser General Public License", "version 2.1."), "Notice LGPL-2.1-only");
    check("README", "License: GPL-2.0+", "Notice GPL-2.0-or-later");
    check("README", "Released under the GPLv3+.", "Notice GPL-3.0-or-later");
    check("README", "Licensed under the Apache License, Version 2.0", "Notice Apache-2.0");
    check("README", "License: CC-BY-SA 4.0", "Notice CC-BY-SA-4.0");
    check("README", "See http://creativecommons.org/licenses/by-nc/3.0/", "Mention CC-BY-NC-3.0");
    check("README", "It is not under the GPL.", "");
    check("README", "The Apache server answers.", "");
}

#[test]
fn manifests_are_read_as_what_they_are() {
    check(
        "Cargo.toml",
        "[package]\nname = \"a\"\nlicense = \"MIT/Apache-2.0\"\n",
        "Manifest MIT OR Apache-2.0",
    );
    check(
        "Cargo.toml",
        "[package]\nname = \"a\"\nlicense-file = \"L\"\n",
        "? the licence stands in `L`",
    );
    check(
        "Cargo.toml",
        "[package]\nlicense.workspace = true\n",
        "? the licence stands in the workspace's Cargo.toml",
    );
    check("Cargo.toml", "[workspace.package]\nlicense = \"MIT\"\n", "Manifest MIT");
    check("Cargo.toml", "[package]\nname = \"a\"\n", "? the package declares no licence");
    check("a/package.json", r#"{"name": "a", "license": "ISC"}"#, "Manifest ISC");
    check(
        "package.json",
        r#"{"name": "a", "licenses": [{"type": "MIT"}, {"type": "GPL-2.0"}]}"#,
        "Manifest MIT OR GPL-2.0-only",
    );
    check(
        "package.json",
        r#"{"name": "a", "license": "UNLICENSED"}"#,
        "? `UNLICENSED`: no one else may use the package",
    );
    check(
        "package.json",
        r#"{"name": "a", "license": "whatever"}"#,
        "? `whatever` is no licence expression of the SPDX list",
    );
    check("pyproject.toml", "[project]\nlicense = \"BSD-3-Clause\"\n", "Manifest BSD-3-Clause");
    check(
        "pyproject.toml",
        "[project]\nclassifiers = [\"License :: OSI Approved :: MIT License\"]\n",
        "Manifest MIT",
    );
    check("pyproject.toml", "[tool.poetry]\nlicense = \"GPL-3.0+\"\n", "Manifest GPL-3.0-or-later");
    check(
        "go.mod",
        "module a\nrequire b v1.0.0\n",
        "? the licences of the required modules: go.mod names none",
    );
    check(
        "Cargo.lock",
        "version = 4\n",
        "? the licences of the locked crates: Cargo.lock names none",
    );
}

#[test]
fn a_declaration_has_its_place() {
    let text = "{\n  \"a\": {\"license\": \"MIT\"},\n  \"license\": \"ISC\"\n}\n";
    let found = licences(b"package.json", text.as_bytes());
    assert_eq!(&text[found.detections[0].span.clone()], "\"license\": \"ISC\"");
}

#[test]
fn a_modified_text_names_the_words() {
    let tampered = MIT.replace("Permission is hereby granted", "Permission is hereby not granted");
    let found = licences(b"LICENSE", tampered.as_bytes());
    let [met] = &found.detections[..] else { panic!("{found:?}") };
    assert!(met.is_modified());
    assert_eq!((met.deviations[0].added.as_str(), met.deviations[0].missing.as_str()), ("not", ""));
    let cut = MIT.replace("including without limitation ", "");
    let found = licences(b"LICENSE", cut.as_bytes());
    assert_eq!(found.detections[0].deviations[0].missing, "including without limitation");
    let fee = format!("{MIT}\nCompanies must pay an annual fee.\n");
    let found = licences(b"LICENSE", fee.as_bytes());
    assert_eq!(found.detections[0].deviations[0].added, "Companies must pay an annual fee");
}

/// Licences whose texts are tampered with.
const TAMPERED: [&str; 30] = [
    "0BSD",
    "AFL-3.0",
    "AGPL-3.0-only",
    "Apache-2.0",
    "Artistic-2.0",
    "BlueOak-1.0.0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSD-4-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDDL-1.0",
    "curl",
    "EPL-1.0",
    "EPL-2.0",
    "MPL-1.1",
    "GPL-2.0-only",
    "GPL-3.0-only",
    "ISC",
    "LGPL-2.1-only",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "MS-PL",
    "NCSA",
    "OFL-1.1",
    "PostgreSQL",
    "Unlicense",
    "Zlib",
];

/// The words of a text of the list but those of parts that may be left out; they make a text of it again.
fn fixed_words(id: &str) -> Vec<&'static str> {
    let index = Index::built_in();
    let doc = (0..index.n_docs())
        .map(|idx| index.doc(idx))
        .find(|doc| doc.expression == id && doc.kind == 0);
    let doc = doc.unwrap_or_else(|| panic!("{id} has no text"));
    doc.tokens
        .iter()
        .filter(|token| token & SOFT == 0 || token >> 17 & 3 != 0)
        .map(|token| index.word(token as u16))
        .collect()
}

/// Tells whether some text stands there that is just that licence.
fn is_called_clean(words: &[&str], id: &str) -> bool {
    let text = words.join(" ");
    let Licences { detections, .. } = licences(b"LICENSE", text.as_bytes());
    detections.iter().any(|met| {
        met.kind == super::LicenceKind::Text && met.expression == id && !met.is_modified()
    })
}

#[test]
fn tampered_texts_are_flagged_and_originals_are_not() {
    let (mut n_tampered, mut missed) = (0, vec![]);
    for id in TAMPERED {
        let words = fixed_words(id);
        let original = licences(b"LICENSE", words.join(" ").as_bytes()).detections;
        assert!(
            is_called_clean(&words, id),
            "the original of {id} is called modified: {original:?}"
        );
        let middle = words.len() / 2;
        let mut tampered = |name: &str, change: &dyn Fn(&mut Vec<&str>)| {
            let mut words = words.clone();
            change(&mut words);
            n_tampered += 1;
            if is_called_clean(&words, id) {
                missed.push(format!("{id} {name}"));
            }
        };
        tampered("not", &|words| words.insert(middle, "not"));
        tampered("field of use", &|words| {
            drop(words.splice(middle..middle, ["for", "noncommercial", "purposes", "only"]))
        });
        tampered("clause", &|words| drop(words.drain(middle..middle + 8)));
        tampered("word", &|words| words[middle + 1] = "royalty");
        tampered("fee", &|words| {
            words.extend(["users", "must", "pay", "the", "author", "a", "fee"])
        });
    }
    assert_eq!(n_tampered, 150);
    assert!(missed.len() <= 5, "called clean: {missed:?}");
}

#[test]
fn a_text_of_common_runs_stays_within_the_bounds() {
    for run in [
        "the terms and conditions of the license ",
        "redistribution and use in source and binary forms with ",
        "a ",
    ] {
        let text = run.repeat(200_000 / run.len());
        let index = Index::built_in();
        let words = super::Words::of(index, text.as_bytes());
        let chains = align::chains(index, &words.ids);
        let mut n_steps = 0;
        align::align_all(index, &words.ids, &chains, &mut n_steps);
        assert!(n_steps <= align::STEPS_MAX + align::STEP_MAX, "{run}: {n_steps}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_fine(bytes in prop::collection::vec(any::<u8>(), 0..4096), cut in 0usize..2000) {
        let mut mixed = MIT.as_bytes()[cut.min(MIT.len())..].to_vec();
        let at = cut.min(mixed.len());
        mixed.splice(at..at, bytes.clone());
        for (path, text) in [("a", &bytes), ("LICENSE", &mixed), ("Cargo.toml", &bytes), ("package.json", &bytes)] {
            for met in licences(path.as_bytes(), text).detections {
                prop_assert!(met.span.start <= met.span.end && met.span.end <= text.len());
                prop_assert!(met.coverage >= 0.0 && met.coverage <= 1.0);
            }
        }
    }
}

/// MIT's text `at` bytes behind the beginning of a content of spaces.
fn far(at: usize) -> Vec<u8> {
    let mut bytes = vec![b' '; at];
    bytes.extend_from_slice(MIT.as_bytes());
    bytes.extend_from_slice(&[b' '; 4096]);
    bytes
}

#[test]
fn a_text_is_met_whole_wherever_it_stands() {
    let window = super::stream::WINDOW_BYTES;
    for at in [
        0,
        window - 300 * 1024,
        window - 256 * 1024 - 100,
        window - 100,
        2 * window,
        3 * window - 700,
    ] {
        let found = licences(b"notices.txt", &far(at)).detections;
        assert_eq!(found.len(), 1, "{at}: {found:?}");
        assert_eq!((found[0].expression.as_str(), found[0].is_modified()), ("MIT", false), "{at}");
        assert!(found[0].span.start >= at && found[0].span.end <= at + MIT.len(), "{at}");
    }
}

#[test]
fn pieces_give_what_the_whole_gives() {
    let content = far(super::stream::WINDOW_BYTES + 77);
    let mut reader = super::LicenceReader::new(b"a.txt");
    content.chunks(99_991).for_each(|piece| reader.push(piece));
    assert_eq!(reader.finish(), licences(b"a.txt", &content));
}

#[test]
fn a_manifest_that_cannot_be_read_is_said() {
    for (name, text) in
        [("Cargo.toml", "[package"), ("package.json", "{\"license\":"), ("pyproject.toml", "\u{1}")]
    {
        let found = licences(name.as_bytes(), text.as_bytes());
        assert_eq!(found.unknown.len(), 1, "{name}");
    }
    let long = licences(b"package.json", &vec![b' '; super::stream::WINDOW_BYTES + 1]);
    assert_eq!(long.unknown[0].what, "the manifest is too long to be read");
}
