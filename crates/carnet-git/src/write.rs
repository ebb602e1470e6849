//! Writing blobs, trees and commits as loose objects, and making them durable.
//!
//! What this [`Repo`] wrote is remembered until [`Repo::sync_objects`] has flushed it, and every update of a
//! ref flushes first: a power loss leaves unreachable objects, never a ref that points at nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use carnet_core::{GitOid, RepoPath, Timestamp};
use gix::objs::{Kind, Write as _, WriteTo as _, tree::EntryKind};
use zlib_rs::{Deflate, DeflateFlush, Status};

use crate::{Author, Cause, EntryMode, ProgramError, Repo, checkout::check_name, convert};

/// What git packs loose objects with.
const LOOSE_LEVEL: i32 = 1;
/// The widest window of zlib.
pub(crate) const WINDOW_BITS: u8 = 15;
/// ext4, XFS, btrfs, and tmpfs, which has no disk: see [`Repo::names_go_with_files`].
const JOURNALED: [u64; 4] = [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994];
/// Most files that are kept open until they are flushed; others are opened again.
const OPEN_MAX: usize = 64;
/// Most names of flushed objects that are remembered.
const FLUSHED_MAX: usize = 10_000;
/// An object this old was flushed by whoever wrote it, if ever.
const YOUNG: Duration = Duration::from_secs(60);

/// A loose object that is to be flushed before a ref may name it.
pub(crate) struct Unsynced {
    id: GitOid,
    /// Open on it, after it had its name.
    file: Option<File>,
}

/// Why an object could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The store could not be written: a full disk, a missing permission.
    #[error("write an object below `{}`", objects_dir.display())]
    Store {
        /// The object store.
        objects_dir: PathBuf,
        /// Why.
        #[source]
        source: Cause,
    },
    /// An object could not be flushed to the disk.
    #[error("flush `{}` to the disk", path.display())]
    Sync {
        /// The object's file, or the directory that names it.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Two entries of a tree claim one path, or one lies below a file.
    #[error("two entries claim `{path}`")]
    Conflict {
        /// The path.
        path: RepoPath,
    },
    /// A name that git refuses in a tree, such as `.git`.
    #[error("`{path}` cannot stand in a tree: {detail}")]
    Name {
        /// The path.
        path: String,
        /// Why.
        detail: String,
    },
    /// A commit's author, address or message has a byte that no commit can hold.
    #[error("a commit cannot hold the {field} `{value}`")]
    Commit {
        /// `name`, `email` or `message`.
        field: &'static str,
        /// What was given.
        value: String,
    },
    /// The user's key did not sign a commit.
    #[error("sign a commit with the key that git is set up with")]
    Sign {
        /// What git said.
        #[source]
        source: ProgramError,
    },
    /// An id of the other hash.
    #[error("object id `{id}` is not of this repository's object format")]
    ForeignFormat {
        /// The id.
        id: GitOid,
    },
}

/// What a new tree shall hold: files by full path, and whole existing trees grafted in.
#[derive(Debug, Clone, Default)]
pub struct TreeSpec {
    entries: Vec<(RepoPath, EntryKind, GitOid)>,
}

impl TreeSpec {
    /// Returns a specification of the empty tree.
    pub fn new() -> TreeSpec {
        TreeSpec::default()
    }

    /// Adds a file, link or submodule.
    pub fn file(mut self, path: RepoPath, mode: EntryMode, id: GitOid) -> TreeSpec {
        self.entries.push((path, mode.to_gix(), id));
        self
    }

    /// Adds an existing tree as the directory `path`, unread and unchanged.
    pub fn subtree(mut self, path: RepoPath, tree_id: GitOid) -> TreeSpec {
        self.entries.push((path, EntryKind::Tree, tree_id));
        self
    }
}

/// What a new commit shall hold. Author and committer are the same; times are in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitSpec {
    /// Its tree.
    pub tree: GitOid,
    /// Its parents in order.
    pub parents: Vec<GitOid>,
    /// The message; a final newline is added when it lacks one.
    pub message: String,
    /// Who writes it.
    pub author: Author,
    /// When; git keeps whole seconds.
    pub time: Timestamp,
}

