//! Facts: what each blob says, parsed once ever.
//!
//! A cache and nothing more: every fact can be had again from its blob. So a store that is damaged is moved aside and begun
//! anew.
//!
//! Facts lie one after the other in [frames], since what is packed together is packed smaller, and what lies
//! in a row fills the pages of the store.

use std::{
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use carnet_core::{GitOid, Region};
use carnet_parse::{EXTRACTOR_VERSION, Language, Parsed};
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};

use crate::{
    IndexError,
    frames::{self, Place},
    manifest::{Manifest, ManifestKind},
};

/// Where facts lie ([`Place`]), by extractor version (big endian), language code and raw blob id.
const FACTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("facts/3");
/// The pieces of the stream of frames, by where they begin.
const PIECES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("fact-pieces/3");
/// Facts of earlier versions, one by one.
const EARLIER: [TableDefinition<'_, &[u8], &[u8]>; 2] =
    [TableDefinition::new("facts/1"), TableDefinition::new("facts/2")];
/// Pages that redb keeps in memory, in bytes.
const CACHE_BYTES: usize = 32 << 20;
/// Unpacked frames that a reader keeps.
const FRAMES_KEPT: usize = 8;

/// What a fact is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Subject {
    Code(Language),
    Manifest(ManifestKind),
}

impl Subject {
    fn code(self) -> u8 {
        match self {
            Subject::Code(language) => language.code(),
            Subject::Manifest(kind) => kind.code(),
        }
    }
}

/// Names one fact.
pub(crate) type FactKey = Vec<u8>;

pub(crate) fn fact_key(subject: Subject, blob_id: &GitOid) -> FactKey {
    let mut key = EXTRACTOR_VERSION.to_be_bytes().to_vec();
    key.push(subject.code());
    key.extend_from_slice(blob_id.as_bytes());
    key
}

/// One fact, ready to be stored.
pub(crate) struct EncodedFact(Vec<u8>);

impl EncodedFact {
    pub fn of_parsed(parsed: &Parsed) -> Result<EncodedFact, IndexError> {
        EncodedFact::of(parsed)
    }

    pub fn of_manifest(manifest: &Manifest) -> Result<EncodedFact, IndexError> {
        EncodedFact::of(manifest)
    }

    fn of(value: &impl serde::Serialize) -> Result<EncodedFact, IndexError> {
        postcard::to_stdvec(value).map(EncodedFact).map_err(IndexError::Encode)
    }

    /// Takes over a sealed fact of another index; `None` unless it has its check, is about what its key says, and every
    /// position in it is one.
    pub fn of_sealed(key: &[u8], sealed: &[u8]) -> Option<EncodedFact> {
        let (version, rest) = key.split_first_chunk::<4>()?;
        let plain = frames::unframed(sealed)?;
        let is_ours = u32::from_be_bytes(*version) == EXTRACTOR_VERSION
            && GitOid::from_bytes(rest.get(1..)?).is_ok();
        let is_sound = match rest[0] {
            code if Language::from_code(code).is_some() => {
                postcard::from_bytes::<Parsed>(&plain).is_ok_and(|parsed| is_sound(&parsed))
            }
            code => ManifestKind::from_code(code).is_some_and(|kind| {
                postcard::from_bytes::<Manifest>(&plain).is_ok_and(|manifest| manifest.is_of(kind))
            }),
        };
        (is_ours && is_sound).then_some(EncodedFact(plain))
    }

