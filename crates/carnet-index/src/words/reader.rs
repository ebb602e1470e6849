//! Reads the words: which documents are live, and where a word stands.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use tantivy::{
    DocId, DocSet, Index, ReloadPolicy, Searcher, SegmentReader, TERMINATED, Term,
    columnar::{ColumnIndex, ColumnValues},
    directory::MmapDirectory,
    fieldnorm::FieldNormReader,
    postings::Postings as _,
    schema::IndexRecordOption,
};

use super::{BODY, Extent, Fields, schema, store::guarded, tokens, words_dir};
use crate::IndexError;

/// The words as they were at one moment; kept by whoever holds it, whatever the writer does.
pub(crate) struct Words {
    dir: PathBuf,
    searcher: Searcher,
    fields: Fields,
}

/// One part of the index, its columns open; those that every search reads from end to end are read.
pub(crate) struct Segment<'w> {
    words: &'w Words,
    reader: &'w SegmentReader,
    files: Vec<u64>,
    units: Vec<u64>,
    starts: Arc<dyn ColumnValues<u64>>,
    ends: Arc<dyn ColumnValues<u64>>,
    pub lengths: Vec<FieldNormReader>,
}

impl Words {
    pub fn open(dir: &Path) -> Result<Words, IndexError> {
        let words = words_dir(dir);
        if Extent::of_words(dir).is_none() {
            return Err(IndexError::damaged_words(dir, "they are of another version"));
        }
        guarded(dir, || {
            let failed = |error| IndexError::words(dir, error);
            let directory = MmapDirectory::open(&words).map_err(|error| failed(error.into()))?;
            let (schema, fields) = schema();
            let mut index = Index::open(directory).map_err(failed)?;
            if index.schema() != schema {
                return Err(IndexError::damaged_words(dir, "they are of another version"));
            }
            index.set_tokenizers(tokens::manager());
            Words::of_index(dir, &index, fields)
        })
    }

    pub fn of_index(dir: &Path, index: &Index, fields: Fields) -> Result<Words, IndexError> {
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into();
        let reader = reader.map_err(|error| IndexError::words(dir, error))?;
        Ok(Words { dir: dir.to_owned(), searcher: reader.searcher(), fields })
    }

    pub fn segments(&self) -> impl Iterator<Item = Result<Segment<'_>, IndexError>> {
        self.searcher.segment_readers().iter().map(|reader| Segment::open(self, reader))
    }

    /// Returns the keys of all files that have documents, live or not.
    pub fn all_keys(&self) -> Result<HashSet<u64>, IndexError> {
        Ok(self.documents_by_key()?.into_keys().collect())
    }

    pub fn documents_by_key(&self) -> Result<HashMap<u64, u64>, IndexError> {
        let mut counts = HashMap::new();
        for segment in self.segments() {
            let segment = segment?;
            for doc in segment.reader.doc_ids_alive() {
                *counts.entry(segment.file(doc)).or_default() += 1;
            }
        }
        Ok(counts)
    }

    fn failed(&self, error: impl Into<tantivy::TantivyError>) -> IndexError {
        IndexError::words(&self.dir, error.into())
    }
}

impl<'w> Segment<'w> {
    fn open(words: &'w Words, reader: &'w SegmentReader) -> Result<Segment<'w>, IndexError> {
        let column = |name: &str| {
            let column = reader.fast_fields().u64(name).map_err(|error| words.failed(error))?;
            // Every document has a number.
            match column.index {
                ColumnIndex::Full if column.num_docs() == reader.max_doc() => Ok(column.values),
                _ => Err(IndexError::damaged_words(&words.dir, "a document lacks a number")),
            }
        };
        let numbers = |name: &str| {
            let column = column(name)?;
            let mut numbers = vec![0; column.num_vals() as usize];
            column.get_range(0, &mut numbers);
            Ok::<_, IndexError>(numbers)
        };
        let lengths =
            words.fields.texts.iter().map(|field| {
                reader.get_fieldnorms_reader(*field).map_err(|error| words.failed(error))
            });
        Ok(Segment {
            words,
            reader,
            files: numbers("file")?,
            units: numbers("unit")?,
            starts: column("start")?,
            ends: column("end")?,
            lengths: lengths.collect::<Result<_, _>>()?,
        })
    }

    pub fn n_documents(&self) -> u32 {
        self.reader.max_doc()
    }

    pub fn is_deleted(&self, doc: DocId) -> bool {
        self.reader.alive_bitset().is_some_and(|alive| alive.is_deleted(doc))
    }

    pub fn file(&self, doc: DocId) -> u64 {
        self.files[doc as usize]
    }

    pub fn unit(&self, doc: DocId) -> u64 {
        self.units[doc as usize]
    }

    /// Returns the first and the last line of a document.
    pub fn lines(&self, doc: DocId) -> (u32, u32) {
        (self.starts.get_val(doc) as u32, self.ends.get_val(doc) as u32)
    }

    /// Calls `then` with each document that has `word` in field `field`, and how often.
    pub fn each_document(
        &self,
        field: usize,
        word: &str,
        mut then: impl FnMut(DocId, u32),
    ) -> Result<(), IndexError> {
        let field = self.words.fields.texts[field];
        let failed = |error: std::io::Error| self.words.failed(error);
        let inverted =
            self.reader.inverted_index(field).map_err(|error| self.words.failed(error))?;
        let term = Term::from_field_text(field, word);
        let postings =
            inverted.read_postings(&term, IndexRecordOption::WithFreqs).map_err(failed)?;
        if let Some(mut postings) = postings {
            let mut doc = postings.doc();
            while doc != TERMINATED {
                then(doc, postings.term_freq());
                doc = postings.advance();
            }
        }
        Ok(())
    }

    /// Calls `then` with each word of field `field` that begins with `prefix`.
    pub fn each_word_from(
        &self,
        field: usize,
        prefix: &str,
        mut then: impl FnMut(&[u8]),
    ) -> Result<(), IndexError> {
        let field = self.words.fields.texts[field];
        let failed = |error: std::io::Error| self.words.failed(error);
        let inverted =
            self.reader.inverted_index(field).map_err(|error| self.words.failed(error))?;
        let mut terms = inverted.terms().range().ge(prefix).into_stream().map_err(failed)?;
        while terms.advance() && terms.key().starts_with(prefix.as_bytes()) {
            then(terms.key());
        }
        Ok(())
    }

    /// Calls `then` with each document that has a word with `fragment` inside.
    pub fn each_document_around(
        &self,
        fragment: &str,
        mut then: impl FnMut(DocId),
    ) -> Result<(), IndexError> {
        let field = self.words.fields.texts[BODY];
        let failed = |error: std::io::Error| self.words.failed(error);
        let inverted =
            self.reader.inverted_index(field).map_err(|error| self.words.failed(error))?;
        let finder = memchr::memmem::Finder::new(fragment.as_bytes());
        let mut terms = inverted.terms().stream().map_err(failed)?;
        while terms.advance() {
            if finder.find(terms.key()).is_some() {
                let postings =
                    inverted.read_postings_from_terminfo(terms.value(), IndexRecordOption::Basic);
                let mut postings = postings.map_err(failed)?;
                let mut doc = postings.doc();
                while doc != TERMINATED {
                    then(doc);
                    doc = postings.advance();
                }
            }
        }
        Ok(())
    }
}
