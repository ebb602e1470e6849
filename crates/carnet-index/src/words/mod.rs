//! Words: full-text search over definitions and text files, in a tantivy index of its own under `words/`.
//!
//! One document per [unit](units::Unit): a definition, what of a source file lies outside of definitions, or a part of
//! a text file. A document names its file by a [key](file_key) of path and blob, and nothing is ever removed on the way
//! to a commit: what is *live* in a snapshot is the list of keys that it holds, and a search looks at live documents alone.
//! Statistics of words are counted over live documents too, so an answer does not depend on what was indexed before.
//!
//! No text is stored: what is shown is read from the blobs again, and what a definition is called from the snapshot.

mod citation;
mod exact;
mod extent;
mod fuse;
mod live;
mod query;
mod reader;
mod rules;
mod scope;
mod score;
mod search;
mod snippet;
mod store;
pub(crate) mod tokens;
mod units;

use std::path::{Path, PathBuf};

use crate::vectors::MODEL_DIGEST;
use carnet_core::{Digester, GitOid, RepoPath};
use carnet_parse::EXTRACTOR_VERSION;
use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, Schema, TextFieldIndexing, TextOptions,
};

pub use citation::{Citation, CitationError};
pub use extent::Extent;
pub use query::{QUERY_BYTES_MAX, QueryError, SearchQuery};
pub use scope::Scope;
pub use search::{Found, Hit, LineRange};
pub(crate) use store::{WordStore, has_vector};
pub(crate) use units::{is_worth_reading, units_of};

/// Grows whenever the same files would give other documents.
const WORDS_VERSION: u32 = 4;

/// Fields that hold words, in the order of [`Fields::texts`].
pub(crate) const TEXT_FIELDS: [&str; 5] = ["name", "path", "signature", "doc", "body"];
/// Position of the name in [`TEXT_FIELDS`].
pub(crate) const NAME: usize = 0;
/// Position of the one field of prose in [`TEXT_FIELDS`].
pub(crate) const DOC: usize = 3;
/// Position of the field that holds all the text of a unit.
pub(crate) const BODY: usize = 4;

/// The fields of a document.
#[derive(Debug, Clone)]
pub(crate) struct Fields {
    pub texts: [Field; TEXT_FIELDS.len()],
    /// Key of the file.
    pub file: Field,
    /// What the document is: see [`UnitCode`].
    pub unit: Field,
    /// First and last line in the file, from 1.
    pub start: Field,
    pub end: Field,
}

/// What a document is, in one number: the position of its symbol in its file, then the code of the symbol's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnitCode {
    Symbol {
        position: u32,
        kind: u8,
    },
    Text,
    /// Nothing to search: it only says that the file was looked at, and why it was left out.
    Nothing(LeftOut),
}

/// Why a file has nothing to search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeftOut {
    Empty,
    Binary,
    TooLarge,
    Minified,
    Generated,
}

impl UnitCode {
    const TEXT: u64 = 0;
    const NOTHING: u64 = 0xff;

    pub fn encode(self) -> u64 {
        match self {
            UnitCode::Symbol { position, kind } => u64::from(position) << 8 | u64::from(kind),
            UnitCode::Text => UnitCode::TEXT,
            UnitCode::Nothing(reason) => (reason as u64) << 8 | UnitCode::NOTHING,
        }
    }

    pub fn decode(number: u64) -> Option<UnitCode> {
        use LeftOut::{Binary, Empty, Generated, Minified, TooLarge};
        let high = u32::try_from(number >> 8).ok()?;
        Some(match number & 0xff {
            UnitCode::TEXT => UnitCode::Text,
            UnitCode::NOTHING => {
                let reasons = [Empty, Binary, TooLarge, Minified, Generated];
                UnitCode::Nothing(*reasons.get(high as usize)?)
            }
            kind => UnitCode::Symbol { position: high, kind: kind as u8 },
        })
    }
}

/// Names a file of a commit: 64 bits of the SHA-256 of path and blob.
pub(crate) fn file_key(path: &RepoPath, blob_id: &GitOid) -> u64 {
    let mut digester = Digester::new();
    digester.field(path.as_bytes()).field(blob_id.as_bytes());
    let digest = digester.finish();
    let (first, _) = digest.as_bytes().split_first_chunk().expect("because a digest has 32 bytes");
    u64::from_le_bytes(*first)
}

pub(crate) fn words_dir(dir: &Path) -> PathBuf {
    dir.join("words")
}

/// The version of the words, written when they are whole for the first time.
pub(crate) fn version_path(dir: &Path) -> PathBuf {
    words_dir(dir).join("version")
}

/// A reader that met damage leaves this file beside the words; the writer then begins them anew.
pub(crate) fn suspicion(dir: &Path) -> PathBuf {
    dir.join("words.suspect")
}

/// Tells whether there are words beside a snapshot, of which no reader has said that they are damaged.
pub(crate) fn are_there(dir: &Path) -> bool {
    Extent::of_words(dir).is_some()
        && words_dir(dir).join("meta.json").exists()
        && !suspicion(dir).exists()
}

/// Returns what the words in `dir` leave out, since the ceiling of memory has no room for it; `None` where nothing is.
pub fn left_out(dir: &Path) -> Option<&'static str> {
    Extent::of_words(dir)?.left_out()
}

/// Says that a search met damage in the words: the current snapshot then counts as damaged, and a refresh begins them anew.
///
/// # Errors
///
/// What the system says where nothing can be written in `dir`.
pub fn suspect_words(dir: &Path) -> std::io::Result<()> {
    std::fs::write(suspicion(dir), "")
}

/// Returns how many documents there are, live or not.
#[cfg(test)]
pub(crate) fn documents(dir: &Path) -> Result<u64, crate::IndexError> {
    Ok(reader::Words::open(dir)?.documents_by_key()?.values().sum())
}

/// What the words' own version file says.
pub(crate) fn version_text(extent: Extent) -> String {
    format!("{WORDS_VERSION}.{EXTRACTOR_VERSION}.{MODEL_DIGEST}{}\n", extent.mark())
}

pub(crate) fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let texts = TEXT_FIELDS.map(|name| {
        let tokenizer = if name == TEXT_FIELDS[DOC] { tokens::PROSE } else { tokens::CODE };
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(tokenizer)
            .set_index_option(IndexRecordOption::WithFreqs);
        schema.add_text_field(name, TextOptions::default().set_indexing_options(indexing))
    });
    let fields = Fields {
        texts,
        file: schema.add_u64_field("file", FAST | INDEXED),
        unit: schema.add_u64_field("unit", FAST),
        start: schema.add_u64_field("start", FAST),
        end: schema.add_u64_field("end", FAST),
    };
    (schema.build(), fields)
}
