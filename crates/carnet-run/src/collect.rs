//! The export gate: what comes back from a workspace.
//!
//! Only regular files that a declared glob names leave, without set-id bits; links, devices and
//! everything else stay behind and are named with the reason. All processes of the run are dead by then, so
//! nothing changes underneath.

use std::{
    fs::{self, File},
    io,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

use carnet_core::{RepoPath, passport::Withheld};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::planted::{Nested, is_asked, planted};

/// The most outputs that one run may have.
pub const OUTPUTS_MAX: usize = 10_000;

/// One output, where it lies in the workspace.
pub struct Output {
    /// Path relative to the workspace.
    pub path: RepoPath,
    /// The file; nothing changes it any more.
    pub file: PathBuf,
    /// Whether its owner may execute it.
    pub executable: bool,
}

/// What was collected and what was left behind.
#[derive(Default)]
pub struct Collected {
    /// Sorted by path.
    pub outputs: Vec<Output>,
    /// Sorted by name.
    pub withheld: Vec<Withheld>,
}

/// A declared output is no glob.
#[derive(Debug, thiserror::Error)]
#[error("output `{glob}` is not a glob relative to the workspace")]
pub struct GlobError {
    /// As it was given.
    pub glob: String,
    /// What is wrong with it.
    #[source]
    pub source: Option<globset::Error>,
}

/// The declared outputs, compiled.
#[derive(Debug)]
pub struct Outputs {
    globs: Vec<String>,
    set: GlobSet,
}

impl Outputs {
    /// Compiles globs; `*` and `?` do not cross `/`, `**` does.
    ///
    /// # Errors
    ///
    /// [`GlobError`] for a malformed glob, an absolute one, or one with `..`.
    pub fn compile(globs: &[String]) -> Result<Outputs, GlobError> {
        let mut set = GlobSetBuilder::new();
        for glob in globs {
            let leaves = glob.starts_with('/') || glob.split('/').any(|part| part == "..");
            if leaves || glob.is_empty() {
                return Err(GlobError { glob: glob.clone(), source: None });
            }
            let wrap = |source| GlobError { glob: glob.clone(), source: Some(source) };
            set.add(GlobBuilder::new(glob).literal_separator(true).build().map_err(wrap)?);
        }
        let wrap = |source| GlobError { glob: globs.join(", "), source: Some(source) };
        Ok(Outputs { globs: globs.to_vec(), set: set.build().map_err(wrap)? })
    }

    /// Returns the directories that the globs lead into, none below another: what lies elsewhere is not looked at.
    fn roots(&self) -> Vec<PathBuf> {
        let literal = |part: &&str| !part.contains(['*', '?', '[', ']', '{', '}', '\\']);
        let root = |glob: &String| {
            let above = glob.rsplit_once('/').map_or("", |(above, _)| above);
            above.split('/').take_while(literal).filter(|part| *part != ".").collect::<PathBuf>()
        };
        let mut roots: Vec<PathBuf> = self.globs.iter().map(root).collect();
        roots.sort();
        roots.dedup_by(|below, above| below.starts_with(above));
        roots
    }
}

/// Collects what `outputs` names from `workspace`.
///
/// # Errors
///
/// What the system said when a directory or a file could not be read.
pub fn collect(workspace: &Path, outputs: &Outputs) -> io::Result<Collected> {
    let mut collected = Collected::default();
    if outputs.globs.is_empty() {
        return Ok(collected);
    }
    let mut matched = vec![false; outputs.globs.len()];
    let mut nested = Nested::new(workspace);
    let mut pending = outputs.roots();
    pending.retain(|root| is_within(workspace, root));
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(workspace.join(&dir))? {
            let entry = entry?;
            let relative = dir.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                pending.push(relative);
                continue;
            }
            let hits = outputs.set.matches(&relative);
            if !hits.is_empty() {
                hits.into_iter().for_each(|glob_idx| matched[glob_idx] = true);
                let is_nested = nested.hold(&relative);
                collected.take(workspace, &relative, &outputs.globs, is_nested)?;
            }
        }
    }
    let unmatched = outputs.globs.iter().zip(matched).filter(|(_, matched)| !matched);
    collected.withheld.extend(unmatched.map(|(glob, _)| withheld(glob, "no file matches")));
    collected.outputs.sort_by(|a, b| a.path.cmp(&b.path));
    collected.withheld.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(collected)
}

/// Names what stays behind, and why.
pub(crate) fn withheld(name: &str, reason: &str) -> Withheld {
    Withheld { name: name.to_owned(), reason: reason.to_owned() }
}

/// Tells whether every part of a path is a directory of the workspace: no link leads out of it.
fn is_within(workspace: &Path, root: &Path) -> bool {
    let mut parts = root.ancestors().filter(|part| !part.as_os_str().is_empty());
    parts.all(|part| fs::symlink_metadata(workspace.join(part)).is_ok_and(|found| found.is_dir()))
}

impl Collected {
    fn take(
        &mut self,
        workspace: &Path,
        relative: &Path,
        globs: &[String],
        is_nested: bool,
    ) -> io::Result<()> {
        let name = relative.to_string_lossy().into_owned();
        let meta = fs::symlink_metadata(workspace.join(relative))?;
        let unasked = planted(&name).filter(|component| !is_asked(component, globs));
        let unasked = unasked.map(|component| format!("programs of the host obey `{component}`"));
        let refusal = if unasked.is_some() {
            unasked.as_deref()
        } else if is_nested {
            Some("in a repository inside the workspace")
        } else if !meta.is_file() {
            Some("not a regular file")
        } else if meta.mode() & 0o6000 != 0 {
            Some("has a set-id bit")
        } else if self.outputs.len() == OUTPUTS_MAX {
            Some("one of more than 10,000 outputs")
        } else {
            None
        };
        let path = RepoPath::new(relative.as_os_str().as_bytes());
        match (refusal, path) {
            (Some(reason), _) => self.withheld.push(withheld(&name, reason)),
            (None, Err(error)) => self.withheld.push(withheld(&name, &error.to_string())),
            (None, Ok(path)) => {
                let (file, executable) = (workspace.join(relative), meta.mode() & 0o100 != 0);
                self.outputs.push(Output { path, file, executable });
            }
        }
        Ok(())
    }
}

