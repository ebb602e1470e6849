//! Doing a run again from its own record, and saying whether the same came out.
//!
//! The plan is made of the run commit alone: its source tree, its policy files, its request. [`plan_replay`]
//! touches nothing; [`replay`] runs, records a run of kind `replay`, and compares. A record brings its own command and its
//! own policy, so one that no trusted key signed is refused before anything of it is used.

mod class;
mod environment;
mod plan;

mod archive;
mod normalise;
mod sqlite;
mod structural;

mod cause;
mod compare;
mod excerpt;

use std::{collections::BTreeSet, io::Read};

use carnet_core::{Digest, ExitCode, GitOid, OutputClass};
use carnet_git::{CheckoutError, Repo, store::Stores};

pub use cause::Cause;
pub use class::Classes;
pub use compare::{Comparison, ContentDifference, Difference, How, Side, compare, files_of};
pub use environment::Drift;
pub use excerpt::{Excerpt, Place};
pub use plan::{ReplayError, ReplayOptions, ReplayPlan, plan_replay};

use crate::{
    artifact,
    checkouts::CheckoutsError,
    event::describe,
    execute::{ExecutedRun, RunContext, RunError, execute},
    model::{self, Model},
    record::describe_chain,
    slots::{Slot, take_any},
};

/// What a replay came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReplayVerdict {
    /// Every byte came out again.
    MatchExact,
    /// Everything came out again, as far as its declared class asks.
    MatchNormalised,
    /// A program is not what it was, and something else came out, or nothing could be run.
    EnvDrift,
    /// Something of the record is missing, or there is nothing to repeat.
    NotReplayable,
    /// A policy or a signature says no.
    Refused,
    /// Something else came out.
    Diverged,
}

impl ReplayVerdict {
    /// Every verdict, from the best to the worst.
    pub const ALL: [ReplayVerdict; 6] = [
        ReplayVerdict::MatchExact,
        ReplayVerdict::MatchNormalised,
        ReplayVerdict::EnvDrift,
        ReplayVerdict::NotReplayable,
        ReplayVerdict::Refused,
        ReplayVerdict::Diverged,
    ];

    /// Returns the word that people and machines read.
    pub fn name(self) -> &'static str {
        match self {
            ReplayVerdict::MatchExact => "MATCH_EXACT",
            ReplayVerdict::MatchNormalised => "MATCH_NORMALISED",
            ReplayVerdict::EnvDrift => "ENV_DRIFT",
            ReplayVerdict::NotReplayable => "NOT_REPLAYABLE",
            ReplayVerdict::Refused => "REFUSED",
            ReplayVerdict::Diverged => "DIVERGED",
        }
    }

    /// Tells whether the same came out.
    pub fn is_match(self) -> bool {
        matches!(self, ReplayVerdict::MatchExact | ReplayVerdict::MatchNormalised)
    }

    /// Returns what `carnet replay` ends with.
    pub fn exit_code(self) -> ExitCode {
        match self {
            ReplayVerdict::MatchExact | ReplayVerdict::MatchNormalised => ExitCode::Done,
            ReplayVerdict::EnvDrift => ExitCode::EnvDrift,
            ReplayVerdict::NotReplayable => ExitCode::NothingToLookAt,
            ReplayVerdict::Refused => ExitCode::Refused,
            ReplayVerdict::Diverged => ExitCode::Diverged,
        }
    }
}

impl ReplayError {
    /// Returns the verdict that this error is; `None` where the machine failed and nothing can be said of the run.
    pub fn verdict(&self) -> Option<ReplayVerdict> {
        match self {
            ReplayError::NothingRan { .. }
            | ReplayError::Secrets { .. }
            | ReplayError::Incomplete { .. }
            | ReplayError::NoSource { .. }
            | ReplayError::Run(
                RunError::Commit { .. }
                | RunError::Checkout(CheckoutsError::Checkout(CheckoutError::Object(_))),
            ) => Some(ReplayVerdict::NotReplayable),
            ReplayError::Untrusted { .. }
            | ReplayError::PolicyDigest { .. }
            | ReplayError::NotAdmitted { .. }
            | ReplayError::Run(
                RunError::SourceDigest { .. }
                | RunError::Lane { .. }
                | RunError::SecretArgument { .. },
            ) => Some(ReplayVerdict::Refused),
            ReplayError::Run(RunError::Tool(_)) => Some(ReplayVerdict::EnvDrift),
            _ => None,
        }
    }
}

/// What a replay came to, with all that was seen.
pub struct Replayed {
    /// The verdict.
    pub verdict: ReplayVerdict,
    /// The new run.
    pub executed: ExecutedRun,
    /// Where it differs, and what its classes forgave.
    pub comparison: Comparison,
}

