//! `carnet daemon`, and starting it by itself.

use std::{path::Path, time::Duration};

use carnet_core::ExitCode;
use carnet_daemon::{
    Client, ClientError, DaemonOptions, LockError, Once, OnceError, RunError, SpawnError,
    StopReason,
};
use carnet_git::Repo;
use serde::Serialize;

use super::{daemon_logs, daemon_unit, daemon_vectors};
use crate::{
    cli::{DaemonArgs, DaemonVerb},
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::{Workspace, carnet_exe, now},
};

/// The variable that keeps carnet from starting a daemon: `off`.
pub const DAEMON_VARIABLE: &str = "CARNET_DAEMON";

/// `carnet daemon --json`.
#[derive(Serialize)]
struct DaemonReport {
    format: &'static str,
    running: bool,
    pid: Option<u32>,
    version: Option<String>,
}

/// Tells whether a daemon may be started by itself.
pub fn is_wanted() -> bool {
    std::env::var_os(DAEMON_VARIABLE).is_none_or(|value| value != "off")
}

/// Starts the daemon unless one answers or none is wanted; does not wait for it.
pub fn ensure_running(repo: &Repo, carnet_exe: &Path) -> Result<(), CommandError> {
    if is_wanted() {
        carnet_daemon::ensure_running(repo, carnet_exe)?;
    }
    Ok(())
}

/// Controls the daemon.
pub fn daemon(ui: &Ui, args: &DaemonArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let repo = &workspace.repo;
    if args.once {
        return once(ui, repo);
    }
    match args.verb.unwrap_or(DaemonVerb::Status) {
        DaemonVerb::Run { stay } => {
            let mut options = DaemonOptions::default();
            if stay {
                options.idle_exit = Duration::MAX;
            }
            let reason = carnet_daemon::run(repo, &options)?;
            ui.err(&format!("carnet: the daemon ended: {}\n", ending(reason)));
            Ok(ExitCode::Done)
        }
        DaemonVerb::Start => {
            carnet_daemon::ensure_running(repo, &carnet_exe()?)?;
            let patience = Duration::from_secs(10);
            if carnet_daemon::connect_within(repo, patience)?.is_none() {
                let log = carnet_daemon::log_path(repo);
                return Err(CommandError::new(
                    ExitCode::DaemonAway,
                    "the daemon was started and does not answer",
                )
                .hint(format!("Read its log: `{}`.", log.display())));
            }
            report(ui, args, repo)
        }
        DaemonVerb::Stop => {
            let Some(mut client) = Client::connect(repo)? else {
                ui.err("carnet: no daemon runs for this repository\n");
                return Ok(ExitCode::Done);
            };
            let (pid, _) = client.ping()?;
            client.stop()?;
            if args.json {
                return report(ui, args, repo);
            }
            ui.out(&format!(
                "the daemon has ended (process {pid}); it starts by itself with the next commit or question\n"
            ));
            Ok(ExitCode::Done)
        }
        DaemonVerb::Status => report(ui, args, repo),
        DaemonVerb::Logs { lines, follow } => daemon_logs::logs(ui, repo, lines, follow),
        DaemonVerb::Vectors => daemon_vectors::vectors(ui, repo),
        DaemonVerb::Unit { system } => daemon_unit::unit(ui, repo, system),
    }
}

fn once(ui: &Ui, repo: &Repo) -> CommandResult {
    let (commit, how) = match carnet_daemon::refresh_once(repo, now())? {
        Once::Refreshed { commit, report } => {
            let how = format!(
                "{} files, {} parsed, {} known",
                report.n_files, report.n_parsed, report.n_reused
            );
            (commit, how)
        }
        Once::ByDaemon { commit } => (commit, "done by the daemon".to_owned()),
        Once::AlreadyFresh { commit } => (commit, "nothing to do".to_owned()),
        Once::NothingToIndex => {
            return Err(CommandError::new(
                ExitCode::NothingToLookAt,
                "there is no commit to index yet",
            )
            .hint("Make one: `git commit`."));
        }
    };
    ui.out(&format!("index at commit {} ({how})\n", commit.short()));
    if let Some(said) = daemon_vectors::bring_up_to_date(ui, repo)? {
        ui.out(&format!("vectors: {said}\n"));
    }
    Ok(ExitCode::Done)
}

fn ending(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Requested => "it was asked to",
        StopReason::Idle => "nothing happened for half an hour",
        StopReason::RepositoryGone => "the repository is gone",
        StopReason::Signalled => "a signal",
    }
}

fn report(ui: &Ui, args: &DaemonArgs, repo: &Repo) -> CommandResult {
    let answer = match Client::connect(repo)? {
        Some(mut client) => Some(client.ping()?),
        None => None,
    };
    let running = answer.is_some();
    let (pid, version) = answer.unzip();
    if args.json {
        ui.json(&DaemonReport { format: "carnet/daemon-status/1", running, pid, version });
    } else {
        ui.out(&match pid {
            Some(pid) => format!("the daemon runs (process {pid})\n"),
            None => {
                "no daemon runs; it starts by itself with the next commit or question\n".to_owned()
            }
        });
    }
    let stopped = args.verb == Some(DaemonVerb::Stop);
    Ok(if running || stopped { ExitCode::Done } else { ExitCode::DaemonAway })
}

impl From<ClientError> for CommandError {
    fn from(error: ClientError) -> CommandError {
        CommandError::of(ExitCode::DaemonAway, &error)
            .hint("Start it anew: `carnet daemon stop; carnet daemon start`.")
    }
}

impl From<SpawnError> for CommandError {
    fn from(error: SpawnError) -> CommandError {
        CommandError::of(ExitCode::DaemonAway, &error)
            .hint("Refresh the index without a daemon: `carnet daemon --once`.")
    }
}

impl From<RunError> for CommandError {
    fn from(error: RunError) -> CommandError {
        match &error {
            RunError::Lock(LockError::Held { .. }) => CommandError::of(ExitCode::Refused, &error)
                .hint("One is enough; see it with `carnet daemon status`, end it with `carnet daemon stop`."),
            _ => CommandError::of(ExitCode::Io, &error).hint(
                "Where another user keeps this index, only they can; work in a clone of your own: `git clone`.",
            ),
        }
    }
}

impl From<OnceError> for CommandError {
    fn from(error: OnceError) -> CommandError {
        let exit = match &error {
            OnceError::Client(_) | OnceError::Daemon(_) => ExitCode::DaemonAway,
            OnceError::Lock(LockError::Held { .. }) => ExitCode::Incomplete,
            OnceError::Refresh(_) | OnceError::Lock(_) => ExitCode::Incomplete,
        };
        CommandError::of(exit, &error).hint("See how the index stands: `carnet status`.")
    }
}
