//! The command line: one definition for parsing, `-h`, `--help` and completions.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::ui::ColorChoice;

/// Guard, index, run and replay: a git-native toolchain for people and AI agents.
#[derive(Debug, Parser)]
#[command(
    name = "carnet",
    version,
    disable_help_subcommand = true,
    after_help = "Start with `carnet init` in a git repository; `carnet doctor` says what this machine lacks."
)]
pub struct Cli {
    /// When to use colour.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: ColorChoice,
    /// Run as if started in DIR.
    #[arg(short = 'C', global = true, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Install hooks, refspecs and keys in this repository.
    #[command(
        after_help = "Examples:\n  carnet init --dry-run   show what would be written\n  carnet init"
    )]
    Init(InitArgs),
    /// Take the hooks and the configuration out again, byte for byte.
    Uninstall(UninstallArgs),
    /// Say what this machine and repository lack, and what each absence costs.
    Doctor(JsonArgs),
    /// Look for secrets in staged files, paths or standard input.
    #[command(
        after_help = "Examples:\n  carnet scan --staged\n  carnet scan src config.toml\n  git log -p | carnet scan -\n  carnet scan --format sarif . >carnet.sarif"
    )]
    Scan(ScanArgs),
    /// Answer a git hook (called by the shim).
    #[command(hide = true)]
    Hook(HookArgs),
    /// Run a command in a lane: allow-listed, confined, recorded.
    #[command(
        after_help = "Examples:\n  carnet run -- make test\n  carnet run --lane code-impl --output 'dist/*' -- make dist\n\nThe command sees a checkout of the commit in /workspace, no network, and an empty environment.\nIts exit code is recorded; carnet exits with 0 or 10."
    )]
    Run(RunArgs),
    /// List recorded runs, newest first.
    Runs(RunsArgs),
    /// Show one run: passport, logs, artifacts.
    Show(ShowArgs),
    /// Work with the signed passport of a run.
    #[command(subcommand)]
    Passport(PassportCommand),
    /// Do a run again from its own record and compare what comes out.
    #[command(
        after_help = "Examples:\n  carnet replay 5f0c --dry-run   print the plan and change nothing\n  carnet replay 5f0c\n\nAnswers MATCH_EXACT (exit 0), or DIVERGED (exit 1) with path and first differing byte."
    )]
    Replay(ReplayArgs),
    /// Print where a symbol is defined.
    #[command(
        name = "where-defined",
        after_help = "Examples:\n  carnet where-defined parse_config\n  carnet where-defined Config::load"
    )]
    WhereDefined(QueryArgs),
    /// Print who calls a symbol: resolved callers, then candidates of the same name.
    #[command(name = "who-calls")]
    WhoCalls(QueryArgs),
    /// Show how fresh the index is, and what carnet knows of this repository.
    Status(JsonArgs),
    /// Control the daemon that keeps the index fresh (it starts by itself).
    Daemon(DaemonArgs),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Options of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Write hook files even where git takes hooks from its configuration (2.54 and later): for
    /// repositories that older versions of git use too.
    #[arg(long)]
    pub shims: bool,
    /// Show what would be done and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Write JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `uninstall`.
#[derive(Debug, Args)]
pub struct UninstallArgs {
    /// Show what would be done and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Write JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of commands that only differ in their form of output.
#[derive(Debug, Args)]
pub struct JsonArgs {
    /// Write JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `scan`.
#[derive(Debug, Args)]
pub struct ScanArgs {
    /// Scan what is staged for the next commit.
    #[arg(long, conflicts_with = "paths")]
    pub staged: bool,
    /// Files and directories, or `-` for standard input.
    #[arg(value_name = "PATH", required_unless_present = "staged")]
    pub paths: Vec<PathBuf>,
    /// The form of the report: for people, `carnet/scan/1`, SARIF 2.1.0, or GitHub's annotations.
    #[arg(long, value_enum, value_name = "FORM", default_value_t)]
    pub format: ScanFormat,
    /// The same as `--format json`.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

/// Forms of a scan's report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ScanFormat {
    /// For people, on standard error.
    #[default]
    Text,
    /// `carnet/scan/1`.
    Json,
    /// SARIF 2.1.0, for code-scanning services.
    Sarif,
    /// Workflow commands, which GitHub Actions shows beside the lines.
    Github,
}

/// Options of `hook`.
#[derive(Debug, Args)]
pub struct HookArgs {
    /// The event.
    pub event: String,
    /// Version of the calling shim.
    #[arg(long)]
    pub shim: u32,
    /// What git passed to the hook.
    #[arg(last = true)]
    pub args: Vec<std::ffi::OsString>,
}

/// Options of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The lane to run in.
    #[arg(long, default_value = "code-impl")]
    pub lane: String,
    /// Collect outputs that match this glob, relative to the workspace; may be repeated.
    #[arg(long = "output", value_name = "GLOB")]
    pub outputs: Vec<String>,
    /// The commit to run on.
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    pub commit: String,
    /// Write the passport as JSON instead of the command's output.
    #[arg(long)]
    pub json: bool,
    /// The command and its arguments, after `--`.
    #[arg(last = true, required = true, value_name = "ARGV")]
    pub argv: Vec<String>,
}

/// Options of `runs`.
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// Show at most N runs.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub limit: usize,
    /// Write JSON (`carnet/runs/1`).
    #[arg(long)]
    pub json: bool,
}

/// Options of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The run's id, or its first digits.
    pub run: String,
    /// Write the passport as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Verbs of `passport`.
#[derive(Debug, Subcommand)]
pub enum PassportCommand {
    /// Check signature, manifest, digests and ledger entry of a run.
    Verify(ShowArgs),
}

/// Options of `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The run's id, or its first digits.
    pub run: String,
    /// Print the plan and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Write JSON (`carnet/replay/1`).
    #[arg(long)]
    pub json: bool,
}

/// Options of the query verbs.
#[derive(Debug, Args)]
pub struct QueryArgs {
    /// The symbol's name, or `Type::method`.
    pub name: String,
    /// Answer from the index as it is, without waiting for it to reach HEAD.
    #[arg(long)]
    pub no_wait: bool,
    /// Write JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `daemon`.
#[derive(Debug, Args)]
pub struct DaemonArgs {
    /// What to do; `run` stays in the foreground.
    #[arg(value_enum, default_value = "status")]
    pub verb: DaemonVerb,
    /// Bring the index up to date once and exit (for cron).
    #[arg(long)]
    pub once: bool,
    /// Write JSON.
    #[arg(long)]
    pub json: bool,
}

/// Verbs of `daemon`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DaemonVerb {
    /// Run in the foreground until stopped or idle.
    Run,
    /// Start it in the background.
    Start,
    /// Stop it.
    Stop,
    /// Say whether it runs.
    Status,
}
