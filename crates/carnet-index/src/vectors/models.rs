//! Vectors of a model that git's configuration names, beside those of the embedded table.
//!
//! They are kept by model and by the text they are of, so that no text is embedded twice, whatever commits hold it: `chunks`
//! has a vector for the digest of each text, `units` says which text a unit of a file is. Both are files of vectors as `store`
//! writes them. They are made after the snapshot is current, batch by batch; what was written stays when the model goes away.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use carnet_core::{Digest, Digester};
use carnet_parse::parse;

use super::{
    neighbours::Nearest,
    question::Question,
    store::{Near, VectorWriter, Vectors},
};
use crate::{
    BlobSource, IndexError, Snapshot,
    words::{UnitCode, has_vector, is_worth_reading, units_of},
};

/// Longest text of a unit that is embedded, in bytes; sentence models read a few hundred words.
const TEXT_BYTES_MAX: usize = 2_000;
/// Texts that are written together.
const WRITTEN_TOGETHER: usize = 256;
/// Bytes of a text's digest that name it.
const HASH_BYTES: usize = 16;
/// The same in numbers of a vector, of which a byte holds two.
const HASH_NUMBERS: usize = HASH_BYTES * 2;
/// Stands for "this file was looked at".
const LOOKED_AT: u64 = u64::MAX;
/// Of a hundred live files so many must be embedded before a question goes to the model.
const COVERED_PERCENT: u64 = 90;

/// Where the vectors of one model are kept.
#[derive(Debug, Clone)]
pub struct ModelStore {
    dir: PathBuf,
    dimension: usize,
}

/// How much of a snapshot a model has vectors of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ModelCoverage {
    /// Files whose functions and types have them.
    pub n_files_done: u64,
    /// Files of the snapshot.
    pub n_files: u64,
}

impl ModelCoverage {
    /// Tells whether questions go to the model.
    pub fn is_enough(&self) -> bool {
        self.n_files_done * 100 >= self.n_files * COVERED_PERCENT
    }

    /// Tells whether nothing is missing.
    pub fn is_whole(&self) -> bool {
        self.n_files_done == self.n_files
    }
}

/// Why not all texts were embedded.
#[derive(Debug)]
pub enum ModelError<E> {
    /// The index could not be read or written.
    Index(IndexError),
    /// The model did not answer.
    Model(E),
    /// Another process embeds with this model.
    Busy,
}

impl<E> From<IndexError> for ModelError<E> {
    fn from(error: IndexError) -> ModelError<E> {
        ModelError::Index(error)
    }
}

impl ModelStore {
    /// Names the place of a model's vectors in an index.
    ///
    /// - `dir`: the index's directory. `model`: what distinguishes the model from every other: its name and where it is.
    pub fn new(dir: &Path, model: &str, dimension: usize) -> ModelStore {
        let id = Digest::of(format!("{dimension} {model}").as_bytes()).to_string();
        ModelStore { dir: dir.join("models").join(&id[..16]), dimension }
    }

    fn chunks(&self) -> PathBuf {
        self.dir.join("chunks")
    }

    fn units(&self) -> PathBuf {
        self.dir.join("units")
    }

    fn failed(&self, error: io::Error) -> IndexError {
        IndexError::io("use the vectors in", &self.dir, error)
    }

    /// Returns how much of a snapshot has vectors.
    ///
    /// # Errors
    ///
    /// [`IndexError`] where the snapshot or the vectors are damaged.
    pub fn coverage(&self, snapshot: &Snapshot) -> Result<ModelCoverage, IndexError> {
        let done = self.files_done()?;
        let (mut n_files_done, mut n_files) = (0, 0);
        for (key, _) in snapshot.live_rows()? {
            n_files += 1;
            n_files_done += u64::from(done.contains(&key));
        }
        Ok(ModelCoverage { n_files_done, n_files })
    }