impl Repo {
    /// Writes a blob and returns its name; a blob that lies here loose is not written again.
    ///
    /// # Errors
    ///
    /// [`WriteError::Store`] when the store cannot be written.
    pub fn write_blob(&self, bytes: &[u8]) -> Result<GitOid, WriteError> {
        self.write_object(Kind::Blob, bytes)
    }

    /// Writes a tree with all its directories and returns the name of the root.
    ///
    /// # Errors
    ///
    /// [`WriteError::Conflict`] when two entries claim a path, [`WriteError::Name`] for a name that git
    /// refuses, [`WriteError::Store`] when the store cannot be written.
    pub fn write_tree(&self, spec: &TreeSpec) -> Result<GitOid, WriteError> {
        let mut root = Directory::new();
        for (path, kind, id) in &spec.entries {
            if id.format() != self.object_format() {
                return Err(WriteError::ForeignFormat { id: *id });
            }
            insert(&mut root, path, *kind, *id)?;
        }
        self.write_directory(root)
    }

    /// Returns the name of the empty tree, which a commit that has it writes by itself.
    pub fn empty_tree(&self) -> GitOid {
        convert::from_gix(&gix::ObjectId::empty_tree(self.gix.object_hash()))
    }

    fn write_directory(&self, children: Directory) -> Result<GitOid, WriteError> {
        let mut tree = gix::objs::Tree::empty();
        for (name, child) in children {
            let (kind, id) = match child {
                Node::Leaf(kind, id) => (kind, id),
                Node::Directory(below) => (EntryKind::Tree, self.write_directory(below)?),
            };
            let (mode, oid) = (kind.into(), convert::to_gix(&id));
            tree.entries.push(gix::objs::tree::Entry { mode, filename: name.into(), oid });
        }
        tree.entries.sort();
        let mut bytes = Vec::new();
        tree.write_to(&mut bytes).map_err(|err| self.store_error(Box::new(err)))?;
        self.write_object(Kind::Tree, &bytes)
    }

    /// Writes a commit and returns its name. No ref is touched, no hook is run, nothing is signed.
    ///
    /// # Errors
    ///
    /// [`WriteError::Commit`] for bytes that no commit can hold, [`WriteError::Store`] when the store
    /// cannot be written.
    pub fn write_commit(&self, spec: &CommitSpec) -> Result<GitOid, WriteError> {
        for id in spec.parents.iter().chain([&spec.tree]) {
            if id.format() != self.object_format() {
                return Err(WriteError::ForeignFormat { id: *id });
            }
        }
        let bytes = commit_bytes(spec)?;
        if convert::to_gix(&spec.tree).is_empty_tree() {
            self.write_object(Kind::Tree, b"")?;
        }
        self.write_object(Kind::Commit, &bytes)
    }

    /// Flushes what was written through this [`Repo`], and the directories that name it, to the disk.
    ///
    /// Every update of a ref does this first; call it where an object is acknowledged without a ref.
    ///
    /// # Errors
    ///
    /// [`WriteError::Sync`] for the first file that cannot be flushed: nothing may name these objects then.
    pub fn sync_objects(&self) -> Result<(), WriteError> {
        let unsynced = self.unsynced.borrow();
        // All are on their way before the first is waited for: the others find themselves written by then.
        for file in unsynced.iter().filter_map(|it| it.file.as_ref()) {
            let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
        }
        let mut dirs = BTreeSet::new();
        for Unsynced { id, file } in unsynced.iter() {
            let path = self.loose_path(id);
            let failed = |source| WriteError::Sync { path: path.clone(), source };
            if let Some(file) = file.as_ref().filter(|_| path.exists()) {
                file.sync_all().map_err(failed)?;
                if self.names_go_with_files() {
                    continue;
                }
            } else {
                match File::open(&path) {
                    Ok(file) => file.sync_all().map_err(failed)?,
                    // Someone took it for garbage, or packed it meanwhile, and git flushes packs itself.
                    Err(err) if err.kind() == io::ErrorKind::NotFound => {
                        if self.put_back(id) || self.has_object(id) {
                            continue;
                        }
                        return Err(failed(err));
                    }
                    Err(source) => return Err(failed(source)),
                }
            }
            dirs.extend(path.parent().map(PathBuf::from));
        }
        drop(unsynced);
        if !dirs.is_empty() {
            dirs.insert(self.objects_dir.clone());
        }
        for path in dirs {
            File::open(&path)
                .and_then(|dir| dir.sync_all())
                .map_err(|source| WriteError::Sync { path, source })?;
        }
        let mut flushed = self.flushed.borrow_mut();
        if flushed.len() > FLUSHED_MAX {
            flushed.clear();
        }
        flushed.extend(self.unsynced.borrow_mut().drain(..).map(|it| it.id));
        Ok(())
    }