/// Opens a file without following a link and without waiting on a FIFO.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    File::options().read(true).custom_flags(flags).open(path)
}

/// Guesses a media type from a file name; `application/octet-stream` when nothing is known.
pub fn media_type(path: &RepoPath) -> &'static str {
    let name = path.file_name();
    let extension = name.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    match extension {
        b"txt" | b"log" | b"md" => "text/plain",
        b"html" => "text/html",
        b"csv" => "text/csv",
        b"json" | b"sarif" => "application/json",
        b"xml" => "application/xml",
        b"svg" => "image/svg+xml",
        b"png" => "image/png",
        b"pdf" => "application/pdf",
        b"tar" => "application/x-tar",
        b"gz" | b"tgz" => "application/gzip",
        b"zip" | b"whl" => "application/zip",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn workspace() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("dist/deep")).unwrap();
        fs::write(dir.path().join("dist/b.txt"), "b").unwrap();
        fs::write(dir.path().join("dist/a.tar"), "a").unwrap();
        fs::write(dir.path().join("dist/deep/c"), "c").unwrap();
        dir
    }

    fn run(workspace: &Path, globs: &[&str]) -> (Vec<String>, Vec<String>) {
        let globs: Vec<_> = globs.iter().map(|glob| (*glob).to_owned()).collect();
        let collected = collect(workspace, &Outputs::compile(&globs).unwrap()).unwrap();
        let outputs = collected.outputs.iter().map(|output| output.path.to_text()).collect();
        let withheld = collected.withheld.iter().map(|it| format!("{}: {}", it.name, it.reason));
        (outputs, withheld.collect())
    }

    #[test]
    fn a_star_stays_in_its_directory_and_two_stars_do_not() {
        let dir = workspace();
        assert_eq!(run(dir.path(), &["dist/*"]).0, ["dist/a.tar", "dist/b.txt"]);
        assert_eq!(run(dir.path(), &["dist/**"]).0, ["dist/a.tar", "dist/b.txt", "dist/deep/c"]);
        assert!(run(dir.path(), &[]).0.is_empty());
    }

    #[test]
    fn links_and_set_id_files_stay_behind_and_are_named() {
        let dir = workspace();
        symlink("/etc/passwd", dir.path().join("dist/link")).unwrap();
        let set_id = dir.path().join("dist/b.txt");
        fs::set_permissions(&set_id, fs::Permissions::from_mode(0o4755)).unwrap();
        let (outputs, withheld) = run(dir.path(), &["dist/*", "missing/*"]);
        assert_eq!(outputs, ["dist/a.tar"]);
        assert_eq!(
            withheld,
            [
                "dist/b.txt: has a set-id bit",
                "dist/link: not a regular file",
                "missing/*: no file matches"
            ]
        );
    }

    #[test]
    fn a_linked_directory_is_not_entered() {
        let dir = workspace();
        symlink("/etc", dir.path().join("dist/etc")).unwrap();
        let (outputs, withheld) = run(dir.path(), &["dist/etc/*", "dist/etc"]);
        assert!(outputs.is_empty());
        assert_eq!(withheld, ["dist/etc: not a regular file", "dist/etc/*: no file matches"]);
    }

    #[test]
    fn what_was_planted_for_the_host_stays_behind_unless_it_is_asked_for() {
        let dir = workspace();
        fs::create_dir_all(dir.path().join("dist/.git/hooks")).unwrap();
        fs::write(dir.path().join("dist/.git/hooks/pre-commit"), "x").unwrap();
        fs::write(dir.path().join("dist/.envrc"), "x").unwrap();
        let (outputs, withheld) = run(dir.path(), &["dist/**"]);
        assert_eq!(outputs, ["dist/a.tar", "dist/b.txt", "dist/deep/c"]);
        assert_eq!(
            withheld,
            [
                "dist/.envrc: programs of the host obey `.envrc`",
                "dist/.git/hooks/pre-commit: programs of the host obey `.git`"
            ]
        );
        assert_eq!(run(dir.path(), &["dist/.envrc"]).0, ["dist/.envrc"]);
        assert!(run(dir.path(), &["dist/.git/hooks/*"]).0.is_empty());
    }

    #[test]
    fn only_where_a_glob_leads_is_looked() {
        let roots = |globs: &[&str]| {
            let globs: Vec<_> = globs.iter().map(|glob| (*glob).to_owned()).collect();
            let roots = Outputs::compile(&globs).unwrap().roots();
            roots.iter().map(|root| root.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(roots(&["dist/*", "dist/deep/*", "out/a?/b", "./x/y"]), ["dist", "out", "x"]);
        assert_eq!(roots(&["*.txt", "dist/*"]), [""]);
        // A link in a directory's place leads nowhere.
        let dir = workspace();
        symlink("/etc", dir.path().join("linked")).unwrap();
        assert!(run(dir.path(), &["linked/pass*"]).0.is_empty());
    }

    #[test]
    fn globs_that_leave_the_workspace_are_refused() {
        for glob in ["/etc/*", "../x", "a/../../b", "", "a[", "a/.."] {
            assert!(Outputs::compile(&[glob.to_owned()]).is_err(), "{glob:?}");
        }
    }
}
