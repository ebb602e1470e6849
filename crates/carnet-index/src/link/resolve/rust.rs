//! Rust: paths of crates and modules, those written inside a file among them.

use carnet_parse::{Import, Imported, SymbolKind};

use super::{Held, ImportMatch, Resolver, SCOPES_MAX, Sought, Space, is_within, join};
use crate::link::{FileIdx, StringId};

impl Resolver<'_> {
    /// Returns the crate and the container that the path of a `use` means where it stands.
    pub(super) fn rust_import_place(
        &self,
        sought: Sought,
        import: &Import,
    ) -> Option<(String, String)> {
        let inline = self.inline_module(sought);
        let inline = if is_within(&import.container, &inline) { inline.as_str() } else { "" };
        self.rust_place(sought, &import.module, inline, false)
    }

    pub(super) fn rust_path(&self, sought: Sought, path: &str) -> Option<Held> {
        let inline = self.inline_module(sought);
        let (crate_dir, container) = self.rust_place(sought, path, &inline, true)?;
        if let Some(held) = self.in_rust_crate(&crate_dir, &container, sought) {
            return Some(held);
        }
        let is_method = sought.space == Space::Value;
        is_method.then(|| self.rust_method_of_path(sought, path)).flatten()
    }

    /// Returns the crate and the container that a Rust path means in the inline module `inline`.
    ///
    /// `may_import` says whether the first name may come from a `use`; it is false for the path of a `use`
    /// itself, so that there is no circle.
    pub(super) fn rust_place(
        &self,
        sought: Sought,
        path: &str,
        inline: &str,
        may_import: bool,
    ) -> Option<(String, String)> {
        let module = self.modules.rust_module(sought.file)?;
        let here = join(&module.path, inline);
        let path = path.strip_prefix("::").unwrap_or(path);
        let (first, rest) = path.split_once("::").unwrap_or((path, ""));
        let rest_dotted = rest.replace("::", ".");
        match first {
            "crate" => {
                let (second, behind) = rest.split_once("::").unwrap_or((rest, ""));
                return Some(match self.crate_bound_in_test(sought.file, second) {
                    Some(crate_dir) => (crate_dir.to_owned(), behind.replace("::", ".")),
                    None => (module.crate_dir.clone(), rest_dotted),
                });
            }
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
            match self.import_of(sought, first) {
                ImportMatch::Several => return None,
                ImportMatch::One(import) => {
                    let (crate_dir, outer) = self.rust_import_place(sought, import)?;
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
            && self.sees_parent(sought.file, scope)
            && !self.file_has_container(sought.file, &join(scope, &dotted))
        {
            scope = scope.rsplit_once('.').map_or("", |(outer, _)| outer);
        }
        Some((module.crate_dir.clone(), join(&join(&module.path, scope), &dotted)))
    }

    /// Returns the crate that a test, example or benchmark, which is a crate by itself, imports under a name at its top.
    fn crate_bound_in_test(&self, file: FileIdx, name: &str) -> Option<&str> {
        let module = self.modules.rust_module(file)?;
        let directory = module.crate_dir.rsplit('/').next()?;
        if !["tests", "examples", "benches"].contains(&directory) {
            return None;
        }
        let mut imports = self.imports[file as usize].get(name)?.iter();
        let is_crate = |it: &&&Import| it.imported == Imported::Module && it.container.is_empty();
        self.modules.rust_crate(&imports.find(is_crate)?.module)
    }

    pub(super) fn file_has_container(&self, file: FileIdx, container: &str) -> bool {
        let container = self.linker.strings.find(container.as_bytes());
        container.is_some_and(|container| self.containers.contains(&(file, container)))
    }

    /// Returns the path of the inline Rust module around a call, empty at the file's top.
    pub(super) fn inline_module(&self, sought: Sought) -> String {
        let mut around = sought.enclosing;
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

    /// Tells whether the Rust module `path` inside a file has `use super::*`.
    pub(super) fn sees_parent(&self, file: FileIdx, path: &str) -> bool {
        self.super_globs.contains(&(file, path))
    }

    pub(super) fn in_rust_crate(
        &self,
        crate_dir: &str,
        container: &str,
        sought: Sought,
    ) -> Option<Held> {
        self.in_crate(crate_dir, container, sought.name, sought.space)
    }

    pub(super) fn in_crate(
        &self,
        crate_dir: &str,
        container: &str,
        name: StringId,
        space: Space,
    ) -> Option<Held> {
        let itself = self.in_crate_itself(crate_dir, container, name, space);
        itself.or_else(|| self.handed_on_by_rust(crate_dir, container, name, space))
    }

    pub(super) fn in_crate_itself(
        &self,
        crate_dir: &str,
        container: &str,
        name: StringId,
        space: Space,
    ) -> Option<Held> {
        let crate_no = *self.directories.get(crate_dir)?;
        self.by_rust_crate.get(&(crate_no, container.to_owned(), name, space)).copied()
    }
}
