//! `carnet status`: the index's freshness, the daemon, the ledger at a glance.

use carnet_core::{ExitCode, GitOid};
use carnet_daemon::{DaemonState, RefreshRecord, Sizes, Status, StatusError, protocol::WatchMode};
use carnet_guard::LookedOver;
use carnet_index::{
    Snapshot,
    vectors::{GraphState, ModelCoverage},
};
use carnet_run::index;
use serde::Serialize;

use super::{embedding::Model, query::describe, report::count};
use crate::{
    cli::JsonArgs,
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::{Workspace, now},
};

/// The freshness objective: seconds from a commit until the index is at it.
const FRESH_WITHIN_SECS: u64 = 120;

/// `carnet status --json`.
#[derive(Serialize)]
pub(super) struct StatusReport {
    format: &'static str,
    head: Option<String>,
    index: Option<IndexReport>,
    index_error: Option<String>,
    behind_commits: Option<u32>,
    behind_seconds: Option<u64>,
    objective_seconds: u64,
    last_refresh_ms: Option<u64>,
    /// The last hundred refreshes, the newest last.
    refreshes: Vec<RefreshLine>,
    /// What the index takes on the disk, in bytes.
    sizes: SizesLine,
    /// The model that git's configuration names, and how much it has embedded.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<ModelLine>,
    /// How it stands with the graph of neighbours: `fresh`, `due` or `no-room`; absent where so few vectors need none.
    #[serde(skip_serializing_if = "Option::is_none")]
    vector_graph: Option<&'static str>,
    daemon: DaemonReport,
    n_runs: usize,
    /// Commits that no hook saw and a gate would refuse.
    flagged: Vec<String>,
}

#[derive(Serialize)]
struct IndexReport {
    commit: String,
    /// Digest of all that the snapshot says; the same for a rebuild from nothing.
    content: String,
    last_update: String,
    n_files: u64,
    n_files_supported: u64,
    n_files_indexed: u64,
    n_symbols: u64,
    n_calls: u64,
    n_calls_resolved: u64,
    /// What the words leave out, since the ceiling of memory has no room for it.
    left_out: Option<&'static str>,
}

#[derive(Serialize)]
struct ModelLine {
    name: String,
    n_files_embedded: u64,
    n_files: u64,
    /// Why it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl ModelLine {
    fn of(repo: &carnet_git::Repo) -> Option<ModelLine> {
        let line = || -> Result<Option<ModelLine>, CommandError> {
            let Some(model) = Model::configured(repo)? else { return Ok(None) };
            let snapshot = Snapshot::open_current(&carnet_daemon::index_dir(repo))?;
            let coverage = snapshot.map(|it| model.store.coverage(&it)).transpose()?;
            let ModelCoverage { n_files_done, n_files } = coverage.unwrap_or_default();
            let name = model.name().to_owned();
            Ok(Some(ModelLine { name, n_files_embedded: n_files_done, n_files, error: None }))
        };
        line().unwrap_or_else(|error| {
            let name = String::new();
            Some(ModelLine { name, n_files_embedded: 0, n_files: 0, error: Some(error.message) })
        })
    }
}

#[derive(Serialize)]
struct RefreshLine {
    commit: String,
    ended_at: String,
    duration_ms: u64,
    n_files: u64,
    n_parsed: u64,
}

#[derive(Serialize)]
struct SizesLine {
    facts: u64,
    snapshots: u64,
    words: u64,
    vectors: u64,
}

#[derive(Serialize)]
struct DaemonReport {
    running: bool,
    pid: Option<u32>,
    refreshing: bool,
    watch: Option<String>,
    /// Uncommitted edits, while the daemon follows them: for half an hour after somebody asked about them.
    edits: Option<EditsReport>,
    last_error: Option<String>,
}

#[derive(Serialize)]
struct EditsReport {
    /// Files that differ from the commit.
    n_files: Option<u32>,
    watch: String,
    error: Option<String>,
}

/// Shows how things stand. Starts nothing.
pub fn status(ui: &Ui, args: &JsonArgs) -> CommandResult {
    let (status, report) = look()?;
    let stale = report.behind_seconds.is_none_or(|seconds| seconds > FRESH_WITHIN_SECS);
    if args.json {
        ui.json(&report)
    } else {
        ui.out(&page(ui, &status, &report, stale))
    }
    Ok(if stale && report.head.is_some() { ExitCode::Incomplete } else { ExitCode::Done })
}

