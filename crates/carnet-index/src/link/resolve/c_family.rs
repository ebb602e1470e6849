//! C and C++: there are no modules, so what a file sees of another is what linkage lets it see.
//!
//! A name counts when the whole commit defines it once where others can see it: a function that is not `static`, or
//! whatever a header holds.

use carnet_parse::Language;

use super::{Decision, Held, Resolver, Sought, Space, decided, hold, join, outward};
use crate::{
    Evidence,
    link::{StringId, SymbolIdx},
};

impl Resolver<'_> {
    /// Keeps a definition of C or C++ for other files, if they can see it.
    pub(super) fn enter_linkage(&mut self, idx: SymbolIdx) {
        let symbol = &self.linker.symbols[idx as usize];
        let signature = self.linker.strings.text(symbol.signature);
        let head = signature.split('(').next().unwrap_or_default();
        let is_static = head.split_whitespace().any(|word| word == "static");
        if !is_static || self.modules.is_header(symbol.file) {
            hold(self.by_linkage.entry((symbol.container, symbol.name)), idx);
        }
    }

    /// `f()`: the type and the namespaces around the call, outward; in each the file itself before the others.
    pub(super) fn bare_of_c(&self, sought: Sought) -> Option<Decision> {
        outward(&self.container_around(sought))
            .find_map(|container| self.in_container(sought, container))
    }

    /// `this->f()` in a method of `owner`.
    pub(super) fn own_of_c(&self, sought: Sought, owner: StringId) -> Option<Decision> {
        let held = self.by_linkage.get(&(owner, sought.name))?;
        Some(decided(*held, Evidence::OwnType))
    }

    /// `a::b::f()`, as seen from each namespace around the call, outward.
    pub(super) fn path_of_c(&self, sought: Sought, path: &str) -> Option<Decision> {
        let found = outward(&self.container_around(sought)).find_map(|scope| {
            let container = self.linker.strings.find(join(scope, path).as_bytes())?;
            self.by_linkage.get(&(container, sought.name))
        });
        found.map(|held| decided(*held, Evidence::Path))
    }

    fn in_container(&self, sought: Sought, container: &str) -> Option<Decision> {
        let container = self.linker.strings.find(container.as_bytes())?;
        let of_file = [Space::Value, Space::Macro].into_iter().find_map(|space| {
            self.by_file.get(&(sought.file, container, sought.name, space)).copied()
        });
        match of_file {
            Some(held @ Held::One(_)) => Some(decided(held, Evidence::SameScope)),
            Some(held) => Some(decided(held, Evidence::Ambiguous)),
            None => {
                let held = self.by_linkage.get(&(container, sought.name))?;
                Some(decided(*held, Evidence::Linkage))
            }
        }
    }

    pub(super) fn is_c(&self, sought: Sought) -> bool {
        matches!(self.language(sought.file), Language::C | Language::Cpp)
    }
}
