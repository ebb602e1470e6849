//! What is being written is held against a collection that someone else makes meanwhile.
//!
//! `git gc --prune=now` throws away what no ref reached when it looked: an object may be gone before the ref that names it is moved,
//! or after, when the collection looked before. So every object that is written here, or found to be there already, has a second name
//! (a hard link) below `<state>/held/`. When the ref is moved, what is gone is put back, and the second names are taken away, unless a
//! collection still goes on: then [`Repo::heal`] looks again, at the next opening.
//!
//! Refuses nothing: where links cannot be made, objects are as safe as git's own. A `git prune` that is called by itself has no
//! `gc.pid` to be known by; what it takes after the ref was moved is not seen.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use carnet_core::GitOid;
use zlib_rs::{Inflate, InflateFlush, Status};

use crate::{Repo, WriteError, convert, write::WINDOW_BITS};

/// Longest that git itself believes a `gc.pid`.
const GC_HOURS_MAX: u64 = 12;
/// Most second names that are looked at in one healing.
const HEALED_MAX: usize = 100_000;

/// The second names of what one [`Repo`] has written since it last moved a ref.
pub(crate) struct Hold {
    dir: PathBuf,
    /// Locked while this process lives.
    _lock: File,
    ids: BTreeSet<GitOid>,
    /// A ref was moved while a collection went on: the names stay for [`Repo::heal`].
    stays: bool,
}

impl Hold {
    fn create(parent: &Path) -> io::Result<Hold> {
        use std::hash::{BuildHasher as _, RandomState};
        fs::create_dir_all(parent)?;
        let draw = RandomState::new().hash_one(0);
        let dir = parent.join(format!("{}-{draw:016x}", std::process::id()));
        fs::create_dir(&dir)?;
        let lock = File::open(&dir)?;
        lock.lock()?;
        Ok(Hold { dir, _lock: lock, ids: BTreeSet::new(), stays: false })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // What no ref names is no one's loss.
        if !self.stays {
            drop(fs::remove_dir_all(&self.dir));
        }
    }
}

impl Repo {
    /// Writes a loose object under its second name first, whole, and then gives it its place: no half object is ever found there.
    /// Returns the open file; `None` where that cannot be done here, or someone else was faster.
    pub(crate) fn write_held(&self, id: &GitOid, packed: &[u8]) -> io::Result<Option<File>> {
        let mut slot = self.held.borrow_mut();
        let Some(held) = self.hold_of(&mut slot) else { return Ok(None) };
        let second = held.dir.join(id.to_string());
        let made = OpenOptions::new().write(true).create_new(true).mode(0o444).open(&second);
        let Ok(mut file) = made else { return Ok(None) };
        let written = file.write_all(packed);
        let linked = written.map(|()| link_into(&second, &self.loose_path(id)).is_ok());
        match linked {
            Ok(true) => {
                held.ids.insert(*id);
                Ok(Some(file))
            }
            other => {
                drop(fs::remove_file(&second));
                other.map(|_| None)
            }
        }
    }

