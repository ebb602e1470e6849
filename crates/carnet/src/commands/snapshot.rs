//! `carnet snapshot`: indexes that travel with git, so that a clone or a build starts with one.

use carnet_core::ExitCode;
use carnet_daemon::{PublishError, Published, fetch_published};
use carnet_git::PushError;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{query::Asked, report::count, sync::remote};
use crate::{
    cli::FreshArgs,
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::{Workspace, now},
};

/// Verbs of `snapshot`.
#[derive(Debug, Subcommand)]
pub enum SnapshotCommand {
    /// Publish the index of HEAD under refs/carnet/index/, here and at a remote.
    Publish(PublishArgs),
    /// Fetch the published index that is nearest to HEAD and start from it.
    Fetch(FetchArgs),
    /// List what is published here, or at a remote.
    List(ListArgs),
}

/// Options of `snapshot publish`.
#[derive(Debug, Args)]
pub struct PublishArgs {
    /// The remote (default: origin, or the only one).
    remote: Option<String>,
    /// Publish here alone.
    #[arg(long, conflicts_with = "remote")]
    local: bool,
    #[command(flatten)]
    common: CommonArgs,
}

/// Options of `snapshot fetch`.
#[derive(Debug, Args)]
pub struct FetchArgs {
    /// The remote (default: origin, or the only one).
    remote: Option<String>,
    #[command(flatten)]
    common: CommonArgs,
}

/// Options of both.
#[derive(Debug, Args)]
struct CommonArgs {
    /// How many are kept, the newest by the dates of their commits.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    keep: u16,
    /// Write JSON.
    #[arg(long)]
    json: bool,
}

/// Options of `snapshot list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// The remote; without it, what is published here.
    remote: Option<String>,
    /// Write JSON (`carnet/snapshots/1`).
    #[arg(long)]
    json: bool,
}

/// One published index.
#[derive(Serialize)]
struct SnapshotLine {
    commit: String,
    /// The commit that holds the index.
    index: String,
    /// When the commit was made; none where this clone lacks it.
    time: Option<String>,
}

/// `carnet snapshot list --json`.
#[derive(Serialize)]
struct SnapshotList {
    format: &'static str,
    remote: Option<String>,
    snapshots: Vec<SnapshotLine>,
}

/// `carnet snapshot publish --json`.
#[derive(Serialize)]
struct PublishReport {
    format: &'static str,
    remote: Option<String>,
    published: SnapshotLine,
    n_bytes: u64,
    removed: Vec<SnapshotLine>,
}

/// `carnet snapshot fetch --json`.
#[derive(Serialize)]
struct FetchReport {
    format: &'static str,
    remote: String,
    fetched: SnapshotLine,
    n_facts: u64,
    /// Whether the index is now at that commit; else only facts were taken over, since there was an index.
    is_current: bool,
}

/// Publishes, fetches or lists indexes.
pub fn snapshot(ui: &Ui, command: &SnapshotCommand) -> CommandResult {
    match command {
        SnapshotCommand::Publish(args) => publish(ui, args),
        SnapshotCommand::Fetch(args) => fetch(ui, args),
        SnapshotCommand::List(args) => list(ui, args),
    }
}

fn publish(ui: &Ui, args: &PublishArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let remote = match args.local {
        true => None,
        false => Some(remote(&workspace, args.remote.as_deref())?),
    };
    let asked = Asked::committed(ui, FreshArgs::default())?;
    if !asked.is_level() {
        return Err(CommandError::new(ExitCode::Incomplete, "the index is not at HEAD")
            .hint("See why: `carnet status`."));
    }
    ui.progress("carnet: publishing the index …\n");
    let keep = usize::from(args.common.keep);
    let done = carnet_daemon::publish(&workspace.repo, remote.as_deref(), keep, now())?;
    if args.common.json {
        ui.json(&PublishReport {
            format: "carnet/snapshot-publish/1",
            remote,
            published: line(&done.published),
            n_bytes: done.n_bytes,
            removed: done.removed.iter().map(line).collect(),
        });
        return Ok(ExitCode::Done);
    }
    let place = remote.as_deref().unwrap_or("this repository");
    let commit = done.published.commit.short();
    ui.out(&format!(
        "published the index of commit {commit} to {place} ({} bytes)\n",
        done.n_bytes
    ));
    if !done.removed.is_empty() {
        ui.out(&format!("removed {}\n", count(done.removed.len(), "older index")));
    }
    Ok(ExitCode::Done)
}

