//! Holding a quota over a whole process tree: one trait, and per limit the best mechanism that the machine offers.
//!
//! Per limit the first of these that can be used holds it: cgroup v2 below our own group or a group above it that is
//! ours to fill (delegated, or root's), the controller of cgroup v1, rlimits with polling. What is chosen gets the
//! tree's first process before the command starts, and says in the receipt what held what, and what nothing held.
//! Elapsed time and output are the supervisor's own.
//!
//! Invariant: outside of groups named `carnet` nothing is ever written to a cgroup.

mod cgroup;
mod disk;
mod polling;
mod throttle;

use std::{io, path::PathBuf, sync::OnceLock, time::Duration};

use carnet_core::{Enforcement, EnforcementLevel, LimitKind};

pub(super) use self::cgroup::mode as cgroup_mode;
use super::wire::ProcessLimit;
use crate::{Probe, SandboxSpec, Workspace};

/// A way to hold a quota.
pub(super) trait Limits {
    /// Returns the limits that the inner stage puts on every process.
    fn process_limits(&self) -> Vec<(ProcessLimit, u64)>;

    /// Takes charge of the tree below `init`, a pid in the caller's namespace, which waits and runs nothing yet. What
    /// was to hold a limit and cannot is left out of [`Limits::enforcement`] from here on.
    ///
    /// # Errors
    ///
    /// What is missing; the command is then not started.
    fn attach(&mut self, init: i32) -> io::Result<()>;

    /// Looks at the tree, holds its share of the processors, and returns the limit that it has passed, if any.
    fn check(&mut self) -> Option<LimitKind>;

    /// Returns how long the supervisor may wait until the next [`Limits::check`].
    fn interval(&self) -> Duration;

    /// Looks once more when nothing runs any longer: what ended the tree from within the kernel, what was left.
    fn last_look(&mut self) -> Option<LimitKind>;

    /// Returns what the tree has used so far, as much as was seen. Asked before a kill, since the kernel does not
    /// account what ends with its namespace, and at the end.
    fn usage(&mut self) -> TreeUsage;

    /// Returns directories that are left when the supervisor is killed, inner ones first; each is empty then.
    fn leftovers(&self) -> Vec<PathBuf>;

    /// Returns what holds, by what, one item per limit.
    fn enforcement(&self) -> Vec<Enforcement>;
}

/// What a tree has used; a figure that is not known is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct TreeUsage {
    /// Processor time in user mode, in milliseconds.
    pub user_ms: u64,
    /// Processor time in the kernel, in milliseconds.
    pub system_ms: u64,
    /// Largest memory of the whole tree.
    pub memory_peak_bytes: u64,
    /// Bytes read from storage.
    pub io_read_bytes: u64,
    /// Bytes written to storage.
    pub io_write_bytes: u64,
    /// Most processes and threads at once.
    pub processes_peak: u64,
    /// Time for which it was held back.
    pub throttled_ms: u64,
}

impl TreeUsage {
    /// Returns the larger of each figure: none of them ever falls.
    pub fn max(self, other: TreeUsage) -> TreeUsage {
        TreeUsage {
            user_ms: self.user_ms.max(other.user_ms),
            system_ms: self.system_ms.max(other.system_ms),
            memory_peak_bytes: self.memory_peak_bytes.max(other.memory_peak_bytes),
            io_read_bytes: self.io_read_bytes.max(other.io_read_bytes),
            io_write_bytes: self.io_write_bytes.max(other.io_write_bytes),
            processes_peak: self.processes_peak.max(other.processes_peak),
            throttled_ms: self.throttled_ms.max(other.throttled_ms),
        }
    }
}

/// Returns the best holder of each limit on this machine; cgroups that were left behind are swept away.
pub(super) fn choose(probe: &Probe, spec: &SandboxSpec) -> Box<dyn Limits> {
    let disk = match &spec.workspace {
        Workspace::Directory(workspace) => Some(disk::Disk::new(&spec.quota, workspace)),
        // The layer is a file system of the run's own, with bounds.
        Workspace::Overlay { .. } => None,
    };
    let polling = polling::Polling::new(spec.quota, probe.has_kernel(5, 14), disk);
    Box::new(cgroup::Cgroups::make(spec.quota, polling))
}

/// Returns what the supervisor holds by itself, whatever the backend.
pub(super) fn supervised() -> Vec<Enforcement> {
    vec![
        item(
            "wall-time",
            EnforcementLevel::Full,
            "supervisor: the pid namespace is killed at the deadline".to_owned(),
        ),
        item(
            LimitKind::Output.name(),
            EnforcementLevel::Full,
            "supervisor: both streams counted together".to_owned(),
        ),
    ]
}

fn item(mechanism: &str, level: EnforcementLevel, detail: String) -> Enforcement {
    Enforcement { mechanism: mechanism.to_owned(), level, detail }
}

/// Returns how many processors a share is a share of. Asked of the system once in a process: its answer takes a dozen
/// reads of /proc and of cgroups.
fn processors() -> u64 {
    static PROCESSORS: OnceLock<u64> = OnceLock::new();
    *PROCESSORS
        .get_or_init(|| std::thread::available_parallelism().map_or(1, |count| count.get() as u64))
}
