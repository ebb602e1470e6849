//! Holding a quota over a whole process tree: one trait, one backend per mechanism the machine offers.
//!
//! A backend is chosen by probing, gets the tree's first process before the command starts, and says in the
//! receipt what it held and what it could not. Output and elapsed time are the supervisor's own.

mod polling;

use std::{io, time::Duration};

use carnet_core::{Enforcement, LimitKind, Quota};

use super::wire::ProcessLimit;
use crate::Probe;

/// A way to hold a quota.
pub(super) trait Limits {
    /// Returns the limits that the inner stage puts on every process.
    fn process_limits(&self) -> Vec<(ProcessLimit, u64)>;

    /// Takes charge of the tree below `init`, a pid in the caller's namespace, which waits and runs nothing yet.
    ///
    /// # Errors
    ///
    /// What is missing; the command is then not started.
    fn attach(&mut self, init: i32) -> io::Result<()>;

    /// Looks at the tree and returns the limit that it has passed, if any.
    fn check(&mut self) -> Option<LimitKind>;

    /// Returns how long the supervisor may wait until the next [`Limits::check`].
    fn interval(&self) -> Duration;

    /// Returns the largest memory seen of the whole tree, in bytes.
    fn memory_peak_bytes(&self) -> u64;

    /// Returns the processor time of the tree so far, in user mode and in the kernel, in milliseconds. Asked just
    /// before a kill, since the kernel does not account what ends with its namespace.
    fn processor_ms(&self) -> (u64, u64);

    /// Returns what was held, by what, one item per quota of this backend.
    fn enforcement(&self) -> Vec<Enforcement>;
}

/// Returns the best backend for this machine: rlimits with polling, until the cgroup backends are here.
pub(super) fn choose(probe: &Probe, quota: &Quota) -> Box<dyn Limits> {
    Box::new(polling::Polling::new(*quota, probe.has_kernel(5, 14)))
}
