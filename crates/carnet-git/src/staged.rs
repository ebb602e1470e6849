//! What the next commit would add or change: the index against HEAD.
//!
//! The index is read as git gave it to the hook (`GIT_INDEX_FILE`), and whole directories that the index's
//! own tree cache already knows to equal HEAD's are skipped, as `git commit` itself would reuse them. What
//! gix cannot read (a sparse index, an exotic extension) is asked of `git diff --cached --raw`.
//!
//! Invariant: the answer names the same blobs that `git commit` would write. An index that neither gix nor
//! git can read is an error, never an empty answer.

use carnet_core::{GitOid, RepoPath, RepoPathError};
use gix::index::{Entry, State, entry::Flags, entry::Stage, extension};

use crate::{
    Cause, EntryMode, Head, HeadError, ObjectError, ProgramError, Repo, convert, tree::MAX_DEPTH,
};

/// One path that the next commit would add or change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedEntry {
    /// Its path.
    pub path: RepoPath,
    /// What it will be. Submodules are listed; their id is a commit of another repository.
    pub mode: EntryMode,
    /// The blob that will be committed.
    pub blob_id: GitOid,
}

/// Why it cannot be said what is staged.
#[derive(Debug, thiserror::Error)]
pub enum StagedError {
    /// Paths with an unresolved merge conflict; git will not commit them either.
    #[error("`{}` and {} more have unresolved conflicts", paths[0], paths.len() - 1)]
    Unmerged {
        /// The paths, at least one, sorted.
        paths: Vec<RepoPath>,
    },
    /// HEAD cannot be read.
    #[error("read HEAD")]
    Head(#[source] HeadError),
    /// Neither gix nor git can read the index.
    #[error("read the index: {detail}")]
    Index {
        /// What gix says.
        detail: String,
        /// What git says.
        #[source]
        source: ProgramError,
    },
    /// The index, or git's answer about it, holds a path that is no path.
    #[error("the index holds a hostile path")]
    Path(#[from] RepoPathError),
    /// Git's answer is of a form that carnet does not know.
    #[error("`git diff --cached --raw` answered `{0}`")]
    Answer(String),
}

impl Repo {
    /// Returns the paths that the next commit would add or change, sorted by path.
    ///
    /// Deleted paths and paths only intended to be added (`git add -N`) are not listed: they bring no
    /// content. With an unborn HEAD every staged path is listed.
    ///
    /// # Errors
    ///
    /// [`StagedError::Unmerged`] during a conflicted merge; the others mean that nothing is known, and the
    /// caller must refuse.
    pub fn staged(&self) -> Result<Vec<StagedEntry>, StagedError> {
        match self.staged_by_gix() {
            Ok(entries) => Ok(entries),
            Err(Attempt::Final(err)) => Err(err),
            Err(Attempt::AskGit(detail)) => {
                tracing::debug!(target: "carnet_git", %detail, "asking git what is staged");
                self.staged_by_program(detail)
            }
        }
    }

    fn staged_by_gix(&self) -> Result<Vec<StagedEntry>, Attempt> {
        let index = gix::index::File::at_or_default(
            &self.index_path,
            self.gix.object_hash(),
            false,
            gix::index::decode::Options::default(),
        )
        .map_err(|err| Attempt::AskGit(format!("{err:#}")))?;
        if index.is_sparse() {
            return Err(Attempt::AskGit("the index is sparse".to_owned()));
        }
        refuse_unmerged(&index)?;
        let head_tree = match self.head().map_err(|err| Attempt::Final(StagedError::Head(err)))? {
            Head::Unborn { .. } => None,
            Head::Commit { tree_id, .. } => Some(tree_id),
        };
        let mut comparison = Comparison { repo: self, index: &index, staged: Vec::new() };
        let (entries, cache) = (index.entries(), index.tree());
        match head_tree {
            Some(tree_id) => comparison.directory(entries, 0, &tree_id, cache, 0)?,
            None => comparison.all(entries)?,
        }
        Ok(comparison.staged)
    }

    /// Asks `git diff`, in the environment of the hook.
    fn staged_by_program(&self, detail: String) -> Result<Vec<StagedEntry>, StagedError> {
        const ARGS: [&str; 11] = [
            "diff",
            "--cached",
            "--raw",
            "-z",
            "--no-renames",
            "--no-abbrev",
            "--no-relative",
            "--no-ext-diff",
            "--no-textconv",
            "--ignore-submodules=none",
            "-O/dev/null",
        ];
        let answer =
            self.run_git_as_hook(&ARGS).map_err(|source| StagedError::Index { detail, source })?;
        parse_raw_diff(&answer)
    }
}

/// Why gix's answer is not the answer.
enum Attempt {
    AskGit(String),
    Final(StagedError),
}

impl From<ObjectError> for Attempt {
    fn from(err: ObjectError) -> Attempt {
        Attempt::AskGit(format!("{:#}", Cause::from(err)))
    }
}

impl From<RepoPathError> for Attempt {
    fn from(err: RepoPathError) -> Attempt {
        Attempt::Final(StagedError::Path(err))
    }
}

fn refuse_unmerged(index: &State) -> Result<(), Attempt> {
    let mut paths = Vec::new();
    for entry in index.entries() {
        if entry.stage() != Stage::Unconflicted {
            paths.push(RepoPath::new(entry.path(index).to_vec())?);
        }
    }
    paths.dedup();
    if paths.is_empty() { Ok(()) } else { Err(Attempt::Final(StagedError::Unmerged { paths })) }
}

/// The walk over HEAD's tree and the index side by side.
struct Comparison<'a> {
    repo: &'a Repo,
    index: &'a State,
    staged: Vec<StagedEntry>,
}

impl Comparison<'_> {
    /// Compares the index entries of one directory with HEAD's tree of it.
    ///
    /// - `entries`: exactly those below the directory; `prefix_len`: length of its path with the last `/`.
    /// - `cache`: what the index remembers of the directory.
    fn directory(
        &mut self,
        entries: &[Entry],
        prefix_len: usize,
        tree_id: &GitOid,
        cache: Option<&extension::Tree>,
        depth: usize,
    ) -> Result<(), Attempt> {
        if depth > MAX_DEPTH {
            return Err(Attempt::AskGit("directories nest too deep".to_owned()));
        }
        if cache.is_some_and(|cache| is_unchanged(cache, entries, tree_id)) {
            return Ok(());
        }
        let mut tree = self.repo.tree_entries(tree_id)?;
        // Looked up by name: a malformed tree then shows up as changed paths, never as none.
        tree.sort_by(|a, b| a.1.cmp(&b.1));
        let mut rest = entries;
        while let Some(first) = rest.first() {
            let path = first.path(self.index);
            let below = path.get(prefix_len..).unwrap_or_default();
            let slash = below.iter().position(|byte| *byte == b'/');
            let name = &below[..slash.unwrap_or(below.len())];
            let known = tree.binary_search_by(|entry| entry.1.as_slice().cmp(name)).ok();
            let known = known.map(|found_idx| &tree[found_idx]);
            if slash.is_none() {
                let known = known.and_then(|(mode, _, id)| mode.map(|mode| (mode, *id)));
                self.file(first, known)?;
                rest = &rest[1..];
                continue;
            }
            let directory = &path[..prefix_len + name.len() + 1];
            let n_below =
                rest.partition_point(|entry| entry.path(self.index).starts_with(directory));
            let (group, others) = rest.split_at(n_below.max(1));
            rest = others;
            match known {
                Some((None, _, subtree_id)) => {
                    let cache = cache.and_then(|cache| {
                        cache.children.iter().find(|child| child.name.as_slice() == name)
                    });
                    self.directory(group, directory.len(), subtree_id, cache, depth + 1)?;
                }
                _ => self.all(group)?,
            }
        }
        Ok(())
    }

