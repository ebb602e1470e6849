//! SQLite databases read as tables, whatever pages they lie on (<https://sqlite.org/fileformat2.html>).
//!
//! No IO, and no SQLite: the bytes come from a run and may be hostile. A page is entered once, every offset is checked,
//! and a database that is not wholly understood has no tables. Indices are passed over: they say nothing that their tables
//! do not. Row ids and the bytes of each record stay as they are.

use std::collections::{BTreeMap, BTreeSet};

/// What every database begins with.
pub(super) const MAGIC: &[u8] = b"SQLite format 3\0";

/// Rows by table: the statement that made it, and its rows as (row id, record). A table without row ids numbers none.
pub(super) type Tables = BTreeMap<Vec<u8>, (Vec<u8>, Vec<(i64, Vec<u8>)>)>;

/// Reads every table; `None` when anything is not as the format says.
pub(super) fn read(bytes: &[u8]) -> Option<Tables> {
    if !bytes.starts_with(MAGIC) {
        return None;
    }
    let page_bytes = match u16_at(bytes, 16)? {
        1 => 65_536,
        size if size >= 512 && size.is_power_of_two() => usize::from(size),
        _ => return None,
    };
    let usable = page_bytes.checked_sub(usize::from(*bytes.get(20)?))?;
    if usable < 480 || !bytes.len().is_multiple_of(page_bytes) {
        return None;
    }
    let mut database = Database {
        bytes,
        page_bytes,
        usable,
        entered: BTreeSet::new(),
        record_bytes_left: bytes.len(),
    };
    let mut tables = Tables::new();
    let pragmas = [bytes.get(56..60)?, bytes.get(60..64)?, bytes.get(68..72)?].concat();
    tables.insert(b"pragma encoding, user_version, application_id".to_vec(), (pragmas, vec![]));
    for (_, record) in database.rows(1)? {
        let columns = columns(&record)?;
        let [kind, name, _, root, sql] = columns.as_slice() else { return None };
        // Views and triggers have no pages; indices repeat their tables.
        let root = root.as_integer()?;
        let rows = if kind.bytes == b"table" && root > 0 {
            database.rows(usize::try_from(root).ok()?)?
        } else {
            vec![]
        };
        let key = [kind.bytes, b" ", name.bytes].concat();
        tables.insert(key, (sql.bytes.to_vec(), rows));
    }
    Some(tables)
}

struct Database<'a> {
    bytes: &'a [u8],
    page_bytes: usize,
    usable: usize,
    entered: BTreeSet<usize>,
    /// Records that do not overlap are never longer than the file.
    record_bytes_left: usize,
}

impl<'a> Database<'a> {
    /// Rows of the tree whose root is a page, in order of their keys.
    fn rows(&mut self, root: usize) -> Option<Vec<(i64, Vec<u8>)>> {
        let mut rows = vec![];
        // Children are pushed last to first, so that keys come in order; a row of an interior page stands between them.
        let mut pending = vec![Step::Page(root)];
        while let Some(step) = pending.pop() {
            match step {
                Step::Row(key, record) => rows.push((key, record)),
                Step::Page(number) => {
                    let mut steps = self.page(number)?;
                    steps.reverse();
                    pending.extend(steps);
                }
            }
        }
        Some(rows)
    }

    fn page(&mut self, number: usize) -> Option<Vec<Step>> {
        if !self.entered.insert(number) {
            return None;
        }
        let page = self.slice(number)?;
        let header = if number == 1 { 100 } else { 0 };
        let kind = *page.get(header)?;
        let n_cells = usize::from(u16_at(page, header + 3)?);
        let is_interior = matches!(kind, 2 | 5);
        let cells_at = header + if is_interior { 12 } else { 8 };
        let mut steps = vec![];
        for cell_idx in 0..n_cells {
            let mut at = usize::from(u16_at(page, cells_at + 2 * cell_idx)?);
            if is_interior {
                steps.push(Step::Page(u32_at(page, at)?));
                at += 4;
            }
            match kind {
                5 => {}
                2 | 10 => {
                    let (len, at) = varint(page, at)?;
                    steps.push(Step::Row(0, self.payload(page, at, len, false)?));
                }
                13 => {
                    let (len, at) = varint(page, at)?;
                    let (key, at) = varint(page, at)?;
                    steps.push(Step::Row(key, self.payload(page, at, len, true)?));
                }
                _ => return None,
            }
        }
        if is_interior {
            steps.push(Step::Page(u32_at(page, header + 8)?));
        }
        Some(steps)
    }

    /// A record, with the part of it that lies on overflow pages.
    fn payload(&mut self, page: &'a [u8], at: usize, len: i64, is_table: bool) -> Option<Vec<u8>> {
        let len = usize::try_from(len).ok()?;
        self.record_bytes_left = self.record_bytes_left.checked_sub(len)?;
        let most = if is_table { self.usable - 35 } else { (self.usable - 12) * 64 / 255 - 23 };
        let least = (self.usable - 12) * 32 / 255 - 23;
        let local = if len <= most {
            len
        } else {
            let local = least + (len - least) % (self.usable - 4);
            if local <= most { local } else { least }
        };
        let mut record = page.get(at..at + local)?.to_vec();
        let mut next = if local < len { u32_at(page, at + local)? } else { 0 };
        while record.len() < len {
            if !self.entered.insert(next) {
                return None;
            }
            let overflow = self.slice(next)?;
            let n_bytes = (self.usable - 4).min(len - record.len());
            record.extend_from_slice(overflow.get(4..4 + n_bytes)?);
            next = u32_at(overflow, 0)?;
        }
        Some(record)
    }