    /// Returns it with its check, packed by itself.
    pub fn sealed(&self) -> Result<Vec<u8>, IndexError> {
        frames::frame(&self.0).map_err(IndexError::Pack)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// Tells whether every position that facts name is one: an inner symbol follows its outer one, a region does not end before it
/// begins. The parser makes no others; facts of another index may hold anything.
fn is_sound(parsed: &Parsed) -> bool {
    let n_symbols = parsed.symbols.len();
    let is_symbol = |idx: Option<u32>| idx.is_none_or(|idx| (idx as usize) < n_symbols);
    let is_region = |region: &Region| {
        region.start <= region.end
            && u32::try_from(region.end).is_ok_and(|end| end < u32::MAX)
            && region.start_line <= region.end_line
            && region.end_line < u32::MAX
    };
    let is_inside = |inner: &Region, outer: &Region| {
        (outer.start..=outer.end).contains(&inner.start)
            && inner.end <= outer.end
            && outer.start_line <= inner.start_line
            && inner.end_line <= outer.end_line
    };
    let symbols = parsed.symbols.iter().enumerate().all(|(at, symbol)| {
        symbol.parent.is_none_or(|parent| (parent as usize) < at)
            && is_region(&symbol.name_region)
            && is_region(&symbol.region)
    });
    symbols
        && parsed.symbols.is_sorted_by_key(|symbol| symbol.region.start)
        && parsed.calls.iter().all(|call| is_symbol(call.enclosing) && is_region(&call.region))
        && parsed.bases.iter().all(|base| is_symbol(base.symbol) && is_region(&base.region))
        && parsed.types.iter().all(|fact| is_symbol(Some(fact.symbol)))
        && parsed.types.is_sorted_by_key(|fact| (fact.symbol, &fact.member))
        && parsed.imports.iter().all(|import| is_region(&import.region))
        && parsed.overloads.iter().all(|idx| is_symbol(Some(*idx)))
        && parsed.rules.iter().all(|rule| is_symbol(Some(rule.symbol)))
        && parsed.invocations.iter().all(|it| {
            let arguments = it.arguments.iter();
            let mut regions = arguments.flat_map(|it| [&it.name_region, &it.region]);
            is_symbol(it.parent)
                && is_region(&it.region)
                && regions.all(|inner| is_region(inner) && is_inside(inner, &it.region))
        })
}

/// The store of facts. Holding it is holding the right to write: redb locks its file.
pub(crate) struct FactStore {
    path: PathBuf,
    database: Option<Database>,
}

impl FactStore {
    pub fn open(path: PathBuf) -> Result<FactStore, IndexError> {
        let database = match guarded(&path, || create(&path)) {
            Ok(mut database) => {
                guarded(&path, || without_earlier(&mut database))?;
                Some(database)
            }
            Err(IndexError::Facts { source, .. })
                if matches!(*source, redb::Error::DatabaseAlreadyOpen) =>
            {
                return Err(busy(&path));
            }
            Err(error) if error.is_damaged_facts() => None,
            Err(error) => return Err(error),
        };
        let mut store = FactStore { path, database };
        if store.database.is_none() {
            store.begin_anew()?;
        }
        Ok(store)
    }

    /// Moves the damaged store aside (one is kept, for a look) and begins an empty one.
    pub fn begin_anew(&mut self) -> Result<(), IndexError> {
        let damaged = self.database.take();
        // Closing a damaged store may fail like anything else about it.
        let _closed = std::panic::catch_unwind(AssertUnwindSafe(|| drop(damaged)));
        let aside = self.path.with_extension("damaged");
        tracing::warn!(path = %self.path.display(), "the facts are damaged; every file is parsed again");
        std::fs::rename(&self.path, &aside)
            .map_err(|error| IndexError::io("rename", &self.path, error))?;
        self.database = Some(guarded(&self.path, || create(&self.path))?);
        Ok(())
    }

    /// Returns a view of the facts as they are now.
    pub fn read(&self) -> Result<FactReader, IndexError> {
        let database = self.database()?;
        let tables = guarded(&self.path, || -> Result<_, redb::Error> {
            let transaction = database.begin_read()?;
            match transaction.open_table(FACTS) {
                Ok(facts) => Ok(Some((facts, transaction.open_table(PIECES)?))),
                Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
                Err(error) => Err(error.into()),
            }
        })?;
        Ok(FactReader { path: self.path.clone(), tables, kept: Mutex::default() })
    }

    /// Stores a batch of facts, all or none.
    pub fn insert(&self, facts: &[(FactKey, EncodedFact)]) -> Result<(), IndexError> {
        if facts.is_empty() {
            return Ok(());
        }
        let database = self.database()?;
        let plain: Vec<&[u8]> = facts.iter().map(|(_, fact)| fact.0.as_slice()).collect();
        let transaction = guarded(&self.path, || database.begin_write())?;
        let end = guarded(&self.path, || -> Result<u64, redb::Error> {
            let pieces = transaction.open_table(PIECES)?;
            let last = pieces.last()?;
            Ok(last.map_or(0, |(start, piece)| start.value() + piece.value().len() as u64))
        })?;
        let (stream, places) = frames::pack(&plain, end).map_err(IndexError::Pack)?;
        guarded(&self.path, || -> Result<(), redb::Error> {
            let mut start = end;
            let mut pieces = transaction.open_table(PIECES)?;
            for piece in frames::pieces(&stream) {
                pieces.insert(start, piece)?;
                start += piece.len() as u64;
            }
            drop(pieces);
            let mut table = transaction.open_table(FACTS)?;
            for ((key, _), place) in facts.iter().zip(places) {
                table.insert(key.as_slice(), place.encode().as_slice())?;
            }
            drop(table);
            Ok(transaction.commit()?)
        })
    }

    /// Gives the pages that are not used back to the disk.
    pub fn compact(&mut self) -> Result<(), IndexError> {
        let Some(database) = &mut self.database else { return Err(busy(&self.path)) };
        guarded(&self.path, || database.compact()).map(drop)
    }

    fn database(&self) -> Result<&Database, IndexError> {
        self.database.as_ref().ok_or_else(|| busy(&self.path))
    }
}

type Table<K> = redb::ReadOnlyTable<K, &'static [u8]>;

/// A view of the facts at one moment. May be asked from several threads at once.
pub(crate) struct FactReader {
    path: PathBuf,
    tables: Option<(Table<&'static [u8]>, Table<u64>)>,
    /// The last frames, by where they begin: what is asked for lies mostly in a row.
    kept: Mutex<Vec<(u64, Arc<Vec<u8>>)>>,
}

impl FactReader {
    /// Returns a fact; `None` when it is absent.
    ///
    /// # Errors
    ///
    /// [`IndexError::is_damaged_facts`] when it is there and cannot be read.
    pub fn get<T: serde::de::DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, IndexError> {
        let decoded = |plain: &[u8]| postcard::from_bytes(plain).ok();
        self.with_fact(key, decoded)?.map(|fact| fact.ok_or_else(|| self.damaged())).transpose()
    }

    /// Tells whether a fact is there.
    pub fn holds(&self, key: &[u8]) -> Result<bool, IndexError> {
        self.place(key).map(|place| place.is_some())
    }

    /// Returns a fact as it is stored.
    pub fn encoded(&self, key: &[u8]) -> Result<Option<EncodedFact>, IndexError> {
        self.with_fact(key, |plain| EncodedFact(plain.to_vec()))
    }

    fn place(&self, key: &[u8]) -> Result<Option<Place>, IndexError> {
        let Some((facts, _)) = &self.tables else { return Ok(None) };
        let found = guarded(&self.path, || -> Result<_, redb::Error> {
            Ok(facts.get(key)?.map(|place| Place::decode(place.value())))
        })?;
        found.map(|place| place.ok_or_else(|| self.damaged())).transpose()
    }

    fn with_fact<T>(&self, key: &[u8], then: impl Fn(&[u8]) -> T) -> Result<Option<T>, IndexError> {
        let Some(place) = self.place(key)? else { return Ok(None) };
        let frame = self.frame(&place)?;
        let end = place.start as usize + place.n_bytes as usize;
        let fact = frame.get(place.start as usize..end).ok_or_else(|| self.damaged())?;
        Ok(Some(then(fact)))
    }

    /// Returns an unpacked frame.
    fn frame(&self, place: &Place) -> Result<Arc<Vec<u8>>, IndexError> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, frame)) = kept().iter().find(|(start, _)| *start == place.frame) {
            return Ok(frame.clone());
        }
        let plain = frames::unframed(&self.read_stream(place.frame, place.n_frame as usize)?);
        let frame = Arc::new(plain.ok_or_else(|| self.damaged())?);
        let mut kept = kept();
        if kept.len() >= FRAMES_KEPT {
            kept.remove(0);
        }
        kept.push((place.frame, frame.clone()));
        Ok(frame)
    }

