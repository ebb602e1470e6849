//! Caches of lanes: what a run of a lane finds again of what earlier ones fetched and built.
//!
//! One cache belongs to one repository, lane, name and user, and lies in the state directory as *generations*: directories that
//! are made beside, renamed, and never written again. A run has a throw-away layer over the generation that it found, so runs
//! that go on at once see nothing of each other. What it left becomes the next generation only when [`Keeping`] allows it, and
//! when the generation that it found is still the newest: nothing is ever mixed of two runs. A generation names the run that
//! left it, and every passport the generation that was found.
//!
//! Only directories, links and regular files are kept, without set-id bits, of the names that the lane keeps; links are made
//! again and never followed. What would pass the cap empties the cache instead.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, FileTimes, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use carnet_core::{GitOid, LaneName, RunId, passport::CacheUse};
use carnet_policy::LaneCache;
use carnet_sandbox::{
    CacheAfter, CacheMount, OverlayAfter, ServiceAccount, prepare_workspace_owner,
};
use serde::{Deserialize, Serialize};

use crate::{
    collect,
    locked_dir::{Hold, lock, remove_tree, remove_unheld},
};

/// The form of [`Label`] and of what lies beside it.
const FORMAT: &str = "carnet/cache/1";
/// Files and directories of one cache at most.
const ENTRIES_MAX: usize = 400_000;
/// Directories below one another at most.
const DEPTH_MAX: usize = 100;
/// Times that a generation is looked for again because it was replaced meanwhile.
const TRIES_MAX: usize = 32;

/// What is written down beside a generation.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Label {
    format: String,
    run: RunId,
    commit: GitOid,
    size_bytes: u64,
    n_files: usize,
}

/// A cache as a run found it; the generation stays as it is for as long as this value lives.
#[derive(Debug)]
pub struct OpenCache {
    cache: LaneCache,
    dir: PathBuf,
    found: Option<Label>,
    _lock: Option<File>,
}

/// Whether what a run left may be kept, and for whom.
pub struct Keeping<'a> {
    /// The run.
    pub run: RunId,
    /// Its commit.
    pub commit: GitOid,
    /// To whom the files belong, where the caller is root.
    pub account: Option<ServiceAccount>,
    /// Why nothing of this run is kept, as a lowercase fragment; asked only when there is something new.
    pub refusal: &'a dyn Fn() -> Option<String>,
}

/// One cache, for people who ask what is there.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The lane.
    pub lane: String,
    /// The cache's name.
    pub name: String,
    /// The user it belongs to.
    pub uid: u32,
    /// The run that left what is there.
    pub run: RunId,
    /// That run's commit.
    pub commit: GitOid,
    /// Bytes of its files.
    pub size_bytes: u64,
    /// Number of its files.
    pub n_files: usize,
}

/// Opens the lane's caches as they are now.
///
/// # Errors
///
/// What the system said of the directories that they lie in.
pub fn open(
    state_dir: &Path,
    lane: &LaneName,
    caches: &[LaneCache],
    account: Option<ServiceAccount>,
) -> io::Result<Vec<OpenCache>> {
    let uid = account.map_or_else(|| rustix::process::geteuid().as_raw(), |account| account.uid);
    let opened = caches.iter().map(|cache| {
        let dir = root(state_dir).join(lane.as_str()).join(format!("{}.{uid}", cache.name));
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let (found, lock) = newest(&dir)?.unzip();
        Ok(OpenCache { cache: cache.clone(), dir, found, _lock: lock })
    });
    opened.collect()
}

impl OpenCache {
    /// Returns what the sandbox mounts.
    pub fn mount(&self) -> CacheMount {
        let lower = self.found.as_ref().map(|label| tree(&self.dir, label.run));
        CacheMount { name: self.cache.name.clone(), lower }
    }

    fn close(self, left: Option<&CacheAfter>, keeping: &Keeping<'_>) -> CacheUse {
        let outcome = match left {
            None => Err("this machine cannot lay a layer over it".to_owned()),
            Some(left) => self.keep(left, keeping),
        };
        let (kept, reason) = match outcome {
            Ok(()) => (true, "something new was in it".to_owned()),
            Err(reason) => (false, reason),
        };
        CacheUse {
            name: self.cache.name,
            found_of: self.found.as_ref().map(|label| label.run),
            found_bytes: self.found.map_or(0, |label| label.size_bytes),
            kept,
            reason,
        }
    }

