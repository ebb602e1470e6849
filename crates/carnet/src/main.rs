//! The `carnet` binary: commands, help, text and JSON, colours, exit codes.
//!
//! It sorts every error into its kind and owns the forms that machines read. All else is in the rooms below.
#![warn(missing_docs)]

mod cli;
mod commands;
mod error;
mod terminal;
mod ui;
mod workspace;

use carnet_core::ExitCode;
use clap::Parser as _;

use crate::{cli::Cli, error::CommandError, ui::Ui};

fn main() -> ExitCode {
    // Inside the sandbox this same binary is the first process; nothing else may happen before.
    if std::env::args_os().nth(1).is_some_and(|arg| arg == carnet_sandbox::INNER_ARGUMENT) {
        return inner_stage();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            let _ = usage.print();
            return if usage.use_stderr() { ExitCode::Usage } else { ExitCode::Done };
        }
    };
    start_logging();
    let begun = std::time::Instant::now();
    let ui = Ui::new(cli.color);
    let result = match &cli.directory {
        Some(dir) => std::env::set_current_dir(dir).map_err(|error| {
            CommandError::new(
                ExitCode::Usage,
                format!("cannot change to `{}`: {error}", dir.display()),
            )
        }),
        None => Ok(()),
    };
    let token_file = cli.token_file.as_deref();
    let admitted = result.and_then(|()| commands::presented::admit(token_file, &cli.command));
    let done = admitted.and_then(|()| commands::dispatch(&ui, cli.command));
    tracing::debug!(target: "carnet::time", microseconds = begun.elapsed().as_micros() as u64);
    match done {
        Ok(code) => code,
        Err(error) => {
            error.print(&ui);
            error.exit
        }
    }
}

/// Ends the process with the inner stage's own code, which only the supervisor reads.
fn inner_stage() -> ExitCode {
    let code = carnet_sandbox::inner_main();
    // `std::process::ExitCode` cannot be taken apart; the supervisor reads the report, not this code.
    if code == std::process::ExitCode::SUCCESS { ExitCode::Done } else { ExitCode::Bug }
}

/// Logs go to standard error, and only when `CARNET_LOG` asks for them.
fn start_logging() {
    let Ok(filter) = std::env::var("CARNET_LOG") else { return };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .finish();
    let _ = tracing::subscriber::set_global_default(subscriber);
}
