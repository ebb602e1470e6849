//! What manifests declare: `Cargo.toml`, `package.json`, `pyproject.toml`; and what lock files cannot say.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Detection, LicenceKind};

/// A declaration that names no licence of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Where it stands, in bytes.
    pub span: Range<usize>,
    /// A lowercase fragment saying what is unknown, and why.
    pub what: String,
}

/// What a manifest says of its licence.
#[derive(Debug, Default)]
pub(super) struct Declared {
    pub(super) detections: Vec<Detection>,
    pub(super) unknown: Vec<Unknown>,
}

/// Reads a manifest; `None` when the file is none.
pub(super) fn declared(file_name: &[u8], bytes: &[u8]) -> Option<Declared> {
    let read = reader(file_name)?;
    let declared = std::str::from_utf8(bytes).ok().and_then(read);
    Some(declared.unwrap_or_else(|| nothing("the manifest is not of the form that its name says")))
}

/// What is said of a manifest that is too long to be read.
pub(super) fn too_long(file_name: &[u8]) -> Vec<Unknown> {
    match reader(file_name) {
        Some(_) => nothing("the manifest is too long to be read").unknown,
        None => Vec::new(),
    }
}

fn reader(file_name: &[u8]) -> Option<fn(&str) -> Option<Declared>> {
    Some(match file_name {
        b"Cargo.toml" => cargo,
        b"pyproject.toml" => python,
        b"package.json" => npm,
        b"Cargo.lock" => {
            |_| Some(nothing("the licences of the locked crates: Cargo.lock names none"))
        }
        b"package-lock.json" => |_| {
            Some(nothing("the licences of the locked packages are not read from package-lock.json"))
        },
        b"go.mod" => |_| Some(nothing("the licences of the required modules: go.mod names none")),
        b"go.sum" => |_| Some(nothing("the licences of the required modules: go.sum names none")),
        _ => return None,
    })
}

fn nothing(what: &str) -> Declared {
    Declared {
        detections: Vec::new(),
        unknown: vec![Unknown { span: 0..0, what: what.to_owned() }],
    }
}

impl Declared {
    /// Adds a declaration as it stands in the manifest.
    fn add(&mut self, text: &str, span: Range<usize>) {
        match carnet_core::listed_expression(text) {
            Some(expression) => self.detections.push(detection(&expression.to_string(), span)),
            None => self.unknown(
                span,
                format!("`{}` is no licence expression of the SPDX list", text.trim()),
            ),
        }
    }

    fn unknown(&mut self, span: Range<usize>, what: impl Into<String>) {
        self.unknown.push(Unknown { span, what: what.into() });
    }
}

fn detection(expression: &str, span: Range<usize>) -> Detection {
    Detection {
        expression: expression.to_owned(),
        kind: LicenceKind::Manifest,
        span,
        coverage: 1.0,
        deviations: Vec::new(),
    }
}

type Table<'t, 'i> = &'t DeTable<'i>;

fn get<'t, 'i>(table: Table<'t, 'i>, key: &str) -> Option<&'t Spanned<DeValue<'i>>> {
    table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
}

