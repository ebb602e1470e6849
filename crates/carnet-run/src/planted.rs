//! Paths that programs of the host obey when they merely see them: what an agent would plant.
//!
//! They do not come back from a run unasked, and what is git's own never does.

/// Names that act wherever they lie, in lower case: the first is git's own.
const NAMES: [&str; 33] = [
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
];
/// Names that act below another.
const PAIRS: [(&str, &[&str]); 2] =
    [(".cargo", &["config", "config.toml", "credentials.toml"]), (".github", &["workflows"])];

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

#[cfg(test)]
mod tests {
    use super::*;

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
