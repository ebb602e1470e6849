//! `carnet verify`: the whole ledger, on any clone, and the signatures of the guard's receipts. `carnet checkpoint`: signs where it stands.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use carnet_access::{
    dsse::{Signatures, VerifyError},
    keys::PublicKey,
};
use carnet_core::ExitCode;
use carnet_git::Repo;
use carnet_guard::{GUARD_NOTES, RECEIPT_TYPE, stored_receipts};
use carnet_run::{
    artifact::BACKUP_DIR_KEY,
    backup::{BackupDir, Manifest},
    checkpoint::{self, CheckpointError},
    verify_all::{Problem, Report, Severity, verify_all},
};
use serde::Serialize;

use super::report::count;
use crate::{
    cli::JsonArgs,
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::{TRUSTED_KEY, Workspace, now},
};

/// How long a verification goes on before it says how far it is.
const QUIET: Duration = Duration::from_millis(500);

/// `carnet verify --json`.
#[derive(Serialize)]
struct VerifyReport {
    format: &'static str,
    verdict: &'static str,
    n_chains: usize,
    n_runs: usize,
    n_locked: usize,
    n_signed: usize,
    n_checkpoints: usize,
    n_backups: usize,
    n_receipts: usize,
    problems: Vec<ProblemLine>,
}

/// A problem as `--json` writes it.
#[derive(Serialize)]
pub struct ProblemLine {
    severity: &'static str,
    subject: String,
    message: String,
}

/// `carnet checkpoint --json`.
#[derive(Serialize)]
struct CheckpointReport {
    format: &'static str,
    at: String,
    n_chains: usize,
    n_events: u64,
}

/// Verifies the whole ledger.
pub fn verify(ui: &Ui, args: &JsonArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let trusted = workspace.trusted_keys()?;
    let own_writer = workspace.key().ok().map(|key| key.public().writer());
    let begun = Instant::now();
    let on_run = |run_idx: usize, n_runs: usize| {
        if run_idx.is_multiple_of(64) && begun.elapsed() > QUIET {
            ui.progress(&format!("\rcarnet: verified {run_idx} of {n_runs} runs …"));
        }
    };
    let mut unread = vec![];
    let backups = backups(&workspace.repo, &trusted, &mut unread);
    let own_writer = own_writer.as_deref();
    let mut report = verify_all(&workspace.repo, &trusted, own_writer, &backups, &on_run)?;
    report.problems.append(&mut unread);
    let n_receipts = receipts(&workspace.repo, &trusted, &mut report.problems);
    if begun.elapsed() > QUIET {
        ui.progress("\r\x1b[K");
    }
    let worst = report.problems.first().map(|problem| problem.severity);
    let (verdict, code) = match worst {
        Some(Severity::Wrong) => ("wrong", ExitCode::Refused),
        Some(Severity::Untrusted) => ("untrusted", ExitCode::Incomplete),
        Some(Severity::Note) | None => ("holds", ExitCode::Done),
    };
    if args.json {
        ui.json(&json(&report, n_receipts, verdict));
        return Ok(code);
    }
    ui.out(&text(ui, &report, n_receipts));
    match worst {
        Some(Severity::Wrong) => Err(CommandError::new(code, "the ledger does not verify").hint(
            "Compare with another clone or the server: `git fetch`, then `carnet verify` again.",
        )),
        Some(Severity::Untrusted) => Err(untrusted(code, &report.untrusted_keys)),
        _ => Ok(code),
    }
}

/// Signs where every chain stands.
pub fn checkpoint(ui: &Ui, args: &JsonArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let key = workspace.key()?;
    let made = checkpoint::write(&workspace.repo, &key, now())?.ok_or_else(|| {
        CommandError::new(ExitCode::NothingToLookAt, "no run is recorded yet")
            .hint("Record one: `carnet run -- true`.")
    })?;
    let n_events = made.chains.iter().map(|chain| chain.n_events).sum();
    if args.json {
        ui.json(&CheckpointReport {
            format: "carnet/checkpoint-made/1",
            at: made.at.to_string(),
            n_chains: made.chains.len(),
            n_events,
        });
    } else {
        let chains = count(made.chains.len(), "chain");
        ui.out(&format!(
            "signed {chains} of {n_events} events; `carnet sync` carries it to others\n"
        ));
    }
    Ok(ExitCode::Done)
}

/// What the backups in `carnet.backupDir` say that a trusted key signed; what the others say counts for nothing, and is told.
fn backups(repo: &Repo, trusted: &[PublicKey], problems: &mut Vec<Problem>) -> Vec<Manifest> {
    let Some(dir) = repo.config_get(BACKUP_DIR_KEY) else { return vec![] };
    let (vouched, others) = match BackupDir::new(&dir).vouched(trusted) {
        Ok(both) => both,
        Err(error) => (vec![], vec![error]),
    };
    problems.extend(others.iter().map(|error| Problem {
        severity: Severity::Note,
        subject: dir.clone(),
        message: format!("not counted: {}; see `carnet backup verify`", describe(error)),
    }));
    vouched
}

