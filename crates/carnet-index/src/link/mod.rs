//! Links the facts of all files of one commit: numbers symbols, gathers calls, resolves them.
//!
//! Facts come in file by file, in the order of their paths, and are kept as rows of numbers and shared
//! strings, so the whole repository's rows fit in memory many times over where its text would not.

mod ecma_modules;
mod made;
mod method_sets;
mod modules;
mod resolve;
mod strings;

use std::collections::{BTreeMap, HashMap, HashSet};

use carnet_core::{GitOid, Region, RepoPath};
use carnet_parse::{
    Argument, Call, CallForm, Import, Invocation, Language, MacroRule, Parsed, Qualifier, Symbol,
    SymbolKind, Visibility,
};

use crate::{
    Coverage, Evidence, IndexError,
    manifest::{Manifest, ManifestKind},
};
use modules::Modules;
pub(crate) use strings::{StringId, Strings};

/// Position of a file among the indexed files, in the order of their paths.
pub(crate) type FileIdx = u32;
/// Position of a symbol among all symbols, in the order of files and places; behind them those that macros define, in the same
/// order.
pub(crate) type SymbolIdx = u32;

pub(crate) struct FileRow {
    pub path: StringId,
    pub language: Language,
    pub blob_id: GitOid,
    pub first_symbol: SymbolIdx,
    pub n_symbols: u32,
    pub n_problems: u32,
    imports: Vec<Import>,
}

pub(crate) struct SymbolRow {
    pub file: FileIdx,
    pub kind: SymbolKind,
    pub name: StringId,
    pub container: StringId,
    pub signature: StringId,
    /// Position among all symbols.
    pub parent: Option<SymbolIdx>,
    pub name_region: Region,
    pub region: Region,
    pub visibility: Visibility,
    pub doc: StringId,
}

/// A type that extends or implements another.
pub(crate) struct BaseRow {
    pub supertype: StringId,
    /// What stands before the supertype's name, among the linker's expressions.
    qualifier: Option<StringId>,
    /// The qualified name of the subtype.
    pub subtype: StringId,
    /// Its definition, where that stands in the same file.
    pub symbol: Option<SymbolIdx>,
    pub file: FileIdx,
    pub line: u32,
    pub column: u32,
    /// Whether the source says so; else the names of the methods do.
    pub is_said: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum QualifierRow {
    Bare,
    Own(StringId),
    Path(StringId),
    Value(StringId),
}

pub(crate) struct CallRow {
    pub file: FileIdx,
    /// The name it is listed under: that of the definition it means, else the callee's or the imported one it is an alias of.
    pub name: StringId,
    pub callee: StringId,
    pub qualifier: QualifierRow,
    /// What the receiver is, among the linker's expressions.
    receiver: Option<StringId>,
    pub form: CallForm,
    pub enclosing: Option<SymbolIdx>,
    pub is_local: bool,
    pub start: u32,
    pub n_bytes: u32,
    pub line: u32,
    pub column: u32,
    pub evidence: Evidence,
    pub target: Option<SymbolIdx>,
}

/// What a definition or its member is; sorted by symbol and member.
struct TypeRow {
    symbol: SymbolIdx,
    /// Both among the linker's expressions.
    member: StringId,
    text: StringId,
}

/// Gathers facts, then resolves.
pub(crate) struct Linker {
    pub strings: Strings,
    pub files: Vec<FileRow>,
    pub symbols: Vec<SymbolRow>,
    pub calls: Vec<CallRow>,
    pub bases: Vec<BaseRow>,
    /// Files that hold text and no code: path and blob.
    pub texts: Vec<(StringId, GitOid)>,
    types: Vec<TypeRow>,
    /// Definitions that only say how the next one of their name is called.
    overloads: HashSet<SymbolIdx>,
    /// What macros define by the names they are given, and where they are invoked for it.
    rules: HashMap<SymbolIdx, Vec<MacroRule>>,
    invocations: Vec<(FileIdx, Invocation)>,
    /// What only resolving reads: no snapshot holds it.
    expressions: Strings,
    /// By their paths.
    manifests: BTreeMap<(ManifestKind, String), Manifest>,
}

impl Linker {
    pub fn new() -> Linker {
        Linker {
            strings: Strings::new(),
            files: Vec::new(),
            symbols: Vec::new(),
            calls: Vec::new(),
            bases: Vec::new(),
            texts: Vec::new(),
            types: Vec::new(),
            overloads: HashSet::new(),
            rules: HashMap::new(),
            invocations: Vec::new(),
            expressions: Strings::new(),
            manifests: BTreeMap::new(),
        }
    }

