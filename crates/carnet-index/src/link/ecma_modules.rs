//! Which file a module of JavaScript or TypeScript means: a path, a path that `tsconfig.json` explains, a package of the
//! repository, or a `#name` of the own one.
//!
//! A package that is not in the repository is none, and so is a name that several could have. What a package names and the
//! repository does not hold is built from source: it means that source, where only one file can be it.

mod configs;

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use super::{
    FileIdx, Linker,
    modules::{join, parent},
};
use configs::Effective;

use crate::manifest::{Config, Manifest, ManifestKind, Package, Rule, Target};

/// Endings tried for a module, in the order of the resolvers.
const ENDINGS: [&str; 10] =
    ["", ".ts", ".tsx", ".mts", ".cts", ".d.ts", ".js", ".jsx", ".mjs", ".cjs"];
/// Files that stand for their directory, in the order of the resolvers.
const INDEX_FILES: [&str; 8] = [
    "index.ts",
    "index.tsx",
    "index.mts",
    "index.d.ts",
    "index.js",
    "index.jsx",
    "index.mjs",
    "index.cjs",
];
/// Endings of source that something is built from.
const SOURCE_ENDINGS: [&str; 8] = [".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs"];
/// Endings of what is built.
const BUILT_ENDINGS: [&str; 7] = [".d.ts", ".d.mts", ".d.cts", ".js", ".mjs", ".cjs", ".jsx"];
/// Directories that what is built lies in.
const BUILT_DIRECTORIES: [&str; 16] = [
    "dist",
    "build",
    "lib",
    "out",
    "output",
    "esm",
    "cjs",
    "es",
    "mjs",
    "module",
    "types",
    "typings",
    "_esm",
    "_cjs",
    "_types",
    "dist-types",
];

/// Directories of what tests read: a package there may have the name of one that is installed.
const FIXTURE_DIRECTORIES: [&str; 4] = ["fixtures", "__fixtures__", "testdata", "test-fixtures"];
/// Most `*` of one path that stand for something.
const STARS_MAX: usize = 8;

type Files = HashMap<String, FileIdx>;

/// Several files may be meant.
struct Several;

/// The one file that is meant, or none.
type Found = Result<Option<FileIdx>, Several>;

/// The packages and configurations of one commit.
pub(super) struct EcmaModules {
    /// By directory; `None` where a `package.json` is damaged.
    packages: HashMap<String, Option<Package>>,
    /// Directories of packages by name; `None` where several have the name.
    by_name: HashMap<String, Option<String>>,
    /// By path; `None` where a configuration is damaged.
    configs: HashMap<String, Option<Rc<Config>>>,
    /// The configurations of a directory's files: as many as there are directories.
    near: RefCell<HashMap<String, Rc<[Effective]>>>,
    /// What a name means, by directory and kind of file that asks: as many as the commit has imports.
    known: RefCell<HashMap<(String, bool, String), Option<FileIdx>>>,
}

/// A module that is looked up.
struct Search<'m> {
    files: &'m Files,
    modules: &'m EcmaModules,
    /// Whether JavaScript asks, to which types mean nothing.
    is_javascript: bool,
}

impl EcmaModules {
    pub fn new(linker: &Linker) -> EcmaModules {
        let mut modules = EcmaModules {
            packages: HashMap::new(),
            by_name: HashMap::new(),
            configs: HashMap::new(),
            near: RefCell::default(),
            known: RefCell::default(),
        };
        for (path, manifest) in linker.manifests(ManifestKind::PackageJson) {
            let directory = parent(path).to_owned();
            let package = match manifest {
                Manifest::Package(package) => Some(package.clone()),
                _ => None,
            };
            let is_fixture = directory.split('/').any(|part| FIXTURE_DIRECTORIES.contains(&part));
            let name = package.as_ref().and_then(|package| package.name.clone());
            if let Some(name) = name.filter(|_| !is_fixture) {
                let of_name = modules.by_name.entry(name);
                of_name.and_modify(|it| *it = None).or_insert_with(|| Some(directory.clone()));
            }
            modules.packages.insert(directory, package);
        }
        for (path, manifest) in linker.manifests(ManifestKind::TsConfig) {
            let config = match manifest {
                Manifest::Config(config) => Some(Rc::new(config.clone())),
                _ => None,
            };
            modules.configs.insert(path.to_owned(), config);
        }
        modules
    }

