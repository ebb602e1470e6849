//! `carnet replay --all`: every run again, for the night.

use carnet_core::{ExitCode, Timestamp, passport::RunKind};
use carnet_run::{
    event::RunEvent,
    index,
    replay::{ReplayVerdict, replay as run_again},
};
use serde::Serialize;

use super::{
    replay::{Failure, ReplayArgs, fetch_promised, painted, plan},
    run::World,
    runs::parse_since,
};
use crate::{error::CommandResult, ui::Ui, workspace::Workspace};

/// `carnet replay --all --json`.
#[derive(Serialize)]
struct ReplayAllReport {
    format: &'static str,
    dry_run: bool,
    n_runs: usize,
    verdicts: std::collections::BTreeMap<&'static str, usize>,
    interrupted: bool,
    runs: Vec<ReplayedLine>,
}

#[derive(Serialize)]
struct ReplayedLine {
    run: String,
    at: String,
    lane: String,
    argv: Vec<String>,
    verdict: Option<&'static str>,
    replay_run: Option<String>,
    detail: Option<String>,
}

/// Replays every run that ran, newest first, and ends with the code of the worst verdict.
pub fn replay_all(ui: &Ui, workspace: &Workspace, args: &ReplayArgs) -> CommandResult {
    let repo = &workspace.repo;
    let since = args.since.as_deref().map(parse_since).transpose()?;
    let index = index::open(repo)?;
    let wanted: Vec<_> = index
        .runs()
        .filter(|run| run.event().is_some_and(|event| is_wanted(&event, since)))
        .take(args.limit.unwrap_or(usize::MAX))
        .map(|run| index.find(repo, &run.run.to_string()))
        .collect::<Result<_, _>>()?;
    if wanted.is_empty() {
        ui.err("no recorded run can be replayed; see `carnet runs`\n");
    }
    let key = workspace.key()?;
    let guard = workspace.guard(&key)?;
    let world = World::new(repo)?;
    let mut lines = vec![];
    let mut worst = None;
    for (run_idx, entry) in wanted.iter().enumerate() {
        if world.is_interrupted() {
            break;
        }
        let event = entry.event();
        ui.progress(&format!(
            "\r\x1b[K{} of {}: {}",
            run_idx + 1,
            wanted.len(),
            event.argv.join(" ")
        ));
        let mut line = ReplayedLine::new(event);
        fetch_promised(ui, workspace, entry, args);
        let done = plan(workspace, entry, args)?.and_then(|plan| {
            if args.dry_run {
                return Ok(None);
            }
            let replayed = run_again(&world.context(repo, &key, &guard), &plan, &|| {})?;
            let id = replayed.executed.recorded.statement.predicate.run.id;
            line.replay_run = Some(id.to_string());
            line.detail = replayed.comparison.differences.first().map(|it| it.path.clone());
            Ok(Some(replayed.verdict))
        });
        let verdict = match done {
            Ok(verdict) => verdict,
            Err(Failure { verdict: Some(verdict), error }) => {
                line.detail = Some(error.message);
                Some(verdict)
            }
            // Stopped in the middle of a run: the others are not begun.
            Err(_) if world.is_interrupted() => break,
            Err(Failure { verdict: None, error }) => return Err(error),
        };
        line.verdict = verdict.map(ReplayVerdict::name);
        worst = worst.max(verdict);
        ui.progress("\r\x1b[K");
        if !args.json {
            ui.out(&line.text(ui, verdict));
        }
        lines.push(line);
    }
    let interrupted = lines.len() < wanted.len();
    report(ui, args, lines, interrupted);
    Ok(match worst {
        _ if interrupted => ExitCode::Incomplete,
        None if wanted.is_empty() => ExitCode::NothingToLookAt,
        None => ExitCode::Done,
        Some(verdict) => verdict.exit_code(),
    })
}

/// Runs that ran, and are no replays themselves.
fn is_wanted(event: &RunEvent, since: Option<Timestamp>) -> bool {
    !matches!(event.kind, RunKind::Replay | RunKind::Sandbox)
        && event.outcome.has_ended()
        && since.is_none_or(|since| event.at >= since)
}

fn report(ui: &Ui, args: &ReplayArgs, lines: Vec<ReplayedLine>, interrupted: bool) {
    let count = |verdict: &ReplayVerdict| {
        lines.iter().filter(|line| line.verdict == Some(verdict.name())).count()
    };
    let counted = ReplayVerdict::ALL.iter().map(|verdict| (verdict.name(), count(verdict)));
    let verdicts: Vec<_> = counted.filter(|(_, count)| *count > 0).collect();
    if args.json {
        ui.json(&ReplayAllReport {
            format: "carnet/replay-all/1",
            dry_run: args.dry_run,
            n_runs: lines.len(),
            verdicts: verdicts.into_iter().collect(),
            interrupted,
            runs: lines,
        });
    } else if !lines.is_empty() {
        let counts: Vec<_> =
            verdicts.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let what = if args.dry_run { "would be replayed" } else { "replayed" };
        let stopped = if interrupted { ", then interrupted" } else { "" };
        ui.err(&format!("carnet: {} runs {what}{stopped}: {}\n", lines.len(), counts.join(", ")));
    }
}

impl ReplayedLine {
    fn new(event: &RunEvent) -> ReplayedLine {
        ReplayedLine {
            run: event.run.to_string(),
            at: event.at.to_string(),
            lane: event.lane.to_string(),
            argv: event.argv.clone(),
            verdict: None,
            replay_run: None,
            detail: None,
        }
    }

    fn text(&self, ui: &Ui, verdict: Option<ReplayVerdict>) -> String {
        let name = verdict.map_or("would run", ReplayVerdict::name);
        let word = verdict.map_or_else(|| name.to_owned(), |verdict| painted(ui, verdict));
        let blanks = " ".repeat(16_usize.saturating_sub(name.len()));
        let detail =
            self.detail.as_ref().map_or_else(String::new, |detail| format!("  ({detail})"));
        format!(
            "{word}{blanks}  {}  {}  {}{detail}\n",
            &self.run[..8],
            &self.at[..16],
            self.argv.join(" ")
        )
    }
}
