//! Writes a snapshot beside the others, then makes it current: write, sync, rename, sync.

use std::{
    collections::HashSet,
    fs::File,
    io::{BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use carnet_core::{Digest, Digester, GitOid, Region, RepoPath, Timestamp};
use carnet_parse::EXTRACTOR_VERSION;
use serde::{Deserialize, Serialize};

use crate::{
    Coverage, IndexError, Snapshot,
    format::{
        BLOCK_BYTES, FLAG_REQUIRED, FORMAT_NUMBER, Header, SectionEntry, SectionKind, put_oid,
    },
    link::{CallRow, Linker, QualifierRow, StringId, number},
    words::file_key,
};

/// Snapshot files that are kept, the current one among them.
pub(crate) const SNAPSHOTS_KEPT: usize = 3;
/// Snapshots with uncommitted edits that are kept: some for each of a few worktrees.
const OVERLAYS_KEPT: usize = 4;
/// Ending of a file that is being written.
const UNFINISHED: &str = "unfinished";
/// Stands for "none" where a position is stored.
pub(crate) const NONE: u32 = u32::MAX;
pub(crate) const FILE_ROW_BYTES: u64 = 4 + 1 + 33 + 4 * 3;
pub(crate) const SYMBOL_ROW_BYTES: u64 = 4 * 6 + 2 + 4 * 12;
pub(crate) const OUTGOING_ROW_BYTES: u64 = 4 * 2;
pub(crate) const BASE_ROW_BYTES: u64 = 4 * 6 + 1;
pub(crate) const NAME_ROW_BYTES: u64 = 4 + 4 + 8 + 4 + 4;
pub(crate) const TEXT_FILE_ROW_BYTES: u64 = 4 + 33;
pub(crate) const LIVE_ROW_BYTES: u64 = 8 + 4;

/// What a snapshot says of itself.
pub(crate) struct SnapshotHead {
    pub commit: GitOid,
    pub tree: GitOid,
    pub created_at: Timestamp,
    pub coverage: Coverage,
}

/// A snapshot that became current.
pub(crate) struct Written {
    pub path: PathBuf,
    pub n_bytes: u64,
    pub content_digest: Digest,
    pub coverage: Coverage,
}

/// One call as it is stored, in postcard: small numbers take one byte.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredCall {
    pub file: u32,
    /// Position of the symbol around it, plus one; zero for none.
    pub enclosing: u32,
    /// Position of the symbol it means, plus one; zero for none.
    pub target: u32,
    pub evidence: u8,
    pub form: u8,
    pub start: u32,
    pub n_bytes: u32,
    pub line: u32,
    pub column: u32,
    /// Text of the callee, plus one; zero when it is the name it is listed under.
    pub callee: u32,
    /// Text of what stands before the callee, plus one; zero for nothing.
    pub receiver: u32,
}

pub(crate) fn snapshots_dir(dir: &Path) -> PathBuf {
    dir.join("snapshots")
}

pub(crate) fn current_path(dir: &Path) -> PathBuf {
    dir.join("current")
}

/// What a snapshot becomes once it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Becomes<'k> {
    /// The current one.
    Current,
    /// One beside the others, with uncommitted edits, found again by a key.
    Overlay(&'k Digest),
}

/// Resolves the calls, writes the snapshot and gives it its name.
pub(crate) fn write_snapshot(
    dir: &Path,
    head: &SnapshotHead,
    mut linker: Linker,
    becomes: Becomes<'_>,
) -> Result<Written, IndexError> {
    linker.resolve()?;
    let coverage =
        Coverage { n_calls_resolved: linker.coverage().n_calls_resolved, ..head.coverage };
    let snapshots = snapshots_dir(dir);
    let unfinished = unfinished(&snapshots.join(std::process::id().to_string()));
    let file =
        File::create(&unfinished).map_err(|error| IndexError::io("create", &unfinished, error))?;
    let mut out = SectionWriter::new(file, &unfinished)?;
    write_sections(&mut out, &linker)?;
    let header = out.finish(head, coverage)?;
    let content_digest = header.content_digest();
    let path = match becomes {
        Becomes::Current => make_current(dir, &unfinished, &head.commit, &content_digest)?,
        Becomes::Overlay(key) => {
            let path = overlay_path(dir, key);
            rename(&unfinished, &path)?;
            prune(dir)?;
            path
        }
    };
    let n_bytes =
        std::fs::metadata(&path).map_err(|error| IndexError::io("read", &path, error))?.len();
    Ok(Written { path, n_bytes, content_digest, coverage })
}

/// Gives a snapshot that is whole and on the disk its name, and makes it the current one.
pub(crate) fn make_current(
    dir: &Path,
    written: &Path,
    commit: &GitOid,
    content: &Digest,
) -> Result<PathBuf, IndexError> {
    let snapshots = snapshots_dir(dir);
    let name = format!("{commit}-{}.v{FORMAT_NUMBER}", &content.to_string()[..16]);
    let path = snapshots.join(&name);
    rename(written, &path)?;
    sync_directory(&snapshots)?;
    point_current_at(dir, &name)?;
    prune(dir)?;
    Ok(path)
}

/// Returns where the snapshot with some uncommitted edits is, when there is one.
pub(crate) fn overlay_path(dir: &Path, key: &Digest) -> PathBuf {
    snapshots_dir(dir).join(format!("overlay-{}.v{FORMAT_NUMBER}", &key.to_string()[..32]))
}

/// Returns the name that a file or directory has until it is whole.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    path.with_extension(UNFINISHED)
}

