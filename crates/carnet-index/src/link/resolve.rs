//! Says which definition a call means, where the evidence leaves no choice.
//!
//! Tables hold, per scope and name, the one definition there or the fact that there are several: by
//! file, by Go package, by Rust crate, by linkage. A call is looked up where its language says it is looked up; what
//! is not found, or found twice, stays a candidate.

mod c_family;
mod go;
mod imports;
mod inherit;
mod java;
mod rust;
mod rust_extensions;
mod rust_types;
mod type_text;
mod types;

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet, hash_map::Entry},
};

use carnet_parse::{CallForm, Import, Imported, Language, SymbolKind};

use imports::{ImportMatch, bound_name};

use crate::{
    Evidence,
    link::{CallRow, FileIdx, Linker, QualifierRow, StringId, SymbolIdx, modules::Modules},
};

/// Most scopes looked through outward from a call.
const SCOPES_MAX: usize = 64;

/// What was decided about one call.
pub(crate) struct Decision {
    pub evidence: Evidence,
    pub target: Option<SymbolIdx>,
    /// The name to list the call under, when the callee is an alias of an imported one.
    pub listed_under: Option<String>,
}

/// What a scope holds under one name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    One(SymbolIdx),
    Several,
}

/// What kind of name is looked up: the same name may be a value, a macro and a type.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Space {
    Value,
    Macro,
    Type,
}

/// A name to look up, and where it stands.
#[derive(Clone, Copy)]
struct Sought {
    file: FileIdx,
    enclosing: Option<SymbolIdx>,
    name: StringId,
    space: Space,
    form: CallForm,
}

impl Space {
    fn of_kind(kind: SymbolKind) -> &'static [Space] {
        use SymbolKind::{Class, Enum, Interface, Macro, Module, Struct, Trait, Type, Union};
        match kind {
            Macro => &[Space::Macro],
            Class | Struct => &[Space::Value, Space::Type],
            Interface | Trait | Type | Enum | Union => &[Space::Type],
            Module => &[],
            _ => &[Space::Value],
        }
    }
}

impl Sought {
    fn of_call(call: &CallRow) -> Sought {
        let space = if call.form == CallForm::Macro { Space::Macro } else { Space::Value };
        let (file, enclosing) = (call.file, call.enclosing);
        Sought { file, enclosing, name: call.callee, space, form: call.form }
    }
}

/// The name of what a type is said to extend, and what stands before it, among the linker's expressions.
#[derive(Clone, Copy)]
struct Said {
    name: StringId,
    qualifier: Option<StringId>,
}

/// A scope, a container in it, a name, and its kind.
type Key = (u32, StringId, StringId, Space);

pub(crate) struct Resolver<'l> {
    linker: &'l Linker,
    modules: &'l Modules,
    by_file: HashMap<Key, Held>,
    by_go_package: HashMap<Key, Held>,
    by_rust_crate: HashMap<(u32, String, StringId, Space), Held>,
    /// What C and C++ let other files see, by container and name.
    by_linkage: HashMap<(StringId, StringId), Held>,
    directories: HashMap<&'l str, u32>,
    /// Per file, what each name may be imported from.
    imports: Vec<HashMap<&'l str, Vec<&'l Import>>>,
    /// Inline Rust modules with `use super::*`.
    super_globs: HashSet<(FileIdx, &'l str)>,
    containers: HashSet<(FileIdx, StringId)>,
    /// By file and qualified name of a type: what it is said to extend, in their order.
    supertypes: HashMap<(FileIdx, StringId), Vec<Said>>,
    types: types::Known,
}