/// Returns how things stand, and what `status --json` prints of it.
pub(super) fn look() -> Result<(Status, StatusReport), CommandError> {
    let workspace = Workspace::discover()?;
    let status = carnet_daemon::status(&workspace.repo, now())?;
    let n_runs = index::open(&workspace.repo)?.len();
    let looked_over = LookedOver::load(&workspace.repo);
    let mut report = report(&status, n_runs, looked_over.flagged());
    report.model = ModelLine::of(&workspace.repo);
    report.vector_graph = match carnet_daemon::graph_state(&workspace.repo) {
        Ok(GraphState::Fresh) => Some("fresh"),
        Ok(GraphState::Due) => Some("due"),
        Ok(GraphState::NoRoom) => Some("no-room"),
        Ok(GraphState::NotNeeded) | Err(_) => None,
    };
    Ok((status, report))
}

fn report(status: &Status, n_runs: usize, flagged: &[GitOid]) -> StatusReport {
    let index = status.indexed.as_ref().map(|indexed| IndexReport {
        commit: indexed.commit.to_string(),
        content: indexed.content.to_string(),
        last_update: indexed.created_at.to_string(),
        n_files: indexed.coverage.n_files,
        n_files_supported: indexed.coverage.n_files_supported,
        n_files_indexed: indexed.coverage.n_files_indexed,
        n_symbols: indexed.coverage.n_symbols,
        n_calls: indexed.coverage.n_calls,
        n_calls_resolved: indexed.coverage.n_calls_resolved,
        left_out: indexed.left_out,
    });
    let daemon = match &status.daemon {
        DaemonState::Running(daemon) => DaemonReport {
            running: true,
            pid: Some(daemon.pid),
            refreshing: daemon.is_refreshing,
            watch: Some(watch_text(&daemon.watch)),
            edits: daemon.edits.as_ref().map(|edits| EditsReport {
                n_files: edits.n_files,
                watch: watch_text(&edits.watch),
                error: edits.error.clone(),
            }),
            last_error: daemon.last_error.clone(),
        },
        DaemonState::Away { .. } => DaemonReport {
            running: false,
            pid: None,
            refreshing: false,
            watch: None,
            edits: None,
            last_error: None,
        },
        DaemonState::Unclear(error) => DaemonReport {
            running: false,
            pid: None,
            refreshing: false,
            watch: None,
            edits: None,
            last_error: Some(error.to_string()),
        },
    };
    StatusReport {
        format: "carnet/status/1",
        head: status.head.map(|head| head.to_string()),
        index,
        index_error: status.snapshot_error.as_ref().map(ToString::to_string),
        behind_commits: status.freshness.behind_commits,
        behind_seconds: status.freshness.seconds,
        objective_seconds: FRESH_WITHIN_SECS,
        last_refresh_ms: status.refreshes.last().map(|refresh| refresh.duration_ms),
        refreshes: status.refreshes.iter().map(refresh_line).collect(),
        model: None,
        vector_graph: None,
        sizes: sizes_line(&status.sizes),
        daemon,
        n_runs,
        flagged: flagged.iter().map(GitOid::to_string).collect(),
    }
}

fn watch_text(watch: &WatchMode) -> String {
    match watch {
        WatchMode::Watching { n_dirs } => format!("watching {n_dirs} directories"),
        WatchMode::Polling { reason } => format!("polling: {reason}"),
    }
}

fn refresh_line(refresh: &RefreshRecord) -> RefreshLine {
    RefreshLine {
        commit: refresh.commit.to_string(),
        ended_at: refresh.ended_at.to_string(),
        duration_ms: refresh.duration_ms,
        n_files: refresh.n_files,
        n_parsed: refresh.n_parsed,
    }
}

fn sizes_line(sizes: &Sizes) -> SizesLine {
    let Sizes { facts, snapshots, words, vectors } = *sizes;
    SizesLine { facts, snapshots, words, vectors }
}

/// `▁▂█ 3 refreshes, half of them within 210 ms, the longest 1400 ms`; empty where none is known.
fn history(refreshes: &[RefreshRecord]) -> String {
    let mut millis: Vec<u64> = refreshes.iter().map(|it| it.duration_ms).collect();
    let line: String = sparkline(&millis[millis.len().saturating_sub(SPARKS_MAX)..]);
    millis.sort_unstable();
    let Some(longest) = millis.last() else { return line };
    let median = millis[(millis.len() - 1) / 2];
    let refreshes = if millis.len() == 1 { "refresh" } else { "refreshes" };
    let n = millis.len();
    format!("{line} {n} {refreshes}, half of them within {median} ms, the longest {longest} ms")
}

/// Bars shown of the history: a terminal has room for them and for what is said of them.
const SPARKS_MAX: usize = 60;

