//! Reads a snapshot: the questions asked of the code index.

use std::{io::ErrorKind, path::Path, sync::OnceLock};

use carnet_core::{Digest, GitOid, Region, RepoPath, Timestamp};
use carnet_parse::{CallForm, Language, Symbol, SymbolKind, Visibility};

use crate::{
    CallSite, Callers, Coverage, Definition, Evidence, IndexError, Place,
    format::{Input, SectionKind},
    sections::Sections,
    words,
    write::{
        FILE_ROW_BYTES, LIVE_ROW_BYTES, NAME_ROW_BYTES, NONE, SYMBOL_ROW_BYTES, StoredCall,
        TEXT_FILE_ROW_BYTES, current_path, overlay_path, snapshots_dir,
    },
};

/// How often the pointer is read again when its snapshot was replaced in between.
const OPEN_TRIES: usize = 8;
/// Longest content of the pointer file, in bytes.
const POINTER_BYTES_MAX: u64 = 256;

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

/// A file's row.
pub(crate) struct FileRow {
    pub path: RepoPath,
    pub language: Language,
    blob_id: GitOid,
    first_symbol: u32,
    n_symbols: u32,
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

/// A symbol's row, its texts not read yet.
pub(crate) struct SymbolRow {
    pub file: u32,
    pub name: u32,
    container: u32,
    signature: u32,
    doc: u32,
    pub parent: u32,
    kind: SymbolKind,
    visibility: Visibility,
    name_region: Region,
    pub region: Region,
}

/// A name's row.
pub(crate) struct NameRow {
    first_definition: u32,
    n_definitions: u32,
    calls_start: u64,
    n_call_bytes: u32,
    n_calls: u32,
}

impl Snapshot {
    /// Opens the snapshot that is current in `dir`; `None` when there is none yet.
    ///
    /// # Errors
    ///
    /// [`IndexError::Corrupt`] and [`IndexError::Format`] when a refresh would heal it
    /// ([`IndexError::is_healed_by_rebuild`]); [`IndexError::Io`] when the disk refuses.
    pub fn open_current(dir: &Path) -> Result<Option<Snapshot>, IndexError> {
        let pointer = current_path(dir);
        if pointer.exists() && !words::are_there(dir) {
            let what = "the words beside it are missing or damaged".to_owned();
            return Err(IndexError::Corrupt { path: pointer, what });
        }
        for _ in 0..OPEN_TRIES {
            let Some(name) = read_pointer(&pointer)? else { return Ok(None) };
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
        for stored in self.stored_calls(&row)? {
            let is_other = stored.target != 0
                && !query.container.is_empty()
                && !meant.contains(&(stored.target - 1));
            if is_other {
                continue;
            }
            if last_file.as_ref().is_none_or(|(file_idx, _)| *file_idx != stored.file) {
                last_file = Some((stored.file, self.file(stored.file)?));
            }
            let Some((_, file)) = &last_file else { continue };
            let site = self.call_site(&stored, file, query.name)?;
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
        Ok(self.symbols_of(path)?.is_some())
    }

    /// Returns the definitions of one file in source order; `None` when the file is not in the snapshot.
    ///
    /// # Errors
    ///
    /// [`IndexError::Corrupt`] when what was touched does not hold.
    pub fn outline(&self, path: &RepoPath) -> Result<Option<Vec<Definition>>, IndexError> {
        let Some(symbols) = self.symbols_of(path)? else { return Ok(None) };
        let definitions = symbols.map(|idx| self.definition(self.symbol(idx)?));
        definitions.collect::<Result<_, _>>().map(Some)
    }

    /// Returns the positions of a file's symbols; `None` when the file is not in the snapshot.
    pub(crate) fn symbols_of(
        &self,
        path: &RepoPath,
    ) -> Result<Option<std::ops::Range<u32>>, IndexError> {
        let (mut low, mut high) = (0, self.sections.n_rows(SectionKind::Files, FILE_ROW_BYTES)?);
        while low < high {
            let middle = low + (high - low) / 2;
            let file = self.file(middle)?;
            match file.path.cmp(path) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    let end = file.first_symbol.checked_add(file.n_symbols);
                    let end =
                        end.ok_or_else(|| self.sections.corrupt("a file has too many symbols"))?;
                    return Ok(Some(file.first_symbol..end));
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
        let start = u64::from(row.first_definition) * 4;
        let bytes = self.sections.read(
            SectionKind::Definitions,
            start,
            u64::from(row.n_definitions) * 4,
        )?;
        let mut symbols = Vec::new();
        let mut input = Input(&bytes);
        while let Some(idx) = input.u32() {
            let symbol = self.symbol(idx)?;
            if query.container.is_empty() || query.fits(&self.text(symbol.container)?) {
                symbols.push((idx, symbol));
            }
        }
        Ok(symbols)
    }

    /// Returns the calls that are listed under a name.
    pub(crate) fn stored_calls(&self, row: &NameRow) -> Result<Vec<StoredCall>, IndexError> {
        let n_bytes = u64::from(row.n_call_bytes);
        let bytes = self.sections.read(SectionKind::Calls, row.calls_start, n_bytes)?;
        let mut rest = bytes.as_slice();
        let mut calls = Vec::new();
        for _ in 0..row.n_calls {
            let (call, after) = postcard::take_from_bytes(rest)
                .map_err(|_| self.sections.corrupt("a call is malformed"))?;
            calls.push(call);
            rest = after;
        }
        Ok(calls)
    }

    pub(crate) fn name_row(&self, name: &str) -> Result<Option<NameRow>, IndexError> {
        let Some(idx) = self.names()?.get(name.as_bytes()) else { return Ok(None) };
        let idx = u32::try_from(idx).map_err(|_| self.sections.corrupt("a name has no row"))?;
        let bytes = self.sections.row(SectionKind::Names, idx, NAME_ROW_BYTES)?;
        let mut input = Input(&bytes);
        let mut read = || {
            Some(NameRow {
                first_definition: input.u32()?,
                n_definitions: input.u32()?,
                calls_start: input.u64()?,
                n_call_bytes: input.u32()?,
                n_calls: input.u32()?,
            })
        };
        read().map(Some).ok_or_else(|| self.sections.corrupt("a name's row is malformed"))
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
        let parent =
            match row.parent {
                NONE => None,
                parent => Some(parent.checked_sub(file.first_symbol).ok_or_else(|| {
                    self.sections.corrupt("a symbol lies in another file's symbol")
                })?),
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
        Ok(Definition { path: file.path, language: file.language, blob_id: file.blob_id, symbol })
    }

    pub(crate) fn call_site(
        &self,
        stored: &StoredCall,
        file: &FileRow,
        name: &str,
    ) -> Result<CallSite, IndexError> {
        let malformed = || self.sections.corrupt("a call is malformed");
        let evidence = Evidence::from_code(stored.evidence).ok_or_else(malformed)?;
        let place = |plus_one: u32| plus_one.checked_sub(1).map(|idx| self.place(idx)).transpose();
        let text = |plus_one: u32| plus_one.checked_sub(1).map(|id| self.text(id)).transpose();
        let target = place(stored.target)?;
        if target.is_some() != evidence.is_resolved() {
            return Err(malformed());
        }
        let end = stored.start.checked_add(stored.n_bytes).ok_or_else(malformed)?;
        Ok(CallSite {
            path: file.path.clone(),
            blob_id: file.blob_id,
            region: Region {
                start: stored.start as usize,
                end: end as usize,
                start_line: stored.line,
                start_column: stored.column,
                end_line: stored.line,
                end_column: stored.column.checked_add(stored.n_bytes).ok_or_else(malformed)?,
            },
            callee: text(stored.callee)?.unwrap_or_else(|| name.to_owned()),
            receiver: text(stored.receiver)?,
            form: form_from_code(stored.form).ok_or_else(malformed)?,
            enclosing: place(stored.enclosing)?,
            evidence,
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

    pub(crate) fn file(&self, idx: u32) -> Result<FileRow, IndexError> {
        let bytes = self.sections.row(SectionKind::Files, idx, FILE_ROW_BYTES)?;
        let mut input = Input(&bytes);
        let malformed = || self.sections.corrupt("a file's row is malformed");
        let path = input.u32().ok_or_else(malformed)?;
        let path = RepoPath::new(self.text_bytes(path)?).map_err(|_| malformed())?;
        let read = || {
            Some(FileRow {
                path,
                language: Language::from_code(input.u8()?)?,
                blob_id: input.oid()?,
                first_symbol: input.u32()?,
                n_symbols: input.u32()?,
            })
        };
        read().ok_or_else(malformed)
    }

    /// Returns the keys of all files that words may know, sorted, each with the row that [`Snapshot::live_file`] takes.
    pub(crate) fn live_rows(&self) -> Result<Vec<(u64, u32)>, IndexError> {
        let n_bytes = self.sections.n_bytes(SectionKind::Live);
        let bytes = self.sections.read(SectionKind::Live, 0, n_bytes)?;
        self.sections.n_rows(SectionKind::Live, LIVE_ROW_BYTES)?;
        let mut input = Input(&bytes);
        let mut rows = Vec::with_capacity(bytes.len() / LIVE_ROW_BYTES as usize);
        while let Some(key) = input.u64() {
            let row = input.u32().ok_or_else(|| self.sections.corrupt("a key has no file"))?;
            rows.push((key, row));
        }
        match rows.is_sorted() {
            true => Ok(rows),
            false => Err(self.sections.corrupt("the keys of files are out of order")),
        }
    }

    /// Returns path and blob of every file that it holds.
    pub(crate) fn live_files(&self) -> Result<Vec<(RepoPath, GitOid)>, IndexError> {
        let n_code = self.sections.n_rows(SectionKind::Files, FILE_ROW_BYTES)?;
        let n_texts = self.sections.n_rows(SectionKind::TextFiles, TEXT_FILE_ROW_BYTES)?;
        let rows = 0..n_code.saturating_add(n_texts);
        let file = |row| self.live_file(row).map(|file| (file.path, file.blob_id));
        rows.map(file).collect()
    }

    /// Returns a file by its row: the files of code, then those of text.
    pub(crate) fn live_file(&self, row: u32) -> Result<LiveFile, IndexError> {
        let n_code = self.sections.n_rows(SectionKind::Files, FILE_ROW_BYTES)?;
        let Some(text_idx) = row.checked_sub(n_code) else {
            let FileRow { path, language, blob_id, first_symbol, n_symbols } = self.file(row)?;
            let symbols = first_symbol..first_symbol.saturating_add(n_symbols);
            return Ok(LiveFile { path, blob_id, language: Some(language), symbols });
        };
        let bytes = self.sections.row(SectionKind::TextFiles, text_idx, TEXT_FILE_ROW_BYTES)?;
        let mut input = Input(&bytes);
        let malformed = || self.sections.corrupt("a text file's row is malformed");
        let path = input.u32().ok_or_else(malformed)?;
        let path = RepoPath::new(self.text_bytes(path)?).map_err(|_| malformed())?;
        let blob_id = input.oid().ok_or_else(malformed)?;
        Ok(LiveFile { path, blob_id, language: None, symbols: 0..0 })
    }

    /// Returns the last line of a definition before the first function or type that is nested in it.
    pub(crate) fn own_end(&self, idx: u32) -> Result<u32, IndexError> {
        use SymbolKind::{Class, Enum, Function, Interface, Method, Struct, Trait, Type, Union};
        let outer = self.symbol(idx)?;
        for inner in idx + 1..self.sections.n_rows(SectionKind::Symbols, SYMBOL_ROW_BYTES)? {
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
        let bytes = self.sections.row(SectionKind::Symbols, idx, SYMBOL_ROW_BYTES)?;
        let mut input = Input(&bytes);
        let mut read = || {
            Some(SymbolRow {
                file: input.u32()?,
                name: input.u32()?,
                container: input.u32()?,
                signature: input.u32()?,
                doc: input.u32()?,
                parent: input.u32()?,
                kind: SymbolKind::from_code(input.u8()?)?,
                visibility: Visibility::from_code(input.u8()?)?,
                name_region: region(&mut input)?,
                region: region(&mut input)?,
            })
        };
        read().ok_or_else(|| self.sections.corrupt("a symbol's row is malformed"))
    }

    pub(crate) fn text(&self, id: u32) -> Result<String, IndexError> {
        String::from_utf8(self.text_bytes(id)?)
            .map_err(|_| self.sections.corrupt("a text is not UTF-8"))
    }

    fn text_bytes(&self, id: u32) -> Result<Vec<u8>, IndexError> {
        let end_of = |id: u32| {
            let bytes = self.sections.row(SectionKind::TextEnds, id, 4)?;
            Input(&bytes).u32().ok_or_else(|| self.sections.corrupt("a text has no end"))
        };
        let start = id.checked_sub(1).map_or(Ok(0), end_of)?;
        let n_bytes = end_of(id)?.checked_sub(start);
        let n_bytes =
            n_bytes.ok_or_else(|| self.sections.corrupt("a text ends before it begins"))?;
        self.sections.read(SectionKind::TextBytes, u64::from(start), u64::from(n_bytes))
    }
}

fn form_from_code(code: u8) -> Option<CallForm> {
    use CallForm::{Construct, Decorator, Element, Function, Macro};
    let forms = [Function, Construct, Macro, Element, Decorator];
    forms.into_iter().find(|form| *form as u8 == code)
}

fn region(input: &mut Input<'_>) -> Option<Region> {
    Some(Region {
        start: input.u32()? as usize,
        end: input.u32()? as usize,
        start_line: input.u32()?,
        start_column: input.u32()?,
        end_line: input.u32()?,
        end_column: input.u32()?,
    })
}

/// Reads the pointer to the current snapshot: one plain file name.
pub(crate) fn read_pointer(pointer: &Path) -> Result<Option<String>, IndexError> {
    let corrupt =
        |what: &str| IndexError::Corrupt { path: pointer.to_owned(), what: what.to_owned() };
    let bytes = match std::fs::metadata(pointer) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(IndexError::io("read", pointer, error)),
        Ok(metadata) if metadata.len() > POINTER_BYTES_MAX => {
            return Err(corrupt("it is too long to name a snapshot"));
        }
        Ok(_) => std::fs::read(pointer).map_err(|error| IndexError::io("read", pointer, error))?,
    };
    let text = String::from_utf8(bytes).map_err(|_| corrupt("it does not name a snapshot"))?;
    let name = text.trim_end_matches('\n');
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    if name.is_empty() || name.starts_with('.') || !name.bytes().all(is_plain) {
        return Err(corrupt("it does not name a snapshot"));
    }
    Ok(Some(name.to_owned()))
}

/// A name with the last parts of its container.
pub(crate) struct Query<'q> {
    container: String,
    name: &'q str,
}

impl<'q> Query<'q> {
    pub fn new(text: &'q str) -> Query<'q> {
        let at_dot = text.rfind('.').map(|at| (at, at + 1));
        let at_colons = text.rfind("::").map(|at| (at, at + 2));
        match at_dot.max(at_colons) {
            Some((end, start)) => {
                Query { container: text[..end].replace("::", "."), name: &text[start..] }
            }
            None => Query { container: String::new(), name: text },
        }
    }

    /// Tells whether `container` is the asked one or ends with it at a border.
    fn fits(&self, container: &str) -> bool {
        container
            .strip_suffix(self.container.as_str())
            .is_some_and(|outer| outer.is_empty() || outer.ends_with('.'))
    }
}