impl<'l> Resolver<'l> {
    pub fn new(linker: &'l Linker, modules: &'l Modules) -> Resolver<'l> {
        let mut resolver = Resolver {
            linker,
            modules,
            by_file: HashMap::new(),
            by_go_package: HashMap::new(),
            by_rust_crate: HashMap::new(),
            by_linkage: HashMap::new(),
            directories: HashMap::new(),
            imports: Vec::with_capacity(linker.files.len()),
            super_globs: HashSet::new(),
            containers: linker.symbols.iter().map(|row| (row.file, row.container)).collect(),
            supertypes: HashMap::new(),
            types: types::Known::default(),
        };
        for base in &linker.bases {
            let supertypes = resolver.supertypes.entry((base.file, base.subtype)).or_default();
            supertypes.push(Said { name: base.supertype, qualifier: base.qualifier });
        }
        for (file, row) in linker.files.iter().enumerate() {
            resolver.enter_imports(file as FileIdx, row.language, &row.imports);
        }
        for idx in 0..linker.symbols.len() {
            resolver.enter_symbol(idx as SymbolIdx);
        }
        resolver
    }

    fn enter_imports(&mut self, file: FileIdx, language: Language, imports: &'l [Import]) {
        let mut by_name: HashMap<&'l str, Vec<&'l Import>> = HashMap::new();
        for import in imports {
            if import.imported == Imported::Glob && import.module == "super" {
                self.super_globs.insert((file, &import.container));
            }
            if let Some(name) = bound_name(language, import) {
                by_name.entry(name).or_default().push(import);
            }
        }
        self.imports.push(by_name);
    }

    fn enter_symbol(&mut self, idx: SymbolIdx) {
        let symbol = &self.linker.symbols[idx as usize];
        for space in Space::of_kind(symbol.kind) {
            self.enter_in(idx, *space);
        }
    }

    fn enter_in(&mut self, idx: SymbolIdx, space: Space) {
        let symbol = &self.linker.symbols[idx as usize];
        let entry = self.by_file.entry((symbol.file, symbol.container, symbol.name, space));
        match entry {
            // Signatures of one function follow one another; the last has the body.
            Entry::Occupied(mut held) if matches!(*held.get(), Held::One(before) if is_overload(self.linker, before, idx)) =>
            {
                held.insert(Held::One(idx));
            }
            entry => hold(entry, idx),
        }
        match self.linker.files[symbol.file as usize].language {
            Language::Go => {
                let package = self.number_directory(self.modules.directory_of(symbol.file));
                let key = (package, symbol.container, symbol.name, space);
                hold(self.by_go_package.entry(key), idx);
            }
            Language::Rust => {
                let Some(module) = self.modules.rust_module(symbol.file) else { return };
                let container = join(&module.path, &self.linker.strings.text(symbol.container));
                let crate_no = self.number_directory(&module.crate_dir);
                let key = (crate_no, container, symbol.name, space);
                hold(self.by_rust_crate.entry(key), idx);
            }
            Language::C | Language::Cpp if space != Space::Type => self.enter_linkage(idx),
            _ => {}
        }
    }

    fn number_directory(&mut self, directory: &'l str) -> u32 {
        let next = self.directories.len() as u32;
        *self.directories.entry(directory).or_insert(next)
    }

    /// Decides about one call.
    pub fn resolve(&self, call: &CallRow) -> Decision {
        let sought = Sought::of_call(call);
        // Rust's paths go through modules and types, whatever variables there are.
        let is_path = matches!(call.qualifier, QualifierRow::Path(_))
            && self.language(call.file) == Language::Rust;
        let is_local = call.is_local && !is_path;
        let by_name = match call.qualifier {
            _ if is_local => None,
            QualifierRow::Bare => match call.receiver.and_then(|it| self.marked(call.file, it)) {
                Some(idx) => Some(decided(Held::One(idx), Evidence::SameScope)),
                None => self.bare(sought),
            },
            QualifierRow::Own(owner) => self.own(sought, owner),
            QualifierRow::Path(text) | QualifierRow::Value(text) if self.is_super(sought, text) => {
                self.of_super(sought)
            }
            QualifierRow::Path(path) => self.path(sought, path),
            QualifierRow::Value(_) => None,
        };
        if let Some(decision) = by_name {
            return decision;
        }
        let text = match (call.receiver, call.qualifier) {
            (Some(text), _) => Some(self.linker.expressions.text(text)),
            (None, QualifierRow::Path(path)) if !is_local => Some(self.linker.strings.text(path)),
            _ => None,
        };
        let by_type = text.and_then(|text| self.of_receiver(sought, &text));
        let why_not = if is_local { Evidence::LocalName } else { Evidence::NameOnly };
        let by_trait = || self.of_trait_in_scope(sought, call.qualifier);
        by_type.or_else(by_trait).unwrap_or_else(|| unresolved(why_not))
    }

    /// Returns the definition that an expression names by its place.
    fn marked(&self, file: FileIdx, expression: StringId) -> Option<SymbolIdx> {
        let text = self.linker.expressions.text(expression);
        self.symbol_of(file, text.strip_prefix('%')?.strip_suffix('\n')?)
    }

    /// Returns the definition at a place in a file, written as a number.
    fn symbol_of(&self, file: FileIdx, place: &str) -> Option<SymbolIdx> {
        let row = &self.linker.files[file as usize];
        let place = place.parse().ok().filter(|place: &u32| *place < row.n_symbols)?;
        Some(row.first_symbol + place)
    }

    /// Tells whether `super()` in Python, or `super` in TypeScript and JavaScript, stands before the callee.
    fn is_super(&self, sought: Sought, text: StringId) -> bool {
        match self.language(sought.file) {
            Language::Python => self.linker.strings.text(text) == "super()",
            Language::TypeScript | Language::Tsx | Language::JavaScript => {
                self.linker.strings.text(text) == "super"
            }
            _ => false,
        }
    }

    /// `f()`: the scopes of the file outward, then imports, then the package.
    fn bare(&self, sought: Sought) -> Option<Decision> {
        if self.is_c(sought) {
            return self.bare_of_c(sought);
        }
        if self.language(sought.file) == Language::Java {
            return self.bare_of_java(sought);
        }
        let import = self.import_of(sought, &self.linker.strings.text(sought.name));
        if let Some((held, is_inner)) = self.in_scopes(sought) {
            return Some(match import {
                // Bound twice at the top of the file: which one holds depends on order.
                ImportMatch::One(_) | ImportMatch::Several if !is_inner => {
                    unresolved(Evidence::Ambiguous)
                }
                _ => decided(held, Evidence::SameScope),
            });
        }
        match import {
            ImportMatch::Several => return Some(unresolved(Evidence::Ambiguous)),
            ImportMatch::One(import) => return Some(self.through_import(sought, import)),
            ImportMatch::None => {}
        }
        if self.language(sought.file) == Language::Go {
            let held = self.in_go_package(self.modules.directory_of(sought.file), "", sought)?;
            return Some(decided(held, Evidence::SamePackage));
        }
        if self.language(sought.file) == Language::Rust {
            return Some(decided(self.through_globs(sought)?, Evidence::Import));
        }
        None
    }

    /// Looks outward from the call; returns what was found and whether that was inside another definition.
    fn in_scopes(&self, sought: Sought) -> Option<(Held, bool)> {
        let strings = &self.linker.strings;
        let mut around = sought.enclosing;
        for _ in 0..SCOPES_MAX {
            let Some(idx) = around else {
                let top = strings.find(b"")?;
                let held = self.by_file.get(&(sought.file, top, sought.name, sought.space))?;
                return Some((*held, false));
            };
            let symbol = &self.linker.symbols[idx as usize];
            let is_scope = matches!(
                symbol.kind,
                SymbolKind::Function | SymbolKind::Method | SymbolKind::Module
            );
            if is_scope {
                let path = join(&strings.text(symbol.container), &strings.text(symbol.name));
                let scope = strings.find(path.as_bytes());
                let key = scope.map(|scope| (sought.file, scope, sought.name, sought.space));
                if let Some(held) = key.and_then(|key| self.by_file.get(&key)) {
                    return Some((*held, true));
                }
                let is_closed = symbol.kind == SymbolKind::Module
                    && self.language(sought.file) == Language::Rust
                    && sought.space != Space::Macro
                    && !self.sees_parent(sought.file, &path);
                if is_closed {
                    return None;
                }
            }
            around = symbol.parent;
        }
        None
    }

    /// `self.f()`: the one method of that name in the own type.
    fn own(&self, sought: Sought, owner: StringId) -> Option<Decision> {
        if self.language(sought.file) == Language::Java {
            return self.own_of_java(sought, owner);
        }
        if let Some(held) = self.by_file.get(&(sought.file, owner, sought.name, sought.space)) {
            return Some(decided(*held, Evidence::OwnType));
        }
        if self.is_c(sought) {
            return self.own_of_c(sought, owner);
        }
        if !matches!(self.language(sought.file), Language::Go | Language::Rust) {
            return self.inherited(sought, owner);
        }
        let owner = self.linker.strings.text(owner);
        let held = match self.language(sought.file) {
            Language::Go => {
                self.in_go_package(self.modules.directory_of(sought.file), &owner, sought)
            }
            Language::Rust => {
                let module = self.modules.rust_module(sought.file)?;
                self.in_rust_crate(&module.crate_dir, &join(&module.path, &owner), sought)
            }
            _ => None,
        };
        Some(decided(held?, Evidence::OwnType))
    }

    /// `a.b.f()` and `a::b::f()`.
    fn path(&self, sought: Sought, path: StringId) -> Option<Decision> {
        let path = self.linker.strings.text(path);
        if self.language(sought.file) == Language::Rust {
            let held = self.rust_path(sought, &path)?;
            return Some(decided(held, Evidence::Path));
        }
        if self.is_c(sought) {
            return self.path_of_c(sought, &path);
        }
        if let Some(container) = self.linker.strings.find(path.as_bytes())
            && let Some(held) =
                self.by_file.get(&(sought.file, container, sought.name, sought.space))
        {
            return Some(decided(*held, Evidence::Path));
        }
        match self.import_of_path(sought, &path) {
            Some(held) => Some(decided(held, Evidence::Path)),
            None if self.language(sought.file) == Language::Go => {
                let held =
                    self.in_go_package(self.modules.directory_of(sought.file), &path, sought)?;
                Some(decided(held, Evidence::Path))
            }
            None if self.language(sought.file) == Language::Java => {
                self.path_of_java(sought, &path)
            }
            None => None,
        }
    }

    /// Returns the container path of what stands where the call stands.
    fn scope_path(&self, sought: Sought) -> String {
        let Some(idx) = sought.enclosing else { return String::new() };
        let symbol = &self.linker.symbols[idx as usize];
        let strings = &self.linker.strings;
        join(&strings.text(symbol.container), &strings.text(symbol.name))
    }

    /// Returns the path of the types and namespaces around the definition that a call stands in.
    fn container_around(&self, sought: Sought) -> Cow<'_, str> {
        let around = sought.enclosing.map(|idx| self.linker.symbols[idx as usize].container);
        around.map(|container| self.linker.strings.text(container)).unwrap_or_default()
    }

    fn in_file(
        &self,
        file: FileIdx,
        container: &str,
        name: StringId,
        space: Space,
    ) -> Option<Held> {
        let container = self.linker.strings.find(container.as_bytes())?;
        self.by_file.get(&(file, container, name, space)).copied()
    }

    fn in_go_package(&self, directory: &str, container: &str, sought: Sought) -> Option<Held> {
        let package = *self.directories.get(directory)?;
        let container = self.linker.strings.find(container.as_bytes())?;
        self.by_go_package.get(&(package, container, sought.name, sought.space)).copied()
    }

    fn language(&self, file: FileIdx) -> Language {
        self.linker.files[file as usize].language
    }
}