fn point_current_at(dir: &Path, name: &str) -> Result<(), IndexError> {
    let unfinished = dir.join(format!("current.{UNFINISHED}"));
    let write = || {
        let mut file = File::create(&unfinished)?;
        writeln!(file, "{name}")?;
        file.sync_all()
    };
    write().map_err(|error| IndexError::io("write", &unfinished, error))?;
    rename(&unfinished, &current_path(dir))?;
    sync_directory(dir)
}

/// Removes what a writer left that was killed. Only the one writer calls this.
pub(crate) fn remove_leftovers(dir: &Path) -> Result<(), IndexError> {
    for directory in [dir.to_owned(), snapshots_dir(dir)] {
        let entries = std::fs::read_dir(&directory)
            .map_err(|error| IndexError::io("list", &directory, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| IndexError::io("list", &directory, error))?;
            if entry.path().extension().is_some_and(|extension| extension == UNFINISHED) {
                match entry.path().is_dir() {
                    true => std::fs::remove_dir_all(entry.path())
                        .map_err(|error| IndexError::io("remove", &entry.path(), error))?,
                    false => remove(&entry.path())?,
                }
            }
        }
    }
    Ok(())
}

/// Removes all but the newest snapshots, of those with uncommitted edits as well. Readers that hold an older one keep it until
/// they let go.
fn prune(dir: &Path) -> Result<(), IndexError> {
    let snapshots = snapshots_dir(dir);
    let failed = |error| IndexError::io("list", &snapshots, error);
    let current = crate::snapshot::read_pointer(&current_path(dir))?.unwrap_or_default();
    let (mut others, mut overlays) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(&snapshots).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let modified = entry.metadata().and_then(|metadata| metadata.modified()).map_err(failed)?;
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("overlay-") {
            overlays.push((modified, entry.path()));
        } else if name != *current {
            others.push((modified, entry.path()));
        }
    }
    for (mut kind, n_kept) in [(others, SNAPSHOTS_KEPT - 1), (overlays, OVERLAYS_KEPT)] {
        kind.sort();
        let n_surplus = kind.len().saturating_sub(n_kept);
        kind[..n_surplus].iter().try_for_each(|(_, path)| remove(path))?;
    }
    Ok(())
}

/// Returns the keys of all files that the kept snapshots hold. One that cannot be read is not kept for its words.
pub(crate) fn live_keys(dir: &Path) -> Result<HashSet<u64>, IndexError> {
    let snapshots = snapshots_dir(dir);
    let failed = |error| IndexError::io("list", &snapshots, error);
    let mut keys = HashSet::new();
    for entry in std::fs::read_dir(&snapshots).map_err(failed)? {
        let rows = Snapshot::open(&entry.map_err(failed)?.path()).and_then(|it| it.live_rows());
        keys.extend(rows.into_iter().flatten().map(|(key, _)| key));
    }
    Ok(keys)
}

