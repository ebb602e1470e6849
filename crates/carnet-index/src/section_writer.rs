//! Writes the sections of a snapshot: rows in, packed blocks and their digests out.

use std::{
    fs::File,
    io::{BufWriter, Seek, SeekFrom, Write},
    path::Path,
};

use carnet_core::{Digest, RepoPath};
use carnet_parse::EXTRACTOR_VERSION;

use crate::{
    Coverage, IndexError,
    blocks::Packer,
    format::{FLAG_REQUIRED, Header, SectionEntry, SectionKind},
    link::{CallRow as LinkedCall, Linker, QualifierRow, StringId, number},
    rows::{BaseRow, CallRow, FileRow, LiveRow, NONE, NameRow, Row, SymbolRow, TextFileRow},
    words::file_key,
    write::SnapshotHead,
};

/// Writes a snapshot into a new file, and waits until it is on the disk.
pub(crate) fn write(
    path: &Path,
    head: &SnapshotHead,
    coverage: Coverage,
    linker: &Linker,
) -> Result<Header, IndexError> {
    let mut out = SectionWriter::new(path)?;
    write_texts(&mut out, linker)?;
    write_files(&mut out, linker)?;
    write_symbols(&mut out, linker)?;
    write_names(&mut out, linker)?;
    write_bases(&mut out, linker)?;
    write_live(&mut out, linker)?;
    out.finish(head, coverage)
}

fn write_texts(out: &mut SectionWriter<'_>, linker: &Linker) -> Result<(), IndexError> {
    out.begin(SectionKind::TextEnds)?;
    linker.strings.all_ends().iter().try_for_each(|end| out.put_row(end))?;
    out.begin(SectionKind::TextBytes)?;
    out.put(linker.strings.all_bytes())
}

fn write_files(out: &mut SectionWriter<'_>, linker: &Linker) -> Result<(), IndexError> {
    out.begin(SectionKind::Files)?;
    let mut first_call = 0;
    for (idx, file) in linker.files.iter().enumerate() {
        // Calls come file by file.
        let of_file = linker.calls[first_call..].iter().take_while(|it| it.file == idx as u32);
        let n_calls = of_file.count();
        out.put_row(&FileRow {
            path: file.path,
            language: file.language,
            blob_id: file.blob_id,
            first_symbol: file.first_symbol,
            n_symbols: file.n_symbols,
            n_problems: file.n_problems,
            first_call: first_call as u32,
            n_calls: n_calls as u32,
        })?;
        first_call += n_calls;
    }
    Ok(())
}

fn write_symbols(out: &mut SectionWriter<'_>, linker: &Linker) -> Result<(), IndexError> {
    out.begin(SectionKind::Symbols)?;
    linker.symbols.iter().try_for_each(|symbol| {
        out.put_row(&SymbolRow {
            file: symbol.file,
            name: symbol.name,
            container: symbol.container,
            signature: symbol.signature,
            doc: symbol.doc,
            parent: symbol.parent.unwrap_or(NONE),
            kind: symbol.kind,
            visibility: symbol.visibility,
            region: symbol.region,
            name_region: symbol.name_region,
        })
    })
}

/// Writes the map of names, and per name its definitions and calls.
fn write_names(out: &mut SectionWriter<'_>, linker: &Linker) -> Result<(), IndexError> {
    let mut names: Vec<StringId> = linker.symbols.iter().map(|symbol| symbol.name).collect();
    names.extend(linker.calls.iter().map(|call| call.name));
    names.sort_unstable();
    names.dedup();
    names.sort_by_key(|name| linker.strings.get(*name));
    let definitions = ByName::new(&names, linker.symbols.iter().map(|symbol| symbol.name));
    let calls = ByName::new(&names, linker.calls.iter().map(|call| call.name));

    let mut map = fst::MapBuilder::memory();
    for (idx, name) in names.iter().enumerate() {
        map.insert(linker.strings.get(*name), idx as u64).map_err(IndexError::Names)?;
    }
    out.begin(SectionKind::NameMap)?;
    out.put(&map.into_inner().map_err(IndexError::Names)?)?;
    out.begin(SectionKind::Names)?;
    for idx in 0..names.len() {
        let (first_definition, n_definitions) = definitions.range(idx);
        let (first_call, n_calls) = calls.range(idx);
        out.put_row(&NameRow { first_definition, n_definitions, first_call, n_calls })?;
    }
    out.begin(SectionKind::Definitions)?;
    definitions.order.iter().try_for_each(|idx| out.put_row(idx))?;
    out.begin(SectionKind::Calls)?;
    linker.calls.iter().try_for_each(|call| out.put_row(&call_row(call)))?;
    out.begin(SectionKind::CallsOfNames)?;
    calls.order.iter().try_for_each(|idx| out.put_row(idx))
}

