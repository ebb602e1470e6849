//! The one writer: brings the index to a commit.

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
    sync::mpsc::sync_channel,
};

use carnet_core::{Digest, GitOid, RepoPath, Timestamp};
use carnet_parse::{Language, Parsed};

use crate::{
    BlobError, Coverage, IndexError,
    facts::{FactReader, FactStore, Subject, fact_key},
    link::Linker,
    manifest::{Manifest, ManifestKind},
    parsing::{Job, parse_all},
    words::{Extent, WordStore, is_worth_reading},
    write::{self, Becomes, SnapshotHead},
};

/// Blobs parsed at once after which the store of facts is made small.
const COMPACTED_MIN: usize = 256;
/// Most facts that wait for being linked.
const LINK_QUEUE_MAX: usize = 64;
/// Most unread files that a report names.
const UNREAD_MAX: usize = 32;

/// Where the bytes of a commit's files come from.
pub trait BlobSource: Sync {
    /// Returns the bytes of a blob. Called from several threads at once.
    ///
    /// # Errors
    ///
    /// [`BlobError`] when the object is missing or unreadable; its file is then left out and reported.
    fn read(&self, blob: &GitOid) -> Result<Vec<u8>, BlobError>;
}

/// A file of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Where it lies.
    pub path: RepoPath,
    /// Its content.
    pub blob: GitOid,
}

/// The commit to bring the index to.
#[derive(Debug, Clone)]
pub struct RefreshRequest {
    /// The commit.
    pub commit: GitOid,
    /// Its tree.
    pub tree: GitOid,
    /// Every file of the tree, in any order, in any language; of two with one path the first counts.
    pub files: Vec<SourceFile>,
    /// How much memory a refresh may take, in bytes; where all does not fit, vectors are left out, then bodies. `None` for no
    /// ceiling.
    pub memory_bytes_max: Option<u64>,
}

/// A file that is not in the snapshot because its blob could not be read.
#[derive(Debug)]
pub struct UnreadFile {
    /// Where it lies.
    pub path: RepoPath,
    /// Why.
    pub error: BlobError,
}

/// What a refresh did.
#[derive(Debug)]
pub struct RefreshReport {
    /// Files of the commit.
    pub n_files: u64,
    /// Files in a language that is understood.
    pub n_files_supported: u64,
    /// Blobs that were parsed now.
    pub n_parsed: u64,
    /// Blobs whose facts were known already.
    pub n_reused: u64,
    /// Files of which something was not understood.
    pub n_problems: u64,
    /// Files left out because their blob could not be read.
    pub n_unread: u64,
    /// The first of them.
    pub unread: Vec<UnreadFile>,
    /// The new snapshot's coverage.
    pub coverage: Coverage,
    /// The new snapshot's file.
    pub snapshot_path: PathBuf,
    /// The new snapshot's size, in bytes.
    pub snapshot_bytes: u64,
    /// Digest of what the snapshot says, apart from when it was made.
    pub content_digest: Digest,
    /// Why the words were moved aside and begun anew, where they were.
    pub words_begun_anew: Option<String>,
    /// How much the words hold.
    pub extent: Extent,
}

/// The one writer of an index. A second one in any process is refused as busy.
pub struct IndexStore {
    pub(crate) dir: PathBuf,
    pub(crate) facts: FactStore,
}

impl std::fmt::Debug for IndexStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IndexStore({})", self.dir.display())
    }
}

impl IndexStore {
    /// Opens the index in `dir`, which is created when absent, and clears what a killed writer left.
    ///
    /// # Errors
    ///
    /// [`IndexError::Busy`] while another writer has it; [`IndexError::Io`] when the disk refuses. Damaged
    /// facts are no error: they are moved aside and every file is parsed again.
    pub fn open(dir: &Path) -> Result<IndexStore, IndexError> {
        let snapshots = write::snapshots_dir(dir);
        std::fs::create_dir_all(&snapshots)
            .map_err(|error| IndexError::io("create directory", &snapshots, error))?;
        let facts = FactStore::open(dir.join("facts.redb"))?;
        write::remove_leftovers(dir)?;
        Ok(IndexStore { dir: dir.to_owned(), facts })
    }