fn remove(path: &Path) -> Result<(), IndexError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(IndexError::io("remove", path, error))
        }
        _ => Ok(()),
    }
}

pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), IndexError> {
    std::fs::rename(from, to).map_err(|error| IndexError::io("rename", from, error))
}

fn sync_directory(dir: &Path) -> Result<(), IndexError> {
    let sync = || File::open(dir)?.sync_all();
    sync().map_err(|error| IndexError::io("sync", dir, error))
}

fn write_sections(out: &mut SectionWriter<'_>, linker: &Linker) -> Result<(), IndexError> {
    out.begin(SectionKind::TextEnds);
    for end in linker.strings.all_ends() {
        out.put(&end.to_le_bytes())?;
    }
    out.begin(SectionKind::TextBytes);
    out.put(linker.strings.all_bytes())?;
    out.begin(SectionKind::Files);
    let mut row = Vec::new();
    for file in &linker.files {
        row.clear();
        row.extend_from_slice(&file.path.to_le_bytes());
        row.push(file.language.code());
        put_oid(&mut row, &file.blob_id);
        put_numbers(&mut row, &[file.first_symbol, file.n_symbols, file.n_problems]);
        out.put(&row)?;
    }
    out.begin(SectionKind::Symbols);
    for symbol in &linker.symbols {
        row.clear();
        let parent = symbol.parent.unwrap_or(NONE);
        put_numbers(
            &mut row,
            &[symbol.file, symbol.name, symbol.container, symbol.signature, symbol.doc, parent],
        );
        row.push(symbol.kind.code());
        row.push(symbol.visibility.code());
        put_region(&mut row, &symbol.name_region);
        put_region(&mut row, &symbol.region);
        out.put(&row)?;
    }
    write_names(out, linker)
}

/// Writes the map of names, and per name its definitions and calls.
fn write_names(out: &mut SectionWriter<'_>, linker: &Linker) -> Result<(), IndexError> {
    let text = |id: StringId| linker.strings.get(id);
    let mut definitions: Vec<u32> = (0..linker.symbols.len() as u32).collect();
    definitions.sort_by_key(|idx| (text(linker.symbols[*idx as usize].name), *idx));
    let mut calls: Vec<u32> = (0..linker.calls.len() as u32).collect();
    calls.sort_by_key(|idx| (text(linker.calls[*idx as usize].name), *idx));
    let mut names: Vec<StringId> = definitions
        .iter()
        .map(|idx| linker.symbols[*idx as usize].name)
        .chain(calls.iter().map(|idx| linker.calls[*idx as usize].name))
        .collect();
    names.sort_by_key(|name| text(*name));
    names.dedup();

    let (mut rows, mut stored_calls) = (Vec::new(), Vec::new());
    let mut offsets = vec![0; linker.calls.len()];
    let mut map = fst::MapBuilder::memory();
    let (mut definition_at, mut call_at) = (0, 0);
    for (name_idx, name) in names.iter().enumerate() {
        map.insert(text(*name), name_idx as u64).map_err(IndexError::Names)?;
        let n_definitions = definitions[definition_at..]
            .iter()
            .take_while(|idx| linker.symbols[**idx as usize].name == *name)
            .count();
        let n_calls = calls[call_at..]
            .iter()
            .take_while(|idx| linker.calls[**idx as usize].name == *name)
            .count();
        let calls_start = stored_calls.len() as u64;
        for idx in &calls[call_at..call_at + n_calls] {
            offsets[*idx as usize] = number(stored_calls.len(), "bytes of calls")?;
            store_call(&mut stored_calls, &linker.calls[*idx as usize])?;
        }
        let n_call_bytes = number(stored_calls.len() - calls_start as usize, "bytes of calls")?;
        put_numbers(&mut rows, &[definition_at as u32, n_definitions as u32]);
        rows.extend_from_slice(&calls_start.to_le_bytes());
        put_numbers(&mut rows, &[n_call_bytes, n_calls as u32]);
        definition_at += n_definitions;
        call_at += n_calls;
    }
    out.begin(SectionKind::NameMap);
    out.put(&map.into_inner().map_err(IndexError::Names)?)?;
    out.begin(SectionKind::Names);
    out.put(&rows)?;
    out.begin(SectionKind::Definitions);
    for idx in definitions {
        out.put(&idx.to_le_bytes())?;
    }
    out.begin(SectionKind::Calls);
    out.put(&stored_calls)?;
    write_outgoing(out, linker, &offsets)?;
    write_bases(out, linker)?;
    write_live(out, linker)
}

