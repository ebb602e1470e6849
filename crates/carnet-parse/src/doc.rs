//! The comment above a definition.
//!
//! Comments are met before what they speak of, so the last run of them is kept until a definition begins on the line
//! after it. Attributes and decorators between the two carry it on.

use tree_sitter::Node;

use crate::limits::DOC_BYTES_MAX;

/// The last run of comments, as long as it may speak of what follows.
#[derive(Default)]
pub(crate) struct PendingDoc {
    start: usize,
    end: usize,
    /// The last line that it, or what carries it on, reaches; none when there is no run.
    last_row: Option<usize>,
}

impl PendingDoc {
    /// Notes what `node` means for the run: a comment begins or prolongs it, an attribute carries it on.
    pub fn note(&mut self, node: Node<'_>, source: &[u8]) {
        let (first_row, last_row) = (node.start_position().row, node.end_position().row);
        let is_next = self.last_row.is_some_and(|row| first_row <= row + 1);
        match node.kind() {
            "comment" | "line_comment" | "block_comment" => {
                if !is_first_of_line(source, node.start_byte()) {
                    return; // It speaks of what stands before it.
                }
                if !is_next {
                    self.start = node.start_byte();
                }
                self.end = node.end_byte();
                // A line comment of Rust includes its line's end.
                let ends_line = node.end_position().column == 0 && last_row > first_row;
                self.last_row = Some(if ends_line { last_row - 1 } else { last_row });
            }
            "attribute_item" | "decorator" | "modifiers" if is_next => {
                self.last_row = Some(last_row)
            }
            "export_statement" | "decorated_definition" | "template_declaration" if is_next => {
                self.last_row = Some(first_row);
            }
            _ => {}
        }
    }

    /// Returns the text for a definition that begins on `row`, and forgets it.
    pub fn take(&mut self, row: usize, source: &[u8]) -> String {
        match self.last_row {
            Some(last_row) if row == last_row || row == last_row + 1 => {
                self.last_row = None;
                cleaned(source.get(self.start..self.end).unwrap_or_default())
            }
            _ => String::new(),
        }
    }
}

fn is_first_of_line(source: &[u8], at: usize) -> bool {
    let before = source[..at.min(source.len())].iter().rev();
    before.take_while(|byte| **byte != b'\n').all(u8::is_ascii_whitespace)
}

/// Returns what a comment or docstring says: without its marks, blank lines and indentation, at most
/// [`DOC_BYTES_MAX`] bytes.
pub(crate) fn cleaned(comment: &[u8]) -> String {
    let comment = &comment[..comment.len().min(4 * DOC_BYTES_MAX)];
    let mut text = String::new();
    for line in String::from_utf8_lossy(comment).lines() {
        let line = line.trim().trim_end_matches("*/").trim_end_matches(['"', '\'']);
        let line = line.trim_start_matches(['/', '*', '#', '!', '"', '\'']).trim();
        if line.is_empty() {
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(line);
    }
    crate::walk::truncate(&mut text, DOC_BYTES_MAX);
    text
}