    /// Returns so many bytes of the stream of frames.
    fn read_stream(&self, start: u64, n_bytes: usize) -> Result<Vec<u8>, IndexError> {
        let Some((_, pieces)) = &self.tables else { return Err(self.damaged()) };
        let bytes = guarded(&self.path, || -> Result<Option<Vec<u8>>, redb::Error> {
            let Some(first) = pieces.range(..=start)?.next_back().transpose()? else {
                return Ok(None);
            };
            let mut bytes = Vec::new();
            let mut at = first.0.value();
            for piece in pieces.range(at..)? {
                let piece = piece?;
                let skipped = usize::try_from(start.saturating_sub(at)).unwrap_or(usize::MAX);
                let Some(piece_bytes) = piece.1.value().get(skipped..) else { return Ok(None) };
                let n_missing = n_bytes - bytes.len();
                bytes.extend_from_slice(&piece_bytes[..n_missing.min(piece_bytes.len())]);
                at += piece.1.value().len() as u64;
                if bytes.len() == n_bytes {
                    return Ok(Some(bytes));
                }
            }
            Ok(None)
        })?;
        bytes.ok_or_else(|| self.damaged())
    }

    fn damaged(&self) -> IndexError {
        facts_error(&self.path, redb::Error::Corrupted("a fact does not hold".to_owned()))
    }
}

/// Does something with the store, which panics on some kinds of damage: that is damage like any other.
fn guarded<T, E: Into<redb::Error>>(
    path: &Path,
    deed: impl FnOnce() -> Result<T, E>,
) -> Result<T, IndexError> {
    match std::panic::catch_unwind(AssertUnwindSafe(deed)) {
        Ok(done) => done.map_err(|error| facts_error(path, error)),
        Err(_) => {
            let what = "the store of facts stopped at damage".to_owned();
            Err(facts_error(path, redb::Error::Corrupted(what)))
        }
    }
}

fn create(path: &Path) -> Result<Database, DatabaseError> {
    // The check reads the whole file once, so that damage shows here and not in the middle of a refresh.
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder.create(path)
}

/// Removes what an earlier version left: nothing reads it, and it is large.
fn without_earlier(database: &mut Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    let mut n_removed = 0;
    for table in EARLIER {
        n_removed += usize::from(transaction.delete_table(table)?);
    }
    if n_removed == 0 {
        return Ok(transaction.abort()?);
    }
    transaction.commit()?;
    database.compact()?;
    Ok(())
}

fn busy(path: &Path) -> IndexError {
    IndexError::Busy(path.parent().unwrap_or(path).to_owned())
}

fn facts_error(path: &Path, error: impl Into<redb::Error>) -> IndexError {
    IndexError::Facts { path: path.to_owned(), source: Box::new(error.into()) }
}