/// Tells whether the scope path `inner` is `outer` or inside it.
pub(super) fn is_within(inner: &str, outer: &str) -> bool {
    outer.is_empty()
        || inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Tells whether a definition only says how the next one of its name is called: in Python it says so, in TypeScript it stands right
/// before it.
fn is_overload(linker: &Linker, before: SymbolIdx, idx: SymbolIdx) -> bool {
    let (symbol, first) = (&linker.symbols[idx as usize], &linker.symbols[before as usize]);
    let language = linker.files[symbol.file as usize].language;
    let is_adjacent = before + 1 == idx
        && matches!(language, Language::TypeScript | Language::Tsx)
        && matches!(symbol.kind, SymbolKind::Function | SymbolKind::Method)
        && symbol.kind == first.kind;
    is_adjacent || linker.overloads.contains(&before)
}

fn hold<K>(entry: Entry<'_, K, Held>, idx: SymbolIdx) {
    entry.and_modify(|held| *held = Held::Several).or_insert(Held::One(idx));
}

fn decided(held: Held, evidence: Evidence) -> Decision {
    match held {
        Held::One(idx) => Decision { evidence, target: Some(idx), listed_under: None },
        Held::Several => unresolved(Evidence::Ambiguous),
    }
}

fn unresolved(evidence: Evidence) -> Decision {
    Decision { evidence, target: None, listed_under: None }
}

/// Returns a container path and the paths around it, the innermost first and the empty one last.
fn outward(path: &str) -> impl Iterator<Item = &str> {
    let inner = std::iter::successors(Some(path).filter(|path| !path.is_empty()), |path| {
        path.rsplit_once('.').map(|(outer, _)| outer)
    });
    inner.chain(std::iter::once(""))
}

fn join(outer: &str, inner: &str) -> String {
    match (outer, inner) {
        ("", inner) => inner.to_owned(),
        (outer, "") => outer.to_owned(),
        (outer, inner) => format!("{outer}.{inner}"),
    }
}
