//! Limits without cgroups: rlimits on each process, and a look at the whole tree every few milliseconds.
//!
//! Memory is the sum of resident sets while that is below the quota, since it is never too low; above it the
//! proportional sets decide, so that shared pages count once. Pages of `/tmp` and `/dev/shm` are added, and once the
//! machine's files in memory have grown by a quarter of the quota, those that processes hold without a name (memfds).
//! Not seen: memory of pipes and of sockets, and files on their way through one; the receipt says partial for that.
//! Above its share of the processors the tree is stopped for a moment: frozen where a group can be, else by signals.

use std::{
    collections::BTreeMap,
    io,
    os::fd::OwnedFd,
    path::PathBuf,
    time::{Duration, Instant},
};

use carnet_core::{Enforcement, EnforcementLevel, LimitKind, Quota};
use rustix::{
    fs::{CWD, Mode, OFlags, StatVfs, fstatvfs, openat},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use super::{Limits, TreeUsage, cgroup::Tree, disk::Disk, item, processors, throttle::Throttle};
use crate::linux::{
    overlay,
    procfs::{self, Proportional},
    sys,
    wire::ProcessLimit,
};

/// Time between two looks while the tree is small.
const INTERVAL_MIN: Duration = Duration::from_millis(20);
/// The same while memory grows so fast that two more steps of the kind would pass the quota.
const INTERVAL_HASTY: Duration = Duration::from_millis(5);
/// Time between two looks at most: a kill comes no later than 150 ms after the limit was passed.
const INTERVAL_MAX: Duration = Duration::from_millis(100);
/// Time for which a tree is stopped at once, at most: a supervisor that is late lets it starve no longer.
const HELD_MAX: Duration = Duration::from_secs(1);
/// A look may take one part in this many of the time.
const LOOK_SHARE: u32 = 20;
/// Processes looked at; far above any quota's reach, since the kernel refuses to fork earlier.
const WALK_MAX: usize = 1 << 16;
/// Walks in which those are stopped that were forked during the one before.
const STOPS_MAX: usize = 4;
/// Descriptors of one process.
const DESCRIPTORS_MAX: u64 = 4096;

/// Which limits are held by looking, because nothing else holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Duties {
    pub cpu: bool,
    pub memory: bool,
    pub processes: bool,
}

/// The backend.
pub(super) struct Polling {
    /// What is to be held.
    pub duties: Duties,
    /// A group that counts and freezes, where there is one.
    pub tree: Option<Tree>,
    quota: Quota,
    /// Whether RLIMIT_NPROC counts per user namespace (since Linux 5.14), so that only this run is counted.
    counts_processes: bool,
    init: i32,
    scratch: Vec<OwnedFd>,
    page_bytes: u64,
    /// Memory at the look before, and at the last one.
    memory_bytes: (u64, u64),
    /// What the whole machine had in memory files before.
    shared_before: u64,
    /// The watch over the workspace; `None` where that and `/tmp` share a bounded file system.
    disk: Option<Disk>,
    seen: TreeUsage,
    interval: Duration,
    throttle: Throttle,
    held: Hold,
    /// When time was booked last, and the tree's processor time then.
    booked: (Instant, Duration),
}

/// Returns the time until the next look, after one that cost so much.
fn interval_after(cost: Duration, is_hasty: bool) -> Duration {
    let min = if is_hasty { INTERVAL_HASTY } else { INTERVAL_MIN };
    (cost * LOOK_SHARE).clamp(min, INTERVAL_MAX)
}

/// Tells whether memory that grew from the first to the second would pass `quota` by growing as much twice more.
fn is_near((before, now): (u64, u64), quota: u64) -> bool {
    let grown = now.saturating_sub(before);
    grown > 0 && now.saturating_add(grown.saturating_mul(2)) > quota
}

/// Whether the tree is stopped.
enum Hold {
    /// It runs.
    No,
    /// It is frozen until then.
    Frozen { until: Instant },
    /// These were stopped until then.
    Stopped { until: Instant, processes: Vec<OwnedFd> },
}

