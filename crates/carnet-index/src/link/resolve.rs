//! Says which definition a call means, where the evidence leaves no choice.
//!
//! Tables hold, per scope and name, the one definition there or the fact that there are several: by
//! file, by Go package, by Rust crate, by linkage. A call is looked up where its language says it is looked up; what
//! is not found, or found twice, stays a candidate.

mod c_family;
mod inherit;
mod java;

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use carnet_parse::{CallForm, Import, Imported, Language, SymbolKind};

use crate::{
    Evidence,
    link::{CallRow, FileIdx, Linker, QualifierRow, StringId, SymbolIdx, modules::Modules},
};

/// Most scopes looked through outward from a call.
const SCOPES_MAX: usize = 64;
/// Most imports of one name in one file that are weighed; more are several for sure.
const IMPORTS_MAX: usize = 32;

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

/// A scope, a container in it, a name, and whether macros are meant.
type Key = (u32, StringId, StringId, bool);

pub(crate) struct Resolver<'l> {
    linker: &'l Linker,
    modules: &'l Modules,
    by_file: HashMap<Key, Held>,
    by_go_package: HashMap<Key, Held>,
    by_rust_crate: HashMap<(u32, String, StringId, bool), Held>,
    /// What C and C++ let other files see, by container and name.
    by_linkage: HashMap<(StringId, StringId), Held>,
    directories: HashMap<&'l str, u32>,
    /// Per file, what each name may be imported from.
    imports: Vec<HashMap<&'l str, Vec<&'l Import>>>,
    /// Inline Rust modules with `use super::*`.
    super_globs: HashSet<(FileIdx, &'l str)>,
    containers: HashSet<(FileIdx, StringId)>,
    /// By file and qualified name of a type: the names of what it is said to extend, in their order.
    supertypes: HashMap<(FileIdx, StringId), Vec<StringId>>,
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
        };
        for base in &linker.bases {
            let supertypes = resolver.supertypes.entry((base.file, base.subtype)).or_default();
            supertypes.push(base.supertype);
        }
        for (file, row) in linker.files.iter().enumerate() {
            resolver.enter_imports(file as FileIdx, row.language, &row.imports);
        }
        for (idx, symbol) in linker.symbols.iter().enumerate() {
            if symbol.kind.is_callable() {
                resolver.enter_symbol(idx as SymbolIdx);
            }
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
        let is_macro = symbol.kind == SymbolKind::Macro;
        let key = (symbol.file, symbol.container, symbol.name, is_macro);
        hold(self.by_file.entry(key), idx);
        match self.linker.files[symbol.file as usize].language {
            Language::Go => {
                let package = self.number_directory(self.modules.directory_of(symbol.file));
                let key = (package, symbol.container, symbol.name, is_macro);
                hold(self.by_go_package.entry(key), idx);
            }
            Language::Rust => {
                let Some(module) = self.modules.rust_module(symbol.file) else { return };
                let container = join(&module.path, &self.linker.strings.text(symbol.container));
                let crate_no = self.number_directory(&module.crate_dir);
                let key = (crate_no, container, symbol.name, is_macro);
                hold(self.by_rust_crate.entry(key), idx);
            }
            Language::C | Language::Cpp => self.enter_linkage(idx),
            _ => {}
        }
    }

    fn number_directory(&mut self, directory: &'l str) -> u32 {
        let next = self.directories.len() as u32;
        *self.directories.entry(directory).or_insert(next)
    }

    /// Decides about one call.
    pub fn resolve(&self, call: &CallRow) -> Decision {
        if call.is_local {
            return unresolved(Evidence::LocalName);
        }
        let decision = match call.qualifier {
            QualifierRow::Bare => self.bare(call),
            QualifierRow::Own(owner) => self.own(call, owner),
            QualifierRow::Path(text) | QualifierRow::Value(text) if self.is_super(call, text) => {
                self.of_super(call)
            }
            QualifierRow::Path(path) => self.path(call, path),
            QualifierRow::Value(_) => None,
        };
        decision.unwrap_or_else(|| unresolved(Evidence::NameOnly))
    }

    /// Tells whether `super()` in Python, or `super` in TypeScript and JavaScript, stands before the callee.
    fn is_super(&self, call: &CallRow, text: StringId) -> bool {
        match self.language(call.file) {
            Language::Python => self.linker.strings.text(text) == "super()",
            Language::TypeScript | Language::Tsx | Language::JavaScript => {
                self.linker.strings.text(text) == "super"
            }
            _ => false,
        }
    }

    /// `f()`: the scopes of the file outward, then imports, then the package.
    fn bare(&self, call: &CallRow) -> Option<Decision> {
        if self.is_c(call) {
            return self.bare_of_c(call);
        }
        if self.language(call.file) == Language::Java {
            return self.bare_of_java(call);
        }
        let import = self.import_of(call, &self.linker.strings.text(call.callee));
        if let Some((held, is_inner)) = self.in_scopes(call) {
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
            ImportMatch::One(import) => return Some(self.through_import(call, import)),
            ImportMatch::None => {}
        }
        if self.language(call.file) == Language::Go {
            let held = self.in_go_package(self.modules.directory_of(call.file), "", call)?;
            return Some(decided(held, Evidence::SamePackage));
        }
        None
    }

    /// Looks outward from the call; returns what was found and whether that was inside another definition.
    fn in_scopes(&self, call: &CallRow) -> Option<(Held, bool)> {
        let is_macro = call.form == CallForm::Macro;
        let strings = &self.linker.strings;
        let mut around = call.enclosing;
        for _ in 0..SCOPES_MAX {
            let Some(idx) = around else {
                let top = strings.find(b"")?;
                let held = self.by_file.get(&(call.file, top, call.callee, is_macro))?;
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
                let key = scope.map(|scope| (call.file, scope, call.callee, is_macro));
                if let Some(held) = key.and_then(|key| self.by_file.get(&key)) {
                    return Some((*held, true));
                }
                let is_closed = symbol.kind == SymbolKind::Module
                    && self.language(call.file) == Language::Rust
                    && !is_macro
                    && !self.sees_parent(call.file, &path);
                if is_closed {
                    return None;
                }
            }
            around = symbol.parent;
        }
        None
    }

    /// Tells whether the Rust module `path` inside a file has `use super::*`.
    fn sees_parent(&self, file: FileIdx, path: &str) -> bool {
        self.super_globs.contains(&(file, path))
    }

    /// `self.f()`: the one method of that name in the own type.
    fn own(&self, call: &CallRow, owner: StringId) -> Option<Decision> {
        if self.language(call.file) == Language::Java {
            return self.own_of_java(call, owner);
        }
        if let Some(held) = self.by_file.get(&(call.file, owner, call.callee, false)) {
            return Some(decided(*held, Evidence::OwnType));
        }
        if self.is_c(call) {
            return self.own_of_c(call, owner);
        }
        if !matches!(self.language(call.file), Language::Go | Language::Rust) {
            return self.inherited(call, owner);
        }
        let owner = self.linker.strings.text(owner);
        let held = match self.language(call.file) {
            Language::Go => self.in_go_package(self.modules.directory_of(call.file), &owner, call),
            Language::Rust => {
                let module = self.modules.rust_module(call.file)?;
                self.in_rust_crate(&module.crate_dir, &join(&module.path, &owner), call)
            }
            _ => None,
        };
        Some(decided(held?, Evidence::OwnType))
    }

    /// `a.b.f()` and `a::b::f()`.
    fn path(&self, call: &CallRow, path: StringId) -> Option<Decision> {
        let path = self.linker.strings.text(path);
        if self.language(call.file) == Language::Rust {
            let held = self.rust_path(call, &path)?;
            return Some(decided(held, Evidence::Path));
        }
        if self.is_c(call) {
            return self.path_of_c(call, &path);
        }
        if let Some(container) = self.linker.strings.find(path.as_bytes())
            && let Some(held) = self.by_file.get(&(call.file, container, call.callee, false))
        {
            return Some(decided(*held, Evidence::Path));
        }
        match self.import_of_path(call, &path) {
            Some(held) => Some(decided(held, Evidence::Path)),
            None if self.language(call.file) == Language::Go => {
                let held = self.in_go_package(self.modules.directory_of(call.file), &path, call)?;
                Some(decided(held, Evidence::Path))
            }
            None if self.language(call.file) == Language::Java => self.path_of_java(call, &path),
            None => None,
        }
    }

    /// Looks a dotted path up through the import that binds its first names.
    fn import_of_path(&self, call: &CallRow, path: &str) -> Option<Held> {
        // `import a.b` binds the whole dotted name; the longest that fits is meant.
        let mut head = path;
        loop {
            match self.import_of(call, head) {
                ImportMatch::One(import) => {
                    let rest = path[head.len()..].trim_start_matches('.');
                    return self.member_of_import(call, import, rest);
                }
                ImportMatch::Several => return None,
                ImportMatch::None => head = head.rsplit_once('.')?.0,
            }
        }
    }

    fn member_of_import(&self, call: &CallRow, import: &Import, rest: &str) -> Option<Held> {
        match (self.language(call.file), &import.imported) {
            (Language::Go, Imported::Module) => {
                self.in_go_package(&self.modules.go_package(&import.module)?, rest, call)
            }
            (Language::Java, _) => self.member_of_java_import(call, import, rest),
            (Language::Python, Imported::Module) => {
                let file = self.modules.python(call.file, &import.module)?;
                match rest {
                    "" => self.exported(file, call.callee),
                    rest => self.in_file(file, rest, call.callee),
                }
            }
            (Language::Python, Imported::Name(name)) => {
                let dot = if import.module.ends_with('.') { "" } else { "." };
                let inner = format!("{}{dot}{name}", import.module);
                if let Some(file) = self.modules.python(call.file, &inner) {
                    return match rest {
                        "" => self.exported(file, call.callee),
                        rest => self.in_file(file, rest, call.callee),
                    };
                }
                let file = self.modules.python(call.file, &import.module)?;
                self.member_of_exported(file, name, rest, call.callee)
            }
            (_, Imported::Module) => {
                let file = self.modules.ecma(call.file, &import.module)?;
                self.in_file(file, rest, call.callee)
            }
            (_, Imported::Name(name)) if name != "default" => {
                let file = self.modules.ecma(call.file, &import.module)?;
                self.member_of_exported(file, name, rest, call.callee)
            }
            _ => None,
        }
    }

    /// `f()` where an import names `f`.
    fn through_import(&self, call: &CallRow, import: &Import) -> Decision {
        let Imported::Name(name) = &import.imported else { return unresolved(Evidence::NameOnly) };
        let held = self.linker.strings.find(name.as_bytes()).and_then(|name_id| {
            match self.language(call.file) {
                Language::Python => {
                    let file = self.modules.python(call.file, &import.module)?;
                    self.exported(file, name_id)
                }
                Language::Rust => {
                    let (crate_dir, container) = self.rust_import_place(call, import)?;
                    self.in_crate(&crate_dir, &container, name_id, call.form == CallForm::Macro)
                }
                Language::Java => self.java_import(import, name_id),
                Language::Go | Language::C | Language::Cpp => None,
                _ => {
                    let file = self.modules.ecma(call.file, &import.module)?;
                    self.exported(file, name_id)
                }
            }
        });
        let is_renamed = import.alias.is_some() && name != "default";
        Decision {
            listed_under: is_renamed.then(|| name.clone()),
            ..held.map_or(unresolved(Evidence::NameOnly), |held| decided(held, Evidence::Import))
        }
    }

    /// Returns the crate and the container that the path of a `use` means where it stands.
    fn rust_import_place(&self, call: &CallRow, import: &Import) -> Option<(String, String)> {
        let inline = self.inline_module(call);
        let inline = if is_within(&import.container, &inline) { inline.as_str() } else { "" };
        self.rust_place(call, &import.module, inline, false)
    }

    fn rust_path(&self, call: &CallRow, path: &str) -> Option<Held> {
        let inline = self.inline_module(call);
        let (crate_dir, container) = self.rust_place(call, path, &inline, true)?;
        self.in_rust_crate(&crate_dir, &container, call)
    }

    /// Returns the crate and the container that a Rust path means in the inline module `inline`.
    ///
    /// `may_import` says whether the first name may come from a `use`; it is false for the path of a `use`
    /// itself, so that there is no circle.
    fn rust_place(
        &self,
        call: &CallRow,
        path: &str,
        inline: &str,
        may_import: bool,
    ) -> Option<(String, String)> {
        let module = self.modules.rust_module(call.file)?;
        let here = join(&module.path, inline);
        let path = path.strip_prefix("::").unwrap_or(path);
        let (first, rest) = path.split_once("::").unwrap_or((path, ""));
        let rest_dotted = rest.replace("::", ".");
        match first {
            "crate" => return Some((module.crate_dir.clone(), rest_dotted)),
            "self" => return Some((module.crate_dir.clone(), join(&here, &rest_dotted))),
            "super" => {
                let (mut base, mut rest) = (here.as_str(), path);
                while let Some(after) = rest.strip_prefix("super") {
                    if base.is_empty() {
                        return None;
                    }
                    base = base.rsplit_once('.').map_or("", |(outer, _)| outer);
                    rest = after.strip_prefix("::").unwrap_or(after);
                }
                return Some((module.crate_dir.clone(), join(base, &rest.replace("::", "."))));
            }
            _ => {}
        }
        if may_import {
            match self.import_of(call, first) {
                ImportMatch::Several => return None,
                ImportMatch::One(import) => {
                    let (crate_dir, outer) = self.rust_import_place(call, import)?;
                    let name = match &import.imported {
                        Imported::Name(name) => name.as_str(),
                        _ => "",
                    };
                    return Some((crate_dir, join(&join(&outer, name), &rest_dotted)));
                }
                ImportMatch::None => {}
            }
        }
        if let Some(crate_dir) = self.modules.rust_crate(first)
            && self.directories.contains_key(crate_dir)
        {
            return Some((crate_dir.to_owned(), rest_dotted));
        }
        // A type or module beside the call; in a test module, one of the module around it.
        let mut scope = inline;
        let dotted = path.replace("::", ".");
        while !scope.is_empty()
            && self.sees_parent(call.file, scope)
            && !self.file_has_container(call.file, &join(scope, &dotted))
        {
            scope = scope.rsplit_once('.').map_or("", |(outer, _)| outer);
        }
        Some((module.crate_dir.clone(), join(&join(&module.path, scope), &dotted)))
    }

    fn file_has_container(&self, file: FileIdx, container: &str) -> bool {
        let container = self.linker.strings.find(container.as_bytes());
        container.is_some_and(|container| self.containers.contains(&(file, container)))
    }

    /// Returns the path of the inline Rust module around a call, empty at the file's top.
    fn inline_module(&self, call: &CallRow) -> String {
        let mut around = call.enclosing;
        for _ in 0..SCOPES_MAX {
            let Some(idx) = around else { break };
            let symbol = &self.linker.symbols[idx as usize];
            if symbol.kind == SymbolKind::Module {
                let strings = &self.linker.strings;
                return join(&strings.text(symbol.container), &strings.text(symbol.name));
            }
            around = symbol.parent;
        }
        String::new()
    }

    /// Finds the import that binds `name` where the call stands.
    fn import_of(&self, call: &CallRow, name: &str) -> ImportMatch<'l> {
        let Some(imports) = self.imports[call.file as usize].get(name) else {
            return ImportMatch::None;
        };
        if imports.len() > IMPORTS_MAX {
            return ImportMatch::Several;
        }
        let scope = self.scope_path(call);
        let module = self.inline_module(call);
        let mut found: Option<&'l Import> = None;
        for import in imports {
            // An inline Rust module sees what is imported around it only through `use super::*`.
            let is_closed = self.language(call.file) == Language::Rust
                && !is_within(&import.container, &module)
                && !self.sees_parent(call.file, &module);
            if is_closed || !is_within(&scope, &import.container) {
                continue;
            }
            match found {
                Some(other)
                    if other.module != import.module || other.imported != import.imported =>
                {
                    return ImportMatch::Several;
                }
                _ => found = Some(import),
            }
        }
        found.map_or(ImportMatch::None, ImportMatch::One)
    }

    /// Returns the container path of what stands where the call stands.
    fn scope_path(&self, call: &CallRow) -> String {
        let Some(idx) = call.enclosing else { return String::new() };
        let symbol = &self.linker.symbols[idx as usize];
        let strings = &self.linker.strings;
        join(&strings.text(symbol.container), &strings.text(symbol.name))
    }

    /// Returns the path of the types and namespaces around the definition that a call stands in.
    fn container_around(&self, call: &CallRow) -> Cow<'_, str> {
        let around = call.enclosing.map(|idx| self.linker.symbols[idx as usize].container);
        around.map(|container| self.linker.strings.text(container)).unwrap_or_default()
    }

    fn in_file(&self, file: FileIdx, container: &str, name: StringId) -> Option<Held> {
        let container = self.linker.strings.find(container.as_bytes())?;
        self.by_file.get(&(file, container, name, false)).copied()
    }

    fn in_go_package(&self, directory: &str, container: &str, call: &CallRow) -> Option<Held> {
        let package = *self.directories.get(directory)?;
        let container = self.linker.strings.find(container.as_bytes())?;
        self.by_go_package.get(&(package, container, call.callee, false)).copied()
    }

    fn in_rust_crate(&self, crate_dir: &str, container: &str, call: &CallRow) -> Option<Held> {
        self.in_crate(crate_dir, container, call.callee, call.form == CallForm::Macro)
    }

    fn in_crate(
        &self,
        crate_dir: &str,
        container: &str,
        name: StringId,
        is_macro: bool,
    ) -> Option<Held> {
        let crate_no = *self.directories.get(crate_dir)?;
        self.by_rust_crate.get(&(crate_no, container.to_owned(), name, is_macro)).copied()
    }

    fn language(&self, file: FileIdx) -> Language {
        self.linker.files[file as usize].language
    }
}

