//! What `go.mod`, `Cargo.toml`, `package.json` and `tsconfig.json` say about the names of modules.
//!
//! Only what names modules is kept; a name inherited or computed is no name. A manifest that is damaged, or past a bound,
//! says nothing, and is known to be there.

mod json;

use carnet_core::RepoPath;
use serde::{Deserialize, Serialize};

/// Longest text kept of a manifest, in bytes.
const TEXT_BYTES_MAX: usize = 1024;
/// Most patterns of one list.
const RULES_MAX: usize = 1024;
/// Most targets of one pattern, and files that one configuration extends or refers to.
const TARGETS_MAX: usize = 64;

/// A file that says how modules are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum ManifestKind {
    GoMod,
    CargoToml,
    PackageJson,
    /// `tsconfig.json`, `jsconfig.json`, and what they extend.
    TsConfig,
}

/// What a manifest says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Manifest {
    #[default]
    Nothing,
    /// The module path of a `go.mod`, or the crate name of a `Cargo.toml` as `use` spells it.
    Name(String),
    Package(Package),
    Config(Config),
}

/// A `package.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Package {
    pub name: Option<String>,
    /// `exports`, by subpath with its leading `.`; where it is there, nothing else is seen from outside.
    pub exports: Option<Vec<Rule>>,
    /// `imports`, by name with its leading `#`.
    pub imports: Vec<Rule>,
    /// `source`, `types`, `module` and `main`, in this order.
    pub entries: Vec<Target>,
}

/// A `tsconfig.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Config {
    pub base_url: Option<String>,
    pub paths: Option<Vec<Rule>>,
    pub extends: Vec<String>,
    /// The projects that have the files, where this one has none itself.
    pub references: Vec<String>,
}

/// A name of modules, and what it stands for; either may hold one `*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rule {
    pub pattern: String,
    /// The first that is there is meant.
    pub targets: Vec<Target>,
}

/// A path that a manifest names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Target {
    pub path: String,
    /// Whether only a type checker looks there.
    pub is_types: bool,
}

impl ManifestKind {
    const ALL: [ManifestKind; 4] = [
        ManifestKind::GoMod,
        ManifestKind::CargoToml,
        ManifestKind::PackageJson,
        ManifestKind::TsConfig,
    ];

    pub fn of_path(path: &RepoPath) -> Option<ManifestKind> {
        match path.file_name() {
            b"go.mod" => Some(ManifestKind::GoMod),
            b"Cargo.toml" => Some(ManifestKind::CargoToml),
            name if !name.ends_with(b".json") || is_installed(path) => None,
            b"package.json" => Some(ManifestKind::PackageJson),
            _ => is_config(path).then_some(ManifestKind::TsConfig),
        }
    }

    /// Returns the kind with that number.
    pub fn from_code(code: u8) -> Option<ManifestKind> {
        ManifestKind::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Its number among the language codes in stored facts.
    pub fn code(self) -> u8 {
        match self {
            ManifestKind::GoMod => 200,
            ManifestKind::CargoToml => 201,
            ManifestKind::PackageJson => 202,
            ManifestKind::TsConfig => 203,
        }
    }
}

impl Manifest {
    pub fn read(kind: ManifestKind, source: &[u8]) -> Manifest {
        let manifest = match kind {
            ManifestKind::GoMod => go_module(source).map(Manifest::Name),
            ManifestKind::CargoToml => crate_name(source).map(Manifest::Name),
            ManifestKind::PackageJson => json::package(source).map(Manifest::Package),
            ManifestKind::TsConfig => json::config(source).map(Manifest::Config),
        };
        manifest.filter(|manifest| manifest.is_of(kind)).unwrap_or_default()
    }