    /// Returns the file of a module as the file at `path` names it.
    pub fn find(&self, files: &Files, path: &str, module: &str) -> Option<FileIdx> {
        let is_javascript = [".js", ".jsx", ".mjs", ".cjs"].iter().any(|it| path.ends_with(it));
        let search = Search { files, modules: self, is_javascript };
        let directory = parent(path);
        if module.starts_with('.') {
            return search.relative(directory, module).ok()?;
        }
        if module.is_empty() {
            return None; // The file itself, which hands on what it has.
        }
        let key = (directory.to_owned(), is_javascript, module.to_owned());
        if let Some(found) = self.known.borrow().get(&key) {
            return *found;
        }
        let found = search.named(directory, module).ok().flatten();
        self.known.borrow_mut().insert(key, found);
        found
    }

    /// Returns the package that a file belongs to.
    fn own_package(&self, directory: &str) -> Option<(&str, &Package)> {
        let at = outward(directory).find_map(|at| self.packages.get_key_value(at))?;
        Some((at.0, at.1.as_ref()?))
    }

    /// Splits `@scope/name/path` into the directory of the package of that name and the rest.
    fn package_of<'n>(&self, directory: &str, module: &'n str) -> Option<(&str, &'n str)> {
        let n_parts = if module.starts_with('@') { 2 } else { 1 };
        let end = module.match_indices('/').nth(n_parts - 1).map_or(module.len(), |(at, _)| at);
        let (name, rest) = (&module[..end], module[end..].trim_start_matches('/'));
        let own = self.own_package(directory).filter(|it| it.1.name.as_deref() == Some(name));
        let found = own.map(|(directory, _)| directory);
        Some((found.or_else(|| self.by_name.get(name)?.as_deref())?, rest))
    }
}

