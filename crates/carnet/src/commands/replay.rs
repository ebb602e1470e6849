//! `carnet replay`: a run again, and what differs.

use carnet_core::ExitCode;
use carnet_run::{
    ledger,
    replay::{Difference, How, ReplayError, ReplayPlan, plan_replay, replay as run_again},
};
use serde::Serialize;

use super::run::{World, close_abandoned_runs};
use crate::{
    cli::ReplayArgs,
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::Workspace,
};

/// `carnet replay --json`.
#[derive(Serialize)]
struct ReplayReport {
    format: &'static str,
    run: String,
    dry_run: bool,
    plan: PlanReport,
    verdict: Option<&'static str>,
    replay_run: Option<String>,
    differences: Vec<DifferenceLine>,
}

#[derive(Serialize)]
struct PlanReport {
    run_commit: String,
    source_commit: String,
    source_tree: String,
    lane: String,
    lane_sha256: String,
    argv: Vec<String>,
    outputs: Vec<String>,
    compare: Vec<String>,
    tool_drift: Vec<String>,
}

#[derive(Serialize)]
struct DifferenceLine {
    path: String,
    first_byte: Option<u64>,
    detail: String,
}

/// Replays one run.
pub fn replay(ui: &Ui, args: &ReplayArgs) -> CommandResult {
    let workspace = Workspace::with_work_tree()?;
    let repo = &workspace.repo;
    let ledger = ledger::read(repo)?;
    let plan = plan_replay(repo, ledger.find(&args.run)?)?;
    let mut report = ReplayReport {
        format: "carnet/replay/1",
        run: plan.run.to_string(),
        dry_run: args.dry_run,
        plan: plan_report(&plan),
        verdict: None,
        replay_run: None,
        differences: vec![],
    };
    if args.dry_run {
        if args.json {
            ui.json(&report)
        } else {
            ui.out(&plan_text(&report))
        }
        return Ok(ExitCode::Done);
    }
    let key = workspace.key()?;
    close_abandoned_runs(ui, &workspace);
    let guard = workspace.guard(&key)?;
    let world = World::new(repo)?;
    let replayed = run_again(&world.context(repo, &key, &guard), &plan)?;
    let exact = replayed.differences.is_empty();
    report.verdict = Some(if exact { "MATCH_EXACT" } else { "DIVERGED" });
    report.replay_run = Some(replayed.executed.recorded.statement.predicate.run.id.to_string());
    report.differences = replayed.differences.iter().map(line).collect();
    if args.json {
        ui.json(&report)
    } else {
        ui.out(&verdict_text(ui, &report))
    }
    Ok(if exact { ExitCode::Done } else { ExitCode::Refused })
}

fn plan_report(plan: &ReplayPlan) -> PlanReport {
    let passport = &plan.passport;
    let logs = passport.logs.iter().map(|log| format!("logs/{}", log.name));
    let artifacts =
        passport.artifacts.iter().map(|artifact| format!("artifacts/{}", artifact.name));
    PlanReport {
        run_commit: plan.run_commit.to_string(),
        source_commit: passport.source.commit.to_string(),
        source_tree: passport.source.tree.to_string(),
        lane: passport.lane.to_string(),
        lane_sha256: passport.policy.lane_sha256.to_string(),
        argv: passport.request.argv.clone(),
        outputs: passport.request.outputs.clone(),
        compare: std::iter::once("outcome".to_owned()).chain(logs).chain(artifacts).collect(),
        tool_drift: plan
            .tool_drift
            .iter()
            .map(|(name, change)| format!("{name}: {change}"))
            .collect(),
    }
}

fn plan_text(report: &ReplayReport) -> String {
    let plan = &report.plan;
    let mut text = format!("plan of a replay of run {}\n", &report.run[..8]);
    text += &format!("  1. check out tree {} into a fresh workspace\n", &plan.source_tree[..12]);
    text +=
        &format!("  2. take lane {} as recorded (sha256 {})\n", plan.lane, &plan.lane_sha256[..16]);
    text += &format!("  3. run in the same confinement: {}\n", plan.argv.join(" "));
    text += &format!("  4. compare byte for byte: {}\n", plan.compare.join(", "));
    for drift in &plan.tool_drift {
        text += &format!("  changed since: {drift}\n");
    }
    text += &format!("Nothing was changed. Do it: carnet replay {}\n", &report.run[..8]);
    text
}

fn line(difference: &Difference) -> DifferenceLine {
    let (first_byte, detail) = match &difference.how {
        How::Content { first_byte, recorded_bytes, replayed_bytes } => (
            Some(*first_byte),
            format!(
                "differs from byte {first_byte} on ({recorded_bytes} bytes recorded, {replayed_bytes} now)"
            ),
        ),
        How::Missing => (None, "was recorded and did not come out now".to_owned()),
        How::Extra => (None, "came out now and was not recorded".to_owned()),
        How::Other { recorded, replayed } => (None, format!("was {recorded}, is now {replayed}")),
    };
    DifferenceLine { path: difference.path.clone(), first_byte, detail }
}

fn verdict_text(ui: &Ui, report: &ReplayReport) -> String {
    let verdict = report.verdict.unwrap_or_default();
    let verdict =
        if report.differences.is_empty() { ui.green_out(verdict) } else { ui.red_out(verdict) };
    let replay_run = report.replay_run.as_deref().unwrap_or_default();
    let mut text =
        format!("{verdict} run {} (replayed as run {})\n", &report.run[..8], &replay_run[..8]);
    for difference in &report.differences {
        text += &format!("  {}: {}\n", difference.path, difference.detail);
    }
    if report.differences.is_empty() {
        text += &format!("  {} are the same\n", report.plan.compare.join(", "));
    } else {
        for drift in &report.plan.tool_drift {
            text += &format!("  likely cause: {drift}\n");
        }
    }
    text
}

impl From<ReplayError> for CommandError {
    fn from(error: ReplayError) -> CommandError {
        match error {
            ReplayError::Load(error) => error.into(),
            ReplayError::Artifact(error) => (*error).into(),
            ReplayError::Run(error) => error.into(),
            ReplayError::NotReplayable { .. } => CommandError::of(ExitCode::Refused, &error)
                .hint("Choose a run that ran: `carnet runs`."),
            ReplayError::PolicyDigest { run } | ReplayError::SourceDigest { run } => {
                CommandError::of(ExitCode::Refused, &error)
                    .hint(format!("See what is damaged: `carnet passport verify {}`.", run.short()))
            }
        }
    }
}
