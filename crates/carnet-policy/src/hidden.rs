//! Which files no run of a lane may see.
//!
//! One meaning for all who ask: a checkout leaves these files out, and `{path}` does not match their names.
//! Invariant: what lies below a hidden directory is hidden.

use std::{
    path::{Component, Path, PathBuf},
    sync::OnceLock,
};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Hidden in every lane.
pub(crate) const ALWAYS_HIDDEN: [&str; 4] = [".env*", "secrets/**", "*.pem", "*.key"];

/// The hidden files of a lane, by their globs.
#[derive(Debug, Default)]
pub struct HiddenFiles {
    globs: Vec<String>,
    /// Compiled when first asked: most decisions never are.
    set: OnceLock<Option<GlobSet>>,
}

impl HiddenFiles {
    /// Takes globs: at any depth, or from the top where they begin with `/`; `*` stops at `/`, `**` does not. One that is
    /// no glob hides everything.
    pub fn new(globs: Vec<String>) -> HiddenFiles {
        HiddenFiles { globs, set: OnceLock::new() }
    }

    /// Returns the globs, the ones always hidden first.
    pub fn globs(&self) -> &[String] {
        &self.globs
    }

    /// Tells whether nothing of what the path names can be seen: it is hidden itself, or all that is directly below it.
    pub(crate) fn hides_whole(&self, path: &str) -> bool {
        self.hides(path) || self.hides(Path::new(path).join("-"))
    }

    /// Tells whether the file, or a directory above it, is hidden.
    ///
    /// - `path`: inside the repository; `.` components are passed over.
    pub fn hides(&self, path: impl AsRef<Path>) -> bool {
        if self.globs.is_empty() {
            return false;
        }
        let set = self.set.get_or_init(|| compile(&self.globs));
        // Globs that do not compile were refused when they were read; were one not, everything is hidden.
        let Some(set) = set else { return true };
        let components = path.as_ref().components();
        let path: PathBuf = components.filter(|it| !matches!(it, Component::CurDir)).collect();
        path.ancestors().any(|path| set.is_match(path))
    }
}

/// Says what is wrong with a glob, as a lowercase fragment.
pub(crate) fn check_glob(glob: &str) -> Result<(), String> {
    compile_one(glob).map(drop).map_err(|error| format!("no glob: {}", error.kind()))
}

fn compile(globs: &[String]) -> Option<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        set.add(compile_one(glob).ok()?);
    }
    set.build().ok()
}

fn compile_one(glob: &str) -> Result<globset::Glob, globset::Error> {
    let anchored = match glob.strip_prefix('/') {
        Some(from_top) => from_top.to_owned(),
        None => format!("**/{glob}"),
    };
    GlobBuilder::new(&anchored).literal_separator(true).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(glob: &str, yes: &[&str], no: &[&str]) {
        let hidden = HiddenFiles::new(vec![glob.to_owned()]);
        for path in yes {
            assert!(hidden.hides(path), "{glob} should hide {path}");
        }
        for path in no {
            assert!(!hidden.hides(path), "{glob} should not hide {path}");
        }
    }

    #[test]
    fn what_is_always_hidden_is_so_at_any_depth() {
        check(
            ".env*",
            &[".env", ".env.local", "a/b/.envrc", "./.env", ".env.d/x"],
            &["env", "a.env"],
        );
        check(
            "secrets/**",
            &["secrets/a", "x/secrets/y/z"],
            &["secrets", "src/secrets.rs", "mysecrets/a"],
        );
        check("*.pem", &["a.pem", "tls/a.pem", "x.pem/y"], &["a.pem.txt", "pem"]);
        check("*.key", &["id.key", "a/b.key"], &["keys", "a.keys"]);
    }

    #[test]
    fn a_leading_slash_means_the_top() {
        check("/private/*", &["private/a", "private/a/b"], &["x/private/a", "private"]);
    }

    #[test]
    fn a_directory_of_hidden_files_alone_cannot_be_named() {
        let hidden = HiddenFiles::new(ALWAYS_HIDDEN.map(str::to_owned).to_vec());
        for path in ["secrets", "./secrets/", "a/secrets", ".env", "a.key"] {
            assert!(hidden.hides_whole(path), "{path}");
        }
        for path in ["src", "mysecrets", "secrets.md", "."] {
            assert!(!hidden.hides_whole(path), "{path}");
        }
    }

    #[test]
    fn no_globs_hide_nothing() {
        assert!(!HiddenFiles::default().hides(".env"));
    }
}