fn describe(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Examines the signatures of the guard's receipts, and returns how many there are.
fn receipts(repo: &Repo, trusted: &[PublicKey], problems: &mut Vec<Problem>) -> usize {
    let mut add = |severity, subject: &str, message: String| {
        problems.push(Problem { severity, subject: subject.to_owned(), message });
    };
    let (stored, n_others) = match stored_receipts(repo) {
        Ok(stored) => stored,
        Err(error) => {
            add(Severity::Wrong, GUARD_NOTES, format!("not examined: {error}"));
            return 0;
        }
    };
    let mut n_unknown = 0;
    for line in &stored {
        let subject = format!("{GUARD_NOTES} on {}", line.target);
        if line.receipt.tree.to_string() != line.target {
            let message = format!("it is the receipt of tree {}", line.receipt.tree);
            add(Severity::Wrong, &subject, message);
        }
        let said = Signatures::from_json(&line.signatures)
            .map(|signatures| signatures.verify(RECEIPT_TYPE, &line.receipt.payload(), trusted));
        match said {
            Ok(Ok(_)) => {}
            Ok(Err(VerifyError::UnknownKey(keys))) if !keys.is_empty() => n_unknown += 1,
            Ok(Err(error)) => add(Severity::Wrong, &subject, error.to_string()),
            Err(_) => add(Severity::Wrong, &subject, "its signatures are malformed".to_owned()),
        }
    }
    if n_unknown > 0 {
        let message =
            format!("{n_unknown} by keys that are not trusted here: they count for nothing");
        add(Severity::Note, GUARD_NOTES, message);
    }
    if n_others > 0 {
        let message = format!("{n_others} lines are no receipts that this version reads");
        add(Severity::Note, GUARD_NOTES, message);
    }
    problems.sort();
    stored.len()
}

fn json(report: &Report, n_receipts: usize, verdict: &'static str) -> VerifyReport {
    VerifyReport {
        format: "carnet/verify/1",
        verdict,
        n_chains: report.n_chains,
        n_runs: report.n_runs,
        n_locked: report.n_locked,
        n_signed: report.n_signed,
        n_checkpoints: report.n_checkpoints,
        n_backups: report.n_backups,
        n_receipts,
        problems: problem_lines(&report.problems),
    }
}

/// Returns problems as `--json` writes them.
pub fn problem_lines(problems: &[Problem]) -> Vec<ProblemLine> {
    let line = |problem: &Problem| ProblemLine {
        severity: word(problem.severity),
        subject: problem.subject.clone(),
        message: problem.message.clone(),
    };
    problems.iter().map(line).collect()
}

/// Returns the error for a log that holds together and is not by someone trusted.
pub fn untrusted(code: ExitCode, keys: &BTreeSet<String>) -> CommandError {
    let mut error = CommandError::new(code, "not everything is signed by someone trusted here");
    error
        .hints
        .extend(keys.iter().map(|key| {
            format!("If you know that writer: `git config --add {TRUSTED_KEY} {key}`.")
        }));
    error
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Wrong => "wrong",
        Severity::Untrusted => "untrusted",
        Severity::Note => "note",
    }
}

/// Returns a line for each problem.
pub fn problem_text(ui: &Ui, problems: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems {
        let word = match problem.severity {
            Severity::Wrong => ui.red_out("WRONG    "),
            Severity::Untrusted => ui.yellow_out("untrusted"),
            Severity::Note => ui.dim_out("note     "),
        };
        text += &format!("{word}  {}: {}\n", problem.subject, problem.message);
    }
    text
}

fn text(ui: &Ui, report: &Report, n_receipts: usize) -> String {
    let mut text = problem_text(ui, &report.problems);
    text += &format!(
        "{} in {}, {} locked, {} signed by a key that git knows, {}, {}, {}\n",
        count(report.n_runs, "run"),
        count(report.n_chains, "chain"),
        report.n_locked,
        report.n_signed,
        count(report.n_checkpoints, "checkpoint"),
        count(report.n_backups, "backup"),
        count(n_receipts, "guard receipt")
    );
    text
}

impl From<CheckpointError> for CommandError {
    fn from(error: CheckpointError) -> CommandError {
        let exit = match &error {
            CheckpointError::Broken { .. } => ExitCode::Refused,
            _ => ExitCode::Io,
        };
        CommandError::of(exit, &error).hint("See what is damaged: `carnet verify`.")
    }
}