    fn files_done(&self) -> Result<HashSet<u64>, IndexError> {
        match Vectors::open(&self.units(), HASH_NUMBERS) {
            Ok(units) => Ok(units.places().map(|at| units.record(at).file).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(HashSet::new()),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Embeds what of a snapshot has no vectors yet. Damaged vectors are begun anew.
    ///
    /// - `batch`: texts that are embedded at once. `embed`: returns the vector of each text, of length 1. `told`: how far it is.
    ///
    /// # Errors
    ///
    /// [`ModelError`]; what was embedded before is kept.
    pub fn update<E>(
        &self,
        snapshot: &Snapshot,
        blobs: &dyn BlobSource,
        batch: usize,
        mut embed: impl FnMut(&[String]) -> Result<Vec<Vec<f32>>, E>,
        mut told: impl FnMut(ModelCoverage),
    ) -> Result<(), ModelError<E>> {
        let failed = |error| self.failed(error);
        for dir in [self.chunks(), self.units()] {
            fs::create_dir_all(dir).map_err(failed)?;
        }
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false);
        let lock = options.open(self.dir.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(ModelError::Busy),
            Err(TryLockError::Error(error)) => return Err(self.failed(error).into()),
            Ok(()) => {}
        }
        let mut chunks = self.writer(&self.chunks(), self.dimension)?;
        let mut units = self.writer(&self.units(), HASH_NUMBERS)?;
        let known = Vectors::open(&self.chunks(), self.dimension).map_err(failed)?;
        let mut known: HashSet<(u64, u64)> = known.places().map(|at| known.name(at)).collect();
        let done = self.files_done()?;
        let rows = snapshot.live_rows()?;
        let mut coverage = ModelCoverage { n_files_done: 0, n_files: rows.len() as u64 };
        let mut texts: Vec<((u64, u64), String)> = Vec::new();
        let mut waiting = 0;
        for (at, (key, row)) in rows.iter().enumerate() {
            waiting += 1;
            if !done.contains(key) {
                for (unit, text) in texts_of(snapshot, *row, blobs)? {
                    let name = name_of(&text);
                    units.add_bytes(*key, unit, 1.0, &hash_of(name));
                    if known.insert(name) {
                        texts.push((name, text));
                    }
                }
                units.add_bytes(*key, LOOKED_AT, 1.0, &[0; HASH_BYTES]);
            }
            if texts.len() >= WRITTEN_TOGETHER || at + 1 == rows.len() {
                for some in texts.chunks(batch.max(1)) {
                    let asked: Vec<String> = some.iter().map(|(_, text)| text.clone()).collect();
                    let vectors = embed(&asked).map_err(ModelError::Model)?;
                    for ((name, _), vector) in some.iter().zip(&vectors) {
                        chunks.add(name.0, name.1, vector);
                    }
                    // What was embedded is kept, whatever comes of the next batch.
                    chunks.commit().map_err(failed)?;
                }
                texts.clear();
                units.commit().map_err(failed)?;
                coverage.n_files_done += std::mem::take(&mut waiting);
                told(coverage);
            }
        }
        Ok(())
    }

    /// Opens one of the two; a damaged one begins anew.
    fn writer(&self, dir: &Path, dimension: usize) -> Result<VectorWriter, IndexError> {
        match VectorWriter::open(dir, dimension) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::warn!(path = %dir.display(), "damaged vectors are begun anew");
                for dir in [self.chunks(), self.units()] {
                    fs::remove_dir_all(&dir).map_err(|error| self.failed(error))?;
                    fs::create_dir_all(&dir).map_err(|error| self.failed(error))?;
                }
                VectorWriter::open(dir, dimension).map_err(|error| self.failed(error))
            }
            other => other.map_err(|error| self.failed(error)),
        }
    }

    /// Returns the units that are wanted whose vectors are nearest to a question's, the nearest first.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] where the vectors are damaged.
    pub(crate) fn nearest(
        &self,
        question: &Question,
        n: usize,
        mut is_wanted: impl FnMut(u64, u64) -> bool,
    ) -> io::Result<Nearest> {
        let units = Vectors::open(&self.units(), HASH_NUMBERS)?;
        let chunks = Vectors::open(&self.chunks(), self.dimension)?;
        let mut wanted: HashMap<(u64, u64), Vec<(u64, u64)>> = HashMap::new();
        for at in units.places() {
            let record = units.record(at);
            if record.unit != LOOKED_AT && is_wanted(record.file, record.unit) {
                let same = wanted.entry(units.bytes_as_name(at)).or_default();
                if !same.contains(&(record.file, record.unit)) {
                    same.push((record.file, record.unit));
                }
            }
        }
        let near = chunks.nearest(question, n, |high, low| wanted.contains_key(&(high, low)));
        let units = near.iter().flat_map(|it| {
            let same = wanted.get(&(it.file, it.unit)).into_iter().flatten();
            same.map(|(file, unit)| Near { file: *file, unit: *unit, cosine: it.cosine })
        });
        let units = units.take(n).collect();
        Ok(Nearest { units, n_looked: chunks.len(), is_graph_damaged: false })
    }
}

/// Returns the texts of a file's units, with their numbers. A file that cannot be read, or is left out, has none.
fn texts_of(
    snapshot: &Snapshot,
    row: u32,
    blobs: &dyn BlobSource,
) -> Result<Vec<(u64, String)>, IndexError> {
    let file = snapshot.live_file(row)?;
    if !is_worth_reading(&file.path) {
        return Ok(Vec::new());
    }
    let Ok(source) = blobs.read(&file.blob_id) else { return Ok(Vec::new()) };
    let parsed = file.language.map(|language| parse(language, &source));
    let units = units_of(&file.path, parsed.as_ref(), &source).unwrap_or_default();
    let path = file.path.to_text();
    let texts = units.iter().filter(|unit| has_vector(unit.code)).map(|unit| {
        let mut text = format!(
            "{path}\n{} {}\n{}\n{}\n{}",
            unit.container, unit.name, unit.signature, unit.doc, unit.body
        );
        let mut ends = (0..=TEXT_BYTES_MAX.min(text.len())).rev();
        text.truncate(ends.find(|end| text.is_char_boundary(*end)).unwrap_or(0));
        (UnitCode::encode(unit.code), text)
    });
    Ok(texts.collect())
}

fn name_of(text: &str) -> (u64, u64) {
    let mut digester = Digester::new();
    digester.field(text.as_bytes());
    let digest = digester.finish();
    let (high, rest) = digest.as_bytes().split_at(8);
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    (number(high), number(&rest[..8]))
}

fn hash_of(name: (u64, u64)) -> [u8; HASH_BYTES] {
    (u128::from(name.0) << 64 | u128::from(name.1)).to_be_bytes()
}