/// Writes, for each symbol and then for the top of each file, where the calls made there stand among the calls.
fn write_outgoing(
    out: &mut SectionWriter<'_>,
    linker: &Linker,
    offsets: &[u32],
) -> Result<(), IndexError> {
    let n_symbols = linker.symbols.len();
    let maker = |call: &CallRow| match call.enclosing {
        Some(symbol) => symbol as usize,
        None => n_symbols + call.file as usize,
    };
    let mut order: Vec<u32> = (0..linker.calls.len() as u32).collect();
    order.sort_by_key(|idx| (maker(&linker.calls[*idx as usize]), *idx));
    let mut ends = vec![0_u32; n_symbols + linker.files.len()];
    linker.calls.iter().for_each(|call| ends[maker(call)] += 1);
    let mut end = 0;
    for count in &mut ends {
        end += *count;
        *count = end;
    }
    out.begin(SectionKind::OutgoingEnds);
    for end in &ends {
        out.put(&end.to_le_bytes())?;
    }
    out.begin(SectionKind::Outgoing);
    for idx in order {
        out.put(&offsets[idx as usize].to_le_bytes())?;
        out.put(&linker.calls[idx as usize].name.to_le_bytes())?;
    }
    Ok(())
}

/// Writes the supertypes, sorted by their names.
fn write_bases(out: &mut SectionWriter<'_>, linker: &Linker) -> Result<(), IndexError> {
    let mut bases: Vec<_> = linker.bases.iter().collect();
    bases.sort_by_key(|it| (linker.strings.get(it.supertype), !it.is_said, it.file, it.line));
    out.begin(SectionKind::Bases);
    let mut row = Vec::new();
    for base in bases {
        row.clear();
        let symbol = base.symbol.unwrap_or(NONE);
        let numbers = [base.supertype, base.subtype, symbol, base.file, base.line, base.column];
        put_numbers(&mut row, &numbers);
        row.push(u8::from(base.is_said));
        out.put(&row)?;
    }
    Ok(())
}

/// Writes the text files, then the keys of all files that words may know, sorted.
fn write_live(out: &mut SectionWriter<'_>, linker: &Linker) -> Result<(), IndexError> {
    out.begin(SectionKind::TextFiles);
    let mut row = Vec::new();
    for (path, blob_id) in &linker.texts {
        row.clear();
        put_numbers(&mut row, &[*path]);
        put_oid(&mut row, blob_id);
        out.put(&row)?;
    }
    let code = linker.files.iter().map(|file| (file.path, file.blob_id));
    let mut live = Vec::new();
    for (row, (path, blob_id)) in code.chain(linker.texts.iter().copied()).enumerate() {
        let path = RepoPath::new(linker.strings.get(path)).expect("because it was a path before");
        live.push((file_key(&path, &blob_id), number(row, "files")?));
    }
    live.sort_unstable();
    out.begin(SectionKind::Live);
    for (key, row) in live {
        out.put(&key.to_le_bytes())?;
        out.put(&row.to_le_bytes())?;
    }
    Ok(())
}

