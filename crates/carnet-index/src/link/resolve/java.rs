//! Java: types by imports and by the package's directory, methods by the types around the sought.

use carnet_parse::{CallForm, Import, Imported};

use super::{Decision, Held, ImportMatch, Resolver, Sought, Space, decided, join, outward};
use crate::{Evidence, link::StringId};

impl Resolver<'_> {
    /// `f()` and `this.f()`: the type around the call, the types around that, then what is imported statically.
    pub(super) fn own_of_java(&self, sought: Sought, owner: StringId) -> Option<Decision> {
        let owner = self.linker.strings.text(owner);
        for container in outward(&owner).filter(|it| !it.is_empty()) {
            if let Some(held) = self.in_file(sought.file, container, sought.name, sought.space) {
                return Some(decided(held, Evidence::OwnType));
            }
        }
        let name = self.linker.strings.text(sought.name);
        match self.import_of(sought, &name) {
            ImportMatch::One(import) => {
                let (file, container) = self.modules.java(&import.module)?;
                let held = self.in_file(file, &container, sought.name, sought.space)?;
                Some(decided(held, Evidence::Import))
            }
            _ => None,
        }
    }

    /// `new T()`: a type of the file, one that is imported, or one of the package.
    pub(super) fn bare_of_java(&self, sought: Sought) -> Option<Decision> {
        if sought.form != CallForm::Construct {
            return None; // In a class without a name: a method of it, of its base, or of the types around.
        }
        let around = self.container_around(sought);
        let of_file = outward(&around)
            .find_map(|it| self.in_file(sought.file, it, sought.name, sought.space));
        if let Some(held) = of_file {
            return Some(decided(held, Evidence::SameScope));
        }
        let name = self.linker.strings.text(sought.name);
        match self.import_of(sought, &name) {
            ImportMatch::One(import) => Some(self.through_import(sought, import)),
            ImportMatch::Several => None,
            ImportMatch::None => {
                let file = self.modules.java_beside(sought.file, &name)?;
                let held = self.in_file(file, "", sought.name, sought.space)?;
                Some(decided(held, Evidence::SamePackage))
            }
        }
    }

    /// `T.f()`, where `T` is a type of the package.
    pub(super) fn path_of_java(&self, sought: Sought, path: &str) -> Option<Decision> {
        let outer = path.split('.').next().unwrap_or(path);
        let file = self.modules.java_beside(sought.file, outer)?;
        Some(decided(self.in_file(file, path, sought.name, sought.space)?, Evidence::SamePackage))
    }

    /// What `rest` and the callee mean in the type that an import names.
    pub(super) fn member_of_java_import(
        &self,
        sought: Sought,
        import: &Import,
        rest: &str,
    ) -> Option<Held> {
        let Imported::Name(name) = &import.imported else { return None };
        let (file, container) = self.modules.java(&format!("{}.{name}", import.module))?;
        self.in_file(file, &join(&container, rest), sought.name, sought.space)
    }

    /// The type that an import names.
    pub(super) fn java_import(&self, import: &Import, name: StringId) -> Option<Held> {
        let Imported::Name(written) = &import.imported else { return None };
        let (file, path) = self.modules.java(&format!("{}.{written}", import.module))?;
        let outer = path.rsplit_once('.').map_or("", |(outer, _)| outer);
        self.in_file(file, outer, name, Space::Value)
    }
}
