//! `carnet runs`: the ledger as a list.

use carnet_core::{ExitCode, LaneName, Outcome, Timestamp, passport::RunKind};
use carnet_git::RefError;
use carnet_run::{
    event::{RunEvent, describe},
    filter::{Ending, RunFilter},
    ledger::{self, FindError, Ledger, LedgerEntry, LoadError},
};
use serde::Serialize;

use crate::{
    cli::{EndingArg, KindArg, RunsArgs},
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::Workspace,
};

/// `carnet runs --json`.
#[derive(Serialize)]
struct RunList {
    format: &'static str,
    n_runs: usize,
    runs: Vec<RunLine>,
    problems: Vec<String>,
}

#[derive(Serialize)]
struct RunLine {
    run: String,
    commit: String,
    source_commit: String,
    kind: RunKind,
    lane: String,
    argv: Vec<String>,
    outcome: Outcome,
    wall_ms: u64,
    at: String,
    writer: String,
}

/// Lists recorded runs, newest first.
pub fn runs(ui: &Ui, args: &RunsArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let filter = filter(&workspace, args)?;
    super::run::close_abandoned_runs(ui, &workspace);
    let ledger = ledger::read(&workspace.repo)?;
    let wanted: Vec<_> =
        ledger.entries.iter().filter(|entry| filter.wants(entry.event())).collect();
    let shown = wanted.iter().take(args.limit);
    if args.json {
        ui.json(&RunList {
            format: "carnet/runs/1",
            n_runs: wanted.len(),
            runs: shown.map(|entry| line(entry.event())).collect(),
            problems: problems(&ledger),
        });
    } else {
        let mut text = String::new();
        for entry in shown {
            text += &row(ui, &ledger, entry);
        }
        if ledger.entries.is_empty() {
            ui.err("no runs are recorded yet; type: carnet run -- true\n");
        } else if wanted.is_empty() {
            ui.err("no recorded run is like that\n");
        } else if wanted.len() > args.limit {
            let n_more = wanted.len() - args.limit;
            ui.err(&format!("{n_more} older runs are not shown; see --limit\n"));
        }
        ui.out(&text);
        problems(&ledger).iter().for_each(|problem| ui.err(&format!("carnet: {problem}\n")));
    }
    Ok(if ledger.problems.is_empty() { ExitCode::Done } else { ExitCode::Incomplete })
}

/// Parses what `--since` takes.
pub fn parse_since(text: &str) -> Result<Timestamp, CommandError> {
    Timestamp::parse(text).ok_or_else(|| {
        CommandError::new(ExitCode::Usage, format!("`{text}` is neither a day nor a time"))
            .hint("Write `2026-11-22` or `2026-11-22T16:00:00Z`.")
    })
}

fn filter(workspace: &Workspace, args: &RunsArgs) -> Result<RunFilter, CommandError> {
    let usage =
        |error: &(dyn std::error::Error + 'static)| CommandError::of(ExitCode::Usage, error);
    let lane =
        args.lane.as_deref().map(LaneName::new).transpose().map_err(|error| usage(&error))?;
    let commit =
        args.commit.as_deref().map(|name| workspace.repo.resolve_commit(name)).transpose()?;
    let since = args.since.as_deref().map(parse_since).transpose()?;
    let ending = args.outcome.map(|ending| match ending {
        EndingArg::Succeeded => Ending::Succeeded,
        EndingArg::Failed => Ending::Failed,
        EndingArg::Limited => Ending::Limited,
        EndingArg::Refused => Ending::Refused,
        EndingArg::Interrupted => Ending::Interrupted,
        EndingArg::Crashed => Ending::Crashed,
    });
    let kind = args.kind.map(|kind| match kind {
        KindArg::Baseline => RunKind::Baseline,
        KindArg::Replay => RunKind::Replay,
    });
    Ok(RunFilter { lane, ending, kind, commit, tool: args.tool.clone(), since })
}

fn problems(ledger: &Ledger) -> Vec<String> {
    let problem = |it: &ledger::LedgerProblem| {
        format!("{} cannot be read past commit {}: {}", it.ref_name, it.commit, it.message)
    };
    ledger.problems.iter().map(problem).collect()
}

fn line(event: &RunEvent) -> RunLine {
    RunLine {
        run: event.run.to_string(),
        commit: event.commit.to_string(),
        source_commit: event.source_commit.to_string(),
        kind: event.kind,
        lane: event.lane.to_string(),
        argv: event.argv.clone(),
        outcome: event.outcome.clone(),
        wall_ms: event.wall_ms,
        at: event.at.to_string(),
        writer: event.writer.clone(),
    }
}

fn row(ui: &Ui, ledger: &Ledger, entry: &LedgerEntry) -> String {
    let event = entry.event();
    let id = event.run.to_string();
    let unique = unique_prefix(ledger, &id);
    let (head, tail) = id.split_at(unique);
    let tail = &tail[..(12 - unique.min(12)).min(tail.len())];
    let ended = describe(&event.outcome);
    let ended = if event.outcome.is_success() { ui.green_out(&ended) } else { ui.red_out(&ended) };
    let command: String =
        event.argv.join(" ").chars().filter(|c| !c.is_control()).take(60).collect();
    let kind = if event.kind == RunKind::Replay { "replay  " } else { "" };
    format!(
        "{}{}  {}  {}  {:>8.1} s  {kind}{}  {command}  {}\n",
        ui.bold_out(head),
        ui.dim_out(tail),
        &event.at.to_string()[..19],
        event.source_commit.short(),
        event.wall_ms as f64 / 1000.0,
        event.lane,
        ended
    )
}

/// Length of the shortest prefix, at least 4, that no other run shares.
fn unique_prefix(ledger: &Ledger, id: &str) -> usize {
    let common = |other: &str| id.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let others = ledger.entries.iter().map(|entry| entry.event().run.to_string());
    let longest = others.filter(|other| other != id).map(|other| common(&other)).max().unwrap_or(0);
    (longest + 1).clamp(4, id.len())
}

impl From<RefError> for CommandError {
    fn from(error: RefError) -> CommandError {
        CommandError::of(ExitCode::Incomplete, &error).hint("Ask git what it thinks: `git fsck`.")
    }
}

impl From<FindError> for CommandError {
    fn from(error: FindError) -> CommandError {
        match &error {
            FindError::NotAnId(_) => {
                CommandError::of(ExitCode::Usage, &error).hint("List the runs: `carnet runs`.")
            }
            FindError::Unknown(_) => CommandError::of(ExitCode::NothingToLookAt, &error)
                .hint("List the runs: `carnet runs`; fetch others' with `git fetch`."),
            FindError::Ambiguous { .. } => {
                CommandError::of(ExitCode::Usage, &error).hint("Type more digits of the id.")
            }
            FindError::Refs(_) => CommandError::of(ExitCode::Incomplete, &error),
        }
    }
}

impl From<LoadError> for CommandError {
    fn from(error: LoadError) -> CommandError {
        CommandError::of(ExitCode::Incomplete, &error)
            .hint("See what is damaged: `carnet passport verify RUN`, `git fsck`.")
    }
}