fn table<'t, 'i>(parent: Table<'t, 'i>, key: &str) -> Option<Table<'t, 'i>> {
    match get(parent, key)?.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

fn text<'t>(value: &'t Spanned<DeValue<'_>>) -> Option<&'t str> {
    match value.get_ref() {
        DeValue::String(text) => Some(text),
        _ => None,
    }
}

fn cargo(manifest: &str) -> Option<Declared> {
    let document = DeTable::parse(manifest).ok()?;
    let document = document.get_ref();
    let mut declared = Declared::default();
    let package = table(document, "package");
    let workspace = table(document, "workspace").and_then(|workspace| table(workspace, "package"));
    for owner in [package, workspace].into_iter().flatten() {
        match (get(owner, "license"), get(owner, "license-file")) {
            (Some(license), _) => match text(license) {
                Some(expression) => declared.add(expression, license.span()),
                None => declared
                    .unknown(license.span(), "the licence stands in the workspace's Cargo.toml"),
            },
            (None, Some(file)) => {
                let name = text(file).unwrap_or("a file");
                declared.unknown(file.span(), format!("the licence stands in `{name}`"));
            }
            (None, None) => {}
        }
    }
    let says_nothing = declared.detections.is_empty() && declared.unknown.is_empty();
    if says_nothing && package.is_some() {
        declared.unknown(0..0, "the package declares no licence");
    }
    Some(declared)
}

fn python(manifest: &str) -> Option<Declared> {
    let document = DeTable::parse(manifest).ok()?;
    let document = document.get_ref();
    let mut declared = Declared::default();
    let project = table(document, "project");
    let poetry = table(document, "tool").and_then(|tool| table(tool, "poetry"));
    for owner in [project, poetry].into_iter().flatten() {
        let Some(license) = get(owner, "license") else { continue };
        match (license.get_ref(), table(owner, "license")) {
            (DeValue::String(expression), _) => declared.add(expression, license.span()),
            (_, Some(parts)) => match get(parts, "text").and_then(text) {
                Some(words) => declared.add(words, license.span()),
                None => declared.unknown(license.span(), "the licence stands in a file"),
            },
            _ => declared.unknown(license.span(), "the licence is neither a string nor a table"),
        }
    }
    if declared.detections.is_empty() {
        let classifiers =
            [project, poetry].into_iter().flatten().filter_map(|owner| get(owner, "classifiers"));
        for list in classifiers {
            let DeValue::Array(list) = list.get_ref() else { continue };
            for entry in list.iter() {
                let license = text(entry).and_then(|entry| entry.strip_prefix("License ::"));
                if let Some(license) = license {
                    classifier(license, entry.span(), &mut declared);
                }
            }
        }
    }
    let says_nothing = declared.detections.is_empty() && declared.unknown.is_empty();
    if says_nothing && (project.is_some() || poetry.is_some()) {
        declared.unknown(0..0, "the project declares no licence");
    }
    Some(declared)
}

/// Trove classifiers that mean one licence. Others name a family only.
const CLASSIFIERS: &[(&str, &str)] = &[
    ("Apache Software License", "Apache-2.0"),
    ("Boost Software License 1.0 (BSL-1.0)", "BSL-1.0"),
    ("GNU Affero General Public License v3", "AGPL-3.0-only"),
    ("GNU Affero General Public License v3 or later (AGPLv3+)", "AGPL-3.0-or-later"),
    ("GNU General Public License v2 (GPLv2)", "GPL-2.0-only"),
    ("GNU General Public License v2 or later (GPLv2+)", "GPL-2.0-or-later"),
    ("GNU General Public License v3 (GPLv3)", "GPL-3.0-only"),
    ("GNU General Public License v3 or later (GPLv3+)", "GPL-3.0-or-later"),
    ("GNU Lesser General Public License v2 (LGPLv2)", "LGPL-2.0-only"),
    ("GNU Lesser General Public License v2 or later (LGPLv2+)", "LGPL-2.0-or-later"),
    ("GNU Lesser General Public License v3 (LGPLv3)", "LGPL-3.0-only"),
    ("GNU Lesser General Public License v3 or later (LGPLv3+)", "LGPL-3.0-or-later"),
    ("ISC License (ISCL)", "ISC"),
    ("MIT License", "MIT"),
    ("MIT No Attribution License (MIT-0)", "MIT-0"),
    ("Mozilla Public License 1.1 (MPL 1.1)", "MPL-1.1"),
    ("Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0"),
    ("The Unlicense (Unlicense)", "Unlicense"),
    ("zlib/libpng License", "Zlib"),
];

fn classifier(license: &str, span: Range<usize>, declared: &mut Declared) {
    let name = license.rsplit("::").next().unwrap_or_default().trim();
    match CLASSIFIERS.iter().find(|(known, _)| *known == name) {
        Some((_, id)) => declared.detections.push(detection(id, span)),
        None if name == "OSI Approved" => {}
        None => declared.unknown(span, format!("the classifier `{name}` names no single licence")),
    }
}

fn npm(manifest: &str) -> Option<Declared> {
    let document: serde_json::Value = serde_json::from_str(manifest).ok()?;
    let document = document.as_object()?;
    let mut declared = Declared::default();
    let kind = |value: &serde_json::Value| {
        value.get("type").and_then(|kind| kind.as_str()).map(str::to_owned)
    };
    let span =
        key_span(manifest, if document.contains_key("license") { "license" } else { "licenses" });
    match (document.get("license"), document.get("licenses").and_then(|list| list.as_array())) {
        (Some(serde_json::Value::String(words)), _) if words == "UNLICENSED" => {
            declared.unknown(span, "`UNLICENSED`: no one else may use the package");
        }
        (Some(serde_json::Value::String(words)), _) if words.starts_with("SEE LICENSE IN ") => {
            declared.unknown(
                span,
                format!("the licence stands in `{}`", &words["SEE LICENSE IN ".len()..]),
            );
        }
        (Some(serde_json::Value::String(words)), _) => declared.add(words, span),
        (Some(value), _) => match kind(value) {
            Some(words) => declared.add(&words, span),
            None => declared.unknown(span, "the licence is neither a string nor a typed object"),
        },
        (None, Some(list)) => {
            // Several old-style entries are a choice.
            let kinds: Vec<String> = list.iter().filter_map(kind).collect();
            declared.add(&kinds.join(" OR "), span);
        }
        (None, None)
            if document.contains_key("name") && document.get("private") != Some(&true.into()) =>
        {
            declared.unknown(0..0, "the package declares no licence");
        }
        (None, None) => {}
    }
    Some(declared)
}

/// Where `"key"` stands as a key of the outermost object; the beginning when that cannot be told.
fn key_span(manifest: &str, key: &str) -> Range<usize> {
    let quoted = format!("\"{key}\"");
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for (at, byte) in manifest.bytes().enumerate() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => {
                let rest = &manifest[at..];
                let is_key = || rest[quoted.len()..].trim_start().starts_with(':');
                if depth == 1 && rest.starts_with(&quoted) && is_key() {
                    let end = rest.find(['\n', '\r']).unwrap_or(rest.len());
                    return at..at + rest[..end].trim_end().len();
                }
                in_string = true;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    0..0
}