/// Runs the plan, records the run, and compares outputs, logs and outcome, each by its class.
///
/// Replays of one run wait for each other under its idempotency key.
///
/// - `on_wait`: called once, before waiting for another replay.
///
/// # Errors
///
/// [`ReplayError`]; a difference is no error.
pub fn replay(
    ctx: &RunContext<'_>,
    plan: &ReplayPlan,
    on_wait: &dyn Fn(),
) -> Result<Replayed, ReplayError> {
    let names = plan.passport.request.secrets.clone();
    let given: Vec<String> = ctx.secrets.iter().map(|it| it.name().to_owned()).collect();
    if given.iter().collect::<BTreeSet<_>>() != names.iter().collect() {
        return Err(ReplayError::Secrets { run: plan.run, names, given });
    }
    let _once = once_at_a_time(ctx, plan, on_wait)?;
    let answered = plan.model.clone().map(Model::Recorded);
    let executed = execute(&RunContext { model: answered, ..ctx.clone() }, &plan.run_plan)?;
    let now = &executed.recorded.statement.predicate;
    let stores = artifact::stores(ctx.repo).map_err(Box::new)?;
    let opener = |commit| {
        let stores = &stores;
        move |path: &str, sha256| open(ctx.repo, stores, commit, path, sha256)
    };
    let (then, later) = (opener(plan.run_commit), opener(executed.recorded.commit));
    let recorded = Side { files: files_of(&plan.passport, plan.with_artifacts), open: &then };
    let replayed = Side { files: files_of(now, plan.with_artifacts), open: &later };
    let mut comparison = compare(&recorded, &replayed, &plan.classes);
    let asked = plan.model.as_ref().zip(executed.model.as_ref());
    let unlike = asked.map(|(then, now)| model::differences(then, now)).unwrap_or_default();
    comparison.differences.splice(0..0, unlike);
    if now.outcome != plan.passport.outcome {
        let how = How::Other {
            recorded: describe(&plan.passport.outcome),
            replayed: describe(&now.outcome),
        };
        let path = "outcome".to_owned();
        let difference = Difference { path, class: OutputClass::Exact, how };
        comparison.differences.insert(0, difference);
    }
    let verdict = judge_replay(&comparison, &plan.tool_drift);
    Ok(Replayed { verdict, executed, comparison })
}

/// Decides what a comparison comes to. A program that changed is no fault as long as the same comes out.
pub fn judge_replay(comparison: &Comparison, drift: &[Drift]) -> ReplayVerdict {
    if !comparison.differences.is_empty() {
        let is_drift = !drift.is_empty();
        if is_drift { ReplayVerdict::EnvDrift } else { ReplayVerdict::Diverged }
    } else if !comparison.incomparable.is_empty() {
        ReplayVerdict::NotReplayable
    } else if !comparison.forgiven.is_empty() {
        ReplayVerdict::MatchNormalised
    } else {
        ReplayVerdict::MatchExact
    }
}

/// Opens a log or an artifact of a run, wherever its bytes are.
fn open<'a>(
    repo: &Repo,
    stores: &'a Stores,
    commit: GitOid,
    path: &str,
    sha256: Digest,
) -> Result<Box<dyn Read + 'a>, String> {
    let place = artifact::find(repo, commit, path, sha256);
    let reader = place.and_then(|place| artifact::read(repo, stores, &place));
    reader.map_err(|error| describe_chain(&error))
}

/// Takes the lock under the run's idempotency key. Runs whose ids begin alike share a file, so that there are few.
fn once_at_a_time(
    ctx: &RunContext<'_>,
    plan: &ReplayPlan,
    on_wait: &dyn Fn(),
) -> Result<Slot, ReplayError> {
    let dir = ctx.repo.state_dir().join("replays");
    let name = format!("replay-{}.lock", &plan.run.to_string()[..2]);
    take_any(&dir, std::iter::once(name), ctx.interrupted, on_wait)
        .map_err(|source| ReplayError::Lock { run: plan.run, source })?
        .ok_or(ReplayError::Interrupted(plan.run))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_follows_from_what_was_seen() {
        let drift = || {
            let tool = carnet_core::passport::Tool {
                name: "cc".to_owned(),
                path: "/usr/bin/cc".to_owned(),
                sha256: carnet_core::Digest::of(b""),
            };
            vec![Drift { name: "cc".to_owned(), recorded: tool, now: None }]
        };
        let difference = || Difference {
            path: "outcome".to_owned(),
            class: OutputClass::Exact,
            how: How::Missing,
        };
        // Every combination against the table as a person would write it.
        for bits in 0..16 {
            let [differs, lacks, forgives, drifts] = [1, 2, 4, 8].map(|bit| bits & bit != 0);
            let mut comparison = Comparison::default();
            if differs {
                comparison.differences.push(difference());
            }
            if lacks {
                comparison.incomparable.push(("a".to_owned(), String::new()));
            }
            if forgives {
                comparison.forgiven.push(("a".to_owned(), OutputClass::Normalised));
            }
            let drift = if drifts { drift() } else { vec![] };
            let expected = match (differs, lacks, forgives, drifts) {
                (true, _, _, true) => "ENV_DRIFT",
                (true, _, _, false) => "DIVERGED",
                (false, true, _, _) => "NOT_REPLAYABLE",
                (false, false, true, _) => "MATCH_NORMALISED",
                (false, false, false, _) => "MATCH_EXACT",
            };
            assert_eq!(judge_replay(&comparison, &drift).name(), expected, "{bits:04b}");
        }
    }
}
