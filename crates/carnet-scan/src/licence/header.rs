//! The header that says a file's licence, in the comment style of the file.
//!
//! # Source
//!
//! REUSE specification 3.3: `SPDX-FileCopyrightText` and `SPDX-License-Identifier`, in a comment at the top.

use thiserror::Error;

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenceHeader {
    /// The SPDX expression.
    pub expression: String,
    /// Who holds the copyright, as it shall stand there; no line without.
    pub copyright: Option<String>,
}

/// Why no header can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// Nothing is known of comments in such a file.
    #[error("the comment style of such a file is not known")]
    Style,
    /// The file is not UTF-8 text.
    #[error("the file is no UTF-8 text")]
    NotText,
    /// The file has a tag, of another licence or one that is wrong.
    #[error("the file has an SPDX tag already")]
    Tagged,
}

/// How comments are written: what stands before and after a line, or around the whole.
enum Style {
    Line(&'static str),
    Block(&'static str, &'static str),
}

/// Comment styles, by the end of the file name or the whole of it.
const STYLES: &[(&[&str], Style)] = &[
    (
        &[
            "rs", "c", "h", "cc", "cpp", "cxx", "hh", "hpp", "hxx", "java", "js", "jsx", "mjs",
            "cjs", "ts", "tsx", "go", "swift", "kt", "kts", "scala", "cs", "dart", "proto", "zig",
            "groovy", "gradle", "v", "sv", "php", "m", "mm", "d", "glsl", "wgsl", "sol",
        ],
        Style::Line("//"),
    ),
    (
        &[
            "py",
            "pyi",
            "sh",
            "bash",
            "zsh",
            "fish",
            "rb",
            "pl",
            "pm",
            "r",
            "R",
            "yml",
            "yaml",
            "toml",
            "mk",
            "cmake",
            "Makefile",
            "Dockerfile",
            "Containerfile",
            "CMakeLists.txt",
            "tcl",
            "nix",
            "jl",
            "ex",
            "exs",
            "awk",
            "conf",
            "cfg",
            "tf",
            "ps1",
            "bzl",
            "BUILD",
            "gitignore",
            "gitattributes",
            "editorconfig",
            "properties",
        ],
        Style::Line("#"),
    ),
    (&["sql", "lua", "hs", "adb", "ads", "elm", "vhd", "vhdl"], Style::Line("--")),
    (&["el", "lisp", "clj", "cljs", "scm", "rkt", "asm", "ini"], Style::Line(";;")),
    (&["tex", "sty", "cls", "erl", "hrl"], Style::Line("%")),
    (&["vim"], Style::Line("\"")),
    (&["css", "scss", "less"], Style::Block("/*", "*/")),
    (
        &["html", "htm", "xml", "xhtml", "svg", "md", "vue", "xsl", "xsd"],
        Style::Block("<!--", "-->"),
    ),
    (&["ml", "mli"], Style::Block("(*", "*)")),
];

/// Returns the file with the header at its top, below what must stand first (`#!`, an encoding, `<?xml`, `<?php`).
///
/// # Errors
///
/// [`HeaderError`]; a file with any tag is not touched.
pub fn with_licence_header(
    path: &str,
    bytes: &[u8],
    header: &LicenceHeader,
) -> Result<Vec<u8>, HeaderError> {
    let style = style_of(path).ok_or(HeaderError::Style)?;
    let text = std::str::from_utf8(bytes).map_err(|_| HeaderError::NotText)?;
    if text.contains('\0') {
        return Err(HeaderError::NotText);
    }
    if text.contains(TAG) {
        return Err(HeaderError::Tagged);
    }
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let copyright =
        header.copyright.iter().map(|holder| format!("SPDX-FileCopyrightText: {holder}"));
    let lines = copyright.chain([format!("{TAG} {}", header.expression)]);
    let comment = |line: String| match style {
        Style::Line(mark) => format!("{mark} {line}{newline}"),
        Style::Block(open, close) => format!("{open} {line} {close}{newline}"),
    };
    let head: String = lines.map(comment).collect();
    let (bom, body) = match text.strip_prefix('\u{feff}') {
        Some(body) => ("\u{feff}", body),
        None => ("", text),
    };
    let (first, rest) = body.split_at(first_lines(path, body));
    let break_after_first = if first.is_empty() || first.ends_with('\n') { "" } else { newline };
    let gap = if rest.is_empty() || rest.starts_with(['\n', '\r']) { "" } else { newline };
    Ok([bom, first, break_after_first, &head, gap, rest].concat().into_bytes())
}

const TAG: &str = "SPDX-License-Identifier:";

fn style_of(path: &str) -> Option<&'static Style> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let end = name.rsplit('.').next().unwrap_or(name);
    STYLES
        .iter()
        .find(|(ends, _)| ends.contains(&name) || ends.contains(&end))
        .map(|(_, style)| style)
}

