//! `carnet gc`: expire old days of the ledger and clear the content store.

use carnet_core::ExitCode;
use carnet_git::store::ObjectKind;
use carnet_run::retention::{CollectError, GRACE_DAYS, KEEP_DAYS, Retention, collect_garbage};
use clap::Args;
use serde::Serialize;

use super::report::count;
use crate::{
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::{Workspace, now},
};

/// The configuration key of how many days of the ledger are kept.
const KEEP_DAYS_KEY: &str = "carnet.keepDays";
/// The configuration key of how many days an object of the store stays when nothing points at it.
const GRACE_DAYS_KEY: &str = "carnet.graceDays";

/// Options of `gc`.
#[derive(Debug, Args)]
pub struct GcArgs {
    /// Show what would go and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Write JSON (`carnet/gc/1`).
    #[arg(long)]
    pub json: bool,
}

/// `carnet gc --json`.
#[derive(Serialize)]
struct GcReport {
    format: &'static str,
    dry_run: bool,
    keep_days: u32,
    grace_days: u32,
    expired_refs: Vec<String>,
    removed_contents: Vec<String>,
    n_removed_chunks: usize,
    freed_bytes: u64,
}

/// Plans, says what goes, and does it.
///
/// - `with_days`: also expires days of the ledger.
pub fn gc(ui: &Ui, args: &GcArgs, with_days: bool) -> CommandResult {
    let workspace = Workspace::discover()?;
    let retention = Retention {
        keep_days: days(&workspace, KEEP_DAYS_KEY, KEEP_DAYS)?,
        grace_days: days(&workspace, GRACE_DAYS_KEY, GRACE_DAYS)?,
    };
    let plan = collect_garbage(&workspace.repo, &retention, with_days, args.dry_run, now())?;
    let lists = plan.objects.iter().filter(|object| object.key.kind == ObjectKind::List);
    let removed_contents: Vec<String> = lists.map(|object| object.key.digest.to_string()).collect();
    let report = GcReport {
        format: "carnet/gc/1",
        dry_run: args.dry_run,
        keep_days: retention.keep_days,
        grace_days: retention.grace_days,
        expired_refs: plan.days.into_iter().map(|(name, _)| name).collect(),
        n_removed_chunks: plan.objects.len() - removed_contents.len(),
        removed_contents,
        freed_bytes: plan.objects.iter().map(|object| object.stored_bytes).sum(),
    };
    if args.json {
        ui.json(&report);
        return Ok(ExitCode::Done);
    }
    let verb = if args.dry_run { "would go" } else { "gone" };
    for name in &report.expired_refs {
        ui.out(&format!("{verb}: {name}\n"));
    }
    for digest in &report.removed_contents {
        ui.out(&format!("{verb}: content {digest}\n"));
    }
    ui.out(&format!(
        "{verb}: {} older than {} days, {} and {} ({} bytes) that nothing pointed at for {} days\n",
        count(report.expired_refs.len(), "day ref"),
        report.keep_days,
        count(report.removed_contents.len(), "content"),
        count(report.n_removed_chunks, "chunk"),
        report.freed_bytes,
        report.grace_days,
    ));
    if !args.dry_run && !report.expired_refs.is_empty() {
        ui.err("carnet: their objects go with the next `git gc`\n");
    }
    Ok(ExitCode::Done)
}

fn days(workspace: &Workspace, key: &str, otherwise: u32) -> Result<u32, CommandError> {
    let Some(text) = workspace.repo.config_get(key) else { return Ok(otherwise) };
    text.parse().map_err(|_| {
        CommandError::new(ExitCode::Config, format!("`{key}` is `{text}`, not a number of days"))
            .hint(format!("Set it: `git config {key} {otherwise}`."))
    })
}

impl From<CollectError> for CommandError {
    fn from(error: CollectError) -> CommandError {
        match &error {
            CollectError::Roots(_) => CommandError::of(ExitCode::Incomplete, &error)
                .hint("Nothing of the store went. Ask git what is missing: `git fsck`."),
            CollectError::Store(_) => CommandError::of(ExitCode::Io, &error),
            CollectError::Refs(_) => CommandError::of(ExitCode::Incomplete, &error)
                .hint("Someone else works on it; type `carnet gc` again."),
        }
    }
}
