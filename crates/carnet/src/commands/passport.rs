//! `carnet passport verify`: every check of a run, with its result.

use carnet_core::ExitCode;
use carnet_run::{index, verify::verify as checks};
use serde::Serialize;

use crate::{
    cli::ShowArgs,
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::{TRUSTED_KEY, Workspace},
};

/// `carnet passport verify --json`.
#[derive(Serialize)]
struct Verification {
    format: &'static str,
    run: String,
    verified: bool,
    checks: Vec<CheckLine>,
}

#[derive(Serialize)]
struct CheckLine {
    name: &'static str,
    holds: bool,
    detail: String,
}

/// Prints this clone's public key.
pub fn key(ui: &Ui, pem: bool) -> CommandResult {
    let key = Workspace::discover()?.key()?.public();
    ui.out(&if pem { key.to_pem() } else { format!("{key}\n") });
    Ok(ExitCode::Done)
}

/// Verifies one run.
pub fn verify(ui: &Ui, args: &ShowArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let trusted = workspace.trusted_keys()?;
    let entry = index::open(&workspace.repo)?.find(&workspace.repo, &args.run)?;
    let checks = checks(&workspace.repo, &entry, &trusted);
    let verified = checks.iter().all(|check| check.result.is_ok());
    let run = entry.event().run.to_string();
    if args.json {
        let line = |check: carnet_run::verify::Check| CheckLine {
            name: check.name,
            holds: check.result.is_ok(),
            detail: check.result.unwrap_or_else(|detail| detail),
        };
        let checks = checks.into_iter().map(line).collect();
        ui.json(&Verification { format: "carnet/verification/1", run, verified, checks });
        return Ok(if verified { ExitCode::Done } else { ExitCode::Refused });
    }
    let mut text = String::new();
    for check in &checks {
        text += &match &check.result {
            Ok(detail) => format!("{}  {:<13} {detail}\n", ui.green_out("holds"), check.name),
            Err(detail) => format!("{}  {:<13} {detail}\n", ui.red_out("FAILS"), check.name),
        };
    }
    ui.out(&text);
    if verified {
        return Ok(ExitCode::Done);
    }
    let refusal =
        CommandError::new(ExitCode::Refused, format!("run {} does not verify", &run[..8]));
    let unknown = checks.iter().any(|check| {
        check
            .result
            .as_ref()
            .is_err_and(|detail| detail.contains("no signature is by a trusted key"))
    });
    Err(match (unknown, &entry.event().public_key) {
        (true, Some(key)) => refusal.hint(format!(
            "If you know that writer: `git config --add {TRUSTED_KEY} {key}`."
        )),
        (true, None) => refusal.hint(format!(
            "Ask the writer for the public key (it is in the first event of {}), then `git config --add {TRUSTED_KEY} KEY`.",
            entry.ref_name
        )),
        (false, _) => refusal.hint("Fetch the run again from where it was made, and compare."),
    })
}
