//! Inline acceptance: `carnet:allow <rule-id> <reason>` on the line of a finding or the line above it.
//!
//! A marker without a reason accepts nothing, and neither does one whose reason is itself part of a secret.
//! For a secret of several lines its first line counts. A finding without a line (a path) has no marker.

use std::{collections::BTreeMap, ops::Range};

use carnet_core::LineIndex;
use memchr::memmem;

const MARKER: &[u8] = b"carnet:allow";

/// Bytes after the marker that are looked at: a rule id, and a reason cut off here when it is longer.
const MARKER_BYTES_MAX: usize = 400;

/// One marker in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Marker {
    rule_id: Range<usize>,
    reason: Range<usize>,
}

/// The markers of one text: for each line and rule id, where the first reason stands.
#[derive(Debug, Default)]
pub(crate) struct Markers<'t> {
    text: &'t [u8],
    reasons: BTreeMap<(u32, &'t [u8]), Range<usize>>,
}

impl<'t> Markers<'t> {
    /// Finds the markers of `text` that give a reason.
    ///
    /// No reason may touch one of `secrets`, which are sorted and share no byte.
    pub(crate) fn new(text: &'t [u8], lines: &LineIndex, secrets: &[Range<usize>]) -> Markers<'t> {
        let mut reasons = BTreeMap::new();
        for at in memmem::find_iter(text, MARKER) {
            let Some(marker) = parse(text, at) else { continue };
            let next = secrets.partition_point(|secret| secret.end <= marker.reason.start);
            if secrets.get(next).is_none_or(|secret| secret.start >= marker.reason.end) {
                let (line, _) = lines.line_column(at);
                reasons.entry((line, &text[marker.rule_id])).or_insert(marker.reason);
            }
        }
        Markers { text, reasons }
    }

    /// Returns the reason for which findings of `rule_id` that begin on `line` are accepted.
    pub(crate) fn reason(&self, rule_id: &str, line: u32) -> Option<String> {
        let on_line = |line: u32| self.reasons.get(&(line, rule_id.as_bytes()));
        let reason = on_line(line).or_else(|| on_line(line.checked_sub(1)?))?;
        Some(String::from_utf8_lossy(&self.text[reason.clone()]).into_owned())
    }
}

/// Reads the marker at `at`: white space, a rule id, white space, and a reason up to the end of the line.
fn parse(text: &[u8], at: usize) -> Option<Marker> {
    let from = at + MARKER.len();
    let near = &text[from..text.len().min(from + MARKER_BYTES_MAX)];
    let end = from + memchr::memchr(b'\n', near).unwrap_or(near.len());
    let id_start = skip_blanks(text, from, end)?;
    let is_id_byte =
        |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    let id_len = text[id_start..end].iter().take_while(|byte| is_id_byte(byte)).count();
    let reason_start = skip_blanks(text, id_start + id_len, end)?;
    let is_word_byte = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii();
    let last = text[reason_start..end].iter().rposition(is_word_byte)?;
    Some(Marker {
        rule_id: id_start..id_start + id_len,
        reason: reason_start..reason_start + last + 1,
    })
}

/// Returns where the text goes on after one blank or more.
fn skip_blanks(text: &[u8], from: usize, end: usize) -> Option<usize> {
    let n_blanks = text[from..end].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    (n_blanks > 0).then_some(from + n_blanks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, line: u32, expect: Option<&str>) {
        let text = text.as_bytes();
        let markers = Markers::new(text, &LineIndex::new(text), &[]);
        assert_eq!(markers.reason("some-rule", line).as_deref(), expect);
    }

    #[test]
    fn the_line_itself_and_the_line_above_count() {
        check("x # carnet:allow some-rule revoked in May\n", 1, Some("revoked in May"));
        check("# carnet:allow some-rule revoked\nx\n", 2, Some("revoked"));
        check("# carnet:allow some-rule revoked\n\nx\n", 3, None);
        check("x\n# carnet:allow some-rule revoked\n", 1, None);
    }
    #[test]
    fn no_reason_accepts_nothing() {
        check("x # carnet:allow some-rule\n", 1, None);
        check("x # carnet:allow some-rule   \n", 1, None);
        check("<!-- carnet:allow some-rule -->\n", 1, None);
        check("x # carnet:allow some-rule\nreason\n", 1, None);
    }
    #[test]
    fn the_end_of_a_comment_is_no_part_of_the_reason() {
        check("/* carnet:allow some-rule test data */", 1, Some("test data"));
    }
    #[test]
    fn another_rule_is_not_accepted() {
        check("x # carnet:allow other-rule why\n", 1, None);
        check("x # carnet:allow some-rule-2 why\n", 1, None);
        check("x # carnet:allowsome-rule why\n", 1, None);
    }
    #[test]
    fn two_markers_on_a_line_both_count() {
        check("# carnet:allow other-rule a # carnet:allow some-rule b", 1, Some("b"));
    }
    #[test]
    fn a_secret_is_no_reason() {
        let text = b"carnet:allow some-rule s3cret";
        let markers = Markers::new(text, &LineIndex::new(text), std::slice::from_ref(&(23..29)));
        assert_eq!(markers.reason("some-rule", 1), None);
    }
}
