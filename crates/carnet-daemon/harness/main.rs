//! The daemon's process without the rest of carnet, for this crate's own tests.
//!
//! - `daemon run`: as `carnet daemon run`; `HARNESS_IDLE_MS`, `HARNESS_POLL_MS` and `HARNESS_NO_WATCH` set
//!   what options and configuration set there.
//! - `hook`: what a post-commit hook does: starts a daemon if none runs, else gives it a hint.
//! - `spawn-time`: prints how long starting a daemon kept the caller, in microseconds.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks on its streams")]

use std::{
    error::Error,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use carnet_daemon::{Client, DaemonOptions, ensure_running, run};
use carnet_git::Repo;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match act(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("{err}");
            ExitCode::FAILURE
        }
    }
}

fn act(args: &[&str]) -> Result<(), Box<dyn Error>> {
    let repo = Repo::discover(Path::new("."))?;
    match args {
        ["daemon", "run"] => {
            let reason = run(&repo, &options()?)?;
            println!("{reason:?}");
        }
        ["hook"] => {
            ensure_running(&repo, &std::env::current_exe()?)?;
            if let Some(client) = Client::connect(&repo)? {
                client.hint()?;
            }
        }
        ["spawn-time"] => {
            let began = Instant::now();
            ensure_running(&repo, &std::env::current_exe()?)?;
            println!("{}", began.elapsed().as_micros());
        }
        _ => return Err("daemon run | hook | spawn-time".into()),
    }
    Ok(())
}

fn options() -> Result<DaemonOptions, Box<dyn Error>> {
    let mut options = DaemonOptions::default();
    if let Some(idle_exit) = millis("HARNESS_IDLE_MS")? {
        options.idle_exit = idle_exit;
    }
    if let Some(poll_every) = millis("HARNESS_POLL_MS")? {
        options.poll_every = poll_every;
    }
    options.is_watching = std::env::var_os("HARNESS_NO_WATCH").is_none();
    Ok(options)
}

fn millis(name: &str) -> Result<Option<Duration>, Box<dyn Error>> {
    let Ok(text) = std::env::var(name) else { return Ok(None) };
    Ok(Some(Duration::from_millis(text.parse()?)))
}