impl Search<'_> {
    fn relative(&self, directory: &str, module: &str) -> Found {
        let Some(path) = within(directory, module) else { return Ok(None) };
        match module.rsplit('/').next() {
            Some("" | "." | "..") => self.directory(&path),
            _ => self.load(&path),
        }
    }

    fn named(&self, directory: &str, module: &str) -> Found {
        if let Some(file) = self.configured(directory, module)? {
            return Ok(Some(file));
        }
        if !module.starts_with('#') {
            return self.in_packages(directory, module);
        }
        let Some((package_dir, package)) = self.modules.own_package(directory) else {
            return Ok(None);
        };
        let Some((rule, star)) = best(&package.imports, module) else { return Ok(None) };
        for target in self.seen(&rule.targets) {
            let path = target.path.replacen('*', star, STARS_MAX);
            let found = match path.starts_with('.') {
                true => self.in_package(package_dir, &path)?,
                false => self.in_packages(directory, &path)?,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// `name`, `@scope/name`, either with a path below it.
    fn in_packages(&self, directory: &str, module: &str) -> Found {
        let Some((package_dir, rest)) = self.modules.package_of(directory, module) else {
            return Ok(None);
        };
        let Some(Some(package)) = self.modules.packages.get(package_dir) else { return Ok(None) };
        let is_whole = rest.is_empty();
        let found = match &package.exports {
            Some(exports) => {
                let subpath = if is_whole { ".".to_owned() } else { format!("./{rest}") };
                let Some((rule, star)) = best(exports, &subpath) else { return Ok(None) };
                if rule.targets.is_empty() {
                    return Ok(None);
                }
                self.first(package_dir, &rule.targets, star)?
            }
            None if is_whole => self.first(package_dir, &package.entries, "")?,
            None => self.in_package(package_dir, rest)?,
        };
        match found {
            None if is_whole => self.main_source(package_dir),
            found => Ok(found),
        }
    }

    /// Returns what the first of a package's paths means that means anything.
    fn first(&self, package_dir: &str, targets: &[Target], star: &str) -> Found {
        for target in self.seen(targets) {
            let found =
                self.in_package(package_dir, &target.path.replacen('*', star, STARS_MAX))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn seen<'t>(&self, targets: &'t [Target]) -> impl Iterator<Item = &'t Target> {
        let is_javascript = self.is_javascript;
        targets.iter().filter(move |target| !(is_javascript && target.is_types))
    }

    /// Returns the file of a path in a package, or the one that it is built from.
    fn in_package(&self, package_dir: &str, path: &str) -> Found {
        let Some(path) = within("", path) else { return Ok(None) };
        match self.file(&join(package_dir, &path)) {
            Some(file) => Ok(Some(file)),
            None => self.built_from(package_dir, &path),
        }
    }

    fn built_from(&self, package_dir: &str, path: &str) -> Found {
        let stem = BUILT_ENDINGS.iter().find_map(|ending| path.strip_suffix(ending));
        let mut rest = stem.unwrap_or(path);
        let mut stems = Vec::new();
        loop {
            for inner in [join("src", rest), rest.to_owned()] {
                stems
                    .extend([join(package_dir, &inner), join(package_dir, &join(&inner, "index"))]);
            }
            match rest.split_once('/') {
                Some((head, tail)) if BUILT_DIRECTORIES.contains(&head) => rest = tail,
                _ => return self.only_source(&stems),
            }
        }
    }

    /// Returns where a package begins that does not say it, or names something built.
    fn main_source(&self, package_dir: &str) -> Found {
        self.only_source(&["src/index", "index"].map(|stem| join(package_dir, stem)))
    }

    fn only_source(&self, stems: &[String]) -> Found {
        let paths = stems.iter().flat_map(|it| SOURCE_ENDINGS.map(|end| format!("{it}{end}")));
        one(paths.filter_map(|path| self.files.get(&path).copied()).collect())
    }

    /// Returns the file of a path without a doubt about its place.
    fn load(&self, path: &str) -> Found {
        match self.file(path) {
            Some(file) => Ok(Some(file)),
            None => self.directory(path),
        }
    }

    fn file(&self, path: &str) -> Option<FileIdx> {
        let of_stem = |stem: &str| {
            let mut paths = ENDINGS.iter().map(|ending| format!("{stem}{ending}"));
            paths.find_map(|path| self.files.get(&path).copied())
        };
        // `./x.js` in TypeScript means `./x.ts`, unless there is such a file.
        let stem = [".js", ".jsx", ".mjs", ".cjs"].iter().find_map(|end| path.strip_suffix(end));
        of_stem(path).or_else(|| of_stem(stem?))
    }

    fn directory(&self, path: &str) -> Found {
        if let Some(Some(package)) = self.modules.packages.get(path)
            && let Some(file) = self.first(path, &package.entries, "")?
        {
            return Ok(Some(file));
        }
        let mut paths = INDEX_FILES.iter().map(|name| join(path, name));
        Ok(paths.find_map(|path| self.files.get(&path).copied()))
    }
}

/// Returns the rule that a name falls under: itself, or the longest pattern; and what its `*` stands for.
fn best<'r, 'n>(rules: &'r [Rule], name: &'n str) -> Option<(&'r Rule, &'n str)> {
    if let Some(rule) = rules.iter().find(|rule| rule.pattern == name) {
        return Some((rule, ""));
    }
    let matches = rules.iter().filter_map(|rule| {
        let (before, after) = rule.pattern.split_once('*')?;
        let star = name.strip_prefix(before)?.strip_suffix(after)?;
        Some((before.len(), rule, star))
    });
    let found = matches.max_by_key(|(n_before, rule, _)| (*n_before, rule.pattern.len()));
    found.map(|(_, rule, star)| (rule, star))
}

/// Returns the one of several that may be the same.
fn one(mut found: Vec<FileIdx>) -> Found {
    found.sort_unstable();
    found.dedup();
    match found[..] {
        [] => Ok(None),
        [file] => Ok(Some(file)),
        _ => Err(Several),
    }
}

/// Returns where a relative path leads from a directory; `None` outside of the repository.
fn within(directory: &str, path: &str) -> Option<String> {
    if path.starts_with('/') {
        return None;
    }
    let mut place = directory.to_owned();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if place.is_empty() => return None,
            ".." => place = parent(&place).to_owned(),
            part => place = join(&place, part),
        }
    }
    Some(place)
}

/// Returns a directory and those above it, the innermost first and the top last.
fn outward(directory: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(directory), |at| (!at.is_empty()).then(|| parent(at)))
}