    /// What holds second names; `None` where there is no place for them.
    fn hold_of<'a>(&self, slot: &'a mut Option<Hold>) -> Option<&'a mut Hold> {
        if slot.is_none() {
            *slot = Hold::create(&self.state_dir().join("held")).ok();
        }
        slot.as_mut()
    }

    /// Gives an object that lies loose here a second name, and the time of now, as git does with what it finds.
    pub(crate) fn hold(&self, id: GitOid) {
        let mut slot = self.held.borrow_mut();
        let Some(held) = self.hold_of(&mut slot) else { return };
        let path = self.loose_path(&id);
        if fs::hard_link(&path, held.dir.join(id.to_string())).is_ok() {
            held.ids.insert(id);
        }
    }

    /// Puts an object back that a collection took; `false` where it has no second name.
    pub(crate) fn put_back(&self, id: &GitOid) -> bool {
        let held = self.held.borrow();
        held.as_ref().is_some_and(|held| {
            held.ids.contains(id) && link_back(&held.dir, id, &self.loose_path(id)).is_ok()
        })
    }

    /// Called when a ref was moved: what it names is there, or is put back.
    pub(crate) fn settle(&self) -> Result<(), WriteError> {
        let mut slot = self.held.borrow_mut();
        let Some(held) = slot.as_mut() else { return Ok(()) };
        let going_on = self.is_being_collected();
        for id in std::mem::take(&mut held.ids) {
            let path = self.loose_path(&id);
            if !path.exists() {
                link_back(&held.dir, &id, &path)
                    .map_err(|source| WriteError::Sync { path: path.clone(), source })?;
                tracing::warn!(target: "carnet_git", %id, "an object was collected while it was written, and is back");
            }
            if !going_on {
                drop(fs::remove_file(held.dir.join(id.to_string())));
            }
        }
        held.stays |= going_on;
        Ok(())
    }

    /// Puts back what a collection took from runs that were recorded while it went on. Cheap when there was none.
    pub fn heal(&self) {
        let Ok(dirs) = fs::read_dir(self.state_dir().join("held")) else { return };
        let going_on = self.is_being_collected();
        let mut budget = HEALED_MAX;
        for dir in dirs.flatten() {
            let dir = dir.path();
            let Ok(lock) = File::open(&dir) else { continue };
            if lock.try_lock().is_err() {
                continue;
            }
            let Ok(names) = fs::read_dir(&dir) else { continue };
            for name in names.flatten().take(budget) {
                budget -= 1;
                let id = name.file_name().to_str().and_then(|hex| GitOid::from_hex(hex).ok());
                let Some(id) = id.filter(|id| id.format() == self.object_format()) else {
                    continue;
                };
                // Who was killed while it wrote left a beginning, and a power loss leaves anything.
                let is_lost = !self.has_object(&id) && self.is_whole(&id, &name.path());
                if is_lost && link_back(&dir, &id, &self.loose_path(&id)).is_err() {
                    return;
                }
            }
            if !going_on && budget > 0 {
                drop(fs::remove_dir_all(&dir));
            }
        }
    }

    /// Tells whether a file holds a loose object of this name, every byte of it.
    fn is_whole(&self, id: &GitOid, path: &Path) -> bool {
        let Ok(packed) = fs::read(path) else { return false };
        let mut hasher = gix::hash::hasher(self.gix.object_hash());
        let (mut inflate, mut piece) = (Inflate::new(true, WINDOW_BITS), vec![0; 1 << 16]);
        let mut rest = packed.as_slice();
        loop {
            let (before_in, before_out) = (inflate.total_in(), inflate.total_out());
            let Ok(status) = inflate.decompress(rest, &mut piece, InflateFlush::NoFlush) else {
                return false;
            };
            let n_read = (inflate.total_in() - before_in) as usize;
            let n_made = (inflate.total_out() - before_out) as usize;
            rest = &rest[n_read..];
            hasher.update(&piece[..n_made]);
            if status == Status::StreamEnd {
                break;
            }
            if n_read + n_made == 0 {
                return false;
            }
        }
        let found = hasher.try_finalize().ok();
        rest.is_empty() && found.is_some_and(|found| convert::from_gix(&found) == *id)
    }

    /// Tells whether a `git gc` goes on, as git itself tells it: by a `gc.pid` that is not too old and names a living process.
    fn is_being_collected(&self) -> bool {
        let path = self.common_dir().join("gc.pid");
        let Ok(meta) = fs::metadata(&path) else { return false };
        let age = meta.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
        if age.is_some_and(|age| age > Duration::from_secs(GC_HOURS_MAX * 3600)) {
            return false;
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        let pid: Option<u32> = text.split(' ').next().and_then(|pid| pid.parse().ok());
        match pid {
            Some(pid) if Path::new("/proc/self").exists() => {
                Path::new(&format!("/proc/{pid}")).exists()
            }
            _ => true,
        }
    }
}

/// Gives a file a second name in a directory of the object store, which is made where it is missing.
fn link_into(from: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(from, path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path.parent().expect("because a loose object lies in a directory"))?;
            fs::hard_link(from, path)
        }
        linked => linked,
    }
}

/// Gives an object its first name again and flushes the directory; its bytes were flushed before.
fn link_back(dir: &Path, id: &GitOid, path: &Path) -> io::Result<()> {
    let parent = path.parent().expect("because a loose object lies in a directory");
    match link_into(&dir.join(id.to_string()), path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => File::open(parent)?.sync_all(),
    }
}
