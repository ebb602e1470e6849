//! Which file or directory a module's name means.
//!
//! Every answer is one place or none: where the rules of the language leave a choice that only a build
//! tool could make, nothing is answered.

use std::{cell::RefCell, collections::HashMap};

use carnet_parse::Language;

use crate::{
    link::{FileIdx, Linker, ecma_modules::EcmaModules},
    manifest::ManifestKind,
};

/// Directories below which packages commonly lie, beside the importing file's own ancestors.
const PYTHON_ROOTS: [&str; 4] = ["src", "lib", "python", "source"];
/// Where a Rust file stands: its crate's directory and its own module path, joined by `.`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RustModule {
    pub crate_dir: String,
    pub path: String,
}

/// The modules of one commit.
pub(crate) struct Modules {
    paths: Vec<String>,
    by_path: HashMap<String, FileIdx>,
    rust: Vec<Option<RustModule>>,
    rust_crates: HashMap<String, Option<String>>,
    go_modules: Vec<(String, String)>,
    ecma: EcmaModules,
    /// Java files by their own name, without the directories.
    java: HashMap<String, Vec<FileIdx>>,
    /// What each file's names of modules were found to mean; as many as there are imports and paths in calls.
    answers: RefCell<Vec<HashMap<String, Option<FileIdx>>>>,
}

impl Modules {
    pub fn new(linker: &Linker) -> Modules {
        let paths: Vec<String> =
            linker.files.iter().map(|file| linker.strings.text(file.path).into_owned()).collect();
        let by_path: HashMap<String, FileIdx> =
            paths.iter().enumerate().map(|(idx, path)| (path.clone(), idx as FileIdx)).collect();
        let rust = linker.files.iter().zip(&paths).map(|(file, path)| {
            (file.language == Language::Rust).then(|| rust_module(path, &by_path)).flatten()
        });
        let rust = rust.collect();
        let mut rust_crates: HashMap<String, Option<String>> = HashMap::new();
        for (dir, name) in linker.named(ManifestKind::CargoToml) {
            let dir = join(dir, "src");
            let known = rust_crates.entry(name.to_owned()).or_insert_with(|| Some(dir.clone()));
            if known.as_ref() != Some(&dir) {
                *known = None; // Two crates of one name: only cargo knows which is meant.
            }
        }
        let go_modules = linker.named(ManifestKind::GoMod);
        let go_modules = go_modules.map(|(dir, name)| (name.to_owned(), dir.to_owned())).collect();
        let mut java: HashMap<String, Vec<FileIdx>> = HashMap::new();
        for (idx, (file, path)) in linker.files.iter().zip(&paths).enumerate() {
            if file.language == Language::Java {
                let name = path.rsplit('/').next().unwrap_or(path);
                java.entry(name.to_owned()).or_default().push(idx as FileIdx);
            }
        }
        let ecma = EcmaModules::new(linker);
        let answers = RefCell::new(vec![HashMap::new(); paths.len()]);
        Modules { paths, by_path, rust, rust_crates, go_modules, ecma, java, answers }
    }

    /// Returns the directory of a file, empty at the top.
    pub fn directory_of(&self, file: FileIdx) -> &str {
        self.paths[file as usize].rsplit_once('/').map_or("", |(directory, _)| directory)
    }

    /// Returns where a Rust file stands in its crate.
    pub fn rust_module(&self, file: FileIdx) -> Option<&RustModule> {
        self.rust[file as usize].as_ref()
    }

    /// Returns the source directory of the crate that `use` knows by `name`.
    pub fn rust_crate(&self, name: &str) -> Option<&str> {
        self.rust_crates.get(name)?.as_deref()
    }

    /// Returns the directory of a Go package by its import path.
    pub fn go_package(&self, import_path: &str) -> Option<String> {
        let of_module = |(name, dir): &(String, String)| {
            let rest = import_path.strip_prefix(name.as_str())?;
            let rest = if rest.is_empty() { "" } else { rest.strip_prefix('/')? };
            Some((name.len(), join(dir, rest)))
        };
        let found = self.go_modules.iter().filter_map(of_module).max();
        found.map(|(_, directory)| directory)
    }

