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

/// Bytes of disk for which one file may be made.
const BYTES_PER_INODE: u64 = 4 << 10;
/// Files, directories and links that any run may make, however small its disk.
const INODES_MIN: u64 = 4 << 10;
/// And at most: each takes about a kilobyte of the kernel's memory.
const INODES_MAX: u64 = 512 << 10;

impl Quota {
    /// Returns how many files, directories and links the run may add; its disk may lie in memory and is no larger.
    pub fn inodes(&self) -> u64 {
        let bytes = self.disk_bytes.min(self.memory_bytes);
        (bytes / BYTES_PER_INODE).clamp(INODES_MIN, INODES_MAX)
    }
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
    /// Largest memory of the whole tree, in bytes: as the kernel counted it, or as it was polled.
    pub memory_peak_bytes: u64,
    /// Bytes written to standard output and standard error.
    pub output_bytes: u64,
    /// Bytes read from storage; 0 in passports from before it was counted, as for all that follow.
    #[serde(default)]
    pub io_read_bytes: u64,
    /// Bytes written to storage, or on their way there.
    #[serde(default)]
    pub io_write_bytes: u64,
    /// Most processes and threads seen at once.
    #[serde(default)]
    pub processes_peak: u64,
    /// Time for which the share of processors held the tree back, in milliseconds; the threads' times added up
    /// where the kernel counts so.
    #[serde(default)]
    pub throttled_ms: u64,
}
