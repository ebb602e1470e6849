//! What a run is granted, and what it used.

use serde::{Deserialize, Serialize};

/// What a run is granted. Every field is a hard bound on the whole process tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    /// Share of one machine's processors, in percent of all of them (1 to 100).
    pub cpu_pct: u32,
    /// Memory of all processes together, in bytes.
    pub memory_bytes: u64,
    /// Elapsed time, in milliseconds.
    pub wall_ms: u64,
    /// Processes and threads alive at once.
    pub processes: u32,
    /// Bytes in the workspace and its scratch space that the run may add.
    pub disk_bytes: u64,
    /// Bytes of standard output and standard error together.
    pub output_bytes: u64,
    /// Runs of this lane at once in one repository.
    pub parallel: u32,
}

/// What a run used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Elapsed time, in milliseconds.
    pub wall_ms: u64,
    /// Processor time in user mode of all reaped processes, in milliseconds.
    pub user_ms: u64,
    /// Processor time in the kernel of all reaped processes, in milliseconds.
    pub system_ms: u64,
    /// Largest resident memory seen: of the whole tree where it was polled, else of one process, in bytes.
    pub memory_peak_bytes: u64,
    /// Bytes written to standard output and standard error.
    pub output_bytes: u64,
}
