//! The vectors of units, in one file that only grows: batches of records, each batch with its checksum.
//!
//! A record names its unit by the same two numbers as its document among the words, and it is written before that, so a unit
//! that has words has its vector too. What a killed writer left unfinished at the end is cut off by the next one; what a
//! reader finds damaged counts as damage of the words, beside which the file lies. A reader maps the file: it is appended to or
//! replaced, never changed.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    ops::Range,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use carnet_core::Digest;
use tantivy::directory::{Directory as _, MmapDirectory, OwnedBytes, error::OpenReadError};

use super::{halves, question::Question};
use crate::format::Input;

/// What the file begins with.
const MAGIC: &[u8; 16] = b"carnet/vectors/3";
/// Bytes of a record before its vector: file and unit.
const UNIT_BYTES: usize = 8 + 8;
/// Bytes of a record before its numbers: file, unit, scale.
const RECORD_HEAD_BYTES: usize = UNIT_BYTES + 4;
/// How many times as many as are wanted are rescored: the rough order is not quite the exact one.
const RESCORED: usize = 2;
/// Name of the file beside the words.
const NAME: &str = "vectors";

/// The one writer.
#[derive(Debug)]
pub struct VectorWriter {
    path: PathBuf,
    dimension: usize,
    waiting: Mutex<Vec<u8>>,
}

impl VectorWriter {
    /// Opens the file in `dir`, or begins one, and cuts off what was left unfinished.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] where the file is damaged or none of ours.
    pub fn open(dir: &Path, dimension: usize) -> io::Result<VectorWriter> {
        let path = dir.join(NAME);
        let mut file = OpenOptions::new().append(true).create(true).open(&path)?;
        let n_bytes = file.metadata()?.len();
        if n_bytes == 0 {
            file.write_all(MAGIC)?;
        } else {
            let n_whole = Vectors::open(dir, dimension)?.n_bytes() as u64;
            if n_whole < n_bytes {
                file.set_len(n_whole)?;
            }
        }
        Ok(VectorWriter { path, dimension, waiting: Mutex::new(Vec::new()) })
    }

    /// Adds a unit's vector to the batch that is gathered.
    pub fn add(&self, file: u64, unit: u64, vector: &[f32]) {
        debug_assert_eq!(vector.len(), self.dimension);
        let (scale, numbers) = halves::pack(vector);
        self.add_bytes(file, unit, scale, &numbers);
    }

    /// Adds a unit's numbers as they are stored.
    pub(super) fn add_bytes(&self, file: u64, unit: u64, scale: f32, numbers: &[u8]) {
        debug_assert_eq!(numbers.len(), halves::n_bytes(self.dimension));
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.extend_from_slice(&file.to_le_bytes());
        waiting.extend_from_slice(&unit.to_le_bytes());
        waiting.extend_from_slice(&scale.to_le_bytes());
        waiting.extend_from_slice(numbers);
    }

    /// Appends the batch, and waits until it is on the disk.
    pub fn commit(&mut self) -> io::Result<()> {
        let records =
            std::mem::take(self.waiting.get_mut().unwrap_or_else(PoisonError::into_inner));
        if records.is_empty() {
            return Ok(());
        }
        let mut file = OpenOptions::new().append(true).open(&self.path)?;
        file.write_all(&batch(&records))?;
        file.sync_all()
    }

    /// Rewrites the file with the records of the files that are `live` alone; readers keep the old one.
    pub fn keep(&mut self, live: &HashSet<u64>) -> io::Result<()> {
        let dir = self.path.parent().unwrap_or(Path::new(""));
        let vectors = Vectors::open(dir, self.dimension)?;
        let mut records = Vec::new();
        for at in vectors.places().filter(|at| live.contains(&vectors.record(*at).file)) {
            records.extend_from_slice(&vectors.bytes[at..at + vectors.record_bytes]);
        }
        let unfinished = self.path.with_extension("unfinished");
        let mut file = File::create(&unfinished)?;
        file.write_all(MAGIC)?;
        file.write_all(&batch(&records))?;
        file.sync_all()?;
        fs::rename(&unfinished, &self.path)
    }
}