/// Positions by the name of what stands there.
struct ByName {
    /// Where the positions of each name begin; one more at the end.
    starts: Vec<u32>,
    order: Vec<u32>,
}

impl ByName {
    /// - `names`: each name once. `of_positions`: the name at each position, one of those.
    fn new(names: &[StringId], of_positions: impl Iterator<Item = StringId> + Clone) -> ByName {
        let n_ids = names.iter().max().map_or(0, |last| *last as usize + 1);
        let mut places = vec![NONE; n_ids];
        (0..).zip(names).for_each(|(place, name)| places[*name as usize] = place);
        let places = of_positions.map(|name| places[name as usize] as usize);
        let mut starts = vec![0; names.len() + 1];
        places.clone().for_each(|place| starts[place + 1] += 1);
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut order = vec![0; starts.last().map_or(0, |end| *end as usize)];
        let mut next = starts.clone();
        for (position, place) in (0..).zip(places) {
            order[next[place] as usize] = position;
            next[place] += 1;
        }
        ByName { starts, order }
    }

    /// Returns where the positions of a name begin and how many they are.
    fn range(&self, name_idx: usize) -> (u32, u32) {
        let start = self.starts[name_idx];
        (start, self.starts[name_idx + 1] - start)
    }
}

fn call_row(call: &LinkedCall) -> CallRow {
    let receiver = match call.qualifier {
        QualifierRow::Bare => NONE,
        QualifierRow::Own(text) | QualifierRow::Path(text) | QualifierRow::Value(text) => text,
    };
    CallRow {
        file: call.file,
        enclosing: call.enclosing.unwrap_or(NONE),
        target: call.target.unwrap_or(NONE),
        name: call.name,
        evidence: call.evidence,
        form: call.form,
        start: call.start,
        n_bytes: call.n_bytes,
        line: call.line,
        column: call.column,
        callee: if call.callee == call.name { NONE } else { call.callee },
        receiver,
    }
}

/// Writes the supertypes, sorted by their names.
fn write_bases(out: &mut SectionWriter<'_>, linker: &Linker) -> Result<(), IndexError> {
    let mut bases: Vec<_> = linker.bases.iter().collect();
    bases.sort_by_key(|it| (linker.strings.get(it.supertype), !it.is_said, it.file, it.line));
    out.begin(SectionKind::Bases)?;
    bases.into_iter().try_for_each(|base| {
        out.put_row(&BaseRow {
            supertype: base.supertype,
            subtype: base.subtype,
            symbol: base.symbol.unwrap_or(NONE),
            file: base.file,
            line: base.line,
            column: base.column,
            is_said: base.is_said,
        })
    })
}

/// Writes the text files, then the keys of all files that words may know, sorted.
fn write_live(out: &mut SectionWriter<'_>, linker: &Linker) -> Result<(), IndexError> {
    out.begin(SectionKind::TextFiles)?;
    for (path, blob_id) in &linker.texts {
        out.put_row(&TextFileRow { path: *path, blob_id: *blob_id })?;
    }
    let code = linker.files.iter().map(|file| (file.path, file.blob_id));
    let mut live = Vec::new();
    for (row, (path, blob_id)) in code.chain(linker.texts.iter().copied()).enumerate() {
        let path = RepoPath::new(linker.strings.get(path)).expect("because it was a path before");
        live.push((file_key(&path, &blob_id), number(row, "files")?));
    }
    live.sort_unstable();
    out.begin(SectionKind::Live)?;
    live.into_iter().try_for_each(|(key, row)| out.put_row(&LiveRow { key, row }))
}