    /// Tells whether flushing a file flushes the name that it was given before: where a link changes both in one transaction.
    fn names_go_with_files(&self) -> bool {
        *self.names_go_with_files.get_or_init(|| {
            let file_system = rustix::fs::statfs(&self.objects_dir);
            file_system.is_ok_and(|it| JOURNALED.contains(&(it.f_type as u64)))
        })
    }

    pub(crate) fn write_object(&self, kind: Kind, bytes: &[u8]) -> Result<GitOid, WriteError> {
        let failed = |err: gix::Error| self.store_error(convert::cause(err));
        let gix_id =
            gix::objs::compute_hash(self.gix.object_hash(), kind, bytes).map_err(failed)?;
        let id = convert::from_gix(&gix_id);
        // What lies in a pack alone is written all the same: the pack may be thrown away before a ref names the object.
        let path = self.loose_path(&id);
        if let Some(young) = found(&path) {
            // Who writes it just now may not have flushed it yet.
            if young.is_some() && !self.flushed.borrow().contains(&id) {
                self.remember(id, young);
            }
        } else {
            let header = gix::objs::encode::loose_header(kind, bytes.len() as u64);
            let packed = self.packer.borrow_mut().pack(&[&header, bytes]);
            let linked = packed.and_then(|packed| self.write_held(&id, &packed));
            let linked = linked.map_err(|source| self.store_error(Box::new(source)))?;
            if let Some(file) = linked {
                self.remember(id, Some(file));
                return Ok(id);
            }
            // Someone else may have been faster.
            if found(&path).is_none() {
                let store = gix::odb::loose::Store::at(&self.objects_dir, self.gix.object_hash());
                store.write_buf_with_known_id(kind, bytes, gix_id).map_err(failed)?;
            }
            self.remember(id, None);
        }
        self.hold(id);
        Ok(id)
    }

    /// Notes that an object is to be flushed; `file` is open on it.
    pub(crate) fn remember(&self, id: GitOid, file: Option<File>) {
        let mut unsynced = self.unsynced.borrow_mut();
        let file = file.filter(|_| unsynced.len() < OPEN_MAX);
        unsynced.push(Unsynced { id, file });
    }

    pub(crate) fn loose_path(&self, id: &GitOid) -> PathBuf {
        let hex = id.to_string();
        self.objects_dir.join(&hex[..2]).join(&hex[2..])
    }

    fn store_error(&self, source: Cause) -> WriteError {
        WriteError::Store { objects_dir: self.objects_dir.clone(), source }
    }
}

/// Finds a loose object; returns it open where it was written within [`YOUNG`], else makes it young again, as git does.
fn found(path: &Path) -> Option<Option<File>> {
    let file = File::open(path).ok()?;
    let meta = file.metadata().ok()?;
    if meta.len() == 0 {
        // What a power loss left of someone's object that was not flushed: git takes it for the object, and so would we.
        return fs::remove_file(path).err().map(|_| Some(file));
    }
    let now = SystemTime::now();
    let age = meta.created().ok().map(|at| now.duration_since(at).unwrap_or_default());
    if age.is_none_or(|age| age < YOUNG) {
        return Some(Some(file));
    }
    drop(file.set_modified(now));
    Some(None)
}