    fn slice(&self, number: usize) -> Option<&'a [u8]> {
        let start = number.checked_sub(1)?.checked_mul(self.page_bytes)?;
        self.bytes.get(start..start.checked_add(self.page_bytes)?)
    }
}

enum Step {
    Page(usize),
    Row(i64, Vec<u8>),
}

struct Column<'a> {
    kind: i64,
    bytes: &'a [u8],
}

impl Column<'_> {
    fn as_integer(&self) -> Option<i64> {
        match self.kind {
            0 | 8 => Some(0),
            9 => Some(1),
            1..=6 => {
                let negative = self.bytes.first()? & 0x80 != 0;
                let start = if negative { -1_i64 } else { 0 };
                Some(self.bytes.iter().fold(start, |value, byte| value << 8 | i64::from(*byte)))
            }
            _ => None,
        }
    }
}

/// The columns of a record: a header of serial types, then their bytes.
fn columns(record: &[u8]) -> Option<Vec<Column<'_>>> {
    let (header_len, mut at) = varint(record, 0)?;
    let header_len = usize::try_from(header_len).ok()?;
    let (mut data_at, mut columns) = (header_len, vec![]);
    while at < header_len {
        let (kind, next) = varint(record, at)?;
        let len = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).ok()?,
            5 => 6,
            6 | 7 => 8,
            12.. => usize::try_from((kind - 12) / 2).ok()?,
            _ => return None,
        };
        let bytes = record.get(data_at..data_at.checked_add(len)?)?;
        columns.push(Column { kind, bytes });
        (at, data_at) = (next, data_at + len);
    }
    Some(columns)
}

/// A number of one to nine bytes, and where it ends.
fn varint(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let mut value = 0_i64;
    for byte_idx in 0..8 {
        let byte = *bytes.get(at + byte_idx)?;
        value = value << 7 | i64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, at + byte_idx + 1));
        }
    }
    Some((value << 8 | i64::from(*bytes.get(at + 8)?), at + 9))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?)).ok()
}

#[cfg(test)]
mod tests {
    use std::{path::Path, process::Command};

    use super::*;

    fn database(dir: &Path, name: &str, statements: &str) -> Option<Vec<u8>> {
        let path = dir.join(name);
        let ran = Command::new("sqlite3").arg(&path).arg(statements).status().ok()?;
        assert!(ran.success(), "{statements}");
        Some(std::fs::read(path).unwrap())
    }

    #[test]
    fn the_same_rows_on_other_pages_are_the_same_tables() {
        let dir = tempfile::tempdir().unwrap();
        let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
            INSERT INTO t SELECT i, printf('%0*d', i, i) FROM n;";
        let make = "CREATE TABLE t(i INTEGER PRIMARY KEY, v TEXT); CREATE INDEX x ON t(v);
            CREATE TABLE w(k TEXT PRIMARY KEY, v) WITHOUT ROWID; INSERT INTO w SELECT 'k' || value, value * 1.5
            FROM json_each('[1,2,3,400]'); CREATE VIEW v AS SELECT 1;";
        let Some(plain) = database(dir.path(), "plain", &format!("{make}{rows}")) else {
            eprintln!("not compared here: there is no sqlite3");
            return;
        };
        let moved = format!(
            "PRAGMA page_size=1024; {make} CREATE TABLE gone(x); {rows} DROP TABLE gone; DELETE FROM t; {rows} VACUUM;"
        );
        let moved = database(dir.path(), "moved", &moved).unwrap();
        assert_ne!(plain, moved);
        let tables = read(&plain).unwrap();
        assert_eq!(tables[b"table t".as_slice()].1.len(), 2000);
        assert_eq!(tables[b"table w".as_slice()].1.len(), 4);
        assert!(read(&moved).unwrap() == tables);
        let other = format!("{make}{rows} UPDATE t SET v = 'x' WHERE i = 1999;");
        assert!(read(&database(dir.path(), "other", &other).unwrap()).unwrap() != tables);
    }

    #[test]
    fn a_damaged_database_is_none_or_another_and_never_a_panic() {
        let dir = tempfile::tempdir().unwrap();
        let make = "CREATE TABLE t(v); INSERT INTO t VALUES (zeroblob(9000)), ('a'), (1);";
        let Some(sound) = database(dir.path(), "sound", make) else {
            eprintln!("not tried here: there is no sqlite3");
            return;
        };
        assert!(read(&sound).is_some());
        for at in (0..sound.len()).step_by(7) {
            let mut damaged = sound.clone();
            damaged[at] ^= 0xff;
            let _ = read(&damaged);
            let _ = read(&sound[..at]);
        }
        // A page that is its own child.
        let mut looped = sound.clone();
        looped[4096] = 5;
        assert_eq!(read(&looped), None);
    }
}
