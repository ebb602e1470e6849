//! Python, TypeScript and JavaScript: names that a module hands on, and methods that a type has of its supertypes.
//!
//! A supertype that is not found may have any method: what stands behind it in the order of lookup is then not decided. Only one of
//! another package is passed over, in Python, where mixins often stand behind it; but not for `super()`, which mostly means it.

use std::rc::Rc;

use carnet_parse::{Import, Imported, Language, SymbolKind};

use super::{
    Decision, Held, ImportMatch, Resolver, Said, Sought, Space, bound_name, decided, join, outward,
    types::{At, Lineage, Supertype},
};
use crate::{
    Evidence,
    link::{FileIdx, StringId, SymbolIdx},
};

/// Most modules that one name is handed through.
const HANDS_MAX: u32 = 8;
/// Most supertypes that are looked through for one method.
const SUPERTYPES_MAX: usize = 32;

/// Supertypes of Python's own that add no method that a program calls by name.
const PLAIN_SUPERTYPES: [&str; 4] = ["object", "ABC", "Generic", "Protocol"];

impl Resolver<'_> {
    /// Returns what a module defines under a name, or hands on from another module.
    pub(super) fn exported(&self, file: FileIdx, name: StringId, space: Space) -> Option<Held> {
        let key = (file, name, space);
        if let Some(known) = self.types.exports.borrow().get(&key) {
            return *known;
        }
        let held = self.handed_on(file, name, space, HANDS_MAX);
        self.types.exports.borrow_mut().insert(key, held);
        held
    }

    fn handed_on(&self, file: FileIdx, name: StringId, space: Space, n_left: u32) -> Option<Held> {
        if let Some(held) = self.in_file(file, "", name, space) {
            return Some(held);
        }
        let n_left = n_left.checked_sub(1)?;
        let text = self.linker.strings.text(name);
        let is_python = self.language(file) == Language::Python;
        let mut found: Option<Held> = None;
        for import in &self.linker.files[file as usize].imports {
            if !import.container.is_empty() || !(is_python || import.is_reexport) {
                continue;
            }
            let handed = match &import.imported {
                Imported::Glob => Some(name),
                Imported::Name(inner) if handed_name(import) == Some(&*text) => {
                    self.linker.strings.find(inner.as_bytes())
                }
                _ => None,
            };
            let Some(handed) = handed else { continue };
            let held = match (import.module.as_str(), self.module_of(file, &import.module)) {
                ("", _) => self.used_here(file, handed, space, n_left),
                (_, Some(module)) if module != file => {
                    self.handed_on(module, handed, space, n_left)
                }
                _ => None,
            };
            match (found, held) {
                (_, None) => {}
                (Some(before), Some(held)) if before != held => return Some(Held::Several),
                (_, Some(held)) => found = Some(held),
            }
        }
        found
    }

    /// Returns what a name means at the top of a file of JavaScript or TypeScript.
    fn used_here(&self, file: FileIdx, name: StringId, space: Space, n_left: u32) -> Option<Held> {
        if let Some(held) = self.in_file(file, "", name, space) {
            return Some(held);
        }
        let [import] = self.imports[file as usize].get(&*self.linker.strings.text(name))?[..]
        else {
            return None;
        };
        let Imported::Name(inner) = &import.imported else { return None };
        let inner = self.linker.strings.find(inner.as_bytes())?;
        let module = self.module_of(file, &import.module).filter(|module| *module != file)?;
        self.handed_on(module, inner, space, n_left)
    }

    pub(super) fn module_of(&self, file: FileIdx, module: &str) -> Option<FileIdx> {
        match self.language(file) {
            Language::Python => self.modules.python(file, module),
            _ => self.modules.ecma(file, module),
        }
    }

    /// Returns a member of a type that a module defines or hands on.
    pub(super) fn member_of_exported(
        &self,
        file: FileIdx,
        name: &str,
        rest: &str,
        member: StringId,
        space: Space,
    ) -> Option<Held> {
        if let Some(held) = self.in_file(file, &join(name, rest), member, space) {
            return Some(held);
        }
        let name = self.linker.strings.find(name.as_bytes())?;
        let exported =
            [Space::Value, Space::Type].into_iter().find_map(|it| self.exported(file, name, it));
        let Held::One(idx) = exported? else { return None };
        let symbol = &self.linker.symbols[idx as usize];
        let strings = &self.linker.strings;
        let path = join(&strings.text(symbol.container), &strings.text(symbol.name));
        self.in_file(symbol.file, &join(&path, rest), member, space)
    }

    /// `self.f()` where the own type does not define `f`: the nearest supertype that does.
    pub(super) fn inherited(&self, sought: Sought, owner: StringId) -> Option<Decision> {
        let held = self
            .in_lineage(&self.lineage(sought.file, owner), |idx| self.method(idx, sought.name))?;
        Some(decided(held, Evidence::Inherited))
    }

    /// `super().f()` and `super.f()`.
    pub(super) fn of_super(&self, sought: Sought) -> Option<Decision> {
        let around = self.container_around(sought);
        let owner = outward(&around)
            .filter_map(|path| self.linker.strings.find(path.as_bytes()))
            .find(|owner| self.supertypes.contains_key(&(sought.file, *owner)))?;
        let lineage = self.lineage(sought.file, owner);
        let held = self.in_own_lineage(&lineage, |idx| self.method(idx, sought.name))?;
        Some(decided(held, Evidence::Inherited))
    }

    /// Looks through supertypes in their order; what stands behind one that is not known is not decided.
    pub(super) fn in_lineage<T>(
        &self,
        lineage: &[Supertype],
        find: impl Fn(SymbolIdx) -> Option<T>,
    ) -> Option<T> {
        for supertype in lineage {
            match supertype {
                Supertype::Known(idx) => {
                    if let Some(found) = find(*idx) {
                        return Some(found);
                    }
                }
                Supertype::Foreign => {}
                Supertype::Unknown => return None,
            }
        }
        None
    }

    /// The same up to the first that is foreign.
    pub(super) fn in_own_lineage<T>(
        &self,
        lineage: &[Supertype],
        find: impl Fn(SymbolIdx) -> Option<T>,
    ) -> Option<T> {
        let n_own = lineage.iter().position(|it| *it == Supertype::Foreign);
        self.in_lineage(&lineage[..n_own.unwrap_or(lineage.len())], find)
    }

    /// Returns the method that a type itself defines.
    pub(super) fn method(&self, idx: SymbolIdx, name: StringId) -> Option<Held> {
        let file = self.linker.symbols[idx as usize].file;
        match self.language(file) {
            Language::Go => self.go_method(file, &self.path_of(idx), name),
            Language::Rust => self.rust_method(idx, name),
            _ => self.in_file(file, &self.path_of(idx), name, Space::Value),
        }
    }

    /// Returns a definition's container and name.
    pub(super) fn path_of(&self, idx: SymbolIdx) -> String {
        let symbol = &self.linker.symbols[idx as usize];
        let strings = &self.linker.strings;
        join(&strings.text(symbol.container), &strings.text(symbol.name))
    }

    /// Returns all supertypes of a type in the order of lookup.
    pub(super) fn lineage(&self, file: FileIdx, subtype: StringId) -> Lineage {
        let key = (file, subtype);
        if let Some(known) = self.types.lineages.borrow().get(&key) {
            return known.clone();
        }
        let mut found = vec![];
        self.gather_lineage(file, subtype, &mut found);
        // A type that two supertypes have in common comes after both.
        let mut lineage: Vec<Supertype> = vec![];
        for (at, supertype) in found.iter().enumerate() {
            let is_known = matches!(supertype, Supertype::Known(_));
            if !is_known || !found[at + 1..].contains(supertype) {
                lineage.push(*supertype);
            }
        }
        let lineage: Lineage = Rc::from(lineage);
        self.types.lineages.borrow_mut().insert(key, lineage.clone());
        lineage
    }

    fn gather_lineage(&self, file: FileIdx, subtype: StringId, found: &mut Vec<Supertype>) {
        for supertype in self.supertypes.get(&(file, subtype)).into_iter().flatten() {
            if found.len() >= SUPERTYPES_MAX {
                return found.push(Supertype::Unknown);
            }
            let idx = match self.supertype_of(file, subtype, *supertype) {
                Some(Held::One(idx)) => idx,
                _ if PLAIN_SUPERTYPES.contains(&&*self.linker.strings.text(supertype.name)) => {
                    continue;
                }
                _ => {
                    let is_foreign = self.is_foreign(file, *supertype);
                    found.push(if is_foreign { Supertype::Foreign } else { Supertype::Unknown });
                    continue;
                }
            };
            found.push(Supertype::Known(idx));
            let path = self.linker.strings.find(self.path_of(idx).as_bytes());
            if let Some(path) = path {
                self.gather_lineage(self.linker.symbols[idx as usize].file, path, found);
            }
        }
    }

    /// Tells whether a supertype that was not found is one of another package, or Python's own.
    fn is_foreign(&self, file: FileIdx, Said { name, qualifier }: Said) -> bool {
        if self.language(file) != Language::Python {
            return false;
        }
        let qualifier = qualifier.map(|it| self.linker.expressions.text(it));
        let name = self.linker.strings.text(name);
        let head = qualifier.as_deref().map_or(&*name, |it| it.split('.').next().unwrap_or(it));
        let imports = &self.linker.files[file as usize].imports;
        match self.imports[file as usize].get(head) {
            Some(imports) => imports.iter().all(|import| {
                !import.module.starts_with('.')
                    && self.modules.python(file, &import.module).is_none()
            }),
            None => qualifier.is_none() && imports.iter().all(|it| it.imported != Imported::Glob),
        }
    }

    /// Returns the type that a supertype means in a file: one beside the subtype, an imported one, or one of an imported module.
    fn supertype_of(
        &self,
        file: FileIdx,
        subtype: StringId,
        Said { name, qualifier }: Said,
    ) -> Option<Held> {
        let own = self.linker.strings.text(subtype);
        let outer = own.rsplit_once('.').map_or("", |(outer, _)| outer);
        let qualifier = qualifier.map(|it| self.linker.expressions.text(it)).unwrap_or_default();
        let beside = outward(outer)
            .find_map(|path| self.in_file(file, &join(path, &qualifier), name, Space::Type));
        let held = match beside {
            Some(held) => held,
            None if !qualifier.is_empty() => {
                self.exported(self.module_named(file, &qualifier)?, name, Space::Type)?
            }
            None => {
                let text = self.linker.strings.text(name);
                let imports = self.imports[file as usize].get(&*text)?;
                let [import] = imports[..] else { return None };
                let Imported::Name(inner) = &import.imported else { return None };
                let module = self.module_of(file, &import.module)?;
                self.exported(module, self.linker.strings.find(inner.as_bytes())?, Space::Type)?
            }
        };
        let Held::One(idx) = held else { return Some(held) };
        let kind = self.linker.symbols[idx as usize].kind;
        matches!(kind, SymbolKind::Class | SymbolKind::Interface).then_some(held)
    }

    /// Returns the module that a name, or names joined by dots, mean at the top of a file.
    fn module_named(&self, file: FileIdx, path: &str) -> Option<FileIdx> {
        let at = At { file, enclosing: None, own: None };
        let (mut head, mut rest) = (path, "");
        let import = loop {
            match self.import_of(at.sought(), head) {
                ImportMatch::One(import) => break import,
                ImportMatch::Several => return None,
                ImportMatch::None => {
                    head = head.rsplit_once('.')?.0;
                    rest = path[head.len()..].trim_start_matches('.');
                }
            }
        };
        let module = self.imported_module(file, import)?;
        match (rest, self.language(file), &import.imported) {
            ("", ..) => Some(module),
            (rest, Language::Python, Imported::Module) => {
                self.modules.python(file, &format!("{}.{rest}", import.module))
            }
            _ => None,
        }
    }
}

/// Returns the name under which an import hands a name on.
fn handed_name(import: &Import) -> Option<&str> {
    match (&import.alias, &import.imported) {
        (Some(alias), _) => Some(alias),
        (None, Imported::Name(name)) => Some(name),
        (None, _) => bound_name(Language::Python, import),
    }
}
