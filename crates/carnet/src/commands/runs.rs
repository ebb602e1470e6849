//! `carnet runs`: the ledger as a list.

use carnet_core::{ExitCode, LaneName, Outcome, RepoPath, Timestamp, passport::RunKind};
use carnet_git::{ObjectError, RefError};
use carnet_run::{
    event::{RunEvent, describe},
    filter::{Ending, RunFilter},
    index::{self, Index},
    ledger::{FindError, LedgerProblem, LoadError},
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
    locked: bool,
}

/// Lists recorded runs, newest first.
pub fn runs(ui: &Ui, args: &RunsArgs) -> CommandResult {
    list(ui, args, "carnet/runs/1", &|shown, index| {
        shown.iter().map(|(event, locked)| row(ui, index, event, *locked)).collect()
    })
}

/// A run that is listed, and whether it is locked.
pub type Shown = (RunEvent, bool);

/// Finds what is asked for, and shows it as JSON of a format, or as a text of the caller's making.
pub fn list(
    ui: &Ui,
    args: &RunsArgs,
    format: &'static str,
    text: &dyn Fn(&[Shown], &Index) -> String,
) -> CommandResult {
    let workspace = Workspace::discover()?;
    let filter = filter(&workspace, args)?;
    super::run::close_abandoned_runs(ui, &workspace);
    let index = index::open(&workspace.repo)?;
    let asks_for_all = filter == RunFilter::default() && args.path.is_none() && !args.locked;
    let mut shown = vec![];
    let mut n_wanted = if asks_for_all { index.len() } else { 0 };
    for run in index.runs().filter(|run| run.locked || !args.locked) {
        if asks_for_all && shown.len() == args.limit {
            break;
        }
        let Some(event) = run.event().filter(|event| filter.wants(event)) else { continue };
        if let Some(path) = &args.path
            && !concerns(&workspace, &event, path)?
        {
            continue;
        }
        n_wanted += usize::from(!asks_for_all);
        if shown.len() < args.limit {
            shown.push((event, run.locked));
        }
    }
    if args.json {
        ui.json(&RunList {
            format,
            n_runs: n_wanted,
            runs: shown.iter().map(|(event, locked)| line(event, *locked)).collect(),
            problems: problems(&index),
        });
    } else {
        if index.is_empty() {
            ui.err("no runs are recorded yet; type: carnet run -- true\n");
        } else if n_wanted == 0 {
            ui.err("no recorded run is like that\n");
        } else if n_wanted > args.limit {
            let n_more = n_wanted - args.limit;
            ui.err(&format!("{n_more} older runs are not shown; see --limit\n"));
        }
        ui.out(&text(&shown, &index));
        problems(&index).iter().for_each(|problem| ui.err(&format!("carnet: {problem}\n")));
    }
    Ok(if index.problems.is_empty() { ExitCode::Done } else { ExitCode::Incomplete })
}

/// Tells whether a run named a path among its arguments, or left an artifact there or below.
fn concerns(workspace: &Workspace, event: &RunEvent, path: &str) -> Result<bool, CommandError> {
    let path = path.trim_end_matches('/');
    if event.argv.iter().skip(1).any(|arg| arg.trim_start_matches("./") == path) {
        return Ok(true);
    }
    let damaged = |error: ObjectError| {
        CommandError::of(ExitCode::Incomplete, &error).hint("See what is damaged: `carnet verify`.")
    };
    let repo = &workspace.repo;
    let tree = repo.read_commit(&event.commit).map_err(damaged)?.tree;
    let dir = RepoPath::new(*b"artifacts").expect("because the path is well formed");
    let Some(artifacts) = repo.subtree(&tree, &dir).map_err(damaged)? else { return Ok(false) };
    let files = repo.tree_files(&artifacts).map_err(damaged)?;
    Ok(files.iter().any(|file| {
        let name = file.path.to_text();
        name.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }))
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
        KindArg::Hotfix => RunKind::Hotfix,
        KindArg::Replay => RunKind::Replay,
        KindArg::Sandbox => RunKind::Sandbox,
    });
    Ok(RunFilter { lane, ending, kind, commit, tool: args.tool.clone(), since })
}

fn problems(index: &Index) -> Vec<String> {
    let problem = |it: &LedgerProblem| {
        format!("{} cannot be read past commit {}: {}", it.ref_name, it.commit, it.message)
    };
    index.problems.iter().map(problem).collect()
}

fn line(event: &RunEvent, locked: bool) -> RunLine {
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
        locked,
    }
}

/// A run's id with the digits that are enough to name it marked.
pub fn marked_id(ui: &Ui, index: &Index, event: &RunEvent) -> String {
    let id = event.run.to_string();
    let unique = index.unique_prefix(event.run);
    let (head, tail) = id.split_at(unique);
    let tail = &tail[..(12 - unique.min(12)).min(tail.len())];
    format!("{}{}", ui.bold_out(head), ui.dim_out(tail))
}

/// A run's command in one line.
pub fn command(event: &RunEvent) -> String {
    event.argv.join(" ").chars().filter(|c| !c.is_control()).take(60).collect()
}

fn row(ui: &Ui, index: &Index, event: &RunEvent, locked: bool) -> String {
    let ended = describe(&event.outcome);
    let ended = if event.outcome.is_success() { ui.green_out(&ended) } else { ui.red_out(&ended) };
    let locked = if locked { "  locked" } else { "" };
    let kind = match event.kind {
        RunKind::Replay => "replay  ",
        RunKind::Sandbox => "sandbox  ",
        _ => "",
    };
    format!(
        "{}  {}  {}  {:>8.1} s  {kind}{}  {}  {}{locked}\n",
        marked_id(ui, index, event),
        &event.at.to_string()[..19],
        event.source_commit.short(),
        event.wall_ms as f64 / 1000.0,
        event.lane,
        command(event),
        ended
    )
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
            FindError::Damaged { .. } => CommandError::of(ExitCode::Incomplete, &error)
                .hint("See what is damaged: `carnet verify`, `git fsck`."),
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
