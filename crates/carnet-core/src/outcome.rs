//! How a run ended.

use serde::{Deserialize, Serialize};

use crate::ExitCode;

/// A limit on the whole process tree, named as in receipts and lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitKind {
    /// Share of the processors. It slows a run down and never ends it.
    Cpu,
    /// Memory of the process tree.
    Memory,
    /// Number of processes.
    Processes,
    /// Bytes added to the workspace.
    Disk,
    /// Files and directories added to the workspace.
    Inodes,
    /// Bytes written to standard output and error.
    Output,
}

impl LimitKind {
    /// Every limit, in the order of receipts.
    pub const ALL: [LimitKind; 6] = [
        LimitKind::Cpu,
        LimitKind::Memory,
        LimitKind::Processes,
        LimitKind::Disk,
        LimitKind::Inodes,
        LimitKind::Output,
    ];

    /// Returns its name in receipts, lanes and outcomes.
    pub fn name(self) -> &'static str {
        match self {
            LimitKind::Cpu => "cpu",
            LimitKind::Memory => "memory",
            LimitKind::Processes => "processes",
            LimitKind::Disk => "disk",
            LimitKind::Inodes => "inodes",
            LimitKind::Output => "output",
        }
    }
}

/// How a run ended. Every one of them is recorded; none is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Outcome {
    /// The command exited; zero is success.
    Exited {
        /// The command's own exit code.
        exit_code: i32,
    },
    /// A signal ended the command.
    Signalled {
        /// The signal's number.
        signal: i32,
    },
    /// The time ran out and the whole tree was killed.
    TimedOut {
        /// The bound, in milliseconds.
        wall_ms_max: u64,
    },
    /// Another limit was met and the whole tree was killed.
    OutOfQuota {
        /// Which one.
        limit: LimitKind,
    },
    /// The run was not started.
    Refused {
        /// The rule that refused.
        rule: String,
        /// Why, as a lowercase fragment.
        message: String,
    },
    /// carnet itself was stopped before the command ended.
    Interrupted,
    /// carnet ended before the command did, and could not say how: killed, or the machine went down. Found and
    /// recorded at the next start.
    Crashed,
}

impl Outcome {
    /// Tells whether the command ran to its end and exited with zero.
    pub fn is_success(&self) -> bool {
        matches!(self, Outcome::Exited { exit_code: 0 })
    }

    /// Tells whether the command ran to an end of its own or of its limits, so that there is something to compare with.
    pub fn has_ended(&self) -> bool {
        !matches!(self, Outcome::Refused { .. } | Outcome::Interrupted | Outcome::Crashed)
    }

    /// Returns the exit code that `carnet run` ends with.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Outcome::Exited { exit_code: 0 } => ExitCode::Done,
            Outcome::Exited { .. } | Outcome::Signalled { .. } => ExitCode::CommandFailed,
            Outcome::TimedOut { .. } => ExitCode::OutOfTime,
            Outcome::OutOfQuota { .. } => ExitCode::OutOfQuota,
            Outcome::Refused { .. } => ExitCode::Refused,
            Outcome::Interrupted | Outcome::Crashed => ExitCode::Incomplete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_stored_by_its_name() {
        for limit in LimitKind::ALL {
            assert_eq!(serde_json::to_string(&limit).unwrap(), format!("\"{}\"", limit.name()));
        }
    }

    #[test]
    fn outcomes_are_tagged_by_status_and_come_back() {
        let outcome = Outcome::TimedOut { wall_ms_max: 900_000 };
        let json = serde_json::to_string(&outcome).unwrap();
        assert_eq!(json, r#"{"status":"timed-out","wallMsMax":900000}"#);
        assert_eq!(serde_json::from_str::<Outcome>(&json).unwrap(), outcome);
    }
}
