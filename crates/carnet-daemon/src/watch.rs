//! Watches the few directories in which git writes when HEAD moves and, once somebody asks about uncommitted edits, those of
//! the work tree that git does not ignore.
//!
//! Each directory is watched by itself, none with what is below it, and no name or kind of an event is
//! believed: whatever comes, an overflow included, means "compare HEAD now", or "look at the edits". What a watch misses (a branch
//! in a fresh directory, a reflog that is switched off), hints and the regular comparison heal. When the
//! system grants no more watches, there are none, and status says so.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::Arc,
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use crate::{paths::dir_identity, protocol::WatchMode, work::chain};

/// Most directories watched: some four for each worktree.
const DIRS_MAX: usize = 1024;
/// Names that git writes often and that never move HEAD.
const QUIET_NAMES: [&str; 5] = ["index", "COMMIT_EDITMSG", "FETCH_HEAD", "config", "gc.pid"];

/// What is watched, by device and inode: a directory that was made anew needs a new watch.
type Dirs = BTreeMap<PathBuf, (u64, u64)>;

/// The watches of one repository: where git writes when HEAD moves.
pub(crate) struct Watch {
    common_dir: PathBuf,
    watches: Watches,
}

/// The watches of a work tree: none until somebody asks about uncommitted edits.
pub(crate) struct TreeWatch(Watches);

/// Some directories, each watched by itself.
struct Watches {
    stirred: Arc<Notify>,
    is_stir: fn(&notify::Result<notify::Event>) -> bool,
    /// What is done all the same when nothing is watched.
    instead: &'static str,
    /// Why nothing is watched, when that was asked for.
    refused: Option<String>,
    watcher: Option<RecommendedWatcher>,
    watched: Dirs,
}

impl Watch {
    /// Watches nothing yet.
    pub fn new(common_dir: PathBuf, stirred: Arc<Notify>, is_wanted: bool) -> Watch {
        let instead = "HEAD is compared every 30 s";
        Watch { common_dir, watches: Watches::new(stirred, is_stir, instead, is_wanted) }
    }

    /// Watches what is there now and says how it went. Whatever was missed until now is not reported: the
    /// caller looks at HEAD afterwards.
    pub fn sync(&mut self) -> WatchMode {
        self.watches.sync(wanted_dirs(&self.common_dir)).0
    }
}

impl TreeWatch {
    /// Watches nothing yet.
    pub fn new(stirred: Arc<Notify>, is_wanted: bool) -> TreeWatch {
        TreeWatch(Watches::new(stirred, is_edit, "edits are looked for every 30 s", is_wanted))
    }

    /// Watches these directories and no others; says how it went, and whether some were not watched before. What happened in
    /// those is not reported: the caller looks at the edits afterwards.
    pub fn sync(&mut self, dirs: Result<Vec<PathBuf>, String>) -> (WatchMode, bool) {
        match dirs {
            Ok(dirs) => {
                let there = |dir: PathBuf| dir_identity(&dir).map(|identity| (dir, identity));
                self.0.sync(dirs.into_iter().filter_map(there).collect())
            }
            Err(reason) => {
                self.end();
                (WatchMode::Polling { reason }, false)
            }
        }
    }

    /// Watches nothing any more.
    pub fn end(&mut self) {
        self.0.end();
    }
}

impl Watches {
    fn new(
        stirred: Arc<Notify>,
        is_stir: fn(&notify::Result<notify::Event>) -> bool,
        instead: &'static str,
        is_wanted: bool,
    ) -> Watches {
        let refused = (!is_wanted).then(|| "watching is switched off".to_owned());
        Watches { stirred, is_stir, instead, refused, watcher: None, watched: Dirs::new() }
    }

    fn sync(&mut self, wanted: Dirs) -> (WatchMode, bool) {
        if let Some(reason) = &self.refused {
            return (WatchMode::Polling { reason: reason.clone() }, false);
        }
        match self.try_sync(wanted) {
            Ok(has_new) => {
                let n_dirs = u32::try_from(self.watched.len()).unwrap_or(u32::MAX);
                (WatchMode::Watching { n_dirs }, has_new)
            }
            Err(reason) => {
                self.end();
                (WatchMode::Polling { reason }, false)
            }
        }
    }

    fn end(&mut self) {
        self.watcher = None;
        self.watched.clear();
    }

    fn try_sync(&mut self, wanted: Dirs) -> Result<bool, String> {
        let instead = self.instead;
        let describe = |err: &notify::Error| describe(err, instead);
        if self.watcher.is_none() {
            let (stirred, is_stir) = (Arc::clone(&self.stirred), self.is_stir);
            let watcher = notify::recommended_watcher(move |event| {
                if is_stir(&event) {
                    stirred.notify_one();
                }
            });
            self.watcher = Some(watcher.map_err(|err| describe(&err))?);
        }
        let Some(watcher) = &mut self.watcher else { return Ok(false) };
        self.watched.retain(|dir, identity| {
            let is_wanted = wanted.get(dir) == Some(identity);
            if !is_wanted {
                // The system drops the watch of a deleted directory by itself.
                let _ = watcher.unwatch(dir);
            }
            is_wanted
        });
        let mut has_new = false;
        for (dir, identity) in wanted {
            if self.watched.contains_key(&dir) {
                continue;
            }
            match watcher.watch(&dir, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.watched.insert(dir, identity)),
                // It went between the two looks.
                Err(_) if dir_identity(&dir).is_none() => {}
                Err(err) => return Err(describe(&err)),
            }
            has_new = true;
        }
        Ok(has_new)
    }
}

