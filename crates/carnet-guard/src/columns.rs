//! Columns as editors and SARIF count them: in UTF-16 code units. Regions count bytes.

use carnet_core::Region;
use serde::{Deserialize, Serialize};

/// Where a region begins and ends in its lines, in UTF-16 code units from 1 (SARIF 2.1.0 §3.14.17, `utf16CodeUnits`).
///
/// A byte that is no UTF-8 counts as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextColumns {
    /// Column of the first character.
    pub start: u32,
    /// The column after the last character.
    pub end: u32,
}

impl TextColumns {
    /// Returns the columns of a region of `text`.
    pub fn of(text: &[u8], region: &Region) -> TextColumns {
        TextColumns {
            start: column(text, region.start, region.start_column),
            end: column(text, region.end, region.end_column),
        }
    }
}

fn column(text: &[u8], offset: usize, byte_column: u32) -> u32 {
    let line_start = (offset + 1).saturating_sub(byte_column as usize);
    let before = text.get(line_start..offset).unwrap_or_default();
    let units: usize = before.utf8_chunks().map(units).sum();
    u32::try_from(units + 1).unwrap_or(u32::MAX)
}

fn units(chunk: std::str::Utf8Chunk<'_>) -> usize {
    chunk.valid().chars().map(char::len_utf16).sum::<usize>() + chunk.invalid().len()
}

#[cfg(test)]
mod tests {
    use carnet_core::LineIndex;

    use super::*;

    fn columns(text: &[u8], start: usize, end: usize) -> (u32, u32) {
        let columns = TextColumns::of(text, &LineIndex::new(text).region(start, end));
        (columns.start, columns.end)
    }

    #[test]
    fn code_units_are_counted_and_not_bytes() {
        assert_eq!(columns(b"ab\ncdef\n", 4, 6), (2, 4));
        let text = "x\n\u{e9}\u{1f600}ab".as_bytes();
        assert_eq!(columns(text, 8, 10), (4, 6), "two bytes are one unit, four are two");
        assert_eq!(columns(b"\xff\xfeab", 2, 4), (3, 5));
    }

    #[test]
    fn a_region_over_two_lines_has_each_column_in_its_own_line() {
        assert_eq!(columns("\u{e9}ab\n\u{e9}\u{e9}c".as_bytes(), 2, 9), (2, 3));
    }
}
