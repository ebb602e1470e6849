//! Go: packages, methods wherever in the package they stand, embedded types, and types as they are written.

use carnet_parse::{Imported, Language, SymbolKind};

use super::{
    Held, ImportMatch, Resolver, Space,
    type_text::split,
    types::{At, Lineage, Supertype, Ty},
};
use crate::link::{FileIdx, StringId, SymbolIdx};

/// Most embedded types that are looked through for one method.
const EMBEDDED_MAX: usize = 64;
/// The member under which a type keeps what it embeds.
const EMBEDDED: &str = "+";

impl Resolver<'_> {
    /// Returns the directory of the package of the repository that a name is bound to by an import.
    pub(super) fn imported_package(&self, name: &str, at: At) -> Option<u32> {
        if self.language(at.file) != Language::Go {
            return None;
        }
        match self.import_of(at.sought(), name) {
            ImportMatch::One(import) if import.imported == Imported::Module => {
                let directory = self.modules.go_package(&import.module)?;
                self.directories.get(directory.as_str()).copied()
            }
            _ => None,
        }
    }

    /// Returns what a package has under a name.
    pub(super) fn in_package(&self, package: u32, name: StringId, space: Space) -> Option<Held> {
        let top = self.linker.strings.find(b"")?;
        self.by_go_package.get(&(package, top, name, space)).copied()
    }

    pub(super) fn member_of_package(&self, package: u32, name: &str) -> Option<Ty> {
        let name = self.linker.strings.find(name.as_bytes())?;
        let spaces = [Space::Value, Space::Type];
        let held = spaces.into_iter().find_map(|space| self.in_package(package, name, space))?;
        match held {
            Held::One(idx) => self.of_symbol(idx, None),
            Held::Several => None,
        }
    }

    /// Returns the method of a type at a container path, wherever in its package it stands.
    pub(super) fn go_method(&self, file: FileIdx, path: &str, name: StringId) -> Option<Held> {
        let package = *self.directories.get(self.modules.directory_of(file))?;
        let path = self.linker.strings.find(path.as_bytes())?;
        self.by_go_package.get(&(package, path, name, Space::Value)).copied()
    }

    /// Returns the types that a type embeds, the nearest first; those of other repositories are left out.
    ///
    /// `type A B` has nothing of `B`'s methods, but what `B` embeds; an interface's it has.
    pub(super) fn embedded(&self, ty: SymbolIdx) -> Lineage {
        let (mut found, mut next) = (vec![ty], 0);
        while let Some(ty) = found.get(next).copied().filter(|_| found.len() < EMBEDDED_MAX) {
            let of = match self.underlying(Ty::Instance(ty)) {
                Ty::Instance(of) => of,
                _ => ty,
            };
            if self.linker.symbols[of as usize].kind == SymbolKind::Interface
                && !found.contains(&of)
            {
                found.push(of);
            }
            for inner in self.facts(of, EMBEDDED) {
                if let Ty::Instance(inner) = inner
                    && !found.contains(&inner)
                {
                    found.push(inner);
                }
            }
            next += 1;
        }
        found.into_iter().skip(1).map(Supertype::Known).collect()
    }

    pub(super) fn of_go(&self, ty: &str, at: At, n_left: u32) -> Option<Ty> {
        let inner = |ty: &str| self.of_text(ty, at, n_left);
        let boxed = |ty: &str| Some(Box::new(inner(ty)?));
        if let Some(parts) = ty.strip_prefix('(').and_then(|ty| ty.strip_suffix(')')) {
            let parts: Vec<&str> = split(parts, ',').into_iter().map(without_name).collect();
            return match parts[..] {
                [only] => inner(only),
                _ => Some(Ty::Tuple(parts.into_iter().map(inner).collect())),
            };
        }
        if let Some(pointed) = ty.strip_prefix('*') {
            return inner(pointed);
        }
        if let Some((_, of)) = ty.strip_prefix('[').and_then(|ty| ty.split_once(']')) {
            return Some(Ty::Sequence(boxed(of)?));
        }
        for channel in ["<-chan ", "chan<- ", "chan "] {
            if let Some(of) = ty.strip_prefix(channel) {
                return Some(Ty::Sequence(boxed(of)?));
            }
        }
        if let Some(rest) = ty.strip_prefix("map[") {
            return Some(Ty::Mapping(boxed(&rest[closing(rest, ']')? + 1..])?));
        }
        if let Some(rest) = ty.strip_prefix("func(") {
            return Some(Ty::Gives(boxed(rest[closing(rest, ')')? + 1..].trim())?));
        }
        self.value_of(ty.split('[').next()?, at)
    }
}

/// Returns the type of a named result.
fn without_name(part: &str) -> &str {
    let is_name = |word: &str| {
        word.chars().all(|c| c.is_alphanumeric() || c == '_')
            && !["chan", "func", "map", "struct", "interface"].contains(&word)
    };
    match part.split_once(' ') {
        Some((name, ty)) if is_name(name) => ty,
        _ => part,
    }
}

/// Returns where the bracket that was opened before `text` is closed.
fn closing(text: &str, closing: char) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            c if c == closing && depth == 0 => return Some(at),
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
    }
    None
}
