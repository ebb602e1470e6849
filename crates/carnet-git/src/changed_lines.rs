//! Which lines of which files differ between two commits, as `git diff` tells it.

use carnet_core::{GitOid, RepoPath};

use crate::{Repo, program::ProgramError};

/// A path, and its changed lines in the newer commit as (first, last), from 1. A deletion touches the line before it.
pub type ChangedLines = (RepoPath, Vec<(u32, u32)>);

/// Options that leave nothing to the configuration: no renames, no helpers, submodules in one line.
const PLAIN: [&str; 7] = [
    "diff",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--submodule=short",
    "--ignore-submodules=dirty",
];

/// Why the differences cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum ChangedLinesError {
    /// The git program failed: one of the commits is not here.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// It answered something that is no list of differences.
    #[error("`git diff` answered what is no list of differences")]
    Answer,
}

impl Repo {
    /// Returns the files that differ between two commits, in git's order.
    ///
    /// # Errors
    ///
    /// [`ChangedLinesError`] when a commit is missing.
    pub fn changed_lines(
        &self,
        old: &GitOid,
        new: &GitOid,
    ) -> Result<Vec<ChangedLines>, ChangedLinesError> {
        let (old, new) = (old.to_string(), new.to_string());
        let raw = self.run_git(&[&PLAIN[..], &["--raw", "-z", &old, &new]].concat(), None)?;
        let patch = self.run_git(&[&PLAIN[..], &["--unified=0", &old, &new]].concat(), None)?;
        let mut files = paths(&raw).ok_or(ChangedLinesError::Answer)?;
        note_lines(&mut files, &patch).ok_or(ChangedLinesError::Answer)?;
        let files = files.into_iter().map(|(path, _, lines)| (path, lines));
        Ok(files.collect())
    }
}

/// A path, how many entries of the patch speak of it, and its changed lines.
type Entry = (RepoPath, usize, Vec<(u32, u32)>);

/// Reads `:MODE MODE ID ID STATUS NUL PATH NUL`; a change of type is a deletion and a creation in the patch.
fn paths(raw: &[u8]) -> Option<Vec<Entry>> {
    let mut fields = raw.split(|byte| *byte == 0);
    let mut entries = vec![];
    while let Some(about) = fields.next().filter(|it| !it.is_empty()) {
        let status = about.rsplit(|byte| *byte == b' ').next()?.first()?;
        let path = RepoPath::new(fields.next()?).ok()?;
        entries.push((path, if *status == b'T' { 2 } else { 1 }, vec![]));
    }
    Some(entries)
}

/// Gives each file the lines of its hunks: the patch names the files in the order of the raw list.
fn note_lines(entries: &mut [Entry], patch: &[u8]) -> Option<()> {
    let (mut at, mut n_left, mut n_content) = (None, 0, 0_u64);
    for line in patch.split(|byte| *byte == b'\n') {
        if n_content > 0 {
            // What a file says is never taken for a header.
            n_content -= u64::from(!line.starts_with(b"\\"));
            continue;
        }
        if line.starts_with(b"diff --git ") {
            if n_left == 0 {
                at = Some(at.map_or(0, |at| at + 1));
                n_left = entries.get(at?)?.1;
            }
            n_left -= 1;
        } else if let Some(hunk) = line.strip_prefix(b"@@ ") {
            let hunk = std::str::from_utf8(hunk.split(|byte| *byte == b'@').next()?).ok()?;
            let (old, new) = hunk.trim().split_once(' ')?;
            let (_, n_old) = range(old.strip_prefix('-')?)?;
            let (first, n_new) = range(new.strip_prefix('+')?)?;
            n_content = u64::from(n_old) + u64::from(n_new);
            let first = first.max(1);
            let last = first.saturating_add(n_new.saturating_sub(1));
            entries.get_mut(at?)?.2.push((first, last));
        }
    }
    Some(())
}

/// Reads `FIRST` or `FIRST,COUNT`.
fn range(text: &str) -> Option<(u32, u32)> {
    let (first, count) = text.split_once(',').unwrap_or((text, "1"));
    Some((first.parse().ok()?, count.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(raw: &str, patch: &str) -> Option<Vec<String>> {
        let mut entries = paths(raw.as_bytes())?;
        note_lines(&mut entries, patch.as_bytes())?;
        let line = |(path, _, lines): &Entry| format!("{path} {lines:?}");
        Some(entries.iter().map(line).collect())
    }

    #[test]
    fn hunks_belong_to_the_file_above_them_and_contents_are_no_headers() {
        let raw =
            ":100644 100644 1 2 M\0a.py\0:100644 120000 1 2 T\0l\0:000000 100644 0 2 A\0new\0";
        let patch = "diff --git a/a.py b/a.py\nindex 1..2 100644\n--- a/a.py\n+++ b/a.py\n@@ -3 +3,2 @@ def f\n-diff --git a/x b/x\n+@@ -9 +9 @@\n+b\n@@ -9,2 +9,0 @@\n-x\n-y\n\\ No newline at end of file\ndiff --git a/l b/l\ndeleted file mode 100644\n@@ -1 +0,0 @@\n-x\ndiff --git a/l b/l\nnew file mode 120000\n@@ -0,0 +1 @@\n+y\n\\ No newline at end of file\ndiff --git a/new b/new\n@@ -0,0 +1,3 @@\n+1\n+2\n+3\n";
        let expected = ["a.py [(3, 4), (9, 9)]", "l [(1, 1), (1, 1)]", "new [(1, 3)]"];
        assert_eq!(lines_of(raw, patch).unwrap(), expected);
        assert_eq!(lines_of("", "").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn an_answer_of_another_form_is_none() {
        assert_eq!(lines_of(":x", ""), None);
        assert_eq!(lines_of("", "diff --git a b\n"), None);
        assert_eq!(lines_of("", "@@ -1 +1 @@\n"), None);
        assert_eq!(lines_of(":1 1 1 1 M\0a\0", "diff --git a b\n@@ -x +1 @@\n"), None);
    }
}
