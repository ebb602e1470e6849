//! Reads a snapshot: the questions asked of the code index.

use std::{collections::HashMap, io::ErrorKind, path::Path, sync::OnceLock};

use carnet_core::{Digest, GitOid, Region, RepoPath, Timestamp};
use carnet_parse::{Language, Symbol, SymbolKind};

use crate::{
    CallSite, Callers, Coverage, Definition, IndexError, Place,
    format::SectionKind,
    name::Query,
    pointer,
    rows::{CallRow, FileRow, LiveRow, NONE, NameRow, SymbolRow, TextFileRow},
    sections::Sections,
    words,
    write::{overlay_path, snapshots_dir},
};

/// How often the pointer is read again when its snapshot was replaced in between.
const OPEN_TRIES: usize = 8;
/// What is wrong with a symbol whose outer one is not of its file.
const FOREIGN_PARENT: &str = "a symbol lies in another file's symbol";

/// The code index as of one commit: immutable, and kept by whoever holds it, whatever the writer does.
///
/// All questions may be asked from several threads at once.
pub struct Snapshot {
    pub(crate) sections: Sections,
    names: OnceLock<fst::Map<Vec<u8>>>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot({})", self.commit())
    }
}

/// A file of code.
pub(crate) struct CodeFile {
    pub path: RepoPath,
    pub row: FileRow,
}

/// A file that words may know.
pub(crate) struct LiveFile {
    pub path: RepoPath,
    pub blob_id: GitOid,
    /// `None` for a file of text.
    pub language: Option<Language>,
    symbols: std::ops::Range<u32>,
}

impl LiveFile {
    /// Returns the position in the snapshot of the symbol at a position in the file.
    pub fn symbol_idx(&self, position: u32) -> u32 {
        self.symbols.start.saturating_add(position)
    }
}

