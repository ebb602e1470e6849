//! The end of a run, as the supervisor knows it, and the outcome that it is.

use carnet_core::{LimitKind, Outcome};

use super::wire::Report;
use crate::{SandboxError, SandboxSpec};

/// SIGXFSZ: a file passed RLIMIT_FSIZE.
const SIGNAL_FILE_TOO_LARGE: i32 = 25;

/// Why the supervisor killed the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// A limit was met.
    Limit(LimitKind),
    /// The time was up.
    Deadline,
    /// The caller was interrupted.
    Interrupt,
}

/// How a run came to its end: why it was killed, and what the inner stage said last.
pub(super) struct End {
    /// Why it was killed, if it was.
    pub cause: Option<Cause>,
    /// What the inner stage said last.
    pub last: Option<Report>,
    /// Whether the command was executed, which it is only when it has confined itself.
    pub has_started: bool,
}

/// Turns the end into an outcome; a limit that was met is the outcome, whatever the command did meanwhile.
pub(super) fn outcome_of(spec: &SandboxSpec, end: End) -> Result<Outcome, SandboxError> {
    Ok(match (end.cause, end.last) {
        (_, Some(Report::NotStarted { message })) => {
            return Err(SandboxError::ToolNotStarted { tool: spec.tool.clone(), message });
        }
        (_, Some(Report::Refused { layer, found })) => {
            return Err(SandboxError::Unverified { layer, found });
        }
        (Some(Cause::Limit(limit)), _) => Outcome::OutOfQuota { limit },
        (Some(Cause::Deadline), _) => Outcome::TimedOut { wall_ms_max: spec.quota.wall_ms },
        (Some(Cause::Interrupt), _) => Outcome::Interrupted,
        (None, Some(Report::Exited { exit_code })) => Outcome::Exited { exit_code },
        (None, Some(Report::Signalled { signal: SIGNAL_FILE_TOO_LARGE })) => {
            Outcome::OutOfQuota { limit: LimitKind::Disk }
        }
        (None, Some(Report::Signalled { signal })) => Outcome::Signalled { signal },
        // The first process or bwrap was killed by someone else: the command's own end is not known.
        (None, _) => Outcome::Interrupted,
    })
}