impl Polling {
    pub(super) fn new(quota: Quota, counts_processes: bool, disk: Option<Disk>) -> Polling {
        Polling {
            duties: Duties { cpu: true, memory: true, processes: true },
            tree: None,
            quota,
            counts_processes,
            init: 0,
            scratch: Vec::new(),
            page_bytes: sys::page_bytes(),
            memory_bytes: (0, 0),
            shared_before: machine_shared_bytes(),
            disk,
            seen: TreeUsage::default(),
            interval: INTERVAL_MIN,
            throttle: Throttle::new(quota.cpu_pct, processors()),
            held: Hold::No,
            booked: (Instant::now(), Duration::ZERO),
        }
    }

    /// `/tmp` and shared memory, as they are now.
    fn scratch(&self) -> Vec<StatVfs> {
        self.scratch.iter().filter_map(|directory| fstatvfs(directory).ok()).collect()
    }

    /// Looks at the disk. What lies in shared memory is memory only; `/tmp` is disk as well.
    fn look_at_disk(&mut self, scratch: &[StatVfs]) -> Option<LimitKind> {
        let tmp = scratch.first()?;
        match &mut self.disk {
            Some(disk) => disk.check((used_bytes(tmp), tmp.f_files - tmp.f_ffree.min(tmp.f_files))),
            None if tmp.f_bfree == 0 => Some(LimitKind::Disk),
            None if tmp.f_ffree == 0 => Some(LimitKind::Inodes),
            None => None,
        }
    }

    fn look(&mut self) -> Option<LimitKind> {
        let scratch = self.scratch();
        let passed = self.look_at_disk(&scratch);
        let needs_tree =
            self.duties.memory || self.duties.processes || self.duties.cpu && self.tree.is_none();
        if !needs_tree {
            self.hold_share(None);
            return passed;
        }
        let tree = walk(self.init);
        let memory_bytes = self.memory_bytes(&tree, scratch.iter().map(used_bytes).sum());
        let n_threads: u64 =
            tree.iter().skip(1).map(|process| u64::from(process.stat.n_threads)).sum();
        let (user_ms, system_ms) = times_ms(&tree);
        let (memory_peak_bytes, processes_peak) = (memory_bytes, n_threads);
        let now = TreeUsage {
            user_ms,
            system_ms,
            memory_peak_bytes,
            processes_peak,
            ..TreeUsage::default()
        };
        self.seen = self.seen.max(now);
        self.memory_bytes = (self.memory_bytes.1, memory_bytes);
        self.hold_share(Some(Duration::from_millis(user_ms + system_ms)));
        if self.duties.memory && memory_bytes > self.quota.memory_bytes {
            Some(LimitKind::Memory)
        } else if self.duties.processes && n_threads > u64::from(self.quota.processes) {
            Some(LimitKind::Processes)
        } else {
            passed
        }
    }

    fn memory_bytes(&self, tree: &[Process], scratch_bytes: u64) -> u64 {
        let resident = tree.iter().map(|process| process.stat.resident_pages * self.page_bytes);
        let resident = resident.sum::<u64>() + scratch_bytes;
        let files = if self.duties.memory { self.memory_file_bytes(tree) } else { 0 };
        if !self.duties.memory || resident + files <= self.quota.memory_bytes {
            return resident;
        }
        // What is mapped of a memory file is in the sets as well: without it each page counts once.
        let counted = || -> u64 {
            let sets = tree.iter().map(|process| process.proportional(self.page_bytes));
            let (total, shared) = sets.fold((0, 0), |(total, shared), set| {
                (total + set.total_bytes, shared + set.shared_bytes)
            });
            (total + scratch_bytes).max(total.saturating_sub(shared) + scratch_bytes + files)
        };
        let memory_bytes = counted();
        if memory_bytes <= self.quota.memory_bytes {
            return memory_bytes;
        }
        // The sets are read one after another, and what a process shares becomes the others' when it ends: a sum
        // that was above because of that is not above again.
        memory_bytes.min(counted())
    }