    fn keep(&self, left: &CacheAfter, keeping: &Keeping<'_>) -> Result<(), String> {
        let failed = |error: io::Error| format!("it could not be kept: {error}");
        let found = self.found.as_ref().map(|label| tree(&self.dir, label.run));
        let contents = Contents::of(&left.merged(), &self.cache).map_err(failed)?;
        if !contents.has_news(found.as_deref(), &left.changes()) {
            return Err("nothing new was in it".to_owned());
        }
        if let Some(refusal) = (keeping.refusal)() {
            return Err(refusal);
        }
        let _alone = lock(&self.dir.join("all"), Hold::Alone).map_err(failed)?;
        let newest = newest(&self.dir).map_err(failed)?.map(|(label, _)| label.run);
        if newest != self.found.as_ref().map(|label| label.run) {
            return Err("another run had left its own meanwhile".to_owned());
        }
        if let Some(excess) = contents.excess(&self.cache) {
            clear(&self.dir);
            return Err(format!("{excess}; the cache was emptied"));
        }
        let made = contents.make(found.as_deref(), &left.changes(), &self.dir, keeping);
        let made = made.and_then(|()| point_at(&self.dir, keeping.run));
        sweep(&self.dir);
        made.map_err(failed)
    }
}

/// Keeps what a run left in its caches, as far as it may.
///
/// - `left`: the layers as the run left them; `None` where none could be laid.
pub fn close(
    opened: Vec<OpenCache>,
    left: Option<&OverlayAfter>,
    keeping: &Keeping<'_>,
) -> Vec<CacheUse> {
    let uses = opened.into_iter().map(|cache| {
        let own =
            left.and_then(|left| left.caches().iter().find(|it| it.name() == cache.cache.name));
        cache.close(own, keeping)
    });
    uses.collect()
}

/// Lists the caches of a repository, by lane and name.
///
/// # Errors
///
/// What the system said.
pub fn list(state_dir: &Path) -> io::Result<Vec<Listed>> {
    let mut listed = vec![];
    for (lane, name, uid, dir) in directories(state_dir)? {
        if let Some((Label { run, commit, size_bytes, n_files, .. }, _)) = newest(&dir)? {
            listed.push(Listed { lane, name, uid, run, commit, size_bytes, n_files });
        }
    }
    listed.sort_by(|a, b| (&a.lane, &a.name, a.uid).cmp(&(&b.lane, &b.name, b.uid)));
    Ok(listed)
}

/// Empties caches; runs that go on keep what they found. Returns those that were emptied.
///
/// - `lane`, `name`: only these, where given.
///
/// # Errors
///
/// What the system said.
pub fn clear_all(
    state_dir: &Path,
    lane: Option<&str>,
    name: Option<&str>,
) -> io::Result<Vec<Listed>> {
    let mut listed = list(state_dir)?;
    listed.retain(|it| {
        lane.is_none_or(|lane| lane == it.lane) && name.is_none_or(|name| name == it.name)
    });
    for it in &listed {
        let dir = root(state_dir).join(&it.lane).join(format!("{}.{}", it.name, it.uid));
        let _alone = lock(&dir.join("all"), Hold::Alone)?;
        clear(&dir);
    }
    Ok(listed)
}

fn root(state_dir: &Path) -> PathBuf {
    state_dir.join("caches")
}

fn tree(dir: &Path, run: RunId) -> PathBuf {
    dir.join(run.to_string()).join("tree")
}

/// Every cache's lane, name, user and directory.
fn directories(state_dir: &Path) -> io::Result<Vec<(String, String, u32, PathBuf)>> {
    let entries = |dir: &Path| match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(vec![]),
        Err(error) => Err(error),
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>(),
    };
    let last = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut found = vec![];
    for lane in entries(&root(state_dir))? {
        for dir in entries(&lane)? {
            let own = last(&dir);
            let Some((name, uid)) = own.rsplit_once('.') else { continue };
            if let Ok(uid) = uid.parse() {
                found.push((last(&lane), name.to_owned(), uid, dir));
            }
        }
    }
    Ok(found)
}

