//! The writer of words: adds what is new, and clears away what no snapshot that is kept holds.

use std::{
    collections::{BTreeMap, HashSet},
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use carnet_core::{GitOid, RepoPath};
use carnet_parse::{Language, Parsed, SymbolKind};
use tantivy::{Index, IndexWriter, TantivyDocument, TantivyError, Term, directory::MmapDirectory};

use super::{
    Extent, Fields, LeftOut, UnitCode, file_key,
    reader::Words,
    schema, suspicion, tokens,
    units::{Unit, is_worth_reading, units_of},
    version_path, version_text, words_dir,
};
use crate::{
    BlobSource, IndexError,
    facts::{FactReader, FactStore, Subject, fact_key},
    vectors::{Model, UnitTexts, VectorWriter},
};

/// Memory that the writer gathers documents in, in bytes.
const HEAP_BYTES: usize = 48 << 20;
/// Most threads that read and cut files for the writer.
const WORKERS_MAX: usize = 4;
/// Documents below which dead ones are not worth clearing away.
const DEAD_DOCUMENTS_MIN: u64 = 2_000;

/// The one writer of words. Who holds the facts holds it.
pub(crate) struct WordStore {
    dir: PathBuf,
    extent: Extent,
    index: Index,
    writer: IndexWriter,
    fields: Fields,
    vectors: VectorWriter,
}

impl WordStore {
    /// Opens the words below `dir`. Those that are damaged or of another version are moved aside and begun anew; the second
    /// value then says why.
    ///
    /// - `extent`: how much they shall hold.
    pub fn open(dir: &Path, extent: Extent) -> Result<(WordStore, Option<String>), IndexError> {
        let reason = match guarded(dir, || WordStore::open_whole(dir, extent)) {
            Ok(store) => return Ok((store, None)),
            Err(error) => error,
        };
        if !reason.is_damaged_words() {
            return Err(reason);
        }
        WordStore::begin_anew(dir, extent, &reason)
    }

    /// Moves the words aside (one is kept, for a look) and begins empty ones.
    pub fn begin_anew(
        dir: &Path,
        extent: Extent,
        reason: &IndexError,
    ) -> Result<(WordStore, Option<String>), IndexError> {
        let (words, aside) = (words_dir(dir), dir.join("words.damaged"));
        let text = match reason {
            IndexError::Words { what, .. } => what.clone(),
            other => other.to_string(),
        };
        tracing::warn!(path = %words.display(), "the words are begun anew: {text}");
        if aside.exists() {
            std::fs::remove_dir_all(&aside)
                .map_err(|error| IndexError::io("remove", &aside, error))?;
        }
        std::fs::rename(&words, &aside).map_err(|error| IndexError::io("rename", &words, error))?;
        guarded(dir, || WordStore::open_whole(dir, extent)).map(|store| (store, Some(text)))
    }

    fn open_whole(dir: &Path, extent: Extent) -> Result<WordStore, IndexError> {
        let words = words_dir(dir);
        let failed = |error| IndexError::words(dir, error);
        if suspicion(dir).exists() {
            let removed = std::fs::remove_file(suspicion(dir));
            removed.map_err(|error| IndexError::io("remove", &suspicion(dir), error))?;
            if words.exists() {
                return Err(IndexError::damaged_words(dir, "a search met damage in them"));
            }
        }
        match std::fs::read_to_string(version_path(dir)) {
            Ok(found) if found != version_text(extent) => {
                let what = match Extent::of_words(dir) {
                    Some(found) if found < extent => "the ceiling of memory has no room for all",
                    Some(_) => "the ceiling of memory has room for more",
                    None => "they are of another version",
                };
                return Err(IndexError::damaged_words(dir, what));
            }
            Ok(_) if !words.join("meta.json").exists() => {
                return Err(IndexError::damaged_words(dir, "the list of their files is gone"));
            }
            Ok(_) => {}
            // They were never finished.
            Err(_) if words.exists() => std::fs::remove_dir_all(&words)
                .map_err(|error| IndexError::io("remove", &words, error))?,
            Err(_) => {}
        }
        std::fs::create_dir_all(&words)
            .map_err(|error| IndexError::io("create directory", &words, error))?;
        let directory = MmapDirectory::open(&words).map_err(|error| failed(error.into()))?;
        let (schema, fields) = schema();
        let mut index = Index::open_or_create(directory, schema).map_err(failed)?;
        index.set_tokenizers(tokens::manager());
        if let Some(file) = index.validate_checksum().map_err(failed)?.iter().min() {
            let what = format!("`{}` does not have its checksum", file.display());
            return Err(IndexError::damaged_words(dir, &what));
        }
        let writer = index.writer_with_num_threads(1, HEAP_BYTES).map_err(failed)?;
        let vectors = VectorWriter::open(&words, Model::embedded().dimension());
        let vectors = vectors.map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidData => {
                IndexError::damaged_words(dir, "their vectors are damaged")
            }
            _ => IndexError::io("open vectors in", &words, error),
        })?;
        Ok(WordStore { dir: dir.to_owned(), extent, index, writer, fields, vectors })
    }

    /// Adds the documents of the files that have none yet, all or none.
    pub fn update(
        &mut self,
        files: &BTreeMap<&RepoPath, GitOid>,
        facts: &FactStore,
        blobs: &dyn BlobSource,
    ) -> Result<(), IndexError> {
        let dir = self.dir.clone();
        guarded(&dir, || self.update_whole(files, facts, blobs))?;
        // From here on they are whole, and are kept.
        let version = version_path(&dir);
        match version.exists() {
            true => Ok(()),
            false => std::fs::write(&version, version_text(self.extent))
                .map_err(|error| IndexError::io("write", &version, error)),
        }
    }

    fn update_whole(
        &mut self,
        files: &BTreeMap<&RepoPath, GitOid>,
        facts: &FactStore,
        blobs: &dyn BlobSource,
    ) -> Result<(), IndexError> {
        let known: HashSet<u64> = self.read()?.all_keys()?;
        let jobs: Vec<(&RepoPath, GitOid, u64)> = files
            .iter()
            .filter(|(path, _)| is_worth_reading(path))
            .map(|(path, blob_id)| (*path, *blob_id, file_key(path, blob_id)))
            .filter(|(.., key)| !known.contains(key))
            .collect();
        if jobs.is_empty() {
            return Ok(());
        }
        let facts = facts.read()?;
        let n_cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (next, is_cancelled) = (AtomicUsize::new(0), AtomicBool::new(false));
        let failure: Mutex<Option<IndexError>> = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..n_cores.min(WORKERS_MAX).min(jobs.len()) {
                scope.spawn(|| {
                    while !is_cancelled.load(Ordering::Relaxed)
                        && let Some((path, blob_id, key)) =
                            jobs.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        if let Err(error) = self.add_file(path, blob_id, *key, &facts, blobs) {
                            failure
                                .lock()
                                .unwrap_or_else(PoisonError::into_inner)
                                .get_or_insert(error);
                            is_cancelled.store(true, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        self.commit()
    }

    fn add_file(
        &self,
        path: &RepoPath,
        blob_id: &GitOid,
        key: u64,
        facts: &FactReader,
        blobs: &dyn BlobSource,
    ) -> Result<(), IndexError> {
        // A file that cannot be read is reported with the facts, and tried again.
        let Ok(source) = blobs.read(blob_id) else { return Ok(()) };
        let parsed = match Language::of_path(path) {
            Some(language) => {
                let key = fact_key(Subject::Code(language), blob_id);
                let Some(parsed) = facts.get::<Parsed>(&key)? else { return Ok(()) };
                Some(parsed)
            }
            None => None,
        };
        match units_of(path, parsed.as_ref(), &source) {
            Ok(units) => {
                let path_words = path.to_text();
                units.iter().try_for_each(|unit| self.add_unit(key, &path_words, unit))
            }
            Err(reason) => self.add_nothing(key, reason),
        }
    }

    fn add_unit(&self, key: u64, path: &str, unit: &Unit) -> Result<(), IndexError> {
        let mut document = self.document(key, unit.code);
        document.add_u64(self.fields.start, u64::from(unit.start));
        document.add_u64(self.fields.end, u64::from(unit.end));
        let place = format!("{path} {}", unit.container);
        let no_body = String::new();
        let body = if self.extent == Extent::NoBodies { &no_body } else { &unit.body };
        let texts = [&unit.name, &place, &unit.signature, &unit.doc, body];
        for (field, text) in self.fields.texts.iter().zip(texts) {
            if !text.is_empty() {
                document.add_text(*field, text);
            }
        }
        if self.extent == Extent::Whole && has_vector(unit.code) {
            let name = format!("{} {}", unit.container, unit.name);
            let texts = UnitTexts { body: &unit.body, name: &name, path, doc: &unit.doc };
            if let Some(vector) = Model::embedded().unit(&texts) {
                self.vectors.add(key, unit.code.encode(), &vector);
            }
        }
        self.add(document)
    }

    fn add_nothing(&self, key: u64, reason: LeftOut) -> Result<(), IndexError> {
        let mut document = self.document(key, UnitCode::Nothing(reason));
        document.add_u64(self.fields.start, 0);
        document.add_u64(self.fields.end, 0);
        self.add(document)
    }

    fn document(&self, key: u64, code: UnitCode) -> TantivyDocument {
        let mut document = TantivyDocument::default();
        document.add_u64(self.fields.file, key);
        document.add_u64(self.fields.unit, code.encode());
        document
    }

    fn add(&self, document: TantivyDocument) -> Result<(), IndexError> {
        let added = self.writer.add_document(document);
        added.map(drop).map_err(|error| IndexError::words(&self.dir, error))
    }

    /// Vectors come first: whoever has words has its vector.
    fn commit(&mut self) -> Result<(), IndexError> {
        let dir = words_dir(&self.dir);
        self.vectors.commit().map_err(|error| IndexError::io("write vectors in", &dir, error))?;
        self.writer.commit().map(drop).map_err(|error| IndexError::words(&self.dir, error))
    }

    pub fn read(&self) -> Result<Words, IndexError> {
        Words::of_index(&self.dir, &self.index, self.fields.clone())
    }

    /// Removes the documents of files that none of the kept snapshots holds, once they are more than half, and ends the
    /// merging that is under way.
    pub fn finish(mut self, live: &HashSet<u64>) -> Result<(), IndexError> {
        let dir = self.dir.clone();
        let failed = |error: TantivyError| IndexError::words(&dir, error);
        guarded(&dir, || {
            let counts = self.read()?.documents_by_key()?;
            let n_all: u64 = counts.values().sum();
            let dead = counts.iter().filter(|(key, _)| !live.contains(key));
            let n_dead: u64 = dead.clone().map(|(_, n)| n).sum();
            if n_all >= DEAD_DOCUMENTS_MIN && n_dead * 2 > n_all {
                for (key, _) in dead {
                    self.writer.delete_term(Term::from_field_u64(self.fields.file, *key));
                }
                self.commit()?;
                let words = words_dir(&dir);
                let kept = self.vectors.keep(live);
                kept.map_err(|error| IndexError::io("write vectors in", &words, error))?;
                let ids = self.index.searchable_segment_ids().map_err(failed)?;
                if !ids.is_empty() {
                    self.writer.merge(&ids).wait().map_err(failed)?;
                }
                self.writer.garbage_collect_files().wait().map_err(failed)?;
            }
            self.writer.wait_merging_threads().map_err(failed)
        })
    }
}

/// Constants and variables are found by their names.
pub(crate) fn has_vector(code: UnitCode) -> bool {
    match code {
        UnitCode::Text => true,
        UnitCode::Nothing(_) => false,
        UnitCode::Symbol { kind, .. } => SymbolKind::from_code(kind)
            .is_some_and(|kind| !matches!(kind, SymbolKind::Constant | SymbolKind::Variable)),
    }
}

/// Does something with the words, which may panic on damage: that is damage like any other.
pub(super) fn guarded<T>(
    dir: &Path,
    deed: impl FnOnce() -> Result<T, IndexError>,
) -> Result<T, IndexError> {
    std::panic::catch_unwind(AssertUnwindSafe(deed))
        .unwrap_or_else(|_| Err(IndexError::damaged_words(dir, "reading them stopped at damage")))
}
