//! Facts: what each blob says, parsed once ever.
//!
//! A cache and nothing more: every fact can be had again from its blob. So a value whose digest does not
//! hold counts as absent, and a store that is damaged is moved aside and begun anew.

use std::{
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
};

use carnet_core::{Digest, GitOid, Region};
use carnet_parse::{EXTRACTOR_VERSION, Language, Parsed};
use redb::{Database, DatabaseError, ReadableDatabase, TableDefinition};

use crate::{IndexError, manifest::ManifestKind};

/// Key: extractor version (big endian), language code, raw blob id. Value: half a SHA-256 of what follows, which is the length
/// of the postcard (4 bytes, little endian) and the postcard, packed with zstd.
const FACTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("facts/2");
/// Facts of earlier versions, which were not packed.
const UNPACKED_FACTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("facts/1");
/// Most bytes that one fact may have unpacked.
const FACT_BYTES_MAX: usize = 256 << 20;
/// How hard facts are packed: more takes longer than it saves.
const PACKING: i32 = 3;
/// Bytes of the digest kept before a value: enough against damage, which is all it guards against.
const CHECK_BYTES: usize = 16;
/// Pages that redb keeps in memory, in bytes.
const CACHE_BYTES: usize = 32 << 20;

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

    pub fn of_name(name: &Option<String>) -> Result<EncodedFact, IndexError> {
        EncodedFact::of(name)
    }

    fn of(value: &impl serde::Serialize) -> Result<EncodedFact, IndexError> {
        let plain = postcard::to_stdvec(value).map_err(IndexError::Encode)?;
        let mut payload = (plain.len() as u32).to_le_bytes().to_vec();
        let packed = zstd::bulk::compress(&plain, PACKING).map_err(IndexError::Pack)?;
        payload.extend_from_slice(&packed);
        Ok(EncodedFact::seal(&payload))
    }

    /// Takes over a stored fact of another index; `None` unless it has its check, is about what its key says, and every
    /// position in it is one.
    pub fn of_stored(key: &[u8], stored: Vec<u8>) -> Option<EncodedFact> {
        let (version, rest) = key.split_first_chunk::<4>()?;
        let (check, payload) = stored.split_at_checked(CHECK_BYTES)?;
        let is_whole = Digest::of(payload).as_bytes()[..CHECK_BYTES] == *check;
        let is_ours = u32::from_be_bytes(*version) == EXTRACTOR_VERSION
            && GitOid::from_bytes(rest.get(1..)?).is_ok();
        let is_sound = match rest[0] {
            code if Language::from_code(code).is_some() => {
                unpacked::<Parsed>(payload).is_some_and(|parsed| is_sound(&parsed))
            }
            code if ManifestKind::from_code(code).is_some() => {
                unpacked::<Option<String>>(payload).is_some()
            }
            _ => false,
        };
        (is_whole && is_ours && is_sound).then_some(EncodedFact(stored))
    }

    fn seal(payload: &[u8]) -> EncodedFact {
        let mut value = Digest::of(payload).as_bytes()[..CHECK_BYTES].to_vec();
        value.extend_from_slice(payload);
        EncodedFact(value)
    }

    /// Returns it as it is stored.
    pub fn into_stored(self) -> Vec<u8> {
        self.0
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// Returns what a payload holds; `None` when it holds nothing of the kind.
fn unpacked<T: serde::de::DeserializeOwned>(payload: &[u8]) -> Option<T> {
    let (n_bytes, packed) = payload.split_first_chunk::<4>()?;
    let n_bytes = u32::from_le_bytes(*n_bytes) as usize;
    let plain = (n_bytes <= FACT_BYTES_MAX).then(|| zstd::bulk::decompress(packed, n_bytes))?;
    postcard::from_bytes(&plain.ok()?).ok()
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
    let symbols = parsed.symbols.iter().enumerate().all(|(at, symbol)| {
        symbol.parent.is_none_or(|parent| (parent as usize) < at)
            && is_region(&symbol.name_region)
            && is_region(&symbol.region)
    });
    symbols
        && parsed.symbols.is_sorted_by_key(|symbol| symbol.region.start)
        && parsed.calls.iter().all(|call| is_symbol(call.enclosing) && is_region(&call.region))
        && parsed.bases.iter().all(|base| is_symbol(base.symbol) && is_region(&base.region))
        && parsed.imports.iter().all(|import| is_region(&import.region))
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
                guarded(&path, || without_unpacked(&mut database))?;
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
        let table = guarded(&self.path, || -> Result<_, redb::Error> {
            match database.begin_read()?.open_table(FACTS) {
                Ok(table) => Ok(Some(table)),
                Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
                Err(error) => Err(error.into()),
            }
        })?;
        Ok(FactReader { path: self.path.clone(), table })
    }

    /// Stores a batch of facts, all or none.
    pub fn insert(&self, facts: &[(FactKey, EncodedFact)]) -> Result<(), IndexError> {
        if facts.is_empty() {
            return Ok(());
        }
        let database = self.database()?;
        guarded(&self.path, || -> Result<(), redb::Error> {
            let transaction = database.begin_write()?;
            {
                let mut table = transaction.open_table(FACTS)?;
                for (key, fact) in facts {
                    table.insert(key.as_slice(), fact.0.as_slice())?;
                }
            }
            Ok(transaction.commit()?)
        })
    }

    fn database(&self) -> Result<&Database, IndexError> {
        self.database.as_ref().ok_or_else(|| busy(&self.path))
    }
}

/// A view of the facts at one moment.
pub(crate) struct FactReader {
    path: PathBuf,
    table: Option<redb::ReadOnlyTable<&'static [u8], &'static [u8]>>,
}

impl FactReader {
    /// Returns a fact; `None` when it is absent or damaged.
    pub fn get<T: serde::de::DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, IndexError> {
        self.with_payload(key, |payload| unpacked(payload)).map(Option::flatten)
    }

    /// Tells whether a fact is there and whole.
    pub fn holds(&self, key: &[u8]) -> Result<bool, IndexError> {
        self.with_payload(key, |_| ()).map(|found| found.is_some())
    }

    /// Returns a fact as it is stored, its check before it; `None` when it is absent or damaged.
    pub fn stored(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        let sealed = |payload: &[u8]| EncodedFact::seal(payload).into_stored();
        self.with_payload(key, sealed)
    }

    fn with_payload<T>(
        &self,
        key: &[u8],
        then: impl Fn(&[u8]) -> T,
    ) -> Result<Option<T>, IndexError> {
        let Some(table) = &self.table else { return Ok(None) };
        guarded(&self.path, || -> Result<Option<T>, redb::Error> {
            let Some(guard) = table.get(key)? else { return Ok(None) };
            let Some((check, payload)) = guard.value().split_at_checked(CHECK_BYTES) else {
                return Ok(None);
            };
            let is_whole = Digest::of(payload).as_bytes()[..CHECK_BYTES] == *check;
            Ok(is_whole.then(|| then(payload)))
        })
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
fn without_unpacked(database: &mut Database) -> Result<(), redb::Error> {
    match database.begin_read()?.open_table(UNPACKED_FACTS) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
        other => drop(other?),
    }
    let transaction = database.begin_write()?;
    transaction.delete_table(UNPACKED_FACTS)?;
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