    /// Returns the file of a Java type by its full name, and the type's path in it: `a.b.Outer.Inner` may be `Outer.Inner`
    /// of `a/b/Outer.java`.
    pub fn java(&self, full_name: &str) -> Option<(FileIdx, String)> {
        let mut outer = full_name;
        loop {
            let path = format!("{}.java", outer.replace('.', "/"));
            let name = path.rsplit('/').next().unwrap_or(&path);
            let ends_so = |file: &&FileIdx| {
                let rest = self.paths[**file as usize].strip_suffix(path.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
            };
            let mut found = self.java.get(name).into_iter().flatten().filter(ends_so);
            match (found.next(), found.next()) {
                (Some(_), Some(_)) => return None, // Two source roots: only the build tool knows which.
                (Some(file), None) => {
                    let package =
                        outer.rsplit_once('.').map_or(0, |(package, _)| package.len() + 1);
                    return Some((*file, full_name[package..].to_owned()));
                }
                _ => outer = outer.rsplit_once('.')?.0,
            }
        }
    }

    /// Returns the Java file of the type `name` in the package that `file` lies in.
    pub fn java_beside(&self, file: FileIdx, name: &str) -> Option<FileIdx> {
        self.by_path.get(&join(self.directory_of(file), &format!("{name}.java"))).copied()
    }

    /// Tells whether a C or C++ file is read into others.
    pub fn is_header(&self, file: FileIdx) -> bool {
        let name = &self.paths[file as usize];
        let sources = ["c", "cc", "cpp", "cxx", "c++", "C"];
        name.rsplit_once('.').is_none_or(|(_, ending)| !sources.contains(&ending))
    }

    /// Returns the file of a Python module as `file` names it: `pkg.mod`, `.mod`, `..`.
    pub fn python(&self, file: FileIdx, module: &str) -> Option<FileIdx> {
        self.once(file, module, || self.find_python(file, module))
    }

    fn find_python(&self, file: FileIdx, module: &str) -> Option<FileIdx> {
        let name = module.trim_start_matches('.');
        let n_dots = module.len() - name.len();
        let relative = name.replace('.', "/");
        let mut directory = self.directory_of(file);
        if n_dots > 0 {
            for _ in 1..n_dots {
                if directory.is_empty() {
                    return None;
                }
                directory = parent(directory);
            }
            return self.python_file(&join(directory, &relative));
        }
        let mut found = Vec::new();
        loop {
            let below = PYTHON_ROOTS.iter().map(|root| join(directory, root));
            for root in std::iter::once(directory.to_owned()).chain(below) {
                if !self.by_path.contains_key(&join(&root, "__init__.py")) {
                    found.extend(self.python_file(&join(&root, &relative)));
                }
            }
            if directory.is_empty() {
                break;
            }
            directory = parent(directory);
        }
        found.dedup();
        (found.len() == 1).then(|| found[0])
    }

    fn python_file(&self, stem: &str) -> Option<FileIdx> {
        let file = self.by_path.get(&format!("{stem}.py"));
        let package = self.by_path.get(&join(stem, "__init__.py"));
        match (file, package) {
            (Some(_), Some(_)) => None,
            (file, package) => file.or(package).copied(),
        }
    }

    /// Returns the file of a JavaScript or TypeScript module as `file` names it.
    pub fn ecma(&self, file: FileIdx, module: &str) -> Option<FileIdx> {
        let find = || self.ecma.find(&self.by_path, &self.paths[file as usize], module);
        self.once(file, module, find).filter(|found| *found != file)
    }

    fn once(
        &self,
        file: FileIdx,
        module: &str,
        find: impl FnOnce() -> Option<FileIdx>,
    ) -> Option<FileIdx> {
        if let Some(known) = self.answers.borrow()[file as usize].get(module) {
            return *known;
        }
        let found = find();
        self.answers.borrow_mut()[file as usize].insert(module.to_owned(), found);
        found
    }
}

/// Finds the crate of a Rust file: the nearest directory above it with a `lib.rs` or `main.rs`.
fn rust_module(path: &str, by_path: &HashMap<String, FileIdx>) -> Option<RustModule> {
    let stem = path.strip_suffix(".rs")?;
    let mut directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    loop {
        let is_root =
            ["lib.rs", "main.rs"].iter().any(|name| by_path.contains_key(&join(directory, name)));
        if is_root {
            let inner = stem.strip_prefix(directory)?.trim_start_matches('/');
            let inner = match inner {
                "lib" | "main" => "",
                inner => inner.strip_suffix("/mod").unwrap_or(inner),
            };
            return Some(RustModule {
                crate_dir: directory.to_owned(),
                path: inner.replace('/', "."),
            });
        }
        if directory.is_empty() {
            return outside_of_crates(stem);
        }
        directory = parent(directory);
    }
}

/// Says where a test, an example or a benchmark stands: each may be a crate, and use the others as modules.
fn outside_of_crates(stem: &str) -> Option<RustModule> {
    let parts: Vec<&str> = stem.split('/').collect();
    let at = parts.iter().rposition(|part| ["tests", "examples", "benches"].contains(part))?;
    let inner = parts.get(at + 1..).filter(|inner| !inner.is_empty());
    let (crate_dir, inner) = match inner {
        Some(inner) => (parts[..=at].join("/"), inner.join(".")),
        None => (parts[..at].join("/"), String::new()),
    };
    let path = match inner.as_str() {
        "tests" => "",
        inner => inner.strip_suffix(".mod").unwrap_or(inner),
    };
    Some(RustModule { crate_dir, path: path.to_owned() })
}

/// Returns the directory of a path, empty at the top.
pub(crate) fn directory(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(b"", |slash| &path[..slash])
}

pub(super) fn parent(directory: &str) -> &str {
    directory.rsplit_once('/').map_or("", |(parent, _)| parent)
}

pub(super) fn join(directory: &str, name: &str) -> String {
    match (directory, name) {
        ("", name) => name.to_owned(),
        (directory, "") => directory.to_owned(),
        (directory, name) => format!("{directory}/{name}"),
    }
}