enum ImportMatch<'l> {
    None,
    One(&'l Import),
    Several,
}

/// Returns the name that an import makes usable.
fn bound_name(language: Language, import: &Import) -> Option<&str> {
    if !import.is_local || import.imported == Imported::Glob {
        return None;
    }
    Some(match (&import.alias, &import.imported) {
        (Some(alias), _) => alias,
        (None, Imported::Name(name)) => name,
        (None, _) if language == Language::Go => go_package_name(&import.module),
        (None, _) => &import.module,
    })
}

/// Returns the name a Go package is used by when the import gives none: its last part that is no version.
fn go_package_name(import_path: &str) -> &str {
    let (outer, last) = import_path.rsplit_once('/').unwrap_or(("", import_path));
    let is_version =
        last.strip_prefix('v').is_some_and(|n| n.bytes().all(|byte| byte.is_ascii_digit()));
    match is_version && !outer.is_empty() && last.len() > 1 {
        true => outer.rsplit('/').next().unwrap_or(outer),
        false => last,
    }
}

/// Tells whether the scope path `inner` is `outer` or inside it.
fn is_within(inner: &str, outer: &str) -> bool {
    outer.is_empty()
        || inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn hold<K>(entry: std::collections::hash_map::Entry<'_, K, Held>, idx: SymbolIdx) {
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
