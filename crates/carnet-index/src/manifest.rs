//! The names that `go.mod` and `Cargo.toml` give to directories.
//!
//! Only the one line that names the module or package is read; everything else, and a name inherited or
//! computed, is no name.

use carnet_core::RepoPath;
use serde::{Deserialize, Serialize};

/// A file that names the directory it lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum ManifestKind {
    GoMod,
    CargoToml,
}

impl ManifestKind {
    pub fn of_path(path: &RepoPath) -> Option<ManifestKind> {
        match path.file_name() {
            b"go.mod" => Some(ManifestKind::GoMod),
            b"Cargo.toml" => Some(ManifestKind::CargoToml),
            _ => None,
        }
    }

    /// Returns the kind with that number.
    pub fn from_code(code: u8) -> Option<ManifestKind> {
        let kinds = [ManifestKind::GoMod, ManifestKind::CargoToml];
        kinds.into_iter().find(|kind| kind.code() == code)
    }

    /// Its number among the language codes in stored facts.
    pub fn code(self) -> u8 {
        match self {
            ManifestKind::GoMod => 200,
            ManifestKind::CargoToml => 201,
        }
    }
}

/// Returns the module path of a `go.mod`, or the crate name of a `Cargo.toml` as `use` spells it.
pub(crate) fn name_in(kind: ManifestKind, source: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(source);
    let mut lines = text.lines().map(str::trim);
    let name = match kind {
        ManifestKind::GoMod => {
            let rest = lines.find_map(|line| line.strip_prefix("module "))?;
            let rest = rest.split("//").next().unwrap_or(rest);
            rest.trim().trim_matches('"').to_owned()
        }
        ManifestKind::CargoToml => {
            lines.find(|line| *line == "[package]")?;
            let mut section = lines.take_while(|line| !line.starts_with('['));
            let value = section.find_map(|line| {
                let (key, value) = line.split_once('=')?;
                (key.trim() == "name").then(|| value.trim().to_owned())
            })?;
            let value = value.strip_prefix('"')?;
            value[..value.find('"')?].replace('-', "_")
        }
    };
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_name_their_module_or_crate() {
        let go = b"// hello\nmodule example.com/m/v2 // why\n\ngo 1.22\n";
        assert_eq!(name_in(ManifestKind::GoMod, go).as_deref(), Some("example.com/m/v2"));
        let cargo =
            b"[workspace]\nname = \"no\"\n[package]\nversion = \"1\"\nname = \"my-crate\" # x\n";
        assert_eq!(name_in(ManifestKind::CargoToml, cargo).as_deref(), Some("my_crate"));
    }

    #[test]
    fn what_names_nothing_is_no_name() {
        assert_eq!(name_in(ManifestKind::GoMod, b"go 1.22\n"), None);
        assert_eq!(name_in(ManifestKind::CargoToml, b"[package]\n[lib]\nname = \"x\"\n"), None);
        assert_eq!(name_in(ManifestKind::CargoToml, b"[package]\nname = \xff\n"), None);
    }
}