/// Writes sections one after the other, a packed block at a time.
struct SectionWriter<'p> {
    out: BufWriter<File>,
    path: &'p Path,
    offset: u64,
    packer: Packer,
    /// The section that is written, what its next block holds so far, and one row.
    kind: SectionKind,
    block: Vec<u8>,
    row: Vec<u8>,
    lists: Vec<Vec<u8>>,
    sections: Vec<SectionEntry>,
}

impl<'p> SectionWriter<'p> {
    fn new(path: &'p Path) -> Result<SectionWriter<'p>, IndexError> {
        let file = File::create(path).map_err(|error| IndexError::io("create", path, error))?;
        let offset = Header::n_bytes(SectionKind::ALL.len()) as u64;
        let mut out = BufWriter::with_capacity(1 << 16, file);
        out.seek(SeekFrom::Start(offset)).map_err(|error| IndexError::io("write", path, error))?;
        Ok(SectionWriter {
            out,
            path,
            offset,
            packer: Packer::new().map_err(IndexError::Pack)?,
            kind: SectionKind::TextEnds,
            block: Vec::new(),
            row: Vec::new(),
            lists: Vec::new(),
            sections: Vec::new(),
        })
    }

    fn begin(&mut self, kind: SectionKind) -> Result<(), IndexError> {
        self.end_block()?;
        self.kind = kind;
        self.lists.push(Vec::new());
        self.sections.push(SectionEntry {
            kind: kind as u32,
            flags: FLAG_REQUIRED,
            offset: self.offset,
            n_bytes: 0,
            block_bytes: kind.block_bytes(),
            n_packed: 0,
            blocks_offset: 0,
            digest: Digest::of(b""),
        });
        Ok(())
    }

    fn put_row(&mut self, row: &impl Row) -> Result<(), IndexError> {
        let mut bytes = std::mem::take(&mut self.row);
        bytes.clear();
        row.put(&mut bytes);
        debug_assert_eq!(bytes.len() as u64, self.kind.row_bytes());
        let put = self.put(&bytes);
        self.row = bytes;
        put
    }

    fn put(&mut self, mut bytes: &[u8]) -> Result<(), IndexError> {
        let block_bytes = self.kind.block_bytes() as usize;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(block_bytes - self.block.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() == block_bytes {
                self.end_block()?;
            }
        }
        Ok(())
    }

    fn end_block(&mut self) -> Result<(), IndexError> {
        let (Some(section), Some(list)) = (self.sections.last_mut(), self.lists.last_mut()) else {
            return Ok(());
        };
        if self.block.is_empty() {
            return Ok(());
        }
        let packed =
            self.packer.pack(self.kind.columns(), &self.block).map_err(IndexError::Pack)?;
        self.out.write_all(&packed).map_err(|error| IndexError::io("write", self.path, error))?;
        list.extend_from_slice(&(packed.len() as u32).to_le_bytes());
        list.extend_from_slice(Digest::of(&packed).as_bytes());
        section.n_bytes += self.block.len() as u64;
        section.n_packed += packed.len() as u64;
        self.offset += packed.len() as u64;
        self.block.clear();
        Ok(())
    }

    /// Writes the lists of blocks and the header, and syncs.
    fn finish(mut self, head: &SnapshotHead, coverage: Coverage) -> Result<Header, IndexError> {
        self.end_block()?;
        let path = self.path;
        let failed = |error| IndexError::io("write", path, error);
        for (section, list) in self.sections.iter_mut().zip(&self.lists) {
            section.blocks_offset = self.offset;
            section.digest = Digest::of(list);
            self.out.write_all(list).map_err(failed)?;
            self.offset += list.len() as u64;
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