/// The directories that are there: of the repository and of each linked worktree.
fn wanted_dirs(common_dir: &Path) -> Dirs {
    let worktrees = common_dir.join("worktrees");
    let linked = std::fs::read_dir(&worktrees).into_iter().flatten().flatten();
    let git_dirs = std::iter::once(common_dir.to_owned()).chain(linked.map(|entry| entry.path()));
    let dirs = git_dirs.flat_map(|git_dir| {
        let (logs, reftable) = (git_dir.join("logs"), git_dir.join("reftable"));
        [git_dir, logs, reftable]
    });
    let shared = [common_dir.join("refs/heads"), worktrees];
    shared
        .into_iter()
        .chain(dirs)
        .filter_map(|dir| dir_identity(&dir).map(|identity| (dir, identity)))
        .take(DIRS_MAX)
        .collect()
}

/// Tells whether HEAD may have moved. When in doubt it may.
fn is_stir(event: &notify::Result<notify::Event>) -> bool {
    let Ok(event) = event else { return true };
    // We read HEAD ourselves: to hear of it would be to hear of it for ever.
    if matches!(event.kind, EventKind::Access(_)) {
        return false;
    }
    let is_quiet = |path: &PathBuf| {
        let name = path.file_name().unwrap_or(OsStr::new("")).to_string_lossy();
        name.ends_with(".lock") || QUIET_NAMES.contains(&name.as_ref())
    };
    event.need_rescan() || event.paths.is_empty() || !event.paths.iter().all(is_quiet)
}

/// Tells whether a file of the work tree may have changed. When in doubt it may.
fn is_edit(event: &notify::Result<notify::Event>) -> bool {
    !event.as_ref().is_ok_and(|event| matches!(event.kind, EventKind::Access(_)))
}

fn describe(err: &notify::Error, instead: &str) -> String {
    match &err.kind {
        notify::ErrorKind::MaxFilesWatch => raise(instead, "watches", "max_user_watches", 524_288),
        notify::ErrorKind::Io(source) if source.raw_os_error() == Some(emfile()) => {
            raise(instead, "watchers", "max_user_instances", 1024)
        }
        _ => chain(err),
    }
}

/// Says what is short, and what to type.
fn raise(instead: &str, what: &str, setting: &str, value: u32) -> String {
    let command = format!("sudo sysctl fs.inotify.{setting}={value}");
    format!("the system grants no more {what}; {instead}; type `{command}`")
}

fn emfile() -> i32 {
    rustix::io::Errno::MFILE.raw_os_error()
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, CreateKind, Flag};

    use super::*;

    fn event(kind: EventKind, paths: &[&str]) -> notify::Result<notify::Event> {
        let event = notify::Event::new(kind);
        Ok(paths.iter().fold(event, |event, path| event.add_path(PathBuf::from(path))))
    }

    #[test]
    fn only_what_cannot_move_head_is_passed_over() {
        let made = EventKind::Create(CreateKind::Any);
        for path in ["/r/.git/HEAD", "/r/.git/packed-refs", "/r/.git/logs/HEAD", "/r/.git/x"] {
            assert!(is_stir(&event(made, &[path])), "{path}");
        }
        for path in ["/r/.git/index", "/r/.git/HEAD.lock", "/r/.git/COMMIT_EDITMSG"] {
            assert!(!is_stir(&event(made, &[path])), "{path}");
        }
        assert!(is_stir(&event(made, &["/r/.git/HEAD.lock", "/r/.git/HEAD"])));
        assert!(!is_stir(&event(EventKind::Access(AccessKind::Any), &["/r/.git/HEAD"])));
    }

    #[test]
    fn overflows_and_errors_are_stirs() {
        let overflow = notify::Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert!(is_stir(&Ok(overflow)));
        assert!(is_stir(&event(EventKind::Any, &[])));
        assert!(is_stir(&Err(notify::Error::generic("lost"))));
    }

    #[test]
    fn directories_that_come_go_and_come_again_are_followed() {
        let root = tempfile::tempdir().unwrap();
        let common_dir = root.path().to_owned();
        std::fs::create_dir_all(common_dir.join("refs/heads")).unwrap();
        let mut watch = Watch::new(common_dir.clone(), Arc::new(Notify::new()), true);
        let watching = |n_dirs| WatchMode::Watching { n_dirs };
        assert_eq!(watch.sync(), watching(2));
        std::fs::create_dir_all(common_dir.join("worktrees/w/logs")).unwrap();
        assert_eq!(watch.sync(), watching(5));
        let logs = common_dir.join("worktrees/w/logs");
        let before = watch.watches.watched[&logs];
        std::fs::rename(&logs, common_dir.join("old")).unwrap();
        std::fs::create_dir(&logs).unwrap();
        assert_eq!(watch.sync(), watching(5));
        assert_ne!(watch.watches.watched[&logs], before);
        std::fs::remove_dir_all(common_dir.join("worktrees")).unwrap();
        assert_eq!(watch.sync(), watching(2));
    }
}
