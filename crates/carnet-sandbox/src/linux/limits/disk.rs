//! How much a run has added to its workspace, where that is a directory of the host and no file system of its own.
//!
//! What was made or changed since the run began is told by the change time, which no program can set; so nothing has
//! to be counted before. The tree is walked when the file system has lost a good part of the quota, and every now
//! and then; never so often that walking takes more than a small part of the time.
//!
//! The tree is hostile: every step is taken from an open directory and follows no link, and nesting has a bound.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use carnet_core::{LimitKind, Quota};
use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat, statvfs},
    io::Errno,
};

/// Directories below one another at most; what is nested deeper counts as more than any quota.
const DEPTH_MAX: usize = 256;
/// Time between two walks that nothing asked for.
const WALK_EVERY: Duration = Duration::from_secs(1);
/// Walking may take one part in this many of the time.
const WALK_SHARE: u32 = 20;
/// A change time is compared with the clock as it was this much earlier: file systems stamp with a coarse clock.
const STAMP_SLACK: Duration = Duration::from_millis(20);

/// The watch over one workspace.
pub(super) struct Disk {
    workspace: PathBuf,
    bytes_max: u64,
    inodes_max: u64,
    /// Since the epoch.
    begun: Duration,
    free_at_begin: Option<(u64, u64)>,
    next_walk: Instant,
    not_before: Instant,
}

/// What was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Added {
    bytes: u64,
    inodes: u64,
    /// Whether a directory could not be read: the run has taken the right away.
    is_hidden: bool,
}

impl Disk {
    pub(super) fn new(quota: &Quota, workspace: &Path) -> Disk {
        let now = Instant::now();
        Disk {
            workspace: workspace.to_owned(),
            bytes_max: quota.disk_bytes,
            inodes_max: quota.inodes(),
            begun: Duration::ZERO,
            free_at_begin: None,
            next_walk: now,
            not_before: now,
        }
    }

    /// Starts the count.
    pub(super) fn begin(&mut self) {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.begun = since_epoch.saturating_sub(STAMP_SLACK);
        self.free_at_begin = free(&self.workspace);
        self.next_walk = Instant::now() + WALK_EVERY;
    }

    /// Looks, and walks where it is time to.
    ///
    /// - `scratch`: bytes and inodes that the run has in memory, which count as well.
    pub(super) fn check(&mut self, scratch: (u64, u64)) -> Option<LimitKind> {
        let now = Instant::now();
        if now < self.not_before || now < self.next_walk && !self.has_shrunk(scratch) {
            return self.judge(Added::default(), scratch);
        }
        let passed = self.walk(scratch);
        let end = Instant::now();
        self.not_before = end + (end - now) * WALK_SHARE;
        self.next_walk = end + WALK_EVERY;
        passed
    }

    /// Looks when nothing runs any longer, and walks only where the file system has lost enough to matter.
    pub(super) fn last_look(&mut self) -> Option<LimitKind> {
        if self.has_shrunk((0, 0)) { self.walk((0, 0)) } else { None }
    }

    /// Tells whether the file system has lost a quarter of the quota since the run began, to whomever.
    fn has_shrunk(&self, scratch: (u64, u64)) -> bool {
        let (bytes, inodes) = self.lost();
        bytes.saturating_add(scratch.0) > self.bytes_max / 4
            || inodes.saturating_add(scratch.1) > self.inodes_max / 4
    }

    /// Bytes and inodes that the file system has lost since the run began, to whomever.
    fn lost(&self) -> (u64, u64) {
        match (self.free_at_begin, free(&self.workspace)) {
            (Some(begin), Some(now)) => {
                (begin.0.saturating_sub(now.0), begin.1.saturating_sub(now.1))
            }
            _ => (u64::MAX, u64::MAX),
        }
    }

