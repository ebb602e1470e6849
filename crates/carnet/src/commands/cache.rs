//! `carnet cache`: what runs of lanes find again, and how to empty it.

use carnet_core::ExitCode;
use carnet_run::caches::{self, Listed};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::report::count;
use crate::{
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::Workspace,
};

/// What is asked of caches.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// List the caches of this repository's lanes.
    #[command(after_help = "Examples:\n  carnet cache list\n  carnet cache list --json")]
    List(ListArgs),
    /// Empty caches; runs that go on keep what they found.
    #[command(
        after_help = "Examples:\n  carnet cache clear                      every cache of every lane\n  carnet cache clear npm\n  carnet cache clear --lane code-impl"
    )]
    Clear(ClearArgs),
}

/// Options of `cache list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Write JSON (`carnet/cache/1`).
    #[arg(long)]
    pub json: bool,
}

/// Options of `cache clear`.
#[derive(Debug, Args)]
pub struct ClearArgs {
    /// Only the caches of this name.
    pub name: Option<String>,
    /// Only those of this lane.
    #[arg(long)]
    pub lane: Option<String>,
    /// Write JSON (`carnet/cache/1`): what was emptied.
    #[arg(long)]
    pub json: bool,
}

/// `carnet cache list --json` and `carnet cache clear --json`.
#[derive(Serialize)]
struct CacheReport {
    format: &'static str,
    caches: Vec<CacheLine>,
}

#[derive(Serialize)]
struct CacheLine {
    lane: String,
    name: String,
    uid: u32,
    /// The run that left what is there, and its commit.
    run: String,
    commit: String,
    size_bytes: u64,
    n_files: usize,
}

/// Answers about caches.
pub fn cache(ui: &Ui, command: &CacheCommand) -> CommandResult {
    let workspace = Workspace::discover()?;
    let state_dir = workspace.repo.state_dir();
    let failed = |error: std::io::Error| {
        CommandError::new(ExitCode::Io, format!("cannot look at the caches: {error}"))
    };
    match command {
        CacheCommand::List(args) => {
            let listed = caches::list(state_dir).map_err(failed)?;
            tell(ui, &listed, args.json);
            Ok(ExitCode::Done)
        }
        CacheCommand::Clear(args) => {
            let (lane, name) = (args.lane.as_deref(), args.name.as_deref());
            let cleared = caches::clear_all(state_dir, lane, name).map_err(failed)?;
            tell(ui, &cleared, args.json);
            if !args.json {
                ui.err(&format!("carnet: {} emptied\n", count(cleared.len(), "cache")));
            }
            let is_missed = cleared.is_empty() && (lane.is_some() || name.is_some());
            Ok(if is_missed { ExitCode::NothingToLookAt } else { ExitCode::Done })
        }
    }
}

fn tell(ui: &Ui, listed: &[Listed], json: bool) {
    if json {
        let line = |it: &Listed| CacheLine {
            lane: it.lane.clone(),
            name: it.name.clone(),
            uid: it.uid,
            run: it.run.to_string(),
            commit: it.commit.to_string(),
            size_bytes: it.size_bytes,
            n_files: it.n_files,
        };
        let caches = listed.iter().map(line).collect();
        return ui.json(&CacheReport { format: "carnet/cache/1", caches });
    }
    for it in listed {
        ui.out(&format!(
            "{}/{}  {} KiB in {}, left by run {}\n",
            it.lane,
            it.name,
            it.size_bytes.div_ceil(1024),
            count(it.n_files, "file"),
            it.run.short()
        ));
    }
}