    /// Tells whether a file of that kind may say this, within the bounds.
    pub fn is_of(&self, kind: ManifestKind) -> bool {
        let is_short = |text: &String| text.len() <= TEXT_BYTES_MAX;
        let are_targets = |targets: &[Target]| {
            targets.len() <= TARGETS_MAX && targets.iter().all(|target| is_short(&target.path))
        };
        let are_rules = |rules: &[Rule]| {
            rules.len() <= RULES_MAX
                && rules.iter().all(|rule| is_short(&rule.pattern) && are_targets(&rule.targets))
        };
        match (self, kind) {
            (Manifest::Nothing, _) => true,
            (Manifest::Name(name), ManifestKind::GoMod | ManifestKind::CargoToml) => {
                !name.is_empty()
            }
            (Manifest::Package(package), ManifestKind::PackageJson) => {
                package.name.iter().all(is_short)
                    && are_rules(package.exports.as_deref().unwrap_or_default())
                    && are_rules(&package.imports)
                    && are_targets(&package.entries)
            }
            (Manifest::Config(config), ManifestKind::TsConfig) => {
                config
                    .base_url
                    .iter()
                    .chain(&config.extends)
                    .chain(&config.references)
                    .all(is_short)
                    && config.extends.len() <= TARGETS_MAX
                    && config.references.len() <= TARGETS_MAX
                    && are_rules(config.paths.as_deref().unwrap_or_default())
            }
            _ => false,
        }
    }
}

/// Tells whether a package manager put a file where it is.
fn is_installed(path: &RepoPath) -> bool {
    path.as_bytes().split(|byte| *byte == b'/').any(|part| part == b"node_modules")
}

/// Tells whether a file of JSON is a configuration of TypeScript by its own name or that of its directory.
fn is_config(path: &RepoPath) -> bool {
    let parts = path.as_bytes().rsplit(|byte| *byte == b'/').take(2);
    let mut names = parts.map(String::from_utf8_lossy);
    names.any(|it| {
        ["tsconfig", "jsconfig", "typescript-config"].iter().any(|name| it.contains(name))
    })
}

fn go_module(source: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(source);
    let rest = text.lines().find_map(|line| line.trim().strip_prefix("module "))?;
    let rest = rest.split("//").next().unwrap_or(rest);
    Some(rest.trim().trim_matches('"').to_owned())
}

fn crate_name(source: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(source);
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| *line == "[package]")?;
    let mut section = lines.take_while(|line| !line.starts_with('['));
    let value = section.find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "name").then(|| value.trim().to_owned())
    })?;
    let value = value.strip_prefix('"')?;
    Some(value[..value.find('"')?].replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_in(kind: ManifestKind, source: &[u8]) -> Option<String> {
        match Manifest::read(kind, source) {
            Manifest::Name(name) => Some(name),
            _ => None,
        }
    }

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

    #[test]
    fn configurations_are_known_by_their_place_and_what_is_installed_is_none() {
        let kind = |path: &str| ManifestKind::of_path(&RepoPath::new(path.as_bytes()).unwrap());
        for path in ["tsconfig.json", "a/jsconfig.json", "tsconfig.base.json", "tsconfig/base.json"]
        {
            assert_eq!(kind(path), Some(ManifestKind::TsConfig), "{path}");
        }
        assert_eq!(kind("a/package.json"), Some(ManifestKind::PackageJson));
        for path in ["a/node_modules/b/package.json", "node_modules/tsconfig.json", "a.json"] {
            assert_eq!(kind(path), None, "{path}");
        }
    }

    #[test]
    fn a_manifest_past_its_bounds_says_nothing() {
        let exports: String =
            (0..RULES_MAX).map(|at| format!("\"./{at}\": \"./{at}.js\", ")).collect();
        let read = |more: &str| {
            let source = format!("{{\"exports\": {{{exports}{more}}}}}");
            Manifest::read(ManifestKind::PackageJson, source.as_bytes())
        };
        assert!(matches!(read(""), Manifest::Package(_)));
        assert_eq!(read("\"./more\": \"./more.js\""), Manifest::Nothing);
        assert!(!read("").is_of(ManifestKind::TsConfig));
    }
}