impl Snapshot {
    /// Opens the snapshot that is current in `dir`; `None` when there is none yet.
    ///
    /// # Errors
    ///
    /// [`IndexError::Corrupt`] and [`IndexError::Format`] when a refresh would heal it
    /// ([`IndexError::is_healed_by_rebuild`]); [`IndexError::Io`] when the disk refuses.
    pub fn open_current(dir: &Path) -> Result<Option<Snapshot>, IndexError> {
        let pointer = pointer::current_path(dir);
        if pointer.exists() && !words::are_there(dir) {
            let what = "the words beside it are missing or damaged".to_owned();
            return Err(IndexError::Corrupt { path: pointer, what });
        }
        for _ in 0..OPEN_TRIES {
            let Some(name) = pointer::read(&pointer)? else { return Ok(None) };
            match Snapshot::open(&snapshots_dir(dir).join(&name)) {
                // Replaced and removed since the pointer was read: read it again.
                Err(IndexError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
                other => return other.map(Some),
            }
        }
        Err(IndexError::Corrupt {
            path: pointer,
            what: "the snapshot it names is missing".to_owned(),
        })
    }

    /// Opens the snapshot that was written for some uncommitted edits; `None` when there is none, or none that can be read.
    ///
    /// - `key`: what [`IndexStore::overlay`](crate::IndexStore::overlay) was given.
    pub fn open_overlay(dir: &Path, key: &Digest) -> Option<Snapshot> {
        words::are_there(dir).then(|| Snapshot::open(&overlay_path(dir, key)).ok()).flatten()
    }

    /// Opens one snapshot file.
    ///
    /// # Errors
    ///
    /// As for [`Snapshot::open_current`].
    pub fn open(path: &Path) -> Result<Snapshot, IndexError> {
        Ok(Snapshot { sections: Sections::open(path)?, names: OnceLock::new() })
    }

    /// Returns its file.
    pub(crate) fn path(&self) -> &Path {
        self.sections.path()
    }

    /// Returns the commit it is the index of.
    pub fn commit(&self) -> GitOid {
        self.sections.header.commit
    }

    /// Returns that commit's tree.
    pub fn tree(&self) -> GitOid {
        self.sections.header.tree
    }

    /// Returns when it was made.
    pub fn created_at(&self) -> Timestamp {
        self.sections.header.created_at
    }

    /// Returns the version of the extractor that made it.
    pub fn extractor_version(&self) -> u32 {
        self.sections.header.extractor_version
    }

    /// Returns how much of the repository it covers.
    pub fn coverage(&self) -> Coverage {
        self.sections.header.coverage
    }

    /// Returns the digest of all that it says, apart from when it was made.
    pub fn content_digest(&self) -> Digest {
        self.sections.header.content_digest()
    }

    /// Checks every byte against the digests; questions check what they touch by themselves.
    ///
    /// # Errors
    ///
    /// [`IndexError::Corrupt`] names the first section that does not hold.
    pub fn verify(&self) -> Result<(), IndexError> {
        self.sections.verify()
    }

    /// Returns the definitions of a name, sorted by path and place.
    ///
    /// - `name`: alone, or with (the last parts of) its container before it, separated by `.` or `::`.
    ///
    /// # Errors
    ///
    /// [`IndexError::Corrupt`] when what was touched does not hold.
    pub fn where_defined(&self, name: &str) -> Result<Vec<Definition>, IndexError> {
        let symbols = self.symbols_named(&Query::new(name))?;
        symbols.into_iter().map(|(_, row)| self.definition(row)).collect()
    }

    /// Returns the calls of a name, those that are known to mean it apart from those that may.
    ///
    /// - `name`: as for [`Snapshot::where_defined`]. With a container, resolved calls are those of the
    ///   definitions in it, and calls known to mean another definition are in neither list.
    ///
    /// A call through an import's alias is listed under the imported name.
    ///
    /// # Errors
    ///
    /// [`IndexError::Corrupt`] when what was touched does not hold.
    pub fn who_calls(&self, name: &str) -> Result<Callers, IndexError> {
        let query = Query::new(name);
        let mut callers = Callers::default();
        let Some(row) = self.name_row(query.name)? else { return Ok(callers) };
        let meant: Vec<u32> = match query.container.is_empty() {
            true => Vec::new(),
            false => self.symbols_named(&query)?.into_iter().map(|(idx, _)| idx).collect(),
        };
        let mut last_file = None;
        for call in self.calls_of_name(&row)? {
            let is_other =
                call.target != NONE && !query.container.is_empty() && !meant.contains(&call.target);
            if is_other {
                continue;
            }
            if last_file.as_ref().is_none_or(|(file_idx, _)| *file_idx != call.file) {
                last_file = Some((call.file, self.file(call.file)?));
            }
            let Some((_, file)) = &last_file else { continue };
            let site = self.call_site(&call, file, query.name)?;
            match site.target.is_some() {
                true => callers.resolved.push(site),
                false => callers.candidates.push(site),
            }
        }
        Ok(callers)
    }

    /// Tells whether a file is in the snapshot.
    ///
    /// # Errors
    ///
    /// [`IndexError::Corrupt`] when what was touched does not hold.
    pub fn has_file(&self, path: &RepoPath) -> Result<bool, IndexError> {
        Ok(self.file_of(path)?.is_some())
    }

    /// Returns the definitions of one file in source order, those that macros define among them; `None` when the file is not in the snapshot.
    ///
    /// # Errors
    ///
    /// [`IndexError::Corrupt`] when what was touched does not hold.
    pub fn outline(&self, path: &RepoPath) -> Result<Option<Vec<Definition>>, IndexError> {
        let Some(symbols) = self.symbols_in_order(path)? else { return Ok(None) };
        let places: HashMap<u32, u32> =
            (0..).zip(&symbols).map(|(at, (idx, _))| (*idx, at)).collect();
        let definitions = symbols.into_iter().map(|(_, row)| {
            let place = match row.parent {
                NONE => None,
                parent => {
                    let place = places.get(&parent).copied();
                    Some(place.ok_or_else(|| self.sections.corrupt(FOREIGN_PARENT))?)
                }
            };
            let mut definition = self.definition(row)?;
            definition.symbol.parent = place;
            Ok(definition)
        });
        definitions.collect::<Result<_, _>>().map(Some)
    }

    /// Returns the symbols of a file in source order, those that macros define among them.
    pub(crate) fn symbols_in_order(
        &self,
        path: &RepoPath,
    ) -> Result<Option<Vec<(u32, SymbolRow)>>, IndexError> {
        let Some((file, own)) = self.file_of(path)? else { return Ok(None) };
        let row = |idx| self.symbol(idx).map(|row| (idx, row));
        let mut symbols = own.chain(self.made_in(file)?).map(row).collect::<Result<Vec<_>, _>>()?;
        symbols.sort_by_key(|(_, row)| row.region.start);
        Ok(Some(symbols))
    }

    /// Returns the positions of the symbols that macros define in a file: they stand behind those that files define by themselves.
    pub(crate) fn made_in(&self, file: u32) -> Result<std::ops::Range<u32>, IndexError> {
        let n_symbols = self.sections.n_rows(SectionKind::Symbols)?;
        let n_files = self.sections.n_rows(SectionKind::Files)?;
        let n_own = match n_files.checked_sub(1) {
            Some(last) => {
                let row = self.file(last)?.row;
                row.first_symbol.saturating_add(row.n_symbols).min(n_symbols)
            }
            None => n_symbols,
        };
        let first_after = |is_before: &dyn Fn(u32) -> bool| {
            let (mut low, mut high) = (n_own, n_symbols);
            while low < high {
                let middle = low + (high - low) / 2;
                if is_before(self.symbol(middle)?.file) { low = middle + 1 } else { high = middle }
            }
            Ok::<u32, IndexError>(low)
        };
        Ok(first_after(&|found| found < file)?..first_after(&|found| found <= file)?)
    }

    /// Returns the position of a file, and those of the symbols that it defines by itself; `None` when it is not in the snapshot.
    pub(crate) fn file_of(
        &self,
        path: &RepoPath,
    ) -> Result<Option<(u32, std::ops::Range<u32>)>, IndexError> {
        let (mut low, mut high) = (0, self.sections.n_rows(SectionKind::Files)?);
        while low < high {
            let middle = low + (high - low) / 2;
            let CodeFile { path: found, row } = self.file(middle)?;
            match found.cmp(path) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    let end = row.first_symbol.checked_add(row.n_symbols);
                    let end =
                        end.ok_or_else(|| self.sections.corrupt("a file has too many symbols"))?;
                    return Ok(Some((middle, row.first_symbol..end)));
                }
            }
        }
        Ok(None)
    }

    pub(crate) fn symbols_named(
        &self,
        query: &Query<'_>,
    ) -> Result<Vec<(u32, SymbolRow)>, IndexError> {
        let Some(row) = self.name_row(query.name)? else { return Ok(Vec::new()) };
        let definitions: Vec<u32> = self.sections.rows(
            SectionKind::Definitions,
            row.first_definition,
            row.n_definitions,
        )?;
        let mut symbols = Vec::new();
        for idx in definitions {
            let symbol = self.symbol(idx)?;
            if query.container.is_empty() || query.fits(&self.text(symbol.container)?) {
                symbols.push((idx, symbol));
            }
        }
        symbols.sort_by_key(|(_, row)| (row.file, row.region.start));
        Ok(symbols)
    }

    /// Returns the calls that are listed under a name, by file and place.
    pub(crate) fn calls_of_name(&self, row: &NameRow) -> Result<Vec<CallRow>, IndexError> {
        let calls: Vec<u32> =
            self.sections.rows(SectionKind::CallsOfNames, row.first_call, row.n_calls)?;
        calls.into_iter().map(|idx| self.sections.row(SectionKind::Calls, idx)).collect()
    }

    pub(crate) fn name_row(&self, name: &str) -> Result<Option<NameRow>, IndexError> {
        let Some(idx) = self.names()?.get(name.as_bytes()) else { return Ok(None) };
        let idx = u32::try_from(idx).map_err(|_| self.sections.corrupt("a name has no row"))?;
        self.sections.row(SectionKind::Names, idx).map(Some)
    }

    /// Returns the map of names, read once.
    fn names(&self) -> Result<&fst::Map<Vec<u8>>, IndexError> {
        if let Some(names) = self.names.get() {
            return Ok(names);
        }
        let n_bytes = self.sections.n_bytes(SectionKind::NameMap);
        let bytes = self.sections.read(SectionKind::NameMap, 0, n_bytes)?;
        let names = fst::Map::new(bytes)
            .map_err(|_| self.sections.corrupt("the map of names is malformed"))?;
        Ok(self.names.get_or_init(|| names))
    }

    pub(crate) fn definition(&self, row: SymbolRow) -> Result<Definition, IndexError> {
        let file = self.file(row.file)?;
        let parent = match row.parent {
            NONE => None,
            parent => Some(
                parent
                    .checked_sub(file.row.first_symbol)
                    .ok_or_else(|| self.sections.corrupt(FOREIGN_PARENT))?,
            ),
        };
        let symbol = Symbol {
            kind: row.kind,
            name: self.text(row.name)?,
            container: self.text(row.container)?,
            parent,
            name_region: row.name_region,
            region: row.region,
            signature: self.text(row.signature)?,
            visibility: row.visibility,
            doc: self.text(row.doc)?,
        };
        let FileRow { language, blob_id, .. } = file.row;
        Ok(Definition { path: file.path, language, blob_id, symbol })
    }

    pub(crate) fn call_site(
        &self,
        call: &CallRow,
        file: &CodeFile,
        name: &str,
    ) -> Result<CallSite, IndexError> {
        let malformed = || self.sections.corrupt("a call is malformed");
        let place = |idx: u32| (idx != NONE).then(|| self.place(idx)).transpose();
        let text = |id: u32| (id != NONE).then(|| self.text(id)).transpose();
        let target = place(call.target)?;
        if target.is_some() != call.evidence.is_resolved() {
            return Err(malformed());
        }
        let end = call.start.checked_add(call.n_bytes).ok_or_else(malformed)?;
        Ok(CallSite {
            path: file.path.clone(),
            blob_id: file.row.blob_id,
            region: Region {
                start: call.start as usize,
                end: end as usize,
                start_line: call.line,
                start_column: call.column,
                end_line: call.line,
                end_column: call.column.checked_add(call.n_bytes).ok_or_else(malformed)?,
            },
            callee: text(call.callee)?.unwrap_or_else(|| name.to_owned()),
            receiver: text(call.receiver)?,
            form: call.form,
            enclosing: place(call.enclosing)?,
            evidence: call.evidence,
            target,
        })
    }

    pub(crate) fn place(&self, symbol_idx: u32) -> Result<Place, IndexError> {
        let row = self.symbol(symbol_idx)?;
        let (container, name) = (self.text(row.container)?, self.text(row.name)?);
        let qualified_name = match container.is_empty() {
            true => name,
            false => format!("{container}.{name}"),
        };
        let path = self.file(row.file)?.path;
        Ok(Place { path, kind: row.kind, qualified_name, line: row.name_region.start_line })
    }

    pub(crate) fn file(&self, idx: u32) -> Result<CodeFile, IndexError> {
        let row: FileRow = self.sections.row(SectionKind::Files, idx)?;
        Ok(CodeFile { path: self.path_text(row.path)?, row })
    }

    /// Returns the keys of all files that words may know, sorted, each with the row that [`Snapshot::live_file`] takes.
    pub(crate) fn live_rows(&self) -> Result<Vec<(u64, u32)>, IndexError> {
        let n_rows = self.sections.n_rows(SectionKind::Live)?;
        let rows: Vec<LiveRow> = self.sections.rows(SectionKind::Live, 0, n_rows)?;
        let rows: Vec<(u64, u32)> = rows.into_iter().map(|it| (it.key, it.row)).collect();
        match rows.is_sorted() {
            true => Ok(rows),
            false => Err(self.sections.corrupt("the keys of files are out of order")),
        }
    }

    /// Returns path and blob of every file that it holds.
    pub(crate) fn live_files(&self) -> Result<Vec<(RepoPath, GitOid)>, IndexError> {
        let n_code = self.sections.n_rows(SectionKind::Files)?;
        let n_texts = self.sections.n_rows(SectionKind::TextFiles)?;
        let rows = 0..n_code.saturating_add(n_texts);
        let file = |row| self.live_file(row).map(|file| (file.path, file.blob_id));
        rows.map(file).collect()
    }

    /// Returns a file by its row: the files of code, then those of text.
    pub(crate) fn live_file(&self, row: u32) -> Result<LiveFile, IndexError> {
        let n_code = self.sections.n_rows(SectionKind::Files)?;
        let Some(text_idx) = row.checked_sub(n_code) else {
            let CodeFile { path, row } = self.file(row)?;
            let symbols = row.first_symbol..row.first_symbol.saturating_add(row.n_symbols);
            return Ok(LiveFile {
                path,
                blob_id: row.blob_id,
                language: Some(row.language),
                symbols,
            });
        };
        let row: TextFileRow = self.sections.row(SectionKind::TextFiles, text_idx)?;
        let path = self.path_text(row.path)?;
        Ok(LiveFile { path, blob_id: row.blob_id, language: None, symbols: 0..0 })
    }

    /// Returns the last line of a definition before the first function or type that is nested in it.
    pub(crate) fn own_end(&self, idx: u32) -> Result<u32, IndexError> {
        use SymbolKind::{Class, Enum, Function, Interface, Method, Struct, Trait, Type, Union};
        let outer = self.symbol(idx)?;
        for inner in idx + 1..self.sections.n_rows(SectionKind::Symbols)? {
            let inner = self.symbol(inner)?;
            if inner.file != outer.file || inner.region.start >= outer.region.end {
                break;
            }
            let is_unit = matches!(
                inner.kind,
                Class | Enum | Function | Interface | Method | Struct | Trait | Type | Union
            );
            if is_unit && inner.region.start_line > outer.region.start_line {
                return Ok(inner.region.start_line - 1);
            }
        }
        Ok(outer.region.end_line)
    }

    /// Returns a symbol by its position in its file.
    pub(crate) fn symbol_in(&self, file: &LiveFile, position: u32) -> Result<Symbol, IndexError> {
        let idx = Some(file.symbol_idx(position)).filter(|idx| file.symbols.contains(idx));
        let idx =
            idx.ok_or_else(|| self.sections.corrupt("a file has fewer symbols than words"))?;
        Ok(self.definition(self.symbol(idx)?)?.symbol)
    }

    pub(crate) fn symbol(&self, idx: u32) -> Result<SymbolRow, IndexError> {
        self.sections.row(SectionKind::Symbols, idx)
    }

    pub(crate) fn text(&self, id: u32) -> Result<String, IndexError> {
        String::from_utf8(self.text_bytes(id)?)
            .map_err(|_| self.sections.corrupt("a text is not UTF-8"))
    }

    fn path_text(&self, id: u32) -> Result<RepoPath, IndexError> {
        RepoPath::new(self.text_bytes(id)?).map_err(|_| self.sections.corrupt("a text is no path"))
    }

    fn text_bytes(&self, id: u32) -> Result<Vec<u8>, IndexError> {
        let end_of = |id: u32| self.sections.row::<u32>(SectionKind::TextEnds, id);
        let start = id.checked_sub(1).map_or(Ok(0), end_of)?;
        let n_bytes = end_of(id)?.checked_sub(start);
        let n_bytes =
            n_bytes.ok_or_else(|| self.sections.corrupt("a text ends before it begins"))?;
        self.sections.read(SectionKind::TextBytes, u64::from(start), u64::from(n_bytes))
    }
}
