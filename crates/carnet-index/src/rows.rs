//! The rows of a snapshot's sections, each as it is written and as it is read.
//!
//! Numbers are little-endian, texts are named by their positions. What is read is checked by whoever uses it: a row says
//! only that its bytes are those of one.

use carnet_core::{GitOid, Region};
use carnet_parse::{CallForm, Language, SymbolKind, Visibility};

use crate::{
    Evidence,
    format::{Input, put_oid},
};

/// Stands for "none" where a position is stored.
pub(crate) const NONE: u32 = u32::MAX;

/// A row of one kind of section.
pub(crate) trait Row: Sized {
    fn put(&self, out: &mut Vec<u8>);

    /// Reads it from its bytes; `None` when they are those of no such row.
    fn take(input: &mut Input<'_>) -> Option<Self>;
}

/// A file of code.
pub(crate) struct FileRow {
    pub path: u32,
    pub language: Language,
    pub blob_id: GitOid,
    pub first_symbol: u32,
    pub n_symbols: u32,
    pub n_problems: u32,
    pub first_call: u32,
    pub n_calls: u32,
}

impl Row for FileRow {
    fn put(&self, out: &mut Vec<u8>) {
        put_numbers(out, &[self.path]);
        out.push(self.language.code());
        put_oid(out, &self.blob_id);
        put_numbers(out, &[self.first_symbol, self.n_symbols, self.n_problems]);
        put_numbers(out, &[self.first_call, self.n_calls]);
    }

    fn take(input: &mut Input<'_>) -> Option<FileRow> {
        Some(FileRow {
            path: input.u32()?,
            language: Language::from_code(input.u8()?)?,
            blob_id: input.oid()?,
            first_symbol: input.u32()?,
            n_symbols: input.u32()?,
            n_problems: input.u32()?,
            first_call: input.u32()?,
            n_calls: input.u32()?,
        })
    }
}

/// A file that may hold text and no code.
pub(crate) struct TextFileRow {
    pub path: u32,
    pub blob_id: GitOid,
}

impl Row for TextFileRow {
    fn put(&self, out: &mut Vec<u8>) {
        put_numbers(out, &[self.path]);
        put_oid(out, &self.blob_id);
    }

    fn take(input: &mut Input<'_>) -> Option<TextFileRow> {
        Some(TextFileRow { path: input.u32()?, blob_id: input.oid()? })
    }
}

/// A definition.
pub(crate) struct SymbolRow {
    pub file: u32,
    pub name: u32,
    pub container: u32,
    pub signature: u32,
    pub doc: u32,
    pub parent: u32,
    pub kind: SymbolKind,
    pub visibility: Visibility,
    pub region: Region,
    pub name_region: Region,
}

impl Row for SymbolRow {
    fn put(&self, out: &mut Vec<u8>) {
        put_numbers(
            out,
            &[self.file, self.name, self.container, self.signature, self.doc, self.parent],
        );
        out.extend([self.kind.code(), self.visibility.code()]);
        put_region(out, &self.region, (0, 0));
        put_region(out, &self.name_region, (self.region.start as u32, self.region.start_line));
    }

    fn take(input: &mut Input<'_>) -> Option<SymbolRow> {
        let (file, name, container) = (input.u32()?, input.u32()?, input.u32()?);
        let (signature, doc, parent) = (input.u32()?, input.u32()?, input.u32()?);
        let kind = SymbolKind::from_code(input.u8()?)?;
        let visibility = Visibility::from_code(input.u8()?)?;
        let region = take_region(input, (0, 0))?;
        let name_region = take_region(input, (region.start as u32, region.start_line))?;
        Some(SymbolRow {
            file,
            name,
            container,
            signature,
            doc,
            parent,
            kind,
            visibility,
            region,
            name_region,
        })
    }
}

/// A name that is defined or called.
pub(crate) struct NameRow {
    pub first_definition: u32,
    pub n_definitions: u32,
    pub first_call: u32,
    pub n_calls: u32,
}

impl Row for NameRow {
    fn put(&self, out: &mut Vec<u8>) {
        put_numbers(out, &[self.first_definition, self.n_definitions]);
        put_numbers(out, &[self.first_call, self.n_calls]);
    }