fn fetch(ui: &Ui, args: &FetchArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let repo = &workspace.repo;
    let remote = remote(&workspace, args.remote.as_deref())?;
    let head = match repo.head()? {
        carnet_git::Head::Commit { commit_id, .. } => commit_id,
        carnet_git::Head::Unborn { branch } => return Err(super::run::unborn(&branch)),
    };
    ui.progress(&format!("carnet: fetching an index from {remote} …\n"));
    let keep = usize::from(args.common.keep);
    let Some(fetched) = fetch_published(repo, &remote, &head, keep)? else {
        let message = format!("{remote} has no index of a commit that HEAD builds on");
        return Err(CommandError::new(ExitCode::NothingToLookAt, message)
            .hint("Publish one: `carnet snapshot publish`; the first question makes one here."));
    };
    let (published, unpacked) = (&fetched.published, fetched.unpacked);
    if args.common.json {
        ui.json(&FetchReport {
            format: "carnet/snapshot-fetch/1",
            remote,
            fetched: line(published),
            n_facts: unpacked.n_facts,
            is_current: unpacked.is_current,
        });
        return Ok(ExitCode::Done);
    }
    let facts = format!("{} known", count(unpacked.n_facts as usize, "parsed file"));
    ui.out(&match unpacked.is_current {
        true => format!("index at commit {}, {facts}\n", published.commit.short()),
        false => format!(
            "this clone has an index; of the one of commit {}: {facts}\n",
            published.commit.short()
        ),
    });
    Ok(ExitCode::Done)
}

fn list(ui: &Ui, args: &ListArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let remote = match &args.remote {
        Some(named) => Some(remote(&workspace, Some(named))?),
        None => None,
    };
    let all = carnet_daemon::published(&workspace.repo, remote.as_deref())?;
    if args.json {
        let snapshots = all.iter().map(line).collect();
        ui.json(&SnapshotList { format: "carnet/snapshots/1", remote, snapshots });
        return Ok(ExitCode::Done);
    }
    for it in &all {
        let time = it.time.map_or("not in this clone".to_owned(), |time| time.to_string());
        ui.out(&format!("{}  {time}\n", it.commit.short()));
    }
    if all.is_empty() {
        ui.err("no index is published; make one: `carnet snapshot publish`\n");
    }
    Ok(ExitCode::Done)
}

fn line(published: &Published) -> SnapshotLine {
    SnapshotLine {
        commit: published.commit.to_string(),
        index: published.index.to_string(),
        time: published.time.map(|time| time.to_string()),
    }
}

impl From<PublishError> for CommandError {
    fn from(error: PublishError) -> CommandError {
        let made = CommandError::of(ExitCode::Incomplete, &error);
        match &error {
            PublishError::Push(PushError::Rejected { .. }) => {
                made.hint("Others publish at the same time; type it again.")
            }
            PublishError::Push(_) | PublishError::Program(_) => {
                made.hint("Ask git what it thinks of the remote: `git ls-remote`.")
            }
            PublishError::Foreign { .. }
            | PublishError::Index(carnet_index::IndexError::Foreign(_)) => made.hint(
                "Have it published anew: `carnet snapshot publish`; the first question makes one here.",
            ),
            _ => made.hint("Make the index anew: `carnet daemon --once`."),
        }
    }
}
