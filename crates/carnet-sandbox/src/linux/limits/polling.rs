//! Limits without cgroups: rlimits on each process, and a look at the whole tree every few milliseconds.
//!
//! Memory is the sum of resident sets while that is below the quota, since it is never too low; above it the
//! proportional sets decide, so that shared pages count once. Pages of `/tmp` and `/dev/shm` are added.
//! Not seen: memory of unmapped memfds, of pipes and of sockets; the receipt says partial for that.

use std::{
    io,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use carnet_core::{Enforcement, EnforcementLevel, LimitKind, Quota};
use rustix::fs::{CWD, Mode, OFlags, fstatvfs, openat};

use super::Limits;
use crate::linux::{procfs, sys, wire::ProcessLimit};

/// Time between two looks while the tree is small.
const INTERVAL_MIN: Duration = Duration::from_millis(20);
/// Time between two looks at most: a kill comes no later than 150 ms after the limit was passed.
const INTERVAL_MAX: Duration = Duration::from_millis(100);
/// A look may take one part in this many of the time.
const LOOK_SHARE: u32 = 20;
/// Processes looked at; far above any quota's reach, since the kernel refuses to fork earlier.
const WALK_MAX: usize = 1 << 16;
/// Descriptors of one process.
const DESCRIPTORS_MAX: u64 = 4096;

/// The backend.
pub(super) struct Polling {
    quota: Quota,
    /// Whether RLIMIT_NPROC counts per user namespace (since Linux 5.14), so that only this run is counted.
    counts_processes: bool,
    init: i32,
    scratch: Vec<OwnedFd>,
    page_bytes: u64,
    memory_peak_bytes: u64,
    interval: Duration,
}

impl Polling {
    pub(super) fn new(quota: Quota, counts_processes: bool) -> Polling {
        Polling {
            quota,
            counts_processes,
            init: 0,
            scratch: Vec::new(),
            page_bytes: sys::page_bytes(),
            memory_peak_bytes: 0,
            interval: INTERVAL_MIN,
        }
    }

    fn scratch_bytes(&self) -> u64 {
        let used = |directory: &OwnedFd| {
            fstatvfs(directory)
                .map_or(0, |stat| (stat.f_blocks - stat.f_bfree.min(stat.f_blocks)) * stat.f_frsize)
        };
        self.scratch.iter().map(used).sum()
    }

    fn look(&mut self) -> Option<LimitKind> {
        let tree = walk(self.init);
        let scratch_bytes = self.scratch_bytes();
        let resident = tree.iter().map(|process| process.stat.resident_pages * self.page_bytes);
        let mut memory_bytes = resident.sum::<u64>() + scratch_bytes;
        if memory_bytes > self.quota.memory_bytes {
            let proportional = || -> u64 {
                tree.iter().map(|process| process.proportional_bytes(self.page_bytes)).sum()
            };
            memory_bytes = proportional() + scratch_bytes;
            // The sets are read one after another, and what a process shares becomes the others' when it ends: a sum
            // that was above because of that is not above again.
            if memory_bytes > self.quota.memory_bytes {
                memory_bytes = memory_bytes.min(proportional() + scratch_bytes);
            }
        }
        self.memory_peak_bytes = self.memory_peak_bytes.max(memory_bytes);
        let n_threads: u64 =
            tree.iter().skip(1).map(|process| u64::from(process.stat.n_threads)).sum();
        if memory_bytes > self.quota.memory_bytes {
            Some(LimitKind::Memory)
        } else if n_threads > u64::from(self.quota.processes) {
            Some(LimitKind::Processes)
        } else {
            None
        }
    }
}

impl Limits for Polling {
    fn process_limits(&self) -> Vec<(ProcessLimit, u64)> {
        let processors = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
        let wall_seconds = self.quota.wall_ms.div_ceil(1_000);
        let mut limits = vec![
            // Twice the quota: what is reserved and never touched does not count, but has an end.
            (ProcessLimit::Data, self.quota.memory_bytes.saturating_mul(2)),
            (ProcessLimit::Cpu, wall_seconds.saturating_mul(processors).saturating_add(1)),
            (ProcessLimit::Core, 0),
            (ProcessLimit::Fsize, self.quota.disk_bytes),
            (ProcessLimit::Nofile, DESCRIPTORS_MAX),
        ];
        if self.counts_processes {
            // One for the inner stage, and one more than granted, so that the excess is seen and not only refused.
            limits.push((ProcessLimit::Nproc, u64::from(self.quota.processes).saturating_add(2)));
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
        Ok(())
    }

    fn check(&mut self) -> Option<LimitKind> {
        let begin = Instant::now();
        let passed = self.look();
        self.interval = (begin.elapsed() * LOOK_SHARE).clamp(INTERVAL_MIN, INTERVAL_MAX);
        passed
    }

    fn interval(&self) -> Duration {
        self.interval
    }

    fn memory_peak_bytes(&self) -> u64 {
        self.memory_peak_bytes
    }

    fn processor_ms(&self) -> (u64, u64) {
        let tree = walk(self.init);
        tree.iter().fold((0, 0), |(user, system), process| {
            (user + process.stat.user_ms, system + process.stat.system_ms)
        })
    }

    fn enforcement(&self) -> Vec<Enforcement> {
        use EnforcementLevel::{Full, None, Partial};
        let item = |mechanism: &str, level, detail: String| Enforcement {
            mechanism: mechanism.to_owned(),
            level,
            detail,
        };
        let every = INTERVAL_MIN.as_millis();
        let processes = if self.counts_processes {
            let detail = "rlimits: no more can be forked than one above the quota, and that one ends the run";
            item("processes", Full, detail.to_owned())
        } else {
            item(
                "processes",
                Partial,
                format!("polling: counted every {every} ms; this kernel cannot count per run"),
            )
        };
        vec![
            item(
                "memory",
                Partial,
                format!(
                    "polling: resident and scratch memory every {every} ms; not unmapped memfds, pipes and sockets"
                ),
            ),
            processes,
            item(
                "disk",
                Partial,
                "rlimits: each file, and the size of /tmp; not the workspace as a whole".to_owned(),
            ),
            item(
                "cpu",
                None,
                "rlimits: an end to each process's time, not a share; needs cgroups".to_owned(),
            ),
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
    fn proportional_bytes(&self, page_bytes: u64) -> u64 {
        let resident = || procfs::stat(self.pid).map_or(0, |stat| stat.resident_pages * page_bytes);
        procfs::proportional_bytes(self.pid).unwrap_or_else(resident)
    }
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
            let limits = Polling::new(quota, counts).process_limits();
            limits
                .into_iter()
                .find(|(limit, _)| *limit == ProcessLimit::Nproc)
                .map(|(_, value)| value)
        };
        assert_eq!((nproc(true), nproc(false)), (Some(66), None));
    }
}