    fn take(input: &mut Input<'_>) -> Option<NameRow> {
        Some(NameRow {
            first_definition: input.u32()?,
            n_definitions: input.u32()?,
            first_call: input.u32()?,
            n_calls: input.u32()?,
        })
    }
}

/// A call.
pub(crate) struct CallRow {
    pub file: u32,
    /// The symbol around it, or [`NONE`].
    pub enclosing: u32,
    /// The symbol that it means, or [`NONE`].
    pub target: u32,
    /// The name that it is listed under.
    pub name: u32,
    pub evidence: Evidence,
    pub form: CallForm,
    pub start: u32,
    pub n_bytes: u32,
    pub line: u32,
    pub column: u32,
    /// The callee, or [`NONE`] when it is the name that it is listed under.
    pub callee: u32,
    /// What stands before the callee, or [`NONE`] for nothing.
    pub receiver: u32,
}

impl Row for CallRow {
    fn put(&self, out: &mut Vec<u8>) {
        put_numbers(out, &[self.file, self.enclosing, self.target, self.name]);
        out.extend([self.evidence.code(), self.form as u8]);
        put_numbers(out, &[self.start, self.n_bytes, self.line, self.column]);
        // Most have none: a small number is packed better than a large one.
        put_numbers(out, &[self.callee.wrapping_add(1), self.receiver.wrapping_add(1)]);
    }

    fn take(input: &mut Input<'_>) -> Option<CallRow> {
        Some(CallRow {
            file: input.u32()?,
            enclosing: input.u32()?,
            target: input.u32()?,
            name: input.u32()?,
            evidence: Evidence::from_code(input.u8()?)?,
            form: form_from_code(input.u8()?)?,
            start: input.u32()?,
            n_bytes: input.u32()?,
            line: input.u32()?,
            column: input.u32()?,
            callee: input.u32()?.wrapping_sub(1),
            receiver: input.u32()?.wrapping_sub(1),
        })
    }
}

/// A type that extends or implements another.
pub(crate) struct BaseRow {
    pub supertype: u32,
    pub subtype: u32,
    /// Its definition, or [`NONE`].
    pub symbol: u32,
    pub file: u32,
    pub line: u32,
    pub column: u32,
    pub is_said: bool,
}

impl Row for BaseRow {
    fn put(&self, out: &mut Vec<u8>) {
        put_numbers(out, &[self.supertype, self.subtype, self.symbol]);
        put_numbers(out, &[self.file, self.line, self.column]);
        out.push(u8::from(self.is_said));
    }

    fn take(input: &mut Input<'_>) -> Option<BaseRow> {
        Some(BaseRow {
            supertype: input.u32()?,
            subtype: input.u32()?,
            symbol: input.u32()?,
            file: input.u32()?,
            line: input.u32()?,
            column: input.u32()?,
            is_said: input.u8()? != 0,
        })
    }
}

/// Key of a file among the words, and where its row is.
pub(crate) struct LiveRow {
    pub key: u64,
    pub row: u32,
}

impl Row for LiveRow {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.key.to_le_bytes());
        put_numbers(out, &[self.row]);
    }

    fn take(input: &mut Input<'_>) -> Option<LiveRow> {
        Some(LiveRow { key: input.u64()?, row: input.u32()? })
    }
}

/// A position alone.
impl Row for u32 {
    fn put(&self, out: &mut Vec<u8>) {
        put_numbers(out, &[*self]);
    }

    fn take(input: &mut Input<'_>) -> Option<u32> {
        input.u32()
    }
}

fn form_from_code(code: u8) -> Option<CallForm> {
    use CallForm::{Construct, Decorator, Element, Function, Macro};
    let forms = [Function, Construct, Macro, Element, Decorator];
    forms.into_iter().find(|form| *form as u8 == code)
}

fn put_numbers(out: &mut Vec<u8>, numbers: &[u32]) {
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
}

/// Writes a region by its distance from a place (byte and line), and how far it goes: those numbers are small.
fn put_region(out: &mut Vec<u8>, region: &Region, (start, line): (u32, u32)) {
    let n_bytes = region.end.wrapping_sub(region.start) as u32;
    put_numbers(out, &[(region.start as u32).wrapping_sub(start), n_bytes]);
    put_numbers(out, &[region.start_line.wrapping_sub(line), region.start_column]);
    put_numbers(out, &[region.end_line.wrapping_sub(region.start_line), region.end_column]);
}

fn take_region(input: &mut Input<'_>, (start, line): (u32, u32)) -> Option<Region> {
    let start = input.u32()?.wrapping_add(start);
    let end = start.wrapping_add(input.u32()?);
    let start_line = input.u32()?.wrapping_add(line);
    let start_column = input.u32()?;
    Some(Region {
        start: start as usize,
        end: end as usize,
        start_line,
        start_column,
        end_line: start_line.wrapping_add(input.u32()?),
        end_column: input.u32()?,
    })
}
