//! `SPDX-License-Identifier:` tags, where REUSE counts them: in comments, and not between `REUSE-IgnoreStart` and
//! `REUSE-IgnoreEnd`. Others are mentions.
//!
//! # Source
//!
//! REUSE specification 3.3; the SPDX specification 2.3, annex E.

use std::ops::Range;

use super::{Detection, LicenceKind, Words};

const TAG: &[u8] = b"SPDX-License-Identifier:";
const IGNORE_START: &[u8] = b"REUSE-IgnoreStart";
const IGNORE_END: &[u8] = b"REUSE-IgnoreEnd";
/// What begins a comment further along a line.
const COMMENT_MARKS: &[&[u8]] = &[b"//", b"/*", b"#", b"--", b"<!--", b";", b"%", b"(*", b"{-"];
/// Words that begin a comment where they stand first in a line.
const COMMENT_WORDS: &[&[u8]] = &[b"dnl", b"rem", b"c", b"echo", b".\\\""];
/// What ends a comment behind a tag.
const COMMENT_ENDS: &[&str] = &["*/", "-->", "#}", "*)", "-}", "}}", "--%>", "|#"];

/// Finds the tags.
pub(super) fn tags(bytes: &[u8], words: &Words) -> Vec<(Range<usize>, Detection)> {
    let ignored = ignored(bytes);
    let mut tags = Vec::new();
    for at in memchr::memmem::find_iter(bytes, TAG) {
        let is_declared =
            !ignored.iter().any(|range| range.contains(&at)) && is_in_comment(bytes, at);
        let start = at + TAG.len();
        let len = memchr::memchr2(b'\n', b'\r', &bytes[start..]).unwrap_or(bytes.len() - start);
        let line = String::from_utf8_lossy(&bytes[start..start + len]);
        let mut value: &str = &line;
        for end in COMMENT_ENDS {
            value = value.split(end).next().unwrap_or_default();
        }
        let value =
            value.trim_matches(|mark: char| mark.is_whitespace() || "\"'`,;<>*".contains(mark));
        let Some(expression) = carnet_core::listed_expression(value) else { continue };
        let first = words.spans.partition_point(|(from, _)| (*from as usize) < at);
        let last = words.spans.partition_point(|(from, _)| (*from as usize) < start + len);
        let detection = Detection {
            expression: expression.to_string(),
            kind: if is_declared { LicenceKind::Tag } else { LicenceKind::Mention },
            span: at..start + len,
            coverage: 1.0,
            deviations: Vec::new(),
        };
        tags.push((first..last, detection));
    }
    tags
}

/// What stands between the marks of REUSE; a start without an end reaches to the end.
fn ignored(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut ignored = Vec::new();
    let mut from = 0;
    while let Some(start) = memchr::memmem::find(&bytes[from..], IGNORE_START).map(|at| from + at) {
        let end =
            memchr::memmem::find(&bytes[start..], IGNORE_END).map_or(bytes.len(), |at| start + at);
        ignored.push(start..end);
        from = end;
    }
    ignored
}

fn is_in_comment(bytes: &[u8], at: usize) -> bool {
    let line_start = memchr::memrchr(b'\n', &bytes[..at]).map_or(0, |newline| newline + 1);
    let before = bytes[line_start..at].trim_ascii();
    let is_bare = !before.iter().any(u8::is_ascii_alphanumeric)
        && !before.ends_with(b"\"")
        && !before.ends_with(b"'");
    let is_word = COMMENT_WORDS.iter().any(|word| before.eq_ignore_ascii_case(word));
    is_bare
        || is_word
        || COMMENT_MARKS.iter().any(|mark| memchr::memmem::find(before, mark).is_some())
}
