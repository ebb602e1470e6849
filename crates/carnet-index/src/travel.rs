//! An index that travels: all that answers for one commit, cut into parts that are named by their digests, and put together
//! again in another clone.
//!
//! Three things travel: the snapshot, the words, and the facts of the snapshot's files, so that the next commit is a small
//! refresh there too. Parts are small and facts are gathered by blob id, so two commits share most of their parts.
//!
//! Nothing of another clone is believed: a part must have its digest, the snapshot that of its content, its files must be the
//! commit's own, every position in a fact must be one. That the facts are what a parser says of the blob is not examined:
//! who may publish is trusted with that.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

use carnet_core::{Digest, GitOid, RepoPath};
use carnet_parse::EXTRACTOR_VERSION;
use serde::{Deserialize, Serialize};

use crate::{
    BlobError, FORMAT_NUMBER, IndexError, IndexStore, Snapshot, SourceFile,
    facts::{EncodedFact, FactKey, fact_key},
    format::Input,
    words::{Extent, WordStore, version_text, words_dir},
    write,
};

/// What [`Manifest::format`] says.
pub const MANIFEST_FORMAT: &str = "carnet/index/1";
/// Largest part, in bytes.
pub const PART_BYTES_MAX: usize = 4 << 20;
/// Most bytes of all parts together: what a manifest may make a clone write.
const TOTAL_BYTES_MAX: u64 = 16 << 30;
/// Name of the snapshot among the files.
const SNAPSHOT: &str = "snapshot";

/// What a published index consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always [`MANIFEST_FORMAT`].
    pub format: String,
    /// The commit that it answers for.
    pub commit: GitOid,
    /// That commit's tree.
    pub tree: GitOid,
    /// Digest of what the snapshot says.
    pub content: Digest,
    /// Format of snapshots, and version of the words, the extractor and the table of vectors: only the same can read it.
    pub versions: String,
    /// The files, each cut into parts.
    pub files: Vec<PackedFile>,
}

/// One file of a published index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedFile {
    /// `snapshot`, `facts/` and two digits, or `words/` and a name.
    pub name: String,
    /// Its parts, in order.
    pub parts: Vec<Part>,
}

/// One part of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Digest of its bytes.
    pub digest: Digest,
    /// How many they are, at most [`PART_BYTES_MAX`].
    pub n_bytes: u64,
}

/// What taking over a published index came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpacked {
    /// Blobs that need not be parsed any more.
    pub n_facts: u64,
    /// Whether the published snapshot is the current one now; where there was one already, only facts are taken over.
    pub is_current: bool,
}

/// What has the bytes of parts.
pub type PartSource<'a> = dyn FnMut(&Part) -> Result<Vec<u8>, BlobError> + 'a;
/// What takes the bytes of parts.
pub type PartSink<'a> = dyn FnMut(&Digest, &[u8]) -> Result<(), BlobError> + 'a;

impl Manifest {
    /// Returns how many bytes all parts have.
    pub fn n_bytes(&self) -> u64 {
        self.parts().fold(0, |sum, part| sum.saturating_add(part.n_bytes))
    }

    /// Returns all parts.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.files.iter().flat_map(|file| &file.parts)
    }

    /// Tells whether this version of carnet can read the index.
    pub fn is_readable(&self) -> bool {
        self.format == MANIFEST_FORMAT && self.extent().is_some()
    }

    fn extent(&self) -> Option<Extent> {
        Extent::ALL.into_iter().find(|extent| self.versions == versions(*extent))
    }
}

fn versions(extent: Extent) -> String {
    format!("{FORMAT_NUMBER}.{}", version_text(extent).trim_end())
}

impl IndexStore {
    /// Cuts the current snapshot, and all that it needs, into parts; `None` when there is no snapshot.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when the index is damaged, or when `put` fails.
    pub fn pack(&self, put: &mut PartSink<'_>) -> Result<Option<Manifest>, IndexError> {
        let Some(snapshot) = Snapshot::open_current(&self.dir)? else { return Ok(None) };
        snapshot.verify()?;
        // Words that do not have their checksums shall not travel.
        let extent = Extent::of_words(&self.dir).unwrap_or(Extent::Whole);
        let (words, begun_anew) = WordStore::open(&self.dir, extent)?;
        drop(words);
        if let Some(why) = begun_anew {
            return Err(IndexError::damaged_words(&self.dir, &why));
        }
        let mut files = vec![pack_file(SNAPSHOT.to_owned(), &read(snapshot.path())?, put)?];
        for (bucket, facts) in self.facts_of(&snapshot)? {
            files.push(pack_file(format!("facts/{bucket:02x}"), &facts, put)?);
        }
        for name in word_files(&words_dir(&self.dir))? {
            let bytes = read(&words_dir(&self.dir).join(&name))?;
            files.push(pack_file(format!("words/{name}"), &bytes, put)?);
        }
        Ok(Some(Manifest {
            format: MANIFEST_FORMAT.to_owned(),
            commit: snapshot.commit(),
            tree: snapshot.tree(),
            content: snapshot.content_digest(),
            versions: versions(extent),
            files,
        }))
    }