    /// Returns the memory of files without a name that the tree holds; 0 while the whole machine has no more of such
    /// than would matter. Where a process does not show its descriptors, all that the machine has more of is taken for its.
    fn memory_file_bytes(&self, tree: &[Process]) -> u64 {
        let grown = machine_shared_bytes().saturating_sub(self.shared_before);
        if grown < self.quota.memory_bytes / 4 {
            return 0;
        }
        let mut files = BTreeMap::new();
        // The first process is ours, and shows no one anything.
        for process in tree.iter().skip(1) {
            let is_seen = procfs::memory_files(process.pid, &mut files).is_some();
            if !is_seen && process.is_alive() {
                return grown;
            }
        }
        files.values().sum()
    }

    /// Holds the share of the processors, where that is a duty.
    ///
    /// - `walked`: the processor time of the tree as it was walked.
    fn hold_share(&mut self, walked: Option<Duration>) {
        if !self.duties.cpu || self.quota.cpu_pct >= 100 {
            return;
        }
        let now = Instant::now();
        match &self.held {
            Hold::Frozen { until } | Hold::Stopped { until, .. } if now < *until => return,
            _ => self.release(),
        }
        let counted = self.tree.as_ref().and_then(Tree::times_us);
        let counted = counted.map(|(user, system)| Duration::from_micros(user + system));
        let Some(total) = counted.or(walked) else { return };
        let (booked_at, booked) = self.booked;
        // A process that no one waits for takes its time with it; what was booked stays booked.
        let used = total.saturating_sub(booked);
        self.booked = (now, total.max(booked));
        if let Some(hold) = self.throttle.book(now - booked_at, used) {
            let until = now + hold.min(HELD_MAX);
            self.held = self.stop(until);
            let held_ms = u64::try_from((until - now).as_millis()).unwrap_or(0);
            self.seen.throttled_ms = self.seen.throttled_ms.saturating_add(held_ms);
        }
    }

    fn stop(&self, until: Instant) -> Hold {
        if self.tree.as_ref().is_some_and(|tree| tree.freeze(true).is_ok()) {
            return Hold::Frozen { until };
        }
        let mut stopped: Vec<(i32, u64, OwnedFd)> = Vec::new();
        for _ in 0..STOPS_MAX {
            let n_before = stopped.len();
            for process in walk(self.init).into_iter().skip(1) {
                let (pid, begun) = (process.pid, process.stat.begun_ticks);
                // What the command has stopped itself stays stopped.
                let is_known = stopped.iter().any(|(it, when, _)| (*it, *when) == (pid, begun));
                if is_known || process.stat.is_stopped {
                    continue;
                }
                if let Some(handle) = process.handle()
                    && pidfd_send_signal(&handle, Signal::STOP).is_ok()
                {
                    stopped.push((pid, begun, handle));
                }
            }
            if stopped.len() == n_before {
                break;
            }
        }
        Hold::Stopped {
            until,
            processes: stopped.into_iter().map(|(_, _, handle)| handle).collect(),
        }
    }

    fn release(&mut self) {
        match std::mem::replace(&mut self.held, Hold::No) {
            Hold::No => {}
            Hold::Frozen { .. } => {
                if let Some(tree) = &self.tree {
                    let _ = tree.freeze(false);
                }
            }
            Hold::Stopped { processes, .. } => {
                for process in processes {
                    let _ = pidfd_send_signal(&process, Signal::CONT);
                }
            }
        }
    }
}