    /// Brings the index to a commit: parses what is new, writes a snapshot, makes it current.
    ///
    /// - `now`: when the snapshot is made; it is the only thing in it that a clean rebuild may change.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when the disk or the store of facts fails; the current snapshot is then as before.
    pub fn refresh(
        &mut self,
        request: &RefreshRequest,
        blobs: &dyn BlobSource,
        now: Timestamp,
    ) -> Result<RefreshReport, IndexError> {
        self.refresh_to(request, blobs, now, Becomes::Current)
    }

    /// Writes a snapshot of a commit with uncommitted edits beside the others; the current one stays what it is.
    ///
    /// - `request`: its files are those of the work tree. `key`: names the edits, for [`Snapshot::open_overlay`](crate::Snapshot::open_overlay).
    ///
    /// # Errors
    ///
    /// [`IndexError`] as for [`IndexStore::refresh`].
    pub fn overlay(
        &mut self,
        key: &Digest,
        request: &RefreshRequest,
        blobs: &dyn BlobSource,
        now: Timestamp,
    ) -> Result<RefreshReport, IndexError> {
        self.refresh_to(request, blobs, now, Becomes::Overlay(key))
    }

    fn refresh_to(
        &mut self,
        request: &RefreshRequest,
        blobs: &dyn BlobSource,
        now: Timestamp,
        becomes: Becomes<'_>,
    ) -> Result<RefreshReport, IndexError> {
        match self.refresh_once(request, blobs, now, becomes) {
            Err(error) if error.is_damaged_facts() => {
                self.facts.begin_anew()?;
                self.refresh_once(request, blobs, now, becomes)
            }
            other => other,
        }
    }

    fn refresh_once(
        &mut self,
        request: &RefreshRequest,
        blobs: &dyn BlobSource,
        now: Timestamp,
        becomes: Becomes<'_>,
    ) -> Result<RefreshReport, IndexError> {
        let mut files: BTreeMap<&RepoPath, GitOid> = BTreeMap::new();
        for file in &request.files {
            files.entry(&file.path).or_insert(file.blob);
        }
        let plan = self.plan(&files)?;
        let unread = parse_all(&plan.jobs, blobs, &self.facts)?;
        if plan.jobs.len() >= COMPACTED_MIN {
            self.facts.compact()?;
        }
        let (n_failed, mut errors) = (unread.len() as u64, BTreeMap::new());
        for unread in unread {
            let job = &plan.jobs[unread.job_idx];
            errors.insert((job.subject, job.blob_id), unread.error);
        }
        let linker = self.link(&files)?;
        let unread: Vec<UnreadFile> = files
            .iter()
            .filter_map(|(path, blob_id)| {
                let error = errors.remove(&(subject_of(path)?, *blob_id))?;
                Some(UnreadFile { path: (*path).clone(), error })
            })
            .take(UNREAD_MAX)
            .collect();
        let mut coverage = linker.coverage();
        coverage.n_files = files.len() as u64;
        let supported = |path: &&&RepoPath| Language::of_path(path).is_some();
        coverage.n_files_supported = files.keys().filter(supported).count() as u64;
        let n_units = coverage.n_symbols + linker.texts.len() as u64;
        let extent = Extent::that_fits(linker.memory_bytes(), n_units, request.memory_bytes_max);
        let head =
            SnapshotHead { commit: request.commit, tree: request.tree, created_at: now, coverage };
        // Neither needs the other; the snapshot gets its name when the words that it needs are on the disk.
        let (words, unnamed) = std::thread::scope(|scope| {
            let unnamed = scope.spawn(|| write::write_unnamed(&self.dir, &head, linker));
            (self.update_words(&files, blobs, extent), joined(unnamed))
        });
        let (words, words_begun_anew) = words?;
        let written = write::name_snapshot(&self.dir, unnamed?, becomes)?;
        words.finish(&write::live_keys(&self.dir)?)?;
        Ok(RefreshReport {
            n_files: coverage.n_files,
            n_files_supported: coverage.n_files_supported,
            n_parsed: plan.jobs.len() as u64 - n_failed,
            n_reused: plan.n_reused,
            n_problems: written.coverage.n_files_with_problems,
            n_unread: coverage.n_files_supported - coverage.n_files_indexed,
            unread,
            coverage: written.coverage,
            snapshot_path: written.path,
            snapshot_bytes: written.n_bytes,
            content_digest: written.content_digest,
            words_begun_anew,
            extent,
        })
    }