/// Draws one bar for each value, the largest of them eight eighths high.
fn sparkline(values: &[u64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let largest = values.iter().copied().max().unwrap_or(0).max(1);
    let bar = |value: &u64| BARS[(u128::from(*value) * 7 / u128::from(largest)) as usize];
    values.iter().map(bar).collect()
}

fn page(ui: &Ui, status: &Status, report: &StatusReport, stale: bool) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| text += &format!("{name:<10} {value}\n");
    row("head", status.head.map_or("no commit yet".to_owned(), |head| head.short()));
    match &status.indexed {
        None if report.index_error.is_some() => {
            row("index", ui.red_out(report.index_error.as_deref().unwrap_or_default()));
        }
        None => row("index", "none yet; it is made with the next question or commit".to_owned()),
        Some(indexed) => {
            let fresh = describe(&status.freshness);
            let fresh = if stale { ui.yellow_out(&fresh) } else { ui.green_out(&fresh) };
            row(
                "index",
                format!(
                    "commit {}, {fresh} (objective {FRESH_WITHIN_SECS} s)",
                    indexed.commit.short()
                ),
            );
            let coverage = &indexed.coverage;
            row(
                "",
                format!(
                    "{} of {} files in a known language, {} read; {} symbols, {} of {} calls resolved",
                    coverage.n_files_supported,
                    coverage.n_files,
                    coverage.n_files_indexed,
                    coverage.n_symbols,
                    coverage.n_calls_resolved,
                    coverage.n_calls
                ),
            );
            let took = report.last_refresh_ms.map_or(String::new(), |ms| format!(", in {ms} ms"));
            row("", format!("last update {}{took}", indexed.created_at));
            let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            let Sizes { facts, snapshots, words, vectors } = status.sizes;
            row(
                "",
                format!(
                    "{:.1} MiB on the disk: facts {:.1}, snapshots {:.1}, words {:.1}, vectors {:.1}",
                    mib(status.sizes.total()),
                    mib(facts),
                    mib(snapshots),
                    mib(words),
                    mib(vectors)
                ),
            );
        }
    }
    if let Some(ModelLine { name, n_files_embedded, n_files, error }) = &report.model {
        row(
            "",
            match error {
                Some(error) => ui.yellow_out(&format!("the model is not used: {error}")),
                None => format!("`{name}` has embedded {n_files_embedded} of {n_files} files"),
            },
        );
    }
    match report.vector_graph {
        Some("fresh") => {
            row("", "vectors are found through the graph of their neighbours".to_owned())
        }
        Some("due") => row(
            "",
            "all vectors are looked through until the graph of neighbours is made".to_owned(),
        ),
        Some("no-room") => row("", ui.yellow_out(super::daemon_vectors::NO_ROOM)),
        _ => {}
    }
    if let Some(left_out) = status.indexed.as_ref().and_then(|it| it.left_out) {
        row("", ui.yellow_out(&format!("without {left_out}: {}", super::search::RAISE)));
    }
    if !status.refreshes.is_empty() {
        row("history", history(&status.refreshes));
    }
    row(
        "daemon",
        match &report.daemon {
            DaemonReport { running: true, pid, refreshing, .. } => {
                let doing = if *refreshing { ", refreshing" } else { "" };
                format!("runs (process {}{doing})", pid.unwrap_or_default())
            }
            _ => "away; it starts by itself with the next commit or question".to_owned(),
        },
    );
    if let Some(watch) = &report.daemon.watch {
        let is_polling = watch.starts_with("polling");
        row("", if is_polling { ui.yellow_out(watch) } else { watch.clone() });
    }
    if let Some(edits) = &report.daemon.edits {
        let files = match (&edits.error, edits.n_files) {
            (Some(error), _) => ui.red_out(error),
            (None, Some(0)) => "no file changed since the commit".to_owned(),
            (None, Some(n)) => format!("{} changed since the commit", count(n as usize, "file")),
            (None, None) => "not looked at yet".to_owned(),
        };
        row("edits", files);
        let is_polling = edits.watch.starts_with("polling");
        row("", if is_polling { ui.yellow_out(&edits.watch) } else { edits.watch.clone() });
    }
    if let Some(error) = &report.daemon.last_error {
        row("", ui.red_out(error));
    }
    row("runs", format!("{} recorded", report.n_runs));
    if !report.flagged.is_empty() {
        let commits = count(report.flagged.len(), "commit");
        let flagged = format!("{commits} went round the hooks: carnet scan --unexamined");
        row("flagged", ui.red_out(&flagged));
    }
    text
}

impl From<StatusError> for CommandError {
    fn from(error: StatusError) -> CommandError {
        CommandError::of(ExitCode::Incomplete, &error).hint("Ask git what it thinks: `git fsck`.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_refresh_has_the_highest_bar() {
        assert_eq!(sparkline(&[0, 70, 35, 69, 9, 10]), "▁█▄▇▁▂");
        assert_eq!(sparkline(&[0, 0]), "▁▁");
        assert_eq!(sparkline(&[u64::MAX, 1]), "█▁");
        assert_eq!(history(&[]), "");
    }
}