/// Bytes of the lines that must stay first.
fn first_lines(path: &str, text: &str) -> usize {
    let mut len = 0;
    for (idx, line) in text.split_inclusive('\n').enumerate().take(2) {
        let lower = line.trim().to_ascii_lowercase();
        let is_encoding =
            lower.starts_with('#') && (lower.contains("coding:") || lower.contains("coding="));
        let is_first = idx == 0
            && (line.starts_with("#!")
                || lower.starts_with("<?xml")
                || lower.starts_with("<?php")
                || lower.starts_with("<!doctype"));
        let is_front_matter = idx == 0 && line.trim_end() == "---" && path.ends_with(".md");
        if is_front_matter {
            let end = text[line.len()..].find("\n---").map(|at| line.len() + at + 4);
            return end.map_or(0, |end| end + text[end..].find('\n').map_or(0, |at| at + 1));
        }
        if !is_first && !is_encoding {
            break;
        }
        len += line.len();
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, text: &str, expect: &str) {
        let header = LicenceHeader { expression: "MIT".to_owned(), copyright: None };
        let made = with_licence_header(path, text.as_bytes(), &header).unwrap();
        let tag = TAG;
        assert_eq!(String::from_utf8(made.clone()).unwrap(), expect.replace("TAG", tag));
        let again = with_licence_header(path, &made, &header);
        assert_eq!(again, Err(HeaderError::Tagged), "a header is written twice");
    }

    #[test]
    fn a_header_stands_below_what_must_be_first() {
        check("a.rs", "fn a() {}\n", "// TAG MIT\n\nfn a() {}\n");
        check(
            "a.py",
            "#!/usr/bin/python\n# -*- coding: utf-8 -*-\nx\n",
            "#!/usr/bin/python\n# -*- coding: utf-8 -*-\n# TAG MIT\n\nx\n",
        );
        check("a.sh", "#!/bin/sh", "#!/bin/sh\n# TAG MIT\n");
        check(
            "a.xml",
            "<?xml version=\"1.0\"?>\n<a/>\n",
            "<?xml version=\"1.0\"?>\n<!-- TAG MIT -->\n\n<a/>\n",
        );
        check("a.md", "---\nt: 1\n---\n# A\n", "---\nt: 1\n---\n<!-- TAG MIT -->\n\n# A\n");
        check("d/Makefile", "\nall:\n", "# TAG MIT\n\nall:\n");
        check("a.c", "x\r\n", "// TAG MIT\r\n\r\nx\r\n");
        check("a.rs", "\u{feff}x\n", "\u{feff}// TAG MIT\n\nx\n");
        check("a.css", "", "/* TAG MIT */\n");
    }

    #[test]
    fn what_cannot_be_known_is_left_alone() {
        let header =
            LicenceHeader { expression: "MIT".to_owned(), copyright: Some("2026 Ann".to_owned()) };
        let made = |path: &str, bytes: &[u8]| with_licence_header(path, bytes, &header);
        assert_eq!(made("a.bin", b"x"), Err(HeaderError::Style));
        assert_eq!(made("a.rs", b"\xff"), Err(HeaderError::NotText));
        assert_eq!(made("a.rs", b"a\0"), Err(HeaderError::NotText));
        let two = String::from_utf8(made("a.py", b"").unwrap()).unwrap();
        assert_eq!(two, format!("# SPDX-FileCopyrightText: 2026 Ann\n# {TAG} MIT\n"));
    }
}
