//! One group of one run: made below `carnet`, locked for as long as its supervisor lives, gone after it.
//!
//! Whoever makes a group first sweeps away those whose supervisor has died, with all that is left in them. A lock on
//! `carnet` itself keeps a sweep and a beginning apart.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::{
    fs::{AtFlags, Dir, Mode, OFlags, mkdirat, openat, unlinkat},
    io::Errno,
    process::{Pid, Signal, kill_process},
};

use super::{files::has_word, place::Controller};
use crate::linux::procfs;

/// The only name that carnet gives to a group outside of its own.
const OWN: &str = "carnet";
/// Names of one process tried for a group, and beginnings tried against sweeps at the same moment.
const TRIES_MAX: usize = 64;
/// Processes that are ended one by one in a v1 group that was left behind.
const LEFT_MAX: usize = 1 << 16;
/// Abandoned groups that one beginning removes.
const SWEPT_MAX: usize = 1024;
/// How a group is opened: itself, never what a link names.
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A group with the tree of one run in it.
#[derive(Debug)]
pub(super) struct Group {
    dir: PathBuf,
    _lock: File,
}

impl Group {
    /// Makes a group below `parent`, one whose children get `controllers`: the group gets them too.
    ///
    /// # Errors
    ///
    /// What the system said; nothing is left behind.
    pub fn make(parent: &Path, controllers: &[Controller]) -> io::Result<Group> {
        let own = parent.join(OWN);
        let mut last = io::Error::from(io::ErrorKind::Interrupted);
        for _ in 0..TRIES_MAX {
            match Group::try_make(&own, controllers) {
                // The last run below `carnet` has taken it away in this moment.
                Err(error) if error.kind() == io::ErrorKind::NotFound => last = error,
                made => return made,
            }
        }
        Err(last)
    }

    fn try_make(own: &Path, controllers: &[Controller]) -> io::Result<Group> {
        match fs::create_dir(own) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let gate = File::open(own)?;
        gate.lock()?;
        sweep(&gate);
        let made = enable(own, controllers).and_then(|()| add(own, &gate));
        if made.is_err() {
            let _ = fs::remove_dir(own);
        }
        made
    }

    /// Returns its directory.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Writes one of the group's files.
    pub fn write(&self, file: &str, value: &str) -> io::Result<()> {
        write(&self.dir, file, value)
    }

    /// Writes one of the group's files where the kernel has it.
    pub fn write_if_there(&self, file: &str, value: &str) -> io::Result<()> {
        match self.write(file, value) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            written => written,
        }
    }

    /// Reads one of the group's files.
    pub fn read(&self, file: &str) -> Option<String> {
        procfs::read(self.dir.join(file))
    }

    /// Moves a process into the group; what it starts from now on is in it as well.
    pub fn take(&self, pid: i32) -> io::Result<()> {
        self.write("cgroup.procs", &pid.to_string())
    }

    /// Ends everything in the group, where the kernel does that with one word.
    pub fn kill(&self) {
        let _ = self.write("cgroup.kill", "1");
    }
}

impl Drop for Group {
    /// Removes the group, and `carnet` after its last one.
    fn drop(&mut self) {
        self.kill();
        if fs::remove_dir(&self.dir).is_ok()
            && let Some(own) = self.dir.parent()
        {
            let _ = fs::remove_dir(own);
        }
    }
}

/// Writes without ever making a file: the files of a group are the kernel's.
fn write(dir: &Path, file: &str, value: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(dir.join(file))?.write_all(value.as_bytes())
}

/// Gives the controllers on to the groups below `own`, which holds no process.
fn enable(own: &Path, controllers: &[Controller]) -> io::Result<()> {
    let given = fs::read_to_string(own.join("cgroup.subtree_control")).unwrap_or_default();
    for controller in controllers.iter().filter(|it| !has_word(&given, it.name())) {
        write(own, "cgroup.subtree_control", &format!("+{}", controller.name()))?;
    }
    Ok(())
}

/// - `gate`: `own`, opened and locked: where that was taken away meanwhile, nothing is made in its successor.
fn add(own: &Path, gate: &File) -> io::Result<Group> {
    static N_MADE: AtomicU64 = AtomicU64::new(0);
    for _ in 0..TRIES_MAX {
        let name = format!("run-{}-{}", std::process::id(), N_MADE.fetch_add(1, Ordering::Relaxed));
        match mkdirat(gate, &name, Mode::from_raw_mode(0o755)) {
            Ok(()) => {
                let lock = File::from(openat(gate, &name, DIRECTORY, Mode::empty())?);
                lock.lock()?;
                return Ok(Group { dir: own.join(name), _lock: lock });
            }
            // A process of the same number in another pid namespace.
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Removes every group whose supervisor has died.
///
/// - `gate`: `carnet`, opened and locked. Nothing is looked up by path: where that directory was taken away meanwhile,
///   its successor has a lock of its own, and a group that is just being made there.
fn sweep(gate: &File) {
    let Ok(entries) = Dir::read_from(gate) else { return };
    for entry in entries.flatten().take(SWEPT_MAX) {
        let name = entry.file_name();
        if !name.to_bytes().starts_with(b"run-") {
            continue;
        }
        let Ok(dir) = openat(gate, name, DIRECTORY, Mode::empty()).map(File::from) else {
            continue;
        };
        if dir.try_lock().is_err() {
            continue;
        }
        if write_at(&dir, "cgroup.kill", "1").is_err() {
            for pid in processes(&dir) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        // Where something is still ending, the next run removes it.
        let _ = unlinkat(gate, name, AtFlags::REMOVEDIR);
    }
}

fn write_at(dir: &File, file: &str, value: &str) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    File::from(openat(dir, file, flags, Mode::empty())?).write_all(value.as_bytes())
}

fn processes(dir: &File) -> Vec<Pid> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(file) = openat(dir, "cgroup.procs", flags, Mode::empty()) else { return Vec::new() };
    let text = io::read_to_string(File::from(file)).unwrap_or_default();
    let pids = text.lines().filter_map(|line| Pid::from_raw(line.trim().parse().ok()?));
    pids.filter(|pid| pid.as_raw_nonzero().get() > 1).take(LEFT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_without_a_living_supervisor_is_swept_and_others_are_kept() {
        // Plain directories behave as groups do, but for the kernel's files in them.
        let parent = tempfile::tempdir().unwrap();
        let first = Group::make(parent.path(), &[]).unwrap();
        let own = parent.path().join(OWN);
        let abandoned = own.join("run-1-0");
        fs::create_dir(&abandoned).unwrap();
        let foreign = own.join("someone");
        fs::create_dir(&foreign).unwrap();
        let second = Group::make(parent.path(), &[]).unwrap();
        assert!(first.dir.exists() && second.dir.exists() && foreign.exists());
        assert!(!abandoned.exists());
        fs::remove_dir(&foreign).unwrap();
        drop(first);
        assert!(own.exists());
        drop(second);
        assert!(!own.exists(), "the last one takes `carnet` with it");
    }

    #[test]
    fn beginnings_and_ends_at_once_never_meet() {
        let parent = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let group = Group::make(parent.path(), &[]).unwrap();
                        assert!(group.dir.is_dir());
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_controller_that_is_not_given_leaves_nothing_behind() {
        let parent = tempfile::tempdir().unwrap();
        assert!(Group::make(parent.path(), &[Controller::Cpu]).is_err());
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
