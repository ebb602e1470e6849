//! Packs the blocks of a snapshot's sections.
//!
//! Rows are turned into columns first, since the same column of two rows is alike and two columns of one row are not: columns
//! that rise hold what they rise by, and of each number its lowest bytes come first. What comes out is packed with zstd. The
//! same rows give the same bytes.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};

/// How hard blocks are packed: more takes longer than it saves.
const PACKING: i32 = 3;

/// A column of a section's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    /// A number near to the one in the row before.
    Rising,
    /// Another number.
    Number,
    /// So many bytes.
    Bytes(usize),
}

impl Column {
    fn n_bytes(self) -> usize {
        match self {
            Column::Rising | Column::Number => 4,
            Column::Bytes(n) => n,
        }
    }
}

/// Returns how many bytes a row of such columns has.
pub(crate) fn row_bytes(columns: &[Column]) -> usize {
    columns.iter().map(|column| column.n_bytes()).sum()
}

/// Packs one block after the other.
pub(crate) struct Packer(Compressor<'static>);

impl Packer {
    pub fn new() -> std::io::Result<Packer> {
        Compressor::new(PACKING).map(Packer)
    }

    /// Packs a block of whole rows; without columns it is packed as it is.
    pub fn pack(&mut self, columns: &[Column], block: &[u8]) -> std::io::Result<Vec<u8>> {
        match columns {
            [] => self.0.compress(block),
            _ => self.0.compress(&to_columns(columns, block)),
        }
    }
}

thread_local! {
    /// What unpacking needs is large; making it takes longer than unpacking a block.
    static UNPACKER: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Returns the block of `n_bytes` bytes that was packed; `None` where there is none.
pub(crate) fn unpack(columns: &[Column], packed: &[u8], n_bytes: usize) -> Option<Vec<u8>> {
    let plain = UNPACKER.with_borrow_mut(|unpacker| {
        if unpacker.is_none() {
            *unpacker = Decompressor::new().ok();
        }
        unpacker.as_mut()?.decompress(packed, n_bytes).ok()
    })?;
    let is_whole = plain.len() == n_bytes;
    match columns {
        _ if !is_whole => None,
        [] => Some(plain),
        _ => to_rows(columns, &plain),
    }
}

fn to_columns(columns: &[Column], rows: &[u8]) -> Vec<u8> {
    let n_row = row_bytes(columns);
    let mut out = Vec::with_capacity(rows.len());
    let mut at = 0;
    for column in columns {
        match column {
            Column::Bytes(n) => {
                for at in at..at + n {
                    out.extend(rows.chunks_exact(n_row).map(|row| row[at]));
                }
            }
            Column::Rising | Column::Number => {
                let mut before = 0;
                let numbers = rows.chunks_exact(n_row).map(|row| {
                    let number = number_at(row, at);
                    match column {
                        Column::Rising => rise(std::mem::replace(&mut before, number), number),
                        _ => number,
                    }
                });
                let numbers: Vec<u32> = numbers.collect();
                for shift in [0, 8, 16, 24] {
                    out.extend(numbers.iter().map(|number| (number >> shift) as u8));
                }
            }
        }
        at += column.n_bytes();
    }
    out
}

fn to_rows(columns: &[Column], plain: &[u8]) -> Option<Vec<u8>> {
    let n_row = row_bytes(columns);
    if !plain.len().is_multiple_of(n_row) {
        return None;
    }
    let n_rows = plain.len() / n_row;
    let mut rows = vec![0; plain.len()];
    let mut planes = plain.chunks_exact(n_rows.max(1));
    let mut at = 0;
    for column in columns {
        for at in at..at + column.n_bytes() {
            let plane = planes.next().unwrap_or_default();
            for (row, byte) in rows.chunks_exact_mut(n_row).zip(plane) {
                row[at] = *byte;
            }
        }
        if *column == Column::Rising {
            let mut before = 0;
            for row in rows.chunks_exact_mut(n_row) {
                before = risen(before, number_at(row, at));
                row[at..at + 4].copy_from_slice(&before.to_le_bytes());
            }
        }
        at += column.n_bytes();
    }
    Some(rows)
}

fn number_at(row: &[u8], at: usize) -> u32 {
    row[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Returns by how much a number differs from the one before: small whether it is more or less.
fn rise(before: u32, number: u32) -> u32 {
    let difference = number.wrapping_sub(before) as i32;
    ((difference << 1) ^ (difference >> 31)) as u32
}

fn risen(before: u32, rise: u32) -> u32 {
    before.wrapping_add((rise >> 1) ^ 0_u32.wrapping_sub(rise & 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] =
        [Column::Rising, Column::Bytes(3), Column::Number, Column::Bytes(1)];

    #[test]
    fn what_is_cut_or_longer_than_said_is_no_block() {
        let rows = vec![7; 12 * 100];
        let packed = Packer::new().unwrap().pack(&COLUMNS, &rows).unwrap();
        assert!(packed.len() < 100);
        assert_eq!(unpack(&COLUMNS, &packed, rows.len()), Some(rows.clone()));
        assert_eq!(unpack(&COLUMNS, &packed, rows.len() - 12), None);
        assert_eq!(unpack(&COLUMNS, &packed, rows.len() + 12), None);
        assert_eq!(unpack(&COLUMNS, &packed[..packed.len() - 1], rows.len()), None);
        assert_eq!(unpack(&COLUMNS, b"nothing", rows.len()), None);
        let text = Packer::new().unwrap().pack(&[], b"a text").unwrap();
        assert_eq!(unpack(&COLUMNS, &text, 6), None);
    }

    proptest::proptest! {
        #[test]
        fn rows_come_out_as_they_went_in(
            rows in proptest::collection::vec(proptest::array::uniform12(proptest::prelude::any::<u8>()), 0..40)
        ) {
            let rows = rows.concat();
            let packed = Packer::new().unwrap().pack(&COLUMNS, &rows).unwrap();
            proptest::prop_assert_eq!(unpack(&COLUMNS, &packed, rows.len()), Some(rows.clone()));
            let packed = Packer::new().unwrap().pack(&[], &rows).unwrap();
            proptest::prop_assert_eq!(unpack(&[], &packed, rows.len()), Some(rows));
        }

        #[test]
        fn a_rise_leads_from_the_one_to_the_other(before: u32, number: u32) {
            proptest::prop_assert_eq!(risen(before, rise(before, number)), number);
        }
    }
}