    fn walk(&self, scratch: (u64, u64)) -> Option<LimitKind> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut added = Added::default();
        // The workspace itself was there before; where it is gone, so is everything in it.
        if let Ok(root) = openat(CWD, &self.workspace, flags, Mode::empty()) {
            self.directory(&root, 0, &mut added);
        }
        // Behind a directory that cannot be read, what the file system has lost is taken for the run's.
        if added.is_hidden {
            let (bytes, inodes) = self.lost();
            added.bytes = added.bytes.max(bytes);
            added.inodes = added.inodes.max(inodes);
        }
        self.judge(added, scratch)
    }

    fn judge(&self, added: Added, scratch: (u64, u64)) -> Option<LimitKind> {
        if added.bytes.saturating_add(scratch.0) > self.bytes_max {
            Some(LimitKind::Disk)
        } else if added.inodes.saturating_add(scratch.1) > self.inodes_max {
            Some(LimitKind::Inodes)
        } else {
            None
        }
    }

    fn directory(&self, directory: &OwnedFd, depth: usize, added: &mut Added) {
        if depth == DEPTH_MAX {
            added.bytes = u64::MAX;
            return;
        }
        let Ok(entries) = Dir::read_from(directory) else { return };
        for entry in entries.flatten() {
            // Enough is known; a tree that grows while it is read has an end here as well.
            if added.bytes > self.bytes_max || added.inodes > self.inodes_max {
                return;
            }
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(stat) = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let seconds = u64::try_from(stat.st_ctime).unwrap_or(0);
            let nanoseconds = u32::try_from(stat.st_ctime_nsec).unwrap_or(0).min(999_999_999);
            if Duration::new(seconds, nanoseconds) >= self.begun {
                added.inodes += 1;
                let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
                added.bytes = added.bytes.saturating_add(blocks.saturating_mul(512));
            }
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                match openat(directory, name, flags, Mode::empty()) {
                    Ok(inner) => self.directory(&inner, depth + 1, added),
                    // Gone meanwhile, or another thing by now.
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                    Err(_) => added.is_hidden = true,
                }
            }
        }
    }
}

/// Returns the free bytes and inodes of the file system that holds `path`.
fn free(path: &Path) -> Option<(u64, u64)> {
    let stat = statvfs(path).ok()?;
    Some((stat.f_bfree.saturating_mul(stat.f_frsize), stat.f_ffree))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const QUOTA: Quota = Quota {
        cpu_pct: 80,
        memory_bytes: 1 << 30,
        wall_ms: 1_500,
        processes: 64,
        disk_bytes: 1 << 20,
        output_bytes: 1 << 20,
        parallel: 1,
    };

    fn begun(workspace: &Path, before: Duration) -> Disk {
        let mut disk = Disk::new(&QUOTA, workspace);
        disk.begin();
        disk.begun = disk.begun.saturating_sub(before);
        disk
    }

    #[test]
    fn what_was_there_before_is_not_counted_and_what_was_added_is() {
        let workspace = tempfile::tempdir().unwrap();
        fs::create_dir(workspace.path().join("deep")).unwrap();
        fs::write(workspace.path().join("deep/old"), vec![1; 3 << 20]).unwrap();
        // As if the run had begun an hour after that file was written.
        let mut disk = Disk::new(&QUOTA, workspace.path());
        disk.begin();
        disk.begun += Duration::from_secs(3600);
        assert_eq!(disk.walk((0, 0)), None);
        let disk = begun(workspace.path(), Duration::from_secs(3600));
        assert_eq!(disk.walk((0, 0)), Some(LimitKind::Disk));
    }

    #[test]
    fn scratch_counts_with_the_workspace() {
        let workspace = tempfile::tempdir().unwrap();
        let disk = begun(workspace.path(), Duration::ZERO);
        assert_eq!(disk.walk((1 << 20, 0)), None);
        assert_eq!(disk.walk(((1 << 20) + 1, 0)), Some(LimitKind::Disk));
        assert_eq!(disk.walk((0, QUOTA.inodes() + 1)), Some(LimitKind::Inodes));
    }

    #[test]
    fn many_small_files_and_deep_nesting_are_seen_and_links_lead_nowhere() {
        let workspace = tempfile::tempdir().unwrap();
        let disk = begun(workspace.path(), Duration::ZERO);
        std::os::unix::fs::symlink("/usr", workspace.path().join("link")).unwrap();
        assert_eq!(disk.walk((0, 0)), None);
        for file_idx in 0..=QUOTA.inodes() {
            fs::write(workspace.path().join(file_idx.to_string()), "").unwrap();
        }
        assert_eq!(disk.walk((0, 0)), Some(LimitKind::Inodes));

        let nested = tempfile::tempdir().unwrap();
        let disk = begun(nested.path(), Duration::ZERO);
        let mut path = nested.path().to_owned();
        for _ in 0..=DEPTH_MAX {
            path.push("d");
        }
        fs::create_dir_all(path).unwrap();
        assert_eq!(disk.walk((0, 0)), Some(LimitKind::Disk));
    }
}
