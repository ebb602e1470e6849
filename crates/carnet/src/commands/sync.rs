//! `carnet sync`: exchange recorded runs with a remote.

use carnet_core::ExitCode;
use carnet_git::{NotesJoined, PushError};
use carnet_run::{
    checkpoint,
    sync::{SyncError, sync as exchange},
};
use serde::Serialize;

use super::report::count;
use crate::{
    cli::SyncArgs,
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::{Workspace, now},
};

/// `carnet sync --json`.
#[derive(Serialize)]
struct SyncReport<'a> {
    format: &'static str,
    remote: &'a str,
    n_fetched_refs: usize,
    n_pushed_refs: usize,
    notes: &'static str,
    n_rounds: u32,
}

/// Fetches, joins and pushes.
pub fn sync(ui: &Ui, args: &SyncArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let key = workspace.key()?;
    let writer = key.public().writer();
    let remote = remote(&workspace, args.remote.as_deref())?;
    super::run::close_abandoned_runs(ui, &workspace);
    // Once a day the state of every chain is signed; a broken one is `carnet verify`'s to name.
    if let Err(error) = checkpoint::write_daily(&workspace.repo, &key, now()) {
        let error = CommandError::from(error);
        ui.err(&format!("carnet: no checkpoint was made: {}; see carnet verify\n", error.message));
    }
    let on_wait = || ui.progress("carnet: others push at the same time; trying again …\n");
    let synced = exchange(&workspace.repo, &remote, &writer, now(), &on_wait)?;
    let notes = match synced.notes {
        NotesJoined::Unchanged => "unchanged",
        NotesJoined::Forwarded => "forwarded",
        NotesJoined::Merged => "merged",
    };
    if args.json {
        ui.json(&SyncReport {
            format: "carnet/sync/1",
            remote: &remote,
            n_fetched_refs: synced.n_fetched_refs,
            n_pushed_refs: synced.n_pushed_refs,
            notes,
            n_rounds: synced.n_rounds,
        });
    } else {
        ui.out(&format!(
            "level with {remote}: {} of this clone there, {} of others here, notes {notes}\n",
            count(synced.n_pushed_refs, "ledger ref"),
            count(synced.n_fetched_refs, "ledger ref")
        ));
    }
    Ok(ExitCode::Done)
}

/// The remote that was named, else `origin`, else the only one.
pub(super) fn remote(workspace: &Workspace, named: Option<&str>) -> Result<String, CommandError> {
    let remotes = workspace.repo.remote_names().map_err(|error| {
        CommandError::of(ExitCode::Incomplete, &error).hint("Ask git: `git remote -v`.")
    })?;
    let chosen = match named {
        Some(named) => remotes.iter().find(|remote| *remote == named),
        None => remotes.iter().find(|remote| *remote == "origin").or(match remotes.as_slice() {
            [only] => Some(only),
            _ => None,
        }),
    };
    chosen.cloned().ok_or_else(|| {
        let known = if remotes.is_empty() { "none".to_owned() } else { remotes.join(", ") };
        CommandError::new(ExitCode::Usage, format!("there is no such remote; configured: {known}"))
            .hint("Add one: `git remote add origin URL`, or name one of those.")
    })
}

impl From<SyncError> for CommandError {
    fn from(error: SyncError) -> CommandError {
        let made = CommandError::of(ExitCode::Incomplete, &error);
        match &error {
            SyncError::Push { source: PushError::Rejected { .. }, .. } => {
                made.hint("Others push all the time; type `carnet sync` again.")
            }
            SyncError::Fetch { remote, .. } | SyncError::Push { remote, .. } => {
                made.hint(format!("Try what git says: `git fetch {remote}`."))
            }
            SyncError::Refs(_) | SyncError::Notes(_) => {
                made.hint("Ask git what it thinks: `git fsck`.")
            }
        }
    }
}