/// Returns a batch: how many bytes its records are, the same with every bit turned, their CRC-32, and the records.
fn batch(records: &[u8]) -> Vec<u8> {
    let n_bytes = records.len() as u64;
    let mut batch = n_bytes.to_le_bytes().to_vec();
    batch.extend_from_slice(&(!n_bytes).to_le_bytes());
    batch.extend_from_slice(&crc32fast::hash(records).to_le_bytes());
    batch.extend_from_slice(records);
    batch
}

/// One unit's vector.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub file: u64,
    pub unit: u64,
    pub scale: f32,
    numbers: &'a [u8],
}

impl<'a> Record<'a> {
    fn new(bytes: &'a [u8]) -> Record<'a> {
        let mut input = Input(bytes);
        let mut number = || input.u64().unwrap_or_default();
        let (file, unit) = (number(), number());
        let scale = f32::from_bits(input.u32().unwrap_or_default());
        Record { file, unit, scale, numbers: input.0 }
    }
}

/// A unit near to a question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    /// The number of its file.
    pub file: u64,
    /// Its own number.
    pub unit: u64,
    /// The cosine of the angle between the two.
    pub cosine: f32,
}

/// All vectors, as they were at one moment.
pub struct Vectors {
    bytes: OwnedBytes,
    batches: Vec<Batch>,
    record_bytes: usize,
}

/// A whole batch: where its records lie, and their checksum.
struct Batch {
    records: Range<usize>,
    checksum: u32,
}

fn damaged() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

impl std::fmt::Debug for Vectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vectors({})", self.len())
    }
}

impl Vectors {
    /// Maps the vectors in `dir` and checks them. What an unfinished batch left at the end is passed over.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] where the file is damaged or none of ours.
    pub fn open(dir: &Path, dimension: usize) -> io::Result<Vectors> {
        let vectors = Vectors::open_unchecked(dir, dimension)?;
        vectors.check_from(0)?;
        Ok(vectors)
    }

    /// Maps the vectors in `dir`; nothing of a batch was compared with its checksum.
    pub(super) fn open_unchecked(dir: &Path, dimension: usize) -> io::Result<Vectors> {
        let bytes = map(dir, NAME)?;
        let record_bytes = RECORD_HEAD_BYTES + halves::n_bytes(dimension);
        let mut input = Input(bytes.strip_prefix(MAGIC).ok_or_else(damaged)?);
        let mut batches = Vec::new();
        while let (Some(n_bytes), Some(turned)) = (input.u64(), input.u64()) {
            if n_bytes != !turned {
                return Err(damaged());
            }
            let Some(checksum) = input.u32() else { break };
            let start = bytes.len() - input.0.len();
            let Some(records) = usize::try_from(n_bytes).ok().and_then(|n| input.take(n)) else {
                break;
            };
            if records.len() % record_bytes != 0 {
                return Err(damaged());
            }
            batches.push(Batch { records: start..start + records.len(), checksum });
        }
        Ok(Vectors { bytes, batches, record_bytes })
    }

    /// Compares the batches from a place on with their checksums.
    pub(super) fn check_from(&self, place: usize) -> io::Result<()> {
        let mut batches = self.batches.iter().filter(|batch| batch.records.start >= place);
        let holds =
            |batch: &Batch| crc32fast::hash(&self.bytes[batch.records.clone()]) == batch.checksum;
        if batches.all(holds) { Ok(()) } else { Err(damaged()) }
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.n_until(usize::MAX)
    }

    /// Tells whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many there are before a place.
    pub(super) fn n_until(&self, place: usize) -> usize {
        let before = self.batches.iter().filter(|batch| batch.records.end <= place);
        before.map(|batch| batch.records.len() / self.record_bytes).sum()
    }

    /// Returns how many bytes of the file are whole.
    pub(super) fn n_bytes(&self) -> usize {
        self.batches.last().map_or(MAGIC.len(), |batch| batch.records.end)
    }

    pub(super) fn record_bytes(&self) -> usize {
        self.record_bytes
    }