    fn all(&mut self, entries: &[Entry]) -> Result<(), Attempt> {
        entries.iter().try_for_each(|entry| self.file(entry, None))
    }

    fn file(&mut self, entry: &Entry, known: Option<(EntryMode, GitOid)>) -> Result<(), Attempt> {
        if entry.flags.contains(Flags::INTENT_TO_ADD) {
            return Ok(());
        }
        let mode = EntryMode::from_octal(&format!("{:o}", entry.mode.bits()))
            .ok_or_else(|| Attempt::AskGit("an entry has an unknown mode".to_owned()))?;
        let blob_id = convert::from_gix(&entry.id);
        if known != Some((mode, blob_id)) {
            let path = RepoPath::new(entry.path(self.index).to_vec())?;
            self.staged.push(StagedEntry { path, mode, blob_id });
        }
        Ok(())
    }
}

/// Tells whether the index knows the directory to be the very tree that HEAD has.
fn is_unchanged(cache: &extension::Tree, entries: &[Entry], tree_id: &GitOid) -> bool {
    let n_entries = cache.num_entries.map(|n_entries| n_entries as usize);
    n_entries == Some(entries.len()) && convert::from_gix(&cache.id) == *tree_id
}

/// Reads the NUL-separated raw diff: `:old_mode new_mode old_id new_id status`, then the path.
fn parse_raw_diff(answer: &[u8]) -> Result<Vec<StagedEntry>, StagedError> {
    let unknown = |record: &[u8]| StagedError::Answer(String::from_utf8_lossy(record).into_owned());
    let (mut staged, mut unmerged) = (Vec::new(), Vec::new());
    let mut fields = answer.split(|byte| *byte == 0);
    while let Some(record) = fields.next() {
        if record.is_empty() {
            continue;
        }
        let path = fields.next().ok_or_else(|| unknown(record))?;
        let text = std::str::from_utf8(record).map_err(|_| unknown(record))?;
        let columns: Vec<&str> = text.split(' ').collect();
        let [old_mode, new_mode, _, new_id, status] = columns[..] else {
            return Err(unknown(record));
        };
        if !old_mode.starts_with(':') {
            return Err(unknown(record));
        }
        let path = RepoPath::new(path)?;
        match status {
            "D" => {}
            "U" => unmerged.push(path),
            _ => {
                let mode = EntryMode::from_octal(new_mode).ok_or_else(|| unknown(record))?;
                let blob_id = GitOid::from_hex(new_id).map_err(|_| unknown(record))?;
                staged.push(StagedEntry { path, mode, blob_id });
            }
        }
    }
    if !unmerged.is_empty() {
        unmerged.dedup();
        return Err(StagedError::Unmerged { paths: unmerged });
    }
    Ok(staged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(status: &str, path: &str) -> Vec<u8> {
        let (old, new) = ("a".repeat(40), "b".repeat(40));
        format!(":100644 100755 {old} {new} {status}\0{path}\0").into_bytes()
    }

    #[test]
    fn a_raw_diff_gives_added_and_modified_paths_and_no_deleted_one() {
        let mut answer = record("M", "a b");
        answer.extend(record("D", "gone"));
        answer.extend(record("A", "new\nline"));
        let staged = parse_raw_diff(&answer).unwrap();
        let paths: Vec<_> = staged.iter().map(|entry| entry.path.to_text()).collect();
        assert_eq!(paths, ["a b", "new\nline"]);
        assert_eq!(staged[0].mode, EntryMode::Executable);
    }

    #[test]
    fn an_unmerged_path_in_a_raw_diff_is_an_error() {
        let answer = record("U", "torn");
        assert!(matches!(parse_raw_diff(&answer), Err(StagedError::Unmerged { .. })));
    }

    #[test]
    fn answers_of_another_form_are_errors() {
        for bad in [&b"x\0"[..], b":1 2 3\0p\0", b":100644 100644 a b M\0p\0", b"fatal: no\0p\0"] {
            assert!(parse_raw_diff(bad).is_err(), "{bad:?}");
        }
        assert!(parse_raw_diff(&record("M", "../x")).is_err());
    }
}
