//! Which runs are wanted. No IO: a function of the event.

use carnet_core::{GitOid, LaneName, Outcome, Timestamp, passport::RunKind};

use crate::event::RunEvent;

/// How a run ended, as people ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Exited with zero.
    Succeeded,
    /// Exited with another code, or killed by a signal.
    Failed,
    /// Out of time or out of quota.
    Limited,
    /// Never started.
    Refused,
    /// Stopped from outside.
    Interrupted,
    /// Ended with carnet itself.
    Crashed,
}

impl Ending {
    /// Sorts an outcome.
    pub fn of(outcome: &Outcome) -> Ending {
        match outcome {
            Outcome::Exited { exit_code: 0 } => Ending::Succeeded,
            Outcome::Exited { .. } | Outcome::Signalled { .. } => Ending::Failed,
            Outcome::TimedOut { .. } | Outcome::OutOfQuota { .. } => Ending::Limited,
            Outcome::Refused { .. } => Ending::Refused,
            Outcome::Interrupted => Ending::Interrupted,
            Outcome::Crashed => Ending::Crashed,
        }
    }
}

/// What a wanted run has in common; a member that is `None` asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Ran in this lane.
    pub lane: Option<LaneName>,
    /// Ended like this.
    pub ending: Option<Ending>,
    /// Was of this kind.
    pub kind: Option<RunKind>,
    /// Ran on this commit.
    pub commit: Option<GitOid>,
    /// Ran this tool.
    pub tool: Option<String>,
    /// Ended at this time or later.
    pub since: Option<Timestamp>,
}

impl RunFilter {
    /// Tells whether a run is wanted.
    pub fn wants(&self, event: &RunEvent) -> bool {
        self.lane.as_ref().is_none_or(|lane| *lane == event.lane)
            && self.ending.is_none_or(|ending| ending == Ending::of(&event.outcome))
            && self.kind.is_none_or(|kind| kind == event.kind)
            && self.commit.is_none_or(|commit| commit == event.source_commit)
            && self
                .tool
                .as_deref()
                .is_none_or(|tool| event.argv.first().is_some_and(|name| name == tool))
            && self.since.is_none_or(|since| event.at >= since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> RunEvent {
        RunEvent { at: Timestamp::from_millis(1_000), ..crate::event::tests::event() }
    }

    fn wants(change: impl FnOnce(&mut RunFilter)) -> bool {
        let mut filter = RunFilter::default();
        change(&mut filter);
        filter.wants(&event())
    }

    #[test]
    fn a_filter_that_asks_for_nothing_wants_every_run() {
        assert!(wants(|_| {}));
    }

    #[test]
    fn each_member_decides_by_itself() {
        assert!(wants(|filter| filter.lane = LaneName::new("code-impl").ok()));
        assert!(!wants(|filter| filter.lane = LaneName::new("narrative").ok()));
        assert!(wants(|filter| filter.ending = Some(Ending::Failed)));
        assert!(!wants(|filter| filter.ending = Some(Ending::Succeeded)));
        assert!(wants(|filter| filter.kind = Some(RunKind::Baseline)));
        assert!(!wants(|filter| filter.kind = Some(RunKind::Replay)));
        assert!(wants(|filter| filter.commit = GitOid::from_bytes(&[2; 20]).ok()));
        assert!(!wants(|filter| filter.commit = GitOid::from_bytes(&[1; 20]).ok()));
        assert!(wants(|filter| filter.tool = Some("make".to_owned())));
        assert!(!wants(|filter| filter.tool = Some("mak".to_owned())));
        assert!(wants(|filter| filter.since = Some(Timestamp::from_millis(1_000))));
        assert!(!wants(|filter| filter.since = Some(Timestamp::from_millis(1_001))));
    }
}
