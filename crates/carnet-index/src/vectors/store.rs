//! The vectors of units, in one file that only grows: batches of records, each batch with its digest.
//!
//! A record names its unit by the same two numbers as its document among the words, and it is written before that, so a unit
//! that has words has its vector too. What a killed writer left unfinished at the end is cut off by the next one; what a
//! reader finds damaged counts as damage of the words, beside which the file lies.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use carnet_core::Digest;

use super::model::scale_of;
use crate::format::Input;

/// What the file begins with.
const MAGIC: &[u8; 16] = b"carnet/vectors/1";
/// Bytes of a batch before its records: how many bytes they are, the same with every bit turned, and their digest.
const HEAD_BYTES: usize = 8 + 8 + 32;
/// Bytes of a record before its numbers: file, unit, scale.
const RECORD_HEAD_BYTES: usize = 8 + 8 + 4;
/// Name of the file beside the words.
const NAME: &str = "vectors";

/// The one writer.
#[derive(Debug)]
pub(crate) struct VectorWriter {
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
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            file.write_all(MAGIC)?;
        } else {
            let n_whole = MAGIC.len() + whole(&bytes)?.1;
            if n_whole < bytes.len() {
                file.set_len(n_whole as u64)?;
            }
        }
        Ok(VectorWriter { path, dimension, waiting: Mutex::new(Vec::new()) })
    }

    /// Adds a unit's vector to the batch that is gathered.
    pub fn add(&self, file: u64, unit: u64, vector: &[f32]) {
        debug_assert_eq!(vector.len(), self.dimension);
        let scale = scale_of(vector);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.extend_from_slice(&file.to_le_bytes());
        waiting.extend_from_slice(&unit.to_le_bytes());
        waiting.extend_from_slice(&scale.to_le_bytes());
        waiting.extend(vector.iter().map(|it| (it / scale).round() as i8 as u8));
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
        let vectors = Vectors::read(&self.path, self.dimension)?;
        let mut records = Vec::new();
        for record in vectors.raw().filter(|record| live.contains(&Record::new(record).file)) {
            records.extend_from_slice(record);
        }
        let unfinished = self.path.with_extension("unfinished");
        let mut file = File::create(&unfinished)?;
        file.write_all(MAGIC)?;
        file.write_all(&batch(&records))?;
        file.sync_all()?;
        fs::rename(&unfinished, &self.path)
    }
}

fn batch(records: &[u8]) -> Vec<u8> {
    let n_bytes = records.len() as u64;
    let mut batch = n_bytes.to_le_bytes().to_vec();
    batch.extend_from_slice(&(!n_bytes).to_le_bytes());
    batch.extend_from_slice(Digest::of(records).as_bytes());
    batch.extend_from_slice(records);
    batch
}

/// Returns the records of all whole batches of a file, and how many bytes those batches are. What an unfinished batch left at
/// the end is passed over.
fn whole(file: &[u8]) -> io::Result<(Vec<&[u8]>, usize)> {
    let damaged = || io::Error::from(io::ErrorKind::InvalidData);
    let batches = file.strip_prefix(MAGIC).ok_or_else(damaged)?;
    let mut input = Input(batches);
    let (mut all, mut n_whole) = (Vec::new(), 0);
    while let (Some(n_bytes), Some(turned)) = (input.u64(), input.u64()) {
        if n_bytes != !turned {
            return Err(damaged());
        }
        let Some(digest) = input.take(32) else { break };
        let Some(records) = usize::try_from(n_bytes).ok().and_then(|n| input.take(n)) else {
            break;
        };
        if Digest::of(records).as_bytes() != digest {
            return Err(damaged());
        }
        n_whole += HEAD_BYTES + records.len();
        all.push(records);
    }
    Ok((all, n_whole))
}

/// One unit's vector.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub file: u64,
    pub unit: u64,
    scale: f32,
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

    /// Returns the cosine of the angle to a vector of length 1.
    pub fn cosine(&self, vector: &[f32]) -> f32 {
        // Eight sums at once, so that the compiler keeps them side by side.
        let mut sums = [0.0f32; 8];
        let (ours, theirs) = (self.numbers.chunks_exact(8), vector.chunks_exact(8));
        let rest = ours.remainder().iter().zip(theirs.remainder());
        let rest: f32 = rest.map(|(a, b)| f32::from(*a as i8) * b).sum();
        for (ours, theirs) in ours.zip(theirs) {
            for lane in 0..8 {
                sums[lane] += f32::from(ours[lane] as i8) * theirs[lane];
            }
        }
        (sums.iter().sum::<f32>() + rest) * self.scale
    }
}

/// All vectors, as they were at one moment.
pub(crate) struct Vectors {
    bytes: Vec<u8>,
    record_bytes: usize,
}

impl Vectors {
    /// Reads the vectors in `dir` and checks them.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] where the file is damaged or none of ours.
    pub fn open(dir: &Path, dimension: usize) -> io::Result<Vectors> {
        Vectors::read(&dir.join(NAME), dimension)
    }

    fn read(path: &Path, dimension: usize) -> io::Result<Vectors> {
        let bytes = fs::read(path)?;
        let record_bytes = RECORD_HEAD_BYTES + dimension;
        let (batches, _) = whole(&bytes)?;
        match batches.iter().all(|records| records.len() % record_bytes == 0) {
            true => Ok(Vectors { bytes: batches.concat(), record_bytes }),
            false => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.record_bytes
    }

    fn raw(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks_exact(self.record_bytes)
    }

    /// Returns all vectors, in the order they were written; one unit may come twice, with the same vector.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.raw().map(Record::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(dir: &Path) -> Vec<(u64, u64)> {
        Vectors::open(dir, 3).unwrap().records().map(|it| (it.file, it.unit)).collect()
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
        let cosines: Vec<f32> = vectors.records().map(|it| it.cosine(&[0.0, 1.0, 0.0])).collect();
        for (cosine, expected) in cosines.iter().zip([0.0, 0.8, 0.0]) {
            assert!((cosine - expected).abs() < 0.01, "{cosines:?}");
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
        assert_eq!(before.records().count(), 10);
        writer.add(11, 1, &[1.0, 0.0, 0.0]);
        writer.commit().unwrap();
        assert_eq!(files(dir.path()), [(3, 0), (5, 0), (11, 1)]);
    }
}
