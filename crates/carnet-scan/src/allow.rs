//! Inline acceptance: `carnet:allow <rule-id> <reason>` on the line of a finding or the line above it.
//!
//! A marker without a reason accepts nothing, and neither does one whose reason is itself part of a secret.
//! For a secret of several lines its first line counts. A finding without a line (a path) has no marker.

use std::{collections::BTreeMap, ops::Range};

use carnet_core::LineIndex;
use memchr::memmem;

const MARKER: &[u8] = b"carnet:allow";

/// One marker in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Marker {
    rule_id: Range<usize>,
    reason: Range<usize>,
}

/// The markers of one text, by line.
#[derive(Debug, Default)]
pub(crate) struct Markers {
    by_line: BTreeMap<u32, Vec<Marker>>,
}

impl Markers {
    /// Finds the markers of `text` that give a reason; `secrets` are the regions no reason may touch.
    pub(crate) fn new(text: &[u8], lines: &LineIndex, secrets: &[Range<usize>]) -> Markers {
        let mut markers = Markers::default();
        for at in memmem::find_iter(text, MARKER) {
            let Some(marker) = parse(text, at) else { continue };
            let touches = |secret: &Range<usize>| {
                marker.reason.start < secret.end && secret.start < marker.reason.end
            };
            if !secrets.iter().any(touches) {
                markers.by_line.entry(lines.line_column(at).0).or_default().push(marker);
            }
        }
        markers
    }

    /// Returns the reason for which findings of `rule_id` that begin on `line` are accepted.
    pub(crate) fn reason(&self, text: &[u8], rule_id: &str, line: u32) -> Option<String> {
        let near =
            self.by_line.range(line.saturating_sub(1)..=line).flat_map(|(_, markers)| markers);
        let mut reasons = near
            .filter(|marker| &text[marker.rule_id.clone()] == rule_id.as_bytes())
            .map(|marker| String::from_utf8_lossy(&text[marker.reason.clone()]).into_owned());
        reasons.next()
    }
}

/// Reads the marker at `at`: white space, a rule id, white space, and a reason up to the end of the line.
fn parse(text: &[u8], at: usize) -> Option<Marker> {
    let line_end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |len| at + len);
    let id_start = skip_blanks(text, at + MARKER.len(), line_end)?;
    let is_id_byte =
        |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    let id_len = text[id_start..line_end].iter().take_while(|byte| is_id_byte(byte)).count();
    let reason_start = skip_blanks(text, id_start + id_len, line_end)?;
    let is_word_byte = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii();
    let last = text[reason_start..line_end].iter().rposition(is_word_byte)?;
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
        assert_eq!(markers.reason(text, "some-rule", line).as_deref(), expect);
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
        assert_eq!(markers.reason(text, "some-rule", 1), None);
    }
}
