//! The files of a tree, and the digest of all of them together.
//!
//! # The tree digest
//!
//! `tree_sha256` names the content of a whole tree without trusting git's own hash. It is SHA-256 over, for
//! every file in the byte order of its full path, three fields (each its length in bytes as a little-endian
//! `u64`, then its bytes):
//!
//! 1. the path, with `/` between components and no leading slash;
//! 2. the mode in octal text: `100644`, `100755`, `120000` or `160000`;
//! 3. the raw 32 bytes of the SHA-256 of the file's bytes; of a symbolic link, of its target; of a
//!    submodule, of its commit id in lowercase hexadecimal text.
//!
//! Directories have no entry of their own, as in git. The empty tree gives the SHA-256 of nothing.

use carnet_core::{Digest, Digester, GitOid, RepoPath};
use gix::objs::{Kind, TreeRefIter, tree::EntryKind};

use crate::{
    ObjectError, Repo, convert,
    objects::{MAX_STRUCTURE_BYTES, corrupt},
};

/// Deepest nesting of directories that is followed.
pub(crate) const MAX_DEPTH: usize = 512;
/// Most entries, files and directories together, that are followed in one tree: a tree that repeats
/// its subtrees can name billions with a few objects.
pub(crate) const MAX_ENTRIES: usize = 2_000_000;
/// Largest blob that a checkout or a tree digest reads, in bytes.
pub(crate) const MAX_BLOB_BYTES: u64 = 4 << 30;

/// What a path in a tree or in the index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryMode {
    /// A regular file, `100644`.
    File,
    /// A regular file that can be executed, `100755`.
    Executable,
    /// A symbolic link, `120000`; its blob is its target.
    Symlink,
    /// A submodule, `160000`; its id names a commit of another repository.
    Submodule,
}

impl EntryMode {
    /// Returns git's octal text.
    pub fn octal(self) -> &'static str {
        match self {
            EntryMode::File => "100644",
            EntryMode::Executable => "100755",
            EntryMode::Symlink => "120000",
            EntryMode::Submodule => "160000",
        }
    }

    /// Reads git's octal text; other permission bits than "executable" are dropped, as git does.
    pub(crate) fn from_octal(text: &str) -> Option<EntryMode> {
        let bits = u32::from_str_radix(text, 8).ok()?;
        match bits & 0o170000 {
            0o100000 if bits & 0o100 != 0 => Some(EntryMode::Executable),
            0o100000 => Some(EntryMode::File),
            0o120000 => Some(EntryMode::Symlink),
            0o160000 => Some(EntryMode::Submodule),
            _ => None,
        }
    }

    /// `None` for a directory.
    pub(crate) fn from_gix(mode: gix::objs::tree::EntryMode) -> Option<EntryMode> {
        match mode.kind() {
            EntryKind::Tree => None,
            EntryKind::Blob => Some(EntryMode::File),
            EntryKind::BlobExecutable => Some(EntryMode::Executable),
            EntryKind::Link => Some(EntryMode::Symlink),
            EntryKind::Commit => Some(EntryMode::Submodule),
        }
    }

    pub(crate) fn to_gix(self) -> EntryKind {
        match self {
            EntryMode::File => EntryKind::Blob,
            EntryMode::Executable => EntryKind::BlobExecutable,
            EntryMode::Symlink => EntryKind::Link,
            EntryMode::Submodule => EntryKind::Commit,
        }
    }
}

/// One file of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Its full path.
    pub path: RepoPath,
    /// What it is.
    pub mode: EntryMode,
    /// Its blob, or a submodule's commit.
    pub id: GitOid,
}

impl Repo {
    /// Returns every file of a tree or of a commit's tree, sorted by path bytes.
    ///
    /// # Errors
    ///
    /// [`ObjectError`] for the first tree that cannot be read, that nests deeper than 512 directories, that
    /// holds a name which is no path (`..`, an empty name, a name with a slash), or once there are more
    /// than two million entries.
    pub fn tree_files(&self, commit_or_tree: &GitOid) -> Result<Vec<TreeEntry>, ObjectError> {
        let tree_id = self.tree_of(commit_or_tree)?;
        let mut files = Vec::new();
        self.collect_files(&tree_id, &mut Vec::new(), 0, &mut 0, &mut files)?;
        // Well-formed trees come out in order; a malformed one must not change what a digest covers.
        if !files.is_sorted_by(|a: &TreeEntry, b| a.path < b.path) {
            files.sort_by(|a, b| a.path.cmp(&b.path));
        }
        Ok(files)
    }