    /// Gathers the facts of a snapshot's files by their blobs: each record a key and a stored fact, after their lengths.
    fn facts_of(&self, snapshot: &Snapshot) -> Result<BTreeMap<u8, Vec<u8>>, IndexError> {
        let facts = self.facts.read()?;
        let mut keys: Vec<(u8, FactKey)> = Vec::new();
        for (path, blob_id) in snapshot.live_files()? {
            if let Some(subject) = crate::store::subject_of(&path) {
                keys.push((blob_id.as_bytes()[0] >> 2, fact_key(subject, &blob_id)));
            }
        }
        keys.sort();
        keys.dedup();
        let mut buckets: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
        for (bucket, key) in keys {
            if let Some(fact) = facts.encoded(&key)? {
                let records = buckets.entry(bucket).or_default();
                for bytes in [&key, &fact.sealed()?] {
                    records.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
                    records.extend_from_slice(bytes);
                }
            }
        }
        Ok(buckets)
    }

    /// Takes over a published index: its facts in any case; its snapshot and words where there is no current snapshot.
    ///
    /// - `files`: the files of the commit that the index was published for, by git's own word.
    ///
    /// # Errors
    ///
    /// [`IndexError::Foreign`] says what does not hold; what was current before still is.
    pub fn unpack(
        &mut self,
        manifest: &Manifest,
        files: &[SourceFile],
        get: &mut PartSource<'_>,
    ) -> Result<Unpacked, IndexError> {
        check(manifest)?;
        let has_snapshot = matches!(Snapshot::open_current(&self.dir), Ok(Some(_)));
        let mut n_facts = 0;
        for file in manifest.files.iter().filter(|file| file.name.starts_with("facts/")) {
            n_facts += self.take_facts(&gather(file, get)?)?;
        }
        if !has_snapshot {
            self.take_snapshot(manifest, files, get)?;
        }
        Ok(Unpacked { n_facts, is_current: !has_snapshot })
    }

    fn take_facts(&self, records: &[u8]) -> Result<u64, IndexError> {
        let cut = || IndexError::Foreign("its facts are cut off".to_owned());
        let mut input = Input(records);
        let mut taken = Vec::new();
        while !input.0.is_empty() {
            let mut next = || {
                let n_bytes = input.u32()? as usize;
                input.take(n_bytes).map(<[u8]>::to_vec)
            };
            let (key, sealed) = (next().ok_or_else(cut)?, next().ok_or_else(cut)?);
            let fact = EncodedFact::of_sealed(&key, &sealed);
            let wrong = || IndexError::Foreign("a fact in it does not hold".to_owned());
            taken.push((key, fact.ok_or_else(wrong)?));
        }
        self.facts.insert(&taken)?;
        Ok(taken.len() as u64)
    }

    fn take_snapshot(
        &self,
        manifest: &Manifest,
        files: &[SourceFile],
        get: &mut PartSource<'_>,
    ) -> Result<(), IndexError> {
        let of_name = |name: &str| manifest.files.iter().find(|file| file.name == name);
        let file = of_name(SNAPSHOT);
        let file = file.ok_or_else(|| IndexError::Foreign("it has no snapshot".to_owned()))?;
        let unfinished = write::unfinished(&write::snapshots_dir(&self.dir).join("fetched"));
        unpack_file(file, &unfinished, get)?;
        check_snapshot(&unfinished, manifest, files)?;

        let words = write::unfinished(&words_dir(&self.dir));
        remove_dir(&words)?;
        fs::create_dir(&words)
            .map_err(|error| IndexError::io("create directory", &words, error))?;
        for file in &manifest.files {
            if let Some(name) = file.name.strip_prefix("words/") {
                unpack_file(file, &words.join(name), get)?;
            }
        }
        // There is no current snapshot, so nobody reads the words that may lie here.
        remove_dir(&words_dir(&self.dir))?;
        write::rename(&words, &words_dir(&self.dir))?;
        let extent = manifest.extent().unwrap_or(Extent::Whole);
        let (opened, begun_anew) = WordStore::open(&self.dir, extent)?;
        drop(opened);
        if let Some(why) = begun_anew {
            return Err(IndexError::Foreign(format!("its words: {why}")));
        }
        write::make_current(&self.dir, &unfinished, &manifest.commit, &manifest.content).map(drop)
    }
}

