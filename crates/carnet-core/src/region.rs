//! Places in one blob.

use serde::{Deserialize, Serialize};

/// A byte range in one blob with the line and column of both ends (SARIF 2.1.0 §3.30).
///
/// `start..end` are byte offsets, half open. Lines and columns count from 1; columns count bytes.
/// `end_column` is the column after the last byte, as in SARIF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Region {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// Line of the first byte, from 1.
    pub start_line: u32,
    /// Column of the first byte, in bytes from 1.
    pub start_column: u32,
    /// Line of `end`, from 1.
    pub end_line: u32,
    /// Column of `end`, in bytes from 1.
    pub end_column: u32,
}

impl Region {
    /// Tells whether the two regions share a byte.
    pub fn overlaps(&self, other: &Region) -> bool {
        self.start < other.end && other.start < self.end
    }
}

/// Line starts of one text, to turn byte offsets into lines and columns in logarithmic time.
#[derive(Debug, Clone)]
pub struct LineIndex {
    line_starts: Vec<usize>,
}

impl LineIndex {
    /// Finds the line starts of `text`; a line ends with `\n`.
    pub fn new(text: &[u8]) -> LineIndex {
        let mut line_starts = vec![0];
        let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        line_starts.extend(ends.map(|(offset, _)| offset + 1));
        LineIndex { line_starts }
    }

    /// Returns line and column (both from 1, columns in bytes) of a byte offset.
    pub fn line_column(&self, offset: usize) -> (u32, u32) {
        let line_idx = self.line_starts.partition_point(|start| *start <= offset) - 1;
        (line_idx as u32 + 1, (offset - self.line_starts[line_idx]) as u32 + 1)
    }

    /// Returns the region of `start..end`.
    pub fn region(&self, start: usize, end: usize) -> Region {
        let (start_line, start_column) = self.line_column(start);
        let (end_line, end_column) = self.line_column(end);
        Region { start, end, start_line, start_column, end_line, end_column }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one() {
        let text = b"ab\ncd\n\nef";
        let index = LineIndex::new(text);
        assert_eq!(index.line_column(0), (1, 1));
        assert_eq!(index.line_column(2), (1, 3));
        assert_eq!(index.line_column(3), (2, 1));
        assert_eq!(index.line_column(6), (3, 1));
        assert_eq!(index.line_column(9), (4, 3));
    }

    #[test]
    fn neighbouring_regions_do_not_overlap() {
        let index = LineIndex::new(b"abcdef");
        assert!(!index.region(0, 3).overlaps(&index.region(3, 6)));
        assert!(index.region(0, 4).overlaps(&index.region(3, 6)));
    }
}