    fn collect_files(
        &self,
        tree_id: &GitOid,
        prefix: &mut Vec<u8>,
        depth: usize,
        n_entries: &mut usize,
        files: &mut Vec<TreeEntry>,
    ) -> Result<(), ObjectError> {
        if depth > MAX_DEPTH {
            return Err(malformed(tree_id, "directories nest too deep"));
        }
        let entries = self.tree_entries(tree_id)?;
        *n_entries += entries.len();
        if *n_entries > MAX_ENTRIES {
            return Err(malformed(tree_id, "the tree has too many entries"));
        }
        for (mode, name, id) in entries {
            let prefix_len = prefix.len();
            prefix.extend_from_slice(&name);
            match mode {
                Some(mode) => {
                    let path = RepoPath::new(prefix.clone()).map_err(|err| {
                        ObjectError::Corrupt { id: *tree_id, source: Box::new(err) }
                    })?;
                    files.push(TreeEntry { path, mode, id });
                }
                None => {
                    prefix.push(b'/');
                    self.collect_files(&id, prefix, depth + 1, n_entries, files)?;
                }
            }
            prefix.truncate(prefix_len);
        }
        Ok(())
    }

    /// The entries of one tree: mode (`None` for a directory), name without slash, id.
    #[expect(
        clippy::type_complexity,
        reason = "three plain columns, used by two walks of this room"
    )]
    pub(crate) fn tree_entries(
        &self,
        tree_id: &GitOid,
    ) -> Result<Vec<(Option<EntryMode>, Vec<u8>, GitOid)>, ObjectError> {
        if convert::to_gix(tree_id).is_empty_tree() {
            return Ok(Vec::new());
        }
        let data = self.read_object(tree_id, Kind::Tree, MAX_STRUCTURE_BYTES)?;
        let mut entries = Vec::new();
        for entry in TreeRefIter::from_bytes(&data, self.gix.object_hash()) {
            let entry = entry.map_err(|err| corrupt(tree_id, err))?;
            if entry.filename.is_empty() || entry.filename.contains(&b'/') {
                return Err(malformed(tree_id, "a name is empty or has a slash"));
            }
            let mode = EntryMode::from_gix(entry.mode);
            entries.push((mode, entry.filename.to_vec(), convert::from_gix(entry.oid)));
        }
        Ok(entries)
    }

    /// Returns the digest of a tree's whole content, as the module's documentation defines it.
    ///
    /// Reads every blob; nothing is written.
    ///
    /// # Errors
    ///
    /// [`ObjectError`] for the first object that cannot be read.
    pub fn tree_digest(&self, commit_or_tree: &GitOid) -> Result<Digest, ObjectError> {
        let mut digester = Digester::new();
        for file in self.tree_files(commit_or_tree)? {
            let content = match file.mode {
                EntryMode::Submodule => submodule_digest(&file.id),
                _ => Digest::of(&self.read_blob(&file.id, MAX_BLOB_BYTES)?),
            };
            add_file(&mut digester, &file.path, file.mode, &content);
        }
        Ok(digester.finish())
    }
}

/// Adds one file to a tree digest.
pub(crate) fn add_file(
    digester: &mut Digester,
    path: &RepoPath,
    mode: EntryMode,
    content: &Digest,
) {
    digester.field(path.as_bytes());
    digester.field(mode.octal().as_bytes());
    digester.field(content.as_bytes());
}

/// What stands for a submodule's content.
pub(crate) fn submodule_digest(commit_id: &GitOid) -> Digest {
    Digest::of(commit_id.to_string().as_bytes())
}

fn malformed(tree_id: &GitOid, what: &str) -> ObjectError {
    ObjectError::Corrupt { id: *tree_id, source: what.into() }
}
