//! `carnet sandbox`: any command in a lane's confinement, to try and to test it.
//!
//! The lane's allowlist is not asked, so it wants to be told so (`--any-command`). All else is as in `carnet run`: limits,
//! overlay, export gate, guard, record. The run is of kind `sandbox`, never valid, and cannot be replayed.

use std::{
    fs::File,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use carnet_core::{ExitCode, LaneName, Outcome, passport::RunKind};
use carnet_guard::PolicyInForce;
use carnet_run::execute::{RunError, RunRequest, execute, plan};
use carnet_sandbox::{MacosProfile, OutputStream, macos_profile};
use clap::Args;

use super::{
    run::{World, close_abandoned_runs, commit_to_run, summary, unrecorded},
    secret_source::read_secrets,
};
use crate::{
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::Workspace,
};

/// Options of `sandbox`.
#[derive(Debug, Args)]
pub struct SandboxArgs {
    /// The lane whose confinement and limits are tried.
    #[arg(long, default_value = "code-impl")]
    pub lane: String,
    /// Say that the lane's allowlist is not to be asked.
    #[arg(long)]
    pub any_command: bool,
    /// Lay the workspace over a copy of this directory instead of the commit.
    #[arg(long, value_name = "DIR")]
    pub workspace: Option<PathBuf>,
    /// Collect outputs that match this glob, relative to the workspace; may be repeated.
    #[arg(long = "output", value_name = "GLOB")]
    pub outputs: Vec<String>,
    /// Hand the command a secret, read from the secret store, a file or a descriptor that is open (`fd:0` is standard input): it finds
    /// the number of a descriptor of its own in `CARNET_SECRET_FD_<NAME>`. The record has the name alone. May be repeated.
    #[arg(long = "secret", value_name = "NAME=store[:PATH]|file:PATH|fd:N")]
    pub secrets: Vec<String>,
    /// The commit to lay the workspace over.
    #[arg(long, value_name = "REV", default_value = "HEAD", conflicts_with = "workspace")]
    pub commit: String,
    /// Write the passport as JSON instead of the command's output.
    #[arg(long)]
    pub json: bool,
    /// Say nothing besides what the command says.
    #[arg(long, short)]
    pub quiet: bool,
    /// Print the profile that macOS' `sandbox-exec` would be given in this lane, and run nothing.
    #[arg(long, conflicts_with_all = ["any_command", "json", "secrets", "argv"])]
    pub macos_profile: bool,
    /// The command and its arguments, after `--`: a bare name, or a path inside the sandbox.
    #[arg(last = true, required_unless_present = "macos_profile", value_name = "ARGV")]
    pub argv: Vec<String>,
}

/// Runs any command in a lane's confinement. Where the command ended by itself, its exit code becomes ours.
pub fn sandbox(ui: &Ui, args: SandboxArgs) -> CommandResult {
    if args.macos_profile {
        return print_macos_profile(ui, &args);
    }
    if !args.any_command {
        let message = "this runs a command that the lane's allowlist was not asked about";
        return Err(CommandError::new(ExitCode::Refused, message)
            .hint("Say that this is meant: `carnet sandbox --any-command -- …`.")
            .hint("Or ask the lane: `carnet run -- …`."));
    }
    let secrets = read_secrets(&args.secrets)?;
    let workspace = Workspace::with_work_tree()?;
    let repo = &workspace.repo;
    let lane =
        LaneName::new(&args.lane).map_err(|error| CommandError::of(ExitCode::Usage, &error))?;
    let directory = args.workspace.as_deref().map(directory).transpose()?;
    let commit = commit_to_run(repo, &args.commit)?;
    let key = workspace.key()?;
    let policy = PolicyInForce::load(repo)?;
    let request = RunRequest {
        lane,
        argv: args.argv,
        outputs: args.outputs,
        patch: false,
        directory,
        model: None,
        commit,
        kind: RunKind::Sandbox,
        repeats: None,
        classes: vec![],
        validate: false,
    };
    let plan = plan(repo, &policy, request)?;
    let guard = workspace.guard(&key)?;
    let world = World::new(repo)?;
    let stdin = std::io::stdin().as_fd().try_clone_to_owned().map(File::from).ok();
    let tell = |stream: OutputStream, bytes: &[u8]| ui.tell(stream == OutputStream::Stdout, bytes);
    let mut context = world.context(repo, &key, &guard);
    context.stdin = stdin.as_ref();
    context.secrets = &secrets;
    if !args.json {
        context.on_output = Some(&tell);
    }
    close_abandoned_runs(ui, &workspace);
    let executed = match execute(&context, &plan) {
        Err(RunError::Record { run, source }) => {
            return Ok(unrecorded(ui, args.json, *run, &source));
        }
        other => other?,
    };
    if args.json {
        ui.json(&executed.recorded.statement);
    }
    if !args.quiet && !args.json {
        ui.err(&summary(&executed));
    }
    let outcome = &executed.recorded.statement.predicate.outcome;
    match own_code(outcome) {
        // Everything that was begun is finished and recorded by now.
        Some(code) => std::process::exit(code),
        None => Ok(outcome.exit_code()),
    }
}

/// The run's directories are made anew each time: their names stand in the profile as if this process ran it.
fn print_macos_profile(ui: &Ui, args: &SandboxArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let policy = PolicyInForce::load(&workspace.repo)?;
    let lane =
        LaneName::new(&args.lane).map_err(|error| CommandError::of(ExitCode::Usage, &error))?;
    let loaded = carnet_run::lanes::load(&policy, &lane, Some(workspace.repo.state_dir()))
        .map_err(|source| CommandError::from(RunError::Lane { lane, source }))?;
    let top = match &args.workspace {
        Some(path) => directory(path)?,
        None => PathBuf::from("/private/tmp/carnet/workspace"),
    };
    let profile = MacosProfile {
        workspace: &top,
        temporary: Path::new("/private/tmp/carnet/tmp"),
        programs: &[Path::new("/usr/local"), Path::new("/opt/homebrew")],
        hidden: loaded.hidden().globs(),
        proxy_port: None,
    };
    let text =
        macos_profile(&profile).map_err(|error| CommandError::of(ExitCode::Config, &error))?;
    ui.out(&text);
    Ok(ExitCode::Done)
}

/// Returns the directory without links, which the copy is made of.
fn directory(path: &Path) -> Result<PathBuf, CommandError> {
    let found = std::fs::canonicalize(path).and_then(|path| {
        if path.is_dir() { Ok(path) } else { Err(std::io::ErrorKind::NotADirectory.into()) }
    });
    found.map_err(|error| {
        let message = format!("cannot use `{}` as a workspace: {error}", path.display());
        CommandError::new(ExitCode::Usage, message)
            .hint("Name a directory, or leave `--workspace` out for the commit.")
    })
}

/// Returns the command's own exit code, as a shell would tell it; `None` where it did not end by itself.
fn own_code(outcome: &Outcome) -> Option<i32> {
    match outcome {
        Outcome::Exited { exit_code } => Some(*exit_code),
        Outcome::Signalled { signal } => Some(128 + signal),
        _ => None,
    }
}
