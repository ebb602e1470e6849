//! Paths that programs of the host obey when they merely see them: what an agent would plant.
//!
//! They do not come back from a run unasked, and what is git's own never does: neither by its name nor in a directory
//! that git takes for a repository by what lies in it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Names that act wherever they lie, in lower case: the first is git's own.
const NAMES: [&str; 58] = [
    ".git",
    ".gitattributes",
    ".gitconfig",
    ".gitmodules",
    ".hg",
    ".envrc",
    ".direnv",
    ".vscode",
    ".idea",
    ".fleet",
    ".devcontainer",
    ".devcontainer.json",
    ".husky",
    ".lefthook.yml",
    ".pre-commit-config.yaml",
    ".npmrc",
    ".yarnrc",
    ".yarnrc.yml",
    ".pnpmfile.cjs",
    ".pypirc",
    ".mise.toml",
    "mise.toml",
    ".tool-versions",
    ".mcp.json",
    ".claude",
    ".cursor",
    ".bashrc",
    ".bash_profile",
    ".profile",
    ".zshrc",
    ".zshenv",
    ".netrc",
    ".ssh",
    ".hgrc",
    ".zed",
    ".exrc",
    ".vimrc",
    ".nvimrc",
    ".nvim.lua",
    ".dir-locals.el",
    ".gdbinit",
    ".lldbinit",
    ".tmux.conf",
    ".inputrc",
    ".zprofile",
    ".zlogin",
    ".bash_login",
    ".bash_logout",
    ".pam_environment",
    ".pdbrc",
    ".irbrc",
    ".gemini",
    ".codex",
    ".circleci",
    ".gitlab-ci.yml",
    "lefthook.yml",
    ".mise.local.toml",
    "mise.local.toml",
];
/// Names that act below another.
const PAIRS: [(&str, &[&str]); 2] = [
    (".cargo", &["config", "config.toml", "credentials.toml"]),
    (".github", &["workflows", "actions"]),
];

/// Returns the component of a path that a program of the host would obey.
pub fn planted(path: &str) -> Option<&str> {
    let parts: Vec<&str> = path.split('/').collect();
    let acts = |idx: usize| {
        let name = parts[idx].to_ascii_lowercase();
        let pair = PAIRS.iter().find(|(above, _)| *above == name);
        let below = parts.get(idx + 1).map(|below| below.to_ascii_lowercase());
        is_of_git(&name)
            || NAMES.contains(&name.as_str())
            || pair.zip(below).is_some_and(|((_, names), below)| names.contains(&below.as_str()))
    };
    (0..parts.len()).find(|idx| acts(*idx)).map(|idx| parts[idx])
}

/// Tells whether a declared glob asks for what was planted: it names the component, and not git's.
pub fn is_asked(component: &str, globs: &[String]) -> bool {
    !is_of_git(&component.to_ascii_lowercase())
        && globs.iter().any(|glob| glob.split('/').any(|part| part == component))
}

/// `.git` as file systems of other hosts read it as well (`git~1`, a trailing dot or space).
fn is_of_git(name: &str) -> bool {
    let name = name.trim_end_matches([' ', '.']);
    let stream = name.split(':').next().unwrap_or(name);
    stream == ".git" || stream == "git~1"
}

/// The directories of a workspace that git takes for repositories, whatever they are called; each is looked at once.
#[derive(Debug)]
pub struct Nested<'w> {
    workspace: &'w Path,
    seen: BTreeMap<PathBuf, bool>,
}

impl<'w> Nested<'w> {
    /// Nothing is looked at yet.
    pub fn new(workspace: &'w Path) -> Nested<'w> {
        Nested { workspace, seen: BTreeMap::new() }
    }

    /// Tells whether a file lies in such a directory, at any depth.
    pub fn hold(&mut self, path: &Path) -> bool {
        let mut dirs = path.ancestors().skip(1);
        dirs.any(|dir| match self.seen.get(dir) {
            Some(known) => *known,
            None => {
                let is_repository = is_repository(&self.workspace.join(dir));
                self.seen.insert(dir.to_owned(), is_repository);
                is_repository
            }
        })
    }
}

/// As git finds out (`is_git_directory`): a head, and objects and refs there or where `commondir` leads. Letters count
/// the same in either case, since on other hosts they do.
fn is_repository(dir: &Path) -> bool {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let (mut head, mut objects, mut refs, mut elsewhere) = (false, false, false, false);
    for name in entries.map(|entry| entry.file_name().to_ascii_lowercase()) {
        head |= name == "head";
        objects |= name == "objects";
        refs |= name == "refs";
        elsewhere |= name == "commondir";
    }
    head && (elsewhere || (objects && refs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_a_repository_is_told_whatever_that_is_called() {
        let top = tempfile::tempdir().unwrap();
        let make = |path: &str| {
            fs::create_dir_all(top.path().join(path).parent().unwrap()).unwrap();
            fs::write(top.path().join(path), "").unwrap();
        };
        for path in ["bare/HEAD", "bare/objects/x", "bare/refs/x", "a/Head", "a/commondir"] {
            make(path);
        }
        for path in ["docs/HEAD", "docs/objects/x", "b/objects/x", "b/refs/x"] {
            make(path);
        }
        let mut nested = Nested::new(top.path());
        for held in ["bare/config", "bare/hooks/deep/x", "a/x"] {
            assert!(nested.hold(Path::new(held)), "{held}");
        }
        for free in ["docs/HEAD", "b/config", "x", "gone/x"] {
            assert!(!nested.hold(Path::new(free)), "{free}");
        }
    }

    #[test]
    fn what_a_host_would_obey_is_told_by_its_component() {
        let check = |path, expect| assert_eq!(planted(path), expect, "{path}");
        check(".git/hooks/pre-commit", Some(".git"));
        check("a/b/.GIT/config", Some(".GIT"));
        check("a/git~1/config", Some("git~1"));
        check(".git. /config", Some(".git. "));
        check(".envrc", Some(".envrc"));
        check("web/.vscode/tasks.json", Some(".vscode"));
        check(".cargo/config.toml", Some(".cargo"));
        check(".github/workflows/ci.yml", Some(".github"));
        check(".github/CODEOWNERS", None);
        check(".cargo/audit.toml", None);
        check("src/git.rs", None);
        check("dist/app.tar", None);
    }

    #[test]
    fn a_glob_asks_by_name_and_never_for_what_is_gits() {
        let globs = [".vscode/*", "**", ".git/config"].map(str::to_owned);
        assert!(is_asked(".vscode", &globs));
        assert!(!is_asked(".envrc", &globs));
        assert!(!is_asked(".git", &globs));
    }
}