/// Returns the newest generation, which stays while the lock is held; `None` where there is none.
fn newest(dir: &Path) -> io::Result<Option<(Label, File)>> {
    for _ in 0..TRIES_MAX {
        let run = match fs::read_to_string(dir.join("current")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let Ok(run) = RunId::from_hex(run.trim()) else { return Ok(None) };
        let generation = dir.join(run.to_string());
        let held = lock(&generation, Hold::Shared)?;
        let label = fs::read(generation.join("label.json")).ok();
        let label = label.and_then(|label| serde_json::from_slice::<Label>(&label).ok());
        match label.filter(|label| label.format == FORMAT && label.run == run) {
            Some(label) => return Ok(Some((label, held))),
            // It was replaced between the two looks, or is damaged: then the next run begins with nothing.
            None => drop(held),
        }
    }
    Ok(None)
}

fn point_at(dir: &Path, run: RunId) -> io::Result<()> {
    let beside = dir.join("current.new");
    fs::write(&beside, run.to_string())?;
    fs::rename(beside, dir.join("current"))
}

/// Forgets the newest generation; the caller holds the cache alone.
fn clear(dir: &Path) {
    let _ = fs::remove_file(dir.join("current"));
    sweep(dir);
}

/// Removes every generation but the newest that no run uses; the caller holds the cache alone. What cannot be removed now is
/// tried again when the next one is kept.
fn sweep(dir: &Path) {
    let newest = fs::read_to_string(dir.join("current")).unwrap_or_default();
    let Ok(entries) = fs::read_dir(dir) else { return };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let runs: BTreeSet<String> = names
        .filter_map(|name| Some(name.split('.').next()?.to_owned()))
        .filter(|name| RunId::from_hex(name).is_ok() && name != newest.trim())
        .collect();
    for run in runs {
        remove_unheld(&dir.join(run));
    }
}

/// What a run left in a cache, of what is kept.
struct Contents {
    root: PathBuf,
    files: Vec<Left>,
    size_bytes: u64,
    is_too_many: bool,
}

/// One file or link, by its path below the cache.
struct Left {
    path: PathBuf,
    metadata: fs::Metadata,
}

impl Contents {
    fn of(root: &Path, cache: &LaneCache) -> io::Result<Contents> {
        let keeps = cache.keeps();
        let mut contents =
            Contents { root: root.to_owned(), files: vec![], size_bytes: 0, is_too_many: false };
        let mut n_entries = 0;
        let mut pending = vec![(PathBuf::new(), 0)];
        while let Some((dir, depth)) = pending.pop() {
            for entry in fs::read_dir(root.join(&dir))? {
                let entry = entry?;
                n_entries += 1;
                if n_entries > ENTRIES_MAX {
                    contents.is_too_many = true;
                    return Ok(contents);
                }
                let (path, metadata) = (dir.join(entry.file_name()), entry.metadata()?);
                if metadata.is_dir() {
                    if depth < DEPTH_MAX {
                        pending.push((path, depth + 1));
                    }
                } else if (metadata.is_file() || metadata.is_symlink()) && keeps(&path) {
                    contents.size_bytes = contents.size_bytes.saturating_add(metadata.len());
                    contents.files.push(Left { path, metadata });
                }
            }
        }
        Ok(contents)
    }

    /// Tells whether a file is new, or has another length. Tools touch their locks and databases at every run; that alone is no
    /// reason to keep.
    fn has_news(&self, found: Option<&Path>, changes: &Path) -> bool {
        let Some(found) = found else { return !self.files.is_empty() || self.is_too_many };
        self.is_too_many
            || self.files.iter().any(|file| {
                fs::symlink_metadata(changes.join(&file.path)).is_ok()
                    && fs::symlink_metadata(found.join(&file.path))
                        .map_or(true, |was| was.len() != file.metadata.len())
            })
    }

    fn excess(&self, cache: &LaneCache) -> Option<String> {
        if self.is_too_many {
            return Some(format!("it has more than {ENTRIES_MAX} files"));
        }
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        (self.size_bytes > cache.bytes_max).then(|| {
            format!("{} MiB are above its cap of {}", mib(self.size_bytes), mib(cache.bytes_max))
        })
    }

    /// Makes the next generation beside its place and renames it. What the run did not touch is shared with the one that was
    /// found: neither is ever written.
    fn make(
        &self,
        found: Option<&Path>,
        changes: &Path,
        dir: &Path,
        keeping: &Keeping<'_>,
    ) -> io::Result<()> {
        let generation = dir.join(keeping.run.to_string());
        let building = generation.with_extension("new");
        remove_tree(&building)?;
        let tree = building.join("tree");
        DirBuilder::new().recursive(true).mode(0o711).create(&tree)?;
        fs::set_permissions(&tree, Permissions::from_mode(0o755))?;
        for file in &self.files {
            let place = tree.join(&file.path);
            if let Some(parent) = place.parent() {
                DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
            }
            let was = found.map(|found| found.join(&file.path));
            let is_untouched = fs::symlink_metadata(changes.join(&file.path)).is_err();
            let is_shared =
                is_untouched && was.is_some_and(|was| fs::hard_link(was, &place).is_ok());
            if !is_shared {
                self.copy(file, &place)?;
            }
        }
        if let Some(account) = keeping.account {
            prepare_workspace_owner(&tree, account).map_err(io::Error::other)?;
        }
        let label = Label {
            format: FORMAT.to_owned(),
            run: keeping.run,
            commit: keeping.commit,
            size_bytes: self.size_bytes,
            n_files: self.files.len(),
        };
        fs::write(building.join("label.json"), serde_json::to_vec(&label)?)?;
        // A machine that loses power keeps all of it or nothing.
        rustix::fs::syncfs(File::open(&building)?)?;
        fs::rename(&building, &generation)
    }

    fn copy(&self, file: &Left, place: &Path) -> io::Result<()> {
        let source = self.root.join(&file.path);
        if file.metadata.is_symlink() {
            return symlink(fs::read_link(source)?, place);
        }
        let mode = file.metadata.permissions().mode() & 0o777;
        let mut from = collect::open(&source)?;
        let mut to = File::options().write(true).create_new(true).mode(0o600).open(place)?;
        io::copy(&mut from, &mut to)?;
        to.set_permissions(Permissions::from_mode(mode))?;
        to.set_times(FileTimes::new().set_modified(file.metadata.modified()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation(dir: &Path, byte: u8) -> RunId {
        let run = RunId::from_random([byte; 16]);
        fs::create_dir_all(tree(dir, run)).unwrap();
        let label = Label {
            format: FORMAT.to_owned(),
            run,
            commit: GitOid::from_bytes(&[3; 20]).unwrap(),
            size_bytes: 1,
            n_files: 1,
        };
        let label = serde_json::to_vec(&label).unwrap();
        fs::write(dir.join(run.to_string()).join("label.json"), label).unwrap();
        run
    }

    #[test]
    fn a_generation_in_use_outlives_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        assert!(newest(dir).unwrap().is_none());
        let first = generation(dir, 1);
        point_at(dir, first).unwrap();
        let (_, in_use) = newest(dir).unwrap().unwrap();
        let second = generation(dir, 2);
        point_at(dir, second).unwrap();
        sweep(dir);
        assert!(tree(dir, first).exists() && tree(dir, second).exists());
        drop(in_use);
        sweep(dir);
        assert!(!tree(dir, first).exists() && tree(dir, second).exists());
        assert_eq!(newest(dir).unwrap().unwrap().0.run, second);
        clear(dir);
        assert!(newest(dir).unwrap().is_none() && !tree(dir, second).exists());
    }

    #[test]
    fn a_damaged_generation_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let run = generation(dir, 1);
        point_at(dir, run).unwrap();
        fs::write(dir.join(run.to_string()).join("label.json"), "{}").unwrap();
        assert!(newest(dir).unwrap().is_none());
        fs::write(dir.join("current"), "../../etc").unwrap();
        assert!(newest(dir).unwrap().is_none());
    }
}
