//! The exit codes of `carnet`, one per kind of ending. README.md lists the same table.

/// How `carnet` ends. The numbers are a promise to scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ExitCode {
    /// Allowed or done.
    Done = 0,
    /// Refused: a finding, a gate, a lane.
    Refused = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Nothing to look at: no repository, no commit yet, no such run.
    NothingToLookAt = 3,
    /// Incomplete: stale index, interrupted, an object that could not be read.
    Incomplete = 4,
    /// The command that carnet ran failed.
    CommandFailed = 10,
    /// Out of time.
    OutOfTime = 11,
    /// Out of quota.
    OutOfQuota = 12,
    /// A replay came out differently.
    Diverged = 13,
    /// A replay came out differently, or could not be run, on other programs than those recorded.
    EnvDrift = 14,
    /// The daemon is away.
    DaemonAway = 69,
    /// A bug in carnet.
    Bug = 70,
    /// The disk, or another thing the machine lends, failed; nothing is half written.
    Io = 74,
    /// A scope is missing.
    ScopeMissing = 77,
    /// Policy or configuration is wrong.
    Config = 78,
}

impl ExitCode {
    /// Every code, in order, for the table in README.md and its test.
    pub const ALL: [ExitCode; 15] = [
        ExitCode::Done,
        ExitCode::Refused,
        ExitCode::Usage,
        ExitCode::NothingToLookAt,
        ExitCode::Incomplete,
        ExitCode::CommandFailed,
        ExitCode::OutOfTime,
        ExitCode::OutOfQuota,
        ExitCode::Diverged,
        ExitCode::EnvDrift,
        ExitCode::DaemonAway,
        ExitCode::Bug,
        ExitCode::Io,
        ExitCode::ScopeMissing,
        ExitCode::Config,
    ];

    /// Returns what the code means, as it stands in README.md.
    pub fn meaning(self) -> &'static str {
        match self {
            ExitCode::Done => "allowed or done",
            ExitCode::Refused => "refused: a finding, a gate, a lane",
            ExitCode::Usage => "usage: the command line is wrong",
            ExitCode::NothingToLookAt => {
                "nothing to look at: no repository, no commit, no such run, nothing to replay"
            }
            ExitCode::Incomplete => "incomplete: stale index, interrupted, unreadable object",
            ExitCode::CommandFailed => "the command that was run failed",
            ExitCode::OutOfTime => "out of time",
            ExitCode::OutOfQuota => "out of quota",
            ExitCode::Diverged => "a replay came out differently",
            ExitCode::EnvDrift => "a replay met other programs than those recorded",
            ExitCode::DaemonAway => "the daemon is away",
            ExitCode::Bug => "our bug",
            ExitCode::Io => "the disk or the machine failed; nothing is half written",
            ExitCode::ScopeMissing => "scope missing",
            ExitCode::Config => "policy or configuration is wrong",
        }
    }
}

impl std::process::Termination for ExitCode {
    fn report(self) -> std::process::ExitCode {
        std::process::ExitCode::from(self as u8)
    }
}