impl Limits for Polling {
    fn leftovers(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn process_limits(&self) -> Vec<(ProcessLimit, u64)> {
        let wall_seconds = self.quota.wall_ms.div_ceil(1_000);
        let mut limits = vec![
            // Twice the quota: what is reserved and never touched does not count, but has an end.
            (ProcessLimit::Data, self.quota.memory_bytes.saturating_mul(2)),
            (ProcessLimit::Cpu, wall_seconds.saturating_mul(processors()).saturating_add(1)),
            (ProcessLimit::Core, 0),
            (ProcessLimit::Fsize, self.quota.disk_bytes),
            (ProcessLimit::Nofile, DESCRIPTORS_MAX),
        ];
        if self.counts_processes {
            // One for the inner stage, and two more than granted: the excess must be seen and not only refused, also
            // when the one whose fork was refused has given up.
            limits.push((ProcessLimit::Nproc, u64::from(self.quota.processes).saturating_add(3)));
        }
        limits
    }

    fn attach(&mut self, init: i32) -> io::Result<()> {
        self.init = init;
        let without_children = io::Error::other("this kernel does not list a process's children");
        std::fs::read(format!("/proc/{init}/task/{init}/children"))
            .map_err(|_| without_children)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for directory in ["tmp", "dev/shm"] {
            let path = format!("/proc/{init}/root/{directory}");
            self.scratch.push(openat(CWD, path, flags, Mode::empty())?);
        }
        if let Some(disk) = &mut self.disk {
            disk.begin();
        }
        let used = self.tree.as_ref().and_then(Tree::times_us).unwrap_or((0, 0));
        self.booked = (Instant::now(), Duration::from_micros(used.0 + used.1));
        Ok(())
    }

    fn check(&mut self) -> Option<LimitKind> {
        // Not by the clock: on a busy machine that would make looks rarer just when they come late anyway.
        let begin = sys::thread_time();
        let passed = self.look();
        let cost = sys::thread_time().saturating_sub(begin);
        let is_hasty = self.duties.memory && is_near(self.memory_bytes, self.quota.memory_bytes);
        self.interval = interval_after(cost, is_hasty);
        passed
    }

    fn interval(&self) -> Duration {
        match &self.held {
            Hold::No => self.interval,
            Hold::Frozen { until } | Hold::Stopped { until, .. } => {
                self.interval.min(until.saturating_duration_since(Instant::now()))
            }
        }
    }

    fn last_look(&mut self) -> Option<LimitKind> {
        match &mut self.disk {
            Some(disk) => disk.last_look(),
            None => self.look_at_disk(&self.scratch()),
        }
    }

    fn usage(&mut self) -> TreeUsage {
        let tree = walk(self.init);
        let (user_ms, system_ms) = times_ms(&tree);
        let (mut io_read_bytes, mut io_write_bytes) = (0, 0);
        for (read, written) in tree.iter().filter_map(|process| procfs::storage_bytes(process.pid))
        {
            io_read_bytes += read;
            io_write_bytes += written;
        }
        let now =
            TreeUsage { user_ms, system_ms, io_read_bytes, io_write_bytes, ..TreeUsage::default() };
        self.seen = self.seen.max(now);
        self.seen
    }

    fn enforcement(&self) -> Vec<Enforcement> {
        use EnforcementLevel::{Full, Partial};
        let every = INTERVAL_MIN.as_millis();
        let cpu = match self.tree {
            Some(_) => {
                "cgroup v2 without controller: counted exactly, and frozen for a moment above the share"
            }
            None => {
                "polling: counted every look, and stopped by signals for a moment above the share"
            }
        };
        let processes = if self.counts_processes {
            let detail =
                "rlimits: no more can be forked than two above the quota, and those end the run";
            item("processes", Full, detail.to_owned())
        } else {
            let detail =
                format!("polling: counted every {every} ms; this kernel cannot count per run");
            item("processes", Partial, detail)
        };
        let (bytes_max, inodes_max) = overlay::bound(&self.quota);
        let [disk, inodes] = if self.disk.is_some() {
            let how = "rlimits for each file, polling for /workspace and /tmp together; not what is open and unlinked";
            let bound = format!("polling: at most {inodes_max} new ones in /workspace and /tmp");
            [item("disk", Partial, how.to_owned()), item("inodes", Partial, bound)]
        } else {
            let tmpfs = |bound: &str| {
                format!("tmpfs: {bound} for /workspace and /tmp together; a full one ends the run")
            };
            let disk = tmpfs(&format!("{} MiB", bytes_max >> 20));
            let inodes = tmpfs(&format!("{inodes_max} files"));
            [item("disk", Full, disk), item("inodes", Full, inodes)]
        };
        vec![
            item("cpu", Partial, cpu.to_owned()),
            item(
                "memory",
                Partial,
                format!(
                    "polling: resident and scratch memory and memfds every {every} ms; not pipes and sockets"
                ),
            ),
            processes,
            disk,
            inodes,
        ]
    }
}

/// One process of the tree.
struct Process {
    pid: i32,
    stat: procfs::Stat,
}

impl Process {
    /// The proportional set; where that cannot be read, the whole resident set of now: nothing, once it has ended.
    fn proportional(&self, page_bytes: u64) -> Proportional {
        procfs::proportional(self.pid).unwrap_or_else(|| {
            let resident_pages = procfs::stat(self.pid).map_or(0, |stat| stat.resident_pages);
            Proportional { total_bytes: resident_pages * page_bytes, shared_bytes: 0 }
        })
    }