    /// Adds what a manifest says.
    pub fn add_manifest(&mut self, path: &RepoPath, kind: ManifestKind, manifest: Manifest) {
        let path = String::from_utf8_lossy(path.as_bytes()).into_owned();
        self.manifests.insert((kind, path), manifest);
    }

    /// Adds a file that holds text and no code. They come in the order of their paths.
    pub fn add_text(&mut self, path: &RepoPath, blob_id: GitOid) -> Result<(), IndexError> {
        let path = self.strings.intern(path.as_bytes())?;
        self.texts.push((path, blob_id));
        Ok(())
    }

    /// Adds a file's facts. Files come in the order of their paths.
    pub fn add_file(
        &mut self,
        path: &RepoPath,
        language: Language,
        blob_id: GitOid,
        parsed: Parsed,
    ) -> Result<(), IndexError> {
        let file = number(self.files.len(), "files")?;
        let first_symbol = number(self.symbols.len(), "symbols")?;
        let n_symbols = number(parsed.symbols.len(), "symbols")?;
        number(self.symbols.len() + parsed.symbols.len(), "symbols")?;
        for symbol in &parsed.symbols {
            let row = self.symbol_row(file, first_symbol, symbol)?;
            self.symbols.push(row);
        }
        for call in &parsed.calls {
            let row = self.call_row(file, first_symbol, call)?;
            self.calls.push(row);
        }
        number(self.calls.len(), "calls")?;
        for base in &parsed.bases {
            let row = BaseRow {
                supertype: self.strings.intern(base.supertype.as_bytes())?,
                qualifier: match base.qualifier.as_str() {
                    "" => None,
                    text => Some(self.expressions.intern(text.as_bytes())?),
                },
                subtype: self.strings.intern(base.subtype.as_bytes())?,
                symbol: base.symbol.map(|idx| first_symbol + idx),
                file,
                line: base.region.start_line,
                column: base.region.start_column,
                is_said: true,
            };
            self.bases.push(row);
        }
        if parsed.imports.iter().any(|import| import.alias.as_deref() == Some("default")) {
            self.strings.intern(b"default")?; // The one name that is imported and never called.
        }
        for fact in &parsed.types {
            let row = TypeRow {
                symbol: first_symbol + fact.symbol,
                member: self.expressions.intern(fact.member.as_bytes())?,
                text: self.expressions.intern(fact.text.as_bytes())?,
            };
            self.types.push(row);
        }
        self.overloads.extend(parsed.overloads.iter().map(|idx| first_symbol + idx));
        for rule in parsed.rules {
            self.rules.entry(first_symbol + rule.symbol).or_default().push(rule);
        }
        self.invocations.extend(parsed.invocations.into_iter().map(|it| (file, it)));
        let path = self.strings.intern(path.as_bytes())?;
        let n_problems = parsed.n_problems;
        let imports = parsed.imports;
        self.files.push(FileRow {
            path,
            language,
            blob_id,
            first_symbol,
            n_symbols,
            n_problems,
            imports,
        });
        Ok(())
    }

    fn symbol_row(
        &mut self,
        file: FileIdx,
        first_symbol: SymbolIdx,
        symbol: &Symbol,
    ) -> Result<SymbolRow, IndexError> {
        Ok(SymbolRow {
            file,
            kind: symbol.kind,
            name: self.strings.intern(symbol.name.as_bytes())?,
            container: self.strings.intern(symbol.container.as_bytes())?,
            signature: self.strings.add(symbol.signature.as_bytes())?,
            parent: symbol.parent.map(|parent| first_symbol + parent),
            name_region: symbol.name_region,
            region: symbol.region,
            visibility: symbol.visibility,
            doc: match symbol.doc.as_str() {
                "" => self.strings.intern(b"")?,
                doc => self.strings.add(doc.as_bytes())?,
            },
        })
    }