fn store_call(out: &mut Vec<u8>, call: &CallRow) -> Result<(), IndexError> {
    let plus_one = |idx: Option<u32>| idx.map_or(0, |idx| idx + 1);
    let receiver = match call.qualifier {
        QualifierRow::Bare => None,
        QualifierRow::Own(text) | QualifierRow::Path(text) | QualifierRow::Value(text) => {
            Some(text)
        }
    };
    let stored = StoredCall {
        file: call.file,
        enclosing: plus_one(call.enclosing),
        target: plus_one(call.target),
        evidence: call.evidence.code(),
        form: call.form as u8,
        start: call.start,
        n_bytes: call.n_bytes,
        line: call.line,
        column: call.column,
        callee: plus_one((call.callee != call.name).then_some(call.callee)),
        receiver: plus_one(receiver),
    };
    out.extend(postcard::to_stdvec(&stored).map_err(IndexError::Encode)?);
    Ok(())
}

fn put_numbers(out: &mut Vec<u8>, numbers: &[u32]) {
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
}

fn put_region(out: &mut Vec<u8>, region: &Region) {
    let (start, end) = (region.start as u32, region.end as u32);
    let lines = [region.start_line, region.start_column, region.end_line, region.end_column];
    put_numbers(out, &[start, end]);
    put_numbers(out, &lines);
}

/// Writes sections one after the other and digests their blocks on the way.
struct SectionWriter<'p> {
    out: BufWriter<File>,
    path: &'p Path,
    offset: u64,
    block: Vec<u8>,
    digests: Vec<Vec<u8>>,
    sections: Vec<SectionEntry>,
}

impl<'p> SectionWriter<'p> {
    fn new(file: File, path: &'p Path) -> Result<SectionWriter<'p>, IndexError> {
        let offset = Header::n_bytes(SectionKind::ALL.len()) as u64;
        let mut out = BufWriter::with_capacity(1 << 16, file);
        out.seek(SeekFrom::Start(offset)).map_err(|error| IndexError::io("write", path, error))?;
        Ok(SectionWriter {
            out,
            path,
            offset,
            block: Vec::new(),
            digests: Vec::new(),
            sections: Vec::new(),
        })
    }

    fn begin(&mut self, kind: SectionKind) {
        self.end_block();
        self.digests.push(Vec::new());
        self.sections.push(SectionEntry {
            kind: kind as u32,
            flags: FLAG_REQUIRED,
            offset: self.offset,
            n_bytes: 0,
            digests_offset: 0,
            digest: Digest::of(b""),
        });
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), IndexError> {
        self.out.write_all(bytes).map_err(|error| IndexError::io("write", self.path, error))?;
        self.offset += bytes.len() as u64;
        if let Some(section) = self.sections.last_mut() {
            section.n_bytes += bytes.len() as u64;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let n = rest.len().min(BLOCK_BYTES as usize - self.block.len());
            self.block.extend_from_slice(&rest[..n]);
            rest = &rest[n..];
            if self.block.len() == BLOCK_BYTES as usize {
                self.end_block();
            }
        }
        Ok(())
    }

    fn end_block(&mut self) {
        if !self.block.is_empty()
            && let Some(digests) = self.digests.last_mut()
        {
            digests.extend_from_slice(Digest::of(&self.block).as_bytes());
            self.block.clear();
        }
    }

    /// Writes the digests and the header, and syncs.
    fn finish(mut self, head: &SnapshotHead, coverage: Coverage) -> Result<Header, IndexError> {
        self.end_block();
        let path = self.path;
        let failed = |error| IndexError::io("write", path, error);
        for (section, digests) in self.sections.iter_mut().zip(&self.digests) {
            section.digests_offset = self.offset;
            section.digest = {
                let mut digester = Digester::new();
                digester.update(digests);
                digester.finish()
            };
            self.out.write_all(digests).map_err(failed)?;
            self.offset += digests.len() as u64;
        }
        let header = Header {
            created_at: head.created_at,
            extractor_version: EXTRACTOR_VERSION,
            commit: head.commit,
            tree: head.tree,
            coverage,
            sections: self.sections,
        };
        self.out.seek(SeekFrom::Start(0)).map_err(failed)?;
        self.out.write_all(&header.encode()).map_err(failed)?;
        let file = self.out.into_inner().map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(failed)?;
        Ok(header)
    }
}
