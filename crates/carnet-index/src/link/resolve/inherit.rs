//! Python, TypeScript and JavaScript: names that a module hands on, and methods that a type has of its supertypes.
//!
//! A supertype that is not found may have any method: what stands behind it in the order of lookup is then not decided.

use carnet_parse::{Import, Imported, Language, SymbolKind};

use super::{Decision, Held, Resolver, bound_name, decided, join, outward};
use crate::{
    Evidence,
    link::{CallRow, FileIdx, StringId},
};

/// Most modules that one name is handed through.
const HANDS_MAX: u32 = 8;
/// Most supertypes that are looked through for one method.
const SUPERTYPES_MAX: usize = 32;

/// What looking through supertypes came to.
enum Inherited {
    Found(Held),
    /// None of them has it.
    Nowhere,
    /// One of them is not known.
    Unknown,
}

impl Resolver<'_> {
    /// Returns what a module defines under a name, or hands on from another module.
    pub(super) fn exported(&self, file: FileIdx, name: StringId) -> Option<Held> {
        self.handed_on(file, name, HANDS_MAX)
    }

    fn handed_on(&self, file: FileIdx, name: StringId, n_left: u32) -> Option<Held> {
        if let Some(held) = self.in_file(file, "", name) {
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
            let Some(module) = self.module_of(file, &import.module) else { continue };
            let held = (module != file).then(|| self.handed_on(module, handed, n_left)).flatten();
            match (found, held) {
                (_, None) => {}
                (Some(before), Some(held)) if before != held => return Some(Held::Several),
                (_, Some(held)) => found = Some(held),
            }
        }
        found
    }

    fn module_of(&self, file: FileIdx, module: &str) -> Option<FileIdx> {
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
    ) -> Option<Held> {
        if let Some(held) = self.in_file(file, &join(name, rest), member) {
            return Some(held);
        }
        let name = self.linker.strings.find(name.as_bytes())?;
        let Held::One(idx) = self.exported(file, name)? else { return None };
        let symbol = &self.linker.symbols[idx as usize];
        let strings = &self.linker.strings;
        let path = join(&strings.text(symbol.container), &strings.text(symbol.name));
        self.in_file(symbol.file, &join(&path, rest), member)
    }

    /// `self.f()` where the own type does not define `f`: the nearest supertype that does.
    pub(super) fn inherited(&self, call: &CallRow, owner: StringId) -> Option<Decision> {
        let mut n_left = SUPERTYPES_MAX;
        match self.in_supertypes(call.file, owner, call.callee, &mut n_left) {
            Inherited::Found(held) => Some(decided(held, Evidence::Inherited)),
            Inherited::Nowhere | Inherited::Unknown => None,
        }
    }

    /// `super().f()` and `super.f()`.
    pub(super) fn of_super(&self, call: &CallRow) -> Option<Decision> {
        let around = self.container_around(call);
        let owner = outward(&around)
            .filter_map(|path| self.linker.strings.find(path.as_bytes()))
            .find(|owner| self.supertypes.contains_key(&(call.file, *owner)))?;
        self.inherited(call, owner)
    }

    fn in_supertypes(
        &self,
        file: FileIdx,
        subtype: StringId,
        method: StringId,
        n_left: &mut usize,
    ) -> Inherited {
        for supertype in self.supertypes.get(&(file, subtype)).into_iter().flatten() {
            let Some(left) = n_left.checked_sub(1) else { return Inherited::Unknown };
            *n_left = left;
            let Some(Held::One(idx)) = self.supertype_of(file, subtype, *supertype) else {
                return Inherited::Unknown;
            };
            let symbol = &self.linker.symbols[idx as usize];
            let strings = &self.linker.strings;
            let path = join(&strings.text(symbol.container), &strings.text(symbol.name));
            if let Some(held) = self.in_file(symbol.file, &path, method) {
                return Inherited::Found(held);
            }
            let Some(path) = strings.find(path.as_bytes()) else { continue };
            match self.in_supertypes(symbol.file, path, method, n_left) {
                Inherited::Nowhere => {}
                other => return other,
            }
        }
        Inherited::Nowhere
    }

    /// Returns the type that the name of a supertype means in a file: one beside the subtype, or an imported one.
    fn supertype_of(&self, file: FileIdx, subtype: StringId, name: StringId) -> Option<Held> {
        let own = self.linker.strings.text(subtype);
        let outer = own.rsplit_once('.').map_or("", |(outer, _)| outer);
        let beside = outward(outer).find_map(|path| self.in_file(file, path, name));
        let held = match beside {
            Some(held) => held,
            None => {
                let text = self.linker.strings.text(name);
                let imports = self.imports[file as usize].get(&*text)?;
                let [import] = imports[..] else { return None };
                let Imported::Name(inner) = &import.imported else { return None };
                let module = self.module_of(file, &import.module)?;
                self.exported(module, self.linker.strings.find(inner.as_bytes())?)?
            }
        };
        let Held::One(idx) = held else { return Some(held) };
        let kind = self.linker.symbols[idx as usize].kind;
        matches!(kind, SymbolKind::Class | SymbolKind::Interface).then_some(held)
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
