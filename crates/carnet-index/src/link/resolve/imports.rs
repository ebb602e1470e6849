//! Names that imports bind, and what they bind them to.

use carnet_parse::{Import, Imported, Language};

use super::{Decision, Held, Resolver, Sought, decided, is_within, unresolved};
use crate::Evidence;

/// Most imports of one name in one file that are weighed; more are several for sure.
const IMPORTS_MAX: usize = 32;

impl<'l> Resolver<'l> {
    /// Looks a dotted path up through the import that binds its first names.
    pub(super) fn import_of_path(&self, sought: Sought, path: &str) -> Option<Held> {
        // `import a.b` binds the whole dotted name; the longest that fits is meant.
        let mut head = path;
        loop {
            match self.import_of(sought, head) {
                ImportMatch::One(import) => {
                    let rest = path[head.len()..].trim_start_matches('.');
                    return self.member_of_import(sought, import, rest);
                }
                ImportMatch::Several => return None,
                ImportMatch::None => head = head.rsplit_once('.')?.0,
            }
        }
    }

    pub(super) fn member_of_import(
        &self,
        sought: Sought,
        import: &Import,
        rest: &str,
    ) -> Option<Held> {
        match (self.language(sought.file), &import.imported) {
            (Language::Go, Imported::Module) => {
                self.in_go_package(&self.modules.go_package(&import.module)?, rest, sought)
            }
            (Language::Java, _) => self.member_of_java_import(sought, import, rest),
            (Language::Python, Imported::Module) => {
                let file = self.modules.python(sought.file, &import.module)?;
                match rest {
                    "" => self.exported(file, sought.name, sought.space),
                    rest => self.in_file(file, rest, sought.name, sought.space),
                }
            }
            (Language::Python, Imported::Name(name)) => {
                let dot = if import.module.ends_with('.') { "" } else { "." };
                let inner = format!("{}{dot}{name}", import.module);
                if let Some(file) = self.modules.python(sought.file, &inner) {
                    return match rest {
                        "" => self.exported(file, sought.name, sought.space),
                        rest => self.in_file(file, rest, sought.name, sought.space),
                    };
                }
                let file = self.modules.python(sought.file, &import.module)?;
                self.member_of_exported(file, name, rest, sought.name, sought.space)
            }
            (_, Imported::Module) => {
                let file = self.modules.ecma(sought.file, &import.module)?;
                match rest.split_once('.').unwrap_or((rest, "")) {
                    // What a module of CommonJS is as a whole is written as its default.
                    ("", _) => self.exported(file, sought.name, sought.space).or_else(|| {
                        let space = sought.space;
                        self.member_of_exported(file, "default", "", sought.name, space)
                    }),
                    (name, rest) => {
                        self.member_of_exported(file, name, rest, sought.name, sought.space)
                    }
                }
            }
            (_, Imported::Name(name)) => {
                let file = self.modules.ecma(sought.file, &import.module)?;
                self.member_of_exported(file, name, rest, sought.name, sought.space)
            }
            _ => None,
        }
    }

    /// `f()` where an import names `f`.
    pub(super) fn through_import(&self, sought: Sought, import: &Import) -> Decision {
        let name = match (&import.imported, self.language(sought.file)) {
            (Imported::Name(name), _) => name.as_str(),
            // `const x = require("./x")`, for nothing else is a module and is called.
            (Imported::Module, Language::JavaScript | Language::TypeScript | Language::Tsx) => {
                "default"
            }
            _ => return unresolved(Evidence::NameOnly),
        };
        let held = self.linker.strings.find(name.as_bytes()).and_then(|name_id| {
            match self.language(sought.file) {
                Language::Python => {
                    let file = self.modules.python(sought.file, &import.module)?;
                    self.exported(file, name_id, sought.space)
                }
                Language::Rust => {
                    let (crate_dir, container) = self.rust_import_place(sought, import)?;
                    self.in_crate(&crate_dir, &container, name_id, sought.space)
                }
                Language::Java => self.java_import(import, name_id),
                Language::Go | Language::C | Language::Cpp => None,
                _ => {
                    let file = self.modules.ecma(sought.file, &import.module)?;
                    self.exported(file, name_id, sought.space)
                }
            }
        });
        let is_renamed = import.alias.is_some() && name != "default";
        Decision {
            listed_under: is_renamed.then(|| name.to_owned()),
            ..held.map_or(unresolved(Evidence::NameOnly), |held| decided(held, Evidence::Import))
        }
    }

    /// Finds the import that binds `name` where the call stands.
    pub(super) fn import_of(&self, sought: Sought, name: &str) -> ImportMatch<'l> {
        let Some(imports) = self.imports[sought.file as usize].get(name) else {
            return ImportMatch::None;
        };
        if imports.len() > IMPORTS_MAX {
            return ImportMatch::Several;
        }
        let scope = self.scope_path(sought);
        let module = self.inline_module(sought);
        let mut found: Option<&'l Import> = None;
        for import in imports {
            // An inline Rust module sees what is imported around it only through `use super::*`.
            let is_closed = self.language(sought.file) == Language::Rust
                && !is_within(&import.container, &module)
                && !self.sees_parent(sought.file, &module);
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
}

pub(super) enum ImportMatch<'l> {
    None,
    One(&'l Import),
    Several,
}

/// Returns the name that an import makes usable.
pub(super) fn bound_name(language: Language, import: &Import) -> Option<&str> {
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