/// Checks all that a manifest says by itself.
fn check(manifest: &Manifest) -> Result<(), IndexError> {
    let wrong = |what: String| Err(IndexError::Foreign(what));
    if !manifest.is_readable() {
        let versions = &manifest.versions;
        return wrong(format!("another version of carnet made it ({versions})"));
    }
    for file in &manifest.files {
        if !is_known_name(&file.name) {
            return wrong(format!("it has a file `{}`", file.name.escape_debug()));
        }
    }
    let n_bytes_max = manifest.parts().map(|part| part.n_bytes).max().unwrap_or(0);
    if n_bytes_max > PART_BYTES_MAX as u64 || manifest.n_bytes() > TOTAL_BYTES_MAX {
        return wrong("it is too large".to_owned());
    }
    Ok(())
}

/// Tells whether a name is one of those that [`IndexStore::pack`] gives: no other file is written anywhere.
fn is_known_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match name.split_once('/') {
        None => name == SNAPSHOT,
        Some(("facts", bucket)) => bucket.len() == 2 && bucket.bytes().all(is_plain),
        Some(("words", name)) => is_word_file(name) && name.bytes().all(is_plain),
        Some(_) => false,
    }
}

/// Tells whether a file beside the words belongs to them; locks and unfinished files do not.
fn is_word_file(name: &str) -> bool {
    let is_hidden = name.starts_with('.') && name != ".managed.json";
    !name.is_empty() && !is_hidden && !name.ends_with(".unfinished") && name.len() <= 200
}

fn word_files(words: &Path) -> Result<Vec<String>, IndexError> {
    let failed = |error| IndexError::io("list", words, error);
    let mut names = Vec::new();
    for entry in fs::read_dir(words).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if is_word_file(&name) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Checks that a snapshot is whole, is the one that was published, and holds files of the commit alone.
fn check_snapshot(
    path: &Path,
    manifest: &Manifest,
    files: &[SourceFile],
) -> Result<(), IndexError> {
    let wrong = |what: &str| Err(IndexError::Foreign(what.to_owned()));
    let snapshot = Snapshot::open(path)?;
    snapshot.verify()?;
    let is_published = snapshot.commit() == manifest.commit
        && snapshot.tree() == manifest.tree
        && snapshot.extractor_version() == EXTRACTOR_VERSION
        && snapshot.content_digest() == manifest.content;
    if !is_published {
        return wrong("its snapshot is another one");
    }
    let known: BTreeMap<&RepoPath, &GitOid> =
        files.iter().map(|file| (&file.path, &file.blob)).collect();
    let live = snapshot.live_files()?;
    if live.iter().any(|(path, blob_id)| known.get(path) != Some(&blob_id)) {
        return wrong("its snapshot has a file that the commit does not have");
    }
    match snapshot.coverage().n_files == files.len() as u64 {
        true => Ok(()),
        false => wrong("its snapshot is of more or fewer files than the commit"),
    }
}

fn pack_file(name: String, bytes: &[u8], put: &mut PartSink<'_>) -> Result<PackedFile, IndexError> {
    let mut parts = Vec::new();
    for bytes in bytes.chunks(PART_BYTES_MAX) {
        let part = Part { digest: Digest::of(bytes), n_bytes: bytes.len() as u64 };
        put(&part.digest, bytes).map_err(IndexError::Part)?;
        parts.push(part);
    }
    Ok(PackedFile { name, parts })
}

fn unpack_file(
    file: &PackedFile,
    path: &PathBuf,
    get: &mut PartSource<'_>,
) -> Result<(), IndexError> {
    let failed = |error| IndexError::io("write", path, error);
    let mut out = File::create(path).map_err(failed)?;
    for part in &file.parts {
        out.write_all(&take(part, get)?).map_err(failed)?;
    }
    out.sync_all().map_err(failed)
}

fn gather(file: &PackedFile, get: &mut PartSource<'_>) -> Result<Vec<u8>, IndexError> {
    let mut bytes = Vec::new();
    for part in &file.parts {
        bytes.extend(take(part, get)?);
    }
    Ok(bytes)
}

/// Returns the bytes of a part that have its digest.
fn take(part: &Part, get: &mut PartSource<'_>) -> Result<Vec<u8>, IndexError> {
    let bytes = get(part).map_err(IndexError::Part)?;
    match bytes.len() as u64 == part.n_bytes && Digest::of(&bytes) == part.digest {
        true => Ok(bytes),
        false => Err(IndexError::Foreign(format!("part {} does not have its digest", part.digest))),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, IndexError> {
    fs::read(path).map_err(|error| IndexError::io("read", path, error))
}

fn remove_dir(path: &Path) -> Result<(), IndexError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(IndexError::io("remove", path, error))
        }
        _ => Ok(()),
    }
}