    /// Returns what distinguishes the first bytes of this file from those of others; `None` where no batch ends there.
    pub(super) fn digest_until(&self, place: usize) -> Option<Digest> {
        let mut bytes = Vec::new();
        for batch in self.batches.iter().take_while(|batch| batch.records.end <= place) {
            bytes.extend_from_slice(&(batch.records.end as u64).to_le_bytes());
            bytes.extend_from_slice(&batch.checksum.to_le_bytes());
        }
        let is_end = place == MAGIC.len() || self.batches.iter().any(|it| it.records.end == place);
        is_end.then(|| Digest::of(&bytes))
    }

    /// Returns where each record lies, in the order they were written; one unit may come twice, with the same vector.
    pub(super) fn places(&self) -> impl Iterator<Item = usize> {
        self.places_from(0)
    }

    fn places_from(&self, place: usize) -> impl Iterator<Item = usize> {
        let batches = self.batches.iter().filter(move |batch| batch.records.start >= place);
        batches.flat_map(|batch| batch.records.clone().step_by(self.record_bytes))
    }

    pub(super) fn record(&self, at: usize) -> Record<'_> {
        Record::new(&self.bytes[at..at + self.record_bytes])
    }

    /// Returns the two numbers that name a record.
    pub(super) fn name(&self, at: usize) -> (u64, u64) {
        let record = self.record(at);
        (record.file, record.unit)
    }

    /// Returns the first sixteen bytes of a record's numbers as such a name.
    pub(super) fn bytes_as_name(&self, at: usize) -> (u64, u64) {
        let mut name = [0; 16];
        self.record(at).numbers.iter().zip(&mut name).for_each(|(byte, to)| *to = *byte);
        let name = u128::from_be_bytes(name);
        ((name >> 64) as u64, name as u64)
    }

    /// Returns the scale and the numbers of a record, as they are stored.
    pub(super) fn vector(&self, at: usize) -> &[u8] {
        &self.bytes[at + UNIT_BYTES..at + self.record_bytes]
    }

    /// Returns about the cosine of a vector's angle to a question.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] where there is none with this checksum.
    pub(super) fn checked_rough(
        &self,
        question: &Question,
        at: usize,
        checksum: u32,
    ) -> io::Result<f32> {
        let record = self.bytes.get(at..).and_then(|it| it.get(..self.record_bytes));
        let record = record.ok_or_else(damaged)?;
        if crc32fast::hash(&record[UNIT_BYTES..]) != checksum {
            return Err(damaged());
        }
        let record = Record::new(record);
        Ok(question.rough_cosine(record.numbers, record.scale))
    }

    /// Returns the units that are wanted whose vectors are nearest to a question's, the nearest first, by looking at all.
    ///
    /// - `n`: how many at most. `is_wanted`: asked with the numbers of file and unit.
    pub fn nearest(
        &self,
        question: &Question,
        n: usize,
        mut is_wanted: impl FnMut(u64, u64) -> bool,
    ) -> Vec<Near> {
        let roughly = self.roughly_from(0, question, &mut is_wanted);
        self.rescored(question, n, roughly)
    }

    /// Looks at all from a place on.
    pub(super) fn roughly_from(
        &self,
        place: usize,
        question: &Question,
        is_wanted: &mut impl FnMut(u64, u64) -> bool,
    ) -> Vec<Rough> {
        let wanted = self.places_from(place).map(|at| (at, self.record(at)));
        let wanted = wanted.filter(|(_, it)| is_wanted(it.file, it.unit));
        let roughly = wanted.map(|(at, it)| Rough {
            cosine: question.rough_cosine(it.numbers, it.scale),
            at,
            file: it.file,
            unit: it.unit,
        });
        roughly.collect()
    }

    /// Returns the nearest of some, of which about the cosine is known.
    pub(super) fn rescored(
        &self,
        question: &Question,
        n: usize,
        mut best: Vec<Rough>,
    ) -> Vec<Near> {
        let n_rescored = n.saturating_mul(RESCORED);
        if best.len() > n_rescored {
            best.select_nth_unstable_by(n_rescored, |a, b| b.cosine.total_cmp(&a.cosine));
            best.truncate(n_rescored);
        }
        let near = best.into_iter().map(|Rough { at, file, unit, .. }| {
            let it = self.record(at);
            Near { file, unit, cosine: question.cosine(it.numbers, it.scale) }
        });
        let mut near: Vec<Near> = near.collect();
        near.sort_by(|a, b| {
            b.cosine.total_cmp(&a.cosine).then_with(|| (a.file, a.unit).cmp(&(b.file, b.unit)))
        });
        near.dedup_by_key(|it| (it.file, it.unit));
        near.truncate(n);
        near
    }
}