    fn call_row(
        &mut self,
        file: FileIdx,
        first_symbol: SymbolIdx,
        call: &Call,
    ) -> Result<CallRow, IndexError> {
        let callee = self.strings.intern(call.name.as_bytes())?;
        let qualifier = match &call.qualifier {
            Qualifier::Bare => QualifierRow::Bare,
            Qualifier::Own(text) => QualifierRow::Own(self.strings.intern(text.as_bytes())?),
            Qualifier::Path(text) => QualifierRow::Path(self.strings.intern(text.as_bytes())?),
            Qualifier::Value(text) => QualifierRow::Value(self.strings.intern(text.as_bytes())?),
        };
        let receiver = call.receiver.as_ref();
        let receiver = receiver.map(|text| self.expressions.intern(text.as_bytes())).transpose()?;
        Ok(CallRow {
            file,
            name: callee,
            callee,
            qualifier,
            receiver,
            form: call.form,
            enclosing: call.enclosing.map(|idx| first_symbol + idx),
            is_local: call.is_local,
            start: number(call.region.start, "bytes of one file")?,
            n_bytes: number(call.region.end - call.region.start, "bytes of one file")?,
            line: call.region.start_line,
            column: call.region.start_column,
            evidence: Evidence::NameOnly,
            target: None,
        })
    }

    /// Adds what macros define, then decides for every call what it means, and under which name it is listed.
    pub fn resolve(&mut self) -> Result<(), IndexError> {
        let mut calls = std::mem::take(&mut self.calls);
        let modules = Modules::new(self);
        made::add(self, &modules, &mut calls)?;
        let mut renamed = Vec::new();
        {
            let resolver = resolve::Resolver::new(self, &modules);
            for (call_idx, call) in calls.iter_mut().enumerate() {
                let decision = resolver.resolve(call);
                call.evidence = decision.evidence;
                call.target = decision.target;
                match (decision.target, decision.listed_under) {
                    (Some(idx), _) => call.name = self.symbols[idx as usize].name,
                    (None, Some(name)) => renamed.push((call_idx, name)),
                    (None, None) => {}
                }
            }
        }
        for (call_idx, name) in renamed {
            calls[call_idx].name = self.strings.intern(name.as_bytes())?;
        }
        self.calls = calls;
        (self.types, self.expressions) = (Vec::new(), Strings::new());
        let implementations = method_sets::implementations(self);
        self.bases.extend(implementations);
        number(self.bases.len(), "supertypes")?;
        Ok(())
    }

    /// Returns about how many bytes the rows take, with what is made of them on the way to a snapshot.
    pub fn memory_bytes(&self) -> u64 {
        // A shared text is kept twice; a symbol is in two tables of the resolver, a call in two lists of the writer.
        let symbols = self.symbols.len() * (size_of::<SymbolRow>() + 200);
        let calls = self.calls.len() * (size_of::<CallRow>() + 24);
        let imports: usize = self.files.iter().map(|file| file.imports.len()).sum();
        let of = |strings: &Strings| strings.all_bytes().len() * 2 + strings.all_ends().len() * 48;
        let texts = of(&self.strings) + of(&self.expressions);
        let types = self.types.len() * size_of::<TypeRow>();
        let invocations: usize = self
            .invocations
            .iter()
            .map(|(_, it)| {
                size_of::<Invocation>() + it.arguments.len() * (size_of::<Argument>() + 40)
            })
            .sum();
        (symbols + calls + types + invocations + imports * (size_of::<Import>() + 80) + texts)
            as u64
    }

    /// Counts what is known so far; resolved calls only after [`Linker::resolve`].
    pub fn coverage(&self) -> Coverage {
        let with_problems = self.files.iter().filter(|file| file.n_problems > 0);
        let resolved = self.calls.iter().filter(|call| call.evidence.is_resolved());
        Coverage {
            n_files: 0,
            n_files_supported: 0,
            n_files_indexed: self.files.len() as u64,
            n_files_with_problems: with_problems.count() as u64,
            n_symbols: self.symbols.len() as u64,
            n_calls: self.calls.len() as u64,
            n_calls_resolved: resolved.count() as u64,
        }
    }

    /// Returns the manifests of a kind with their paths.
    fn manifests(&self, kind: ManifestKind) -> impl Iterator<Item = (&str, &Manifest)> {
        let of_kind = self.manifests.iter().filter(move |((found, _), _)| *found == kind);
        of_kind.map(|((_, path), manifest)| (path.as_str(), manifest))
    }

    /// Returns the directories that manifests of a kind name, and their names.
    fn named(&self, kind: ManifestKind) -> impl Iterator<Item = (&str, &str)> {
        self.manifests(kind).filter_map(|(path, manifest)| match manifest {
            Manifest::Name(name) => Some((modules::parent(path), name.as_str())),
            _ => None,
        })
    }
}

/// Returns a count or position as 32 bits.
pub(crate) fn number(value: usize, what: &'static str) -> Result<u32, IndexError> {
    // The last value is kept free: it stands for "none" in stored data.
    u32::try_from(value).ok().filter(|value| *value < u32::MAX).ok_or(IndexError::TooLarge(what))
}