/// Packs loose objects, one after the other: what a packer needs is made once.
#[derive(Default)]
pub(crate) struct Packer(Option<Deflate>);

impl Packer {
    fn pack(&mut self, parts: &[&[u8]]) -> io::Result<Vec<u8>> {
        let deflate = self.0.get_or_insert_with(|| Deflate::new(LOOSE_LEVEL, true, WINDOW_BITS));
        deflate.reset();
        let n_bytes: usize = parts.iter().map(|part| part.len()).sum();
        let mut packed = vec![0; n_bytes / 2 + 128];
        let mut written = 0;
        for (idx, part) in parts.iter().enumerate() {
            let is_last = idx + 1 == parts.len();
            let flush = if is_last { DeflateFlush::Finish } else { DeflateFlush::NoFlush };
            let mut rest = *part;
            loop {
                if packed.len() - written < 64 {
                    packed.resize(packed.len() * 2, 0);
                }
                let (before_in, before_out) = (deflate.total_in(), deflate.total_out());
                let status = deflate.compress(rest, &mut packed[written..], flush);
                let status = status.map_err(|_| io::Error::other("the object cannot be packed"))?;
                // Both are lengths of slices, or less.
                rest = &rest[(deflate.total_in() - before_in) as usize..];
                written += (deflate.total_out() - before_out) as usize;
                if status == Status::StreamEnd || (!is_last && rest.is_empty()) {
                    break;
                }
            }
        }
        packed.truncate(written);
        Ok(packed)
    }
}

type Directory = BTreeMap<Vec<u8>, Node>;

/// A path component while a tree is put together.
enum Node {
    Leaf(EntryKind, GitOid),
    Directory(Directory),
}

fn insert(
    mut directory: &mut Directory,
    path: &RepoPath,
    kind: EntryKind,
    id: GitOid,
) -> Result<(), WriteError> {
    let conflict = || WriteError::Conflict { path: path.clone() };
    let mut components = path.as_bytes().split(|byte| *byte == b'/').peekable();
    while let Some(name) = components.next() {
        let is_last = components.peek().is_none();
        check_name(name, kind == EntryKind::Link && is_last)
            .map_err(|detail| WriteError::Name { path: path.to_text(), detail })?;
        if is_last {
            let taken = directory.insert(name.to_vec(), Node::Leaf(kind, id)).is_some();
            return if taken { Err(conflict()) } else { Ok(()) };
        }
        let child =
            directory.entry(name.to_vec()).or_insert_with(|| Node::Directory(Directory::new()));
        match child {
            Node::Directory(below) => directory = below,
            Node::Leaf(..) => return Err(conflict()),
        }
    }
    Ok(())
}

/// The bytes of a commit object, as git writes them.
pub(crate) fn commit_bytes(spec: &CommitSpec) -> Result<Vec<u8>, WriteError> {
    let bad = |field, value: &str| WriteError::Commit { field, value: value.to_owned() };
    let Author { name, email } = &spec.author;
    let barred: &[char] = &['<', '>', '\n', '\0'];
    if name.contains(barred) || name.trim() != name {
        return Err(bad("name", name));
    }
    if email.contains(barred) || email.trim() != email {
        return Err(bad("email", email));
    }
    if spec.message.contains('\0') {
        return Err(bad("message", &spec.message.replace('\0', "\\0")));
    }
    let mut text = format!("tree {}\n", spec.tree);
    for parent in &spec.parents {
        text.push_str(&format!("parent {parent}\n"));
    }
    // Git cannot write a time before 1970.
    let who = format!("{name} <{email}> {} +0000", spec.time.as_secs().max(0));
    text.push_str(&format!("author {who}\ncommitter {who}\n\n{}", spec.message));
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text.into_bytes())
}