/// A unit that may be near: about its cosine, and where a vector like its own lies.
pub(super) struct Rough {
    pub cosine: f32,
    pub at: usize,
    pub file: u64,
    pub unit: u64,
}

/// Maps a file of a directory.
pub(super) fn map(dir: &Path, name: &str) -> io::Result<OwnedBytes> {
    let failed = |error: OpenReadError| match error {
        OpenReadError::FileDoesNotExist(_) => io::ErrorKind::NotFound.into(),
        OpenReadError::IoError { io_error, .. } => io::Error::new(io_error.kind(), io_error),
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    };
    if !dir.is_dir() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let directory = MmapDirectory::open(dir).map_err(io::Error::other)?;
    directory.open_read(Path::new(name)).map_err(failed)?.read_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(dir: &Path) -> Vec<(u64, u64)> {
        let vectors = Vectors::open(dir, 3).unwrap();
        vectors.places().map(|at| vectors.record(at)).map(|it| (it.file, it.unit)).collect()
    }

    /// A directory with one record, its file and its writer.
    fn one_record() -> (tempfile::TempDir, PathBuf, VectorWriter) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        let mut writer = VectorWriter::open(dir.path(), 3).unwrap();
        writer.add(1, 7, &[1.0, 0.0, 0.0]);
        writer.commit().unwrap();
        (dir, path, writer)
    }

    #[test]
    fn what_is_added_is_found_again_at_its_angle() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = VectorWriter::open(dir.path(), 3).unwrap();
        writer.add(1, 7, &[1.0, 0.0, 0.0]);
        writer.add(2, 8, &[0.6, 0.8, 0.0]);
        assert_eq!(files(dir.path()), []);
        writer.commit().unwrap();
        writer.add(3, 9, &[0.0, 0.0, -1.0]);
        writer.commit().unwrap();
        assert_eq!(files(dir.path()), [(1, 7), (2, 8), (3, 9)]);
        let vectors = Vectors::open(dir.path(), 3).unwrap();
        let near = vectors.nearest(&Question::new(vec![0.0, 1.0, 0.0]), 2, |file, _| file != 1);
        assert_eq!(near.iter().map(|it| (it.file, it.unit)).collect::<Vec<_>>(), [(2, 8), (3, 9)]);
        for (near, expected) in near.iter().zip([0.8, 0.0]) {
            assert!((near.cosine - expected).abs() < 0.07, "{near:?}");
        }
    }

    #[test]
    fn an_unfinished_end_is_passed_over_and_cut_off() {
        let (dir, path, mut writer) = one_record();
        let whole = fs::read(&path).unwrap();
        writer.add(2, 8, &[1.0, 0.0, 0.0]);
        writer.commit().unwrap();
        let longer = fs::read(&path).unwrap();
        for n in whole.len()..longer.len() {
            fs::write(&path, &longer[..n]).unwrap();
            assert_eq!(files(dir.path()), [(1, 7)], "{n} bytes");
            VectorWriter::open(dir.path(), 3).unwrap();
            assert_eq!(fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn damage_is_an_error_wherever_it_is() {
        let (dir, path, _) = one_record();
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            fs::write(&path, damaged).unwrap();
            assert!(Vectors::open(dir.path(), 3).is_err(), "byte {at}");
        }
    }

    #[test]
    fn what_is_no_longer_live_goes() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = VectorWriter::open(dir.path(), 3).unwrap();
        (0..10).for_each(|file| writer.add(file, 0, &[1.0, 0.0, 0.0]));
        writer.commit().unwrap();
        let before = Vectors::open(dir.path(), 3).unwrap();
        writer.keep(&HashSet::from([3, 5])).unwrap();
        assert_eq!(files(dir.path()), [(3, 0), (5, 0)]);
        assert_eq!(before.len(), 10);
        writer.add(11, 1, &[1.0, 0.0, 0.0]);
        writer.commit().unwrap();
        assert_eq!(files(dir.path()), [(3, 0), (5, 0), (11, 1)]);
    }
}