    /// Brings the words to the files of a commit. Damaged ones are begun anew; the second value then says why.
    fn update_words(
        &self,
        files: &BTreeMap<&RepoPath, GitOid>,
        blobs: &dyn BlobSource,
        extent: Extent,
    ) -> Result<(WordStore, Option<String>), IndexError> {
        let (mut words, begun_anew) = WordStore::open(&self.dir, extent)?;
        match words.update(files, &self.facts, blobs) {
            Ok(()) => Ok((words, begun_anew)),
            Err(error) if error.is_damaged_words() => {
                drop(words);
                let (mut words, begun_anew) = WordStore::begin_anew(&self.dir, extent, &error)?;
                words.update(files, &self.facts, blobs)?;
                Ok((words, begun_anew))
            }
            Err(error) => Err(error),
        }
    }

    /// Finds the blobs whose facts are not known yet.
    fn plan(&self, files: &BTreeMap<&RepoPath, GitOid>) -> Result<Plan, IndexError> {
        let known = self.facts.read()?;
        let (mut plan, mut seen) = (Plan { jobs: Vec::new(), n_reused: 0 }, HashSet::new());
        // In the order of the paths: so they are asked for later, and neighbours are alike.
        for (path, blob_id) in files {
            let Some(subject) = subject_of(path) else { continue };
            if !seen.insert((subject, *blob_id)) {
                continue;
            }
            if known.holds(&fact_key(subject, blob_id))? {
                plan.n_reused += 1;
            } else {
                plan.jobs.push(Job { subject, blob_id: *blob_id });
            }
        }
        Ok(plan)
    }

    /// Gathers the facts of all files, in the order of their paths; they are read and unpacked by a thread of their own.
    fn link(&self, files: &BTreeMap<&RepoPath, GitOid>) -> Result<Linker, IndexError> {
        let facts = self.facts.read()?;
        let (sender, receiver) = sync_channel(LINK_QUEUE_MAX);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for (path, blob_id) in files {
                    let fact = fact_of(&facts, path, blob_id);
                    if sender.send((*path, *blob_id, fact)).is_err() {
                        return; // The other side failed and says so itself.
                    }
                }
            });
            let mut linker = Linker::new();
            for (path, blob_id, fact) in receiver {
                match fact? {
                    Some(Fact::Code(language, parsed)) => {
                        linker.add_file(path, language, blob_id, *parsed)?;
                    }
                    Some(Fact::Manifest(kind, manifest)) => {
                        linker.add_manifest(path, kind, manifest)
                    }
                    None => {}
                }
                if Language::of_path(path).is_none() && is_worth_reading(path) {
                    linker.add_text(path, blob_id)?;
                }
            }
            Ok(linker)
        })
    }
}

/// What is known of one file.
enum Fact {
    Code(Language, Box<Parsed>),
    Manifest(ManifestKind, Manifest),
}

fn fact_of(
    facts: &FactReader,
    path: &RepoPath,
    blob_id: &GitOid,
) -> Result<Option<Fact>, IndexError> {
    let Some(subject) = subject_of(path) else { return Ok(None) };
    let key = fact_key(subject, blob_id);
    Ok(match subject {
        Subject::Code(language) => {
            facts.get(&key)?.map(|parsed| Fact::Code(language, Box::new(parsed)))
        }
        Subject::Manifest(kind) => facts.get(&key)?.map(|manifest| Fact::Manifest(kind, manifest)),
    })
}

/// Returns what a thread gave; what made it panic goes on here.
fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

struct Plan {
    jobs: Vec<Job>,
    n_reused: u64,
}

/// Tells whether a path is one of source in a language that is understood.
pub fn is_source(path: &RepoPath) -> bool {
    Language::of_path(path).is_some()
}

pub(crate) fn subject_of(path: &RepoPath) -> Option<Subject> {
    let manifest = ManifestKind::of_path(path).map(Subject::Manifest);
    manifest.or_else(|| Language::of_path(path).map(Subject::Code))
}