    /// Tells whether it still runs; one that has ended and is not reaped has no memory.
    fn is_alive(&self) -> bool {
        procfs::stat(self.pid).is_some_and(|stat| stat.resident_pages > 0)
    }

    /// A handle of this very process; `None` where it has ended and its number may be another's.
    fn handle(&self) -> Option<OwnedFd> {
        let handle = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        let is_same = procfs::stat(self.pid)?.begun_ticks == self.stat.begun_ticks;
        is_same.then_some(handle)
    }
}

/// Returns what the whole machine holds in memory files, mapped or not.
fn machine_shared_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    info.sharedram.saturating_mul(info.mem_unit.into())
}

fn used_bytes(stat: &StatVfs) -> u64 {
    (stat.f_blocks - stat.f_bfree.min(stat.f_blocks)) * stat.f_frsize
}

fn times_ms(tree: &[Process]) -> (u64, u64) {
    tree.iter().fold((0, 0), |(user, system), process| {
        (user + process.stat.user_ms, system + process.stat.system_ms)
    })
}

/// Returns `init` and all its descendants; the first is `init`.
fn walk(init: i32) -> Vec<Process> {
    let mut pids = vec![init];
    let mut tree = Vec::new();
    let mut next = 0;
    while next < pids.len().min(WALK_MAX) {
        let pid = pids[next];
        next += 1;
        let Some(stat) = procfs::stat(pid) else { continue };
        procfs::children(pid, stat.n_threads, &mut pids);
        tree.push(Process { pid, stat });
    }
    tree
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn looks_hasten_when_memory_does_and_stay_a_small_part_of_the_time() {
        assert!(is_near((10, 50), 100) && is_near((0, 101), 100));
        assert!(!is_near((50, 50), 60) && !is_near((50, 10), 20) && !is_near((10, 20), 100));
        assert!(is_near((0, u64::MAX), 1));
        let us = Duration::from_micros;
        assert_eq!(interval_after(us(100), false), INTERVAL_MIN);
        assert_eq!(interval_after(us(100), true), INTERVAL_HASTY);
        assert_eq!(interval_after(us(2_000), true), us(40_000));
        assert_eq!(interval_after(us(900_000), true), INTERVAL_MAX);
    }

    #[test]
    fn a_walk_finds_grandchildren() {
        let mut command = Command::new("/bin/sh");
        let mut child = command
            .args(["-c", "exec 3<&0; (read line <&3) & echo; wait"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0];
        io::Read::read_exact(&mut child.stdout.take().unwrap(), &mut line).unwrap();
        let found = walk(i32::try_from(child.id()).unwrap());
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].pid, i32::try_from(child.id()).unwrap());
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    #[test]
    fn a_kernel_that_counts_all_processes_of_a_user_is_not_asked_to() {
        let quota = Quota {
            cpu_pct: 80,
            memory_bytes: 1 << 30,
            wall_ms: 1_500,
            processes: 64,
            disk_bytes: 1 << 20,
            output_bytes: 1 << 20,
            parallel: 1,
        };
        let nproc = |counts| {
            let limits = Polling::new(quota, counts, None).process_limits();
            limits
                .into_iter()
                .find(|(limit, _)| *limit == ProcessLimit::Nproc)
                .map(|(_, value)| value)
        };
        assert_eq!((nproc(true), nproc(false)), (Some(67), None));
    }
}
