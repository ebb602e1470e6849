//! `carnet audit`: reads, verifies, reviews and exports the audit logs, on any clone that has them.

use std::path::PathBuf;

use carnet_core::{ExitCode, Timestamp};
use carnet_guard::audit::{AuditEntry, Problem, Severity, read_audit, review, verify_audit};
use carnet_run::checkpoint::audit_against_checkpoints;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    findings::failed,
    report::count,
    runs::parse_since,
    verify::{problem_lines, problem_text, untrusted},
};
use crate::{
    cli::JsonArgs,
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::{Workspace, now},
};

/// How far back a review looks when nobody says: a week.
const REVIEW_MS: i64 = 7 * 86_400_000;

/// Verbs of `audit`.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// List what stands in the log, oldest first.
    #[command(
        after_help = "Examples:\n  carnet audit log --since 2026-11-01\n  carnet audit log --account ci --event token-refusal"
    )]
    Log(LogArgs),
    /// Verify every log that stands here: lines, signatures, days, copies, checkpoints.
    #[command(
        after_help = "Exit code 0 when all holds, 1 when something is wrong, 4 when someone's key is not trusted here.\nWhat cannot be found, and why, is in docs/format/audit.md."
    )]
    Verify(JsonArgs),
    /// List what is unusual since a time, and why, against everything before it.
    #[command(
        after_help = "Examples:\n  carnet audit review                     the last seven days\n  carnet audit review --since 2026-11-01\n\nExit code 0 when nothing is unusual, 1 when something should be looked at."
    )]
    Review(ReviewArgs),
    /// Write the log for other programs.
    #[command(
        after_help = "Examples:\n  carnet audit export >audit.jsonl\n  carnet audit export --form csv --since 2026-11-01 -o audit.csv"
    )]
    Export(ExportArgs),
}

/// Options of `audit log`.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// Only entries since this day (YYYY-MM-DD, UTC) or time (RFC 3339).
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Only what this service account did.
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Only this kind of event, such as `refusal` or `token-use`.
    #[arg(long, value_name = "KIND")]
    event: Option<String>,
    /// At most the newest N.
    #[arg(short = 'n', value_name = "N")]
    n_max: Option<usize>,
    /// Write JSON (`carnet/audit-log/1`).
    #[arg(long)]
    json: bool,
}

/// Options of `audit review`.
#[derive(Debug, Args)]
pub struct ReviewArgs {
    /// Look at entries since this day (YYYY-MM-DD, UTC) or time (RFC 3339); default: seven days ago.
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Write JSON (`carnet/audit-review/1`).
    #[arg(long)]
    json: bool,
}

/// Options of `audit export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Only entries since this day (YYYY-MM-DD, UTC) or time (RFC 3339).
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// JSON lines, or CSV (RFC 4180).
    #[arg(long, value_enum, default_value = "jsonl")]
    form: ExportForm,
    /// Write to FILE instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What `audit export` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ExportForm {
    Jsonl,
    Csv,
}

#[derive(Serialize)]
struct LogReport<'a> {
    format: &'static str,
    entries: &'a [AuditEntry],
}

#[derive(Serialize)]
struct VerifyReport {
    format: &'static str,
    verdict: &'static str,
    n_entries: usize,
    n_days: usize,
    problems: Vec<super::verify::ProblemLine>,
}

#[derive(Serialize)]
struct ReviewReport {
    format: &'static str,
    since: String,
    n_entries: usize,
    anomalies: Vec<AnomalyLine>,
}

#[derive(Serialize)]
struct AnomalyLine {
    at: String,
    unusual: &'static str,
    actor: String,
    why: String,
}

/// Does what was asked.
pub fn audit(ui: &Ui, command: &AuditCommand) -> CommandResult {
    match command {
        AuditCommand::Log(args) => log(ui, args),
        AuditCommand::Verify(args) => verify(ui, args),
        AuditCommand::Review(args) => show_review(ui, args),
        AuditCommand::Export(args) => export(ui, args),
    }
}

fn log(ui: &Ui, args: &LogArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let mut entries = entries(&workspace, args.since.as_deref())?;
    entries.retain(|entry| {
        let by = args.account.is_none() || entry.event.account == args.account;
        by && args.event.as_ref().is_none_or(|kind| entry.event.event.word() == kind)
    });
    let n_left_out = args.n_max.map_or(0, |n_max| entries.len().saturating_sub(n_max));
    let entries = &entries[n_left_out..];
    if args.json {
        ui.json(&LogReport { format: "carnet/audit-log/1", entries });
        return Ok(ExitCode::Done);
    }
    let text: String = entries.iter().map(|entry| row(ui, entry)).collect();
    ui.out(if text.is_empty() { "Nothing stands in the audit log.\n" } else { &text });
    Ok(ExitCode::Done)
}

fn row(ui: &Ui, entry: &AuditEntry) -> String {
    let event = &entry.event;
    let kind = if event.event.is_denial() {
        ui.red_out(event.event.word())
    } else {
        ui.bold_out(event.event.word())
    };
    let by = event.account.clone().unwrap_or_else(|| entry.writer.clone());
    let mut text = format!("{}  {kind} at {} by {by}", event.at, event.at_gate);
    if let Some(subject) = &event.subject {
        text += &format!(": {subject}");
    }
    if let Some(run) = event.run {
        text += &format!(" (run {})", run.short());
    }
    if let Some(reason) = &event.reason {
        text += &format!(", {reason}");
    }
    let mut text: String = text.chars().filter(|it| !it.is_control() || *it == '\x1b').collect();
    text.push('\n');
    for finding in &event.findings {
        let finding: String = finding.chars().filter(|it| !it.is_control()).collect();
        text += &format!("    {finding}\n");
    }
    text
}

fn verify(ui: &Ui, args: &JsonArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let trusted = workspace.trusted_keys()?;
    let own_writer = workspace.key().ok().map(|key| key.public().writer());
    let report =
        verify_audit(&workspace.repo, &trusted, own_writer.as_deref()).map_err(unreadable)?;
    let mut problems: Vec<Problem> =
        audit_against_checkpoints(&workspace.repo, &trusted, &report.chains).map_err(unreadable)?;
    problems.extend(report.problems);
    problems.sort();
    problems.dedup();
    let worst = problems.first().map(|problem| problem.severity);
    let (verdict, code) = match worst {
        Some(Severity::Wrong) => ("wrong", ExitCode::Refused),
        Some(Severity::Untrusted) => ("untrusted", ExitCode::Incomplete),
        Some(Severity::Note) | None => ("holds", ExitCode::Done),
    };
    if args.json {
        ui.json(&VerifyReport {
            format: "carnet/audit-verify/1",
            verdict,
            n_entries: report.n_entries,
            n_days: report.chains.len(),
            problems: problem_lines(&problems),
        });
        return Ok(code);
    }
    let n_days = count(report.chains.len(), "day");
    let n_entries = report.n_entries;
    let entries = if n_entries == 1 { "entry" } else { "entries" };
    ui.out(&format!("{}{n_entries} {entries} in {n_days}\n", problem_text(ui, &problems)));
    match worst {
        Some(Severity::Wrong) => Err(CommandError::new(code, "the audit log does not verify")
            .hint("Compare with another clone or the server: `git fetch`, then `carnet audit verify` again.")),
        Some(Severity::Untrusted) => Err(untrusted(code, &report.untrusted_keys)),
        _ => Ok(code),
    }
}

fn show_review(ui: &Ui, args: &ReviewArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let since = match &args.since {
        Some(text) => parse_since(text)?,
        None => Timestamp::from_millis(now().as_millis() - REVIEW_MS),
    };
    let entries = entries(&workspace, None)?;
    let n_entries = entries.iter().filter(|entry| entry.event.at >= since).count();
    let anomalies = review(&entries, since);
    let code = if anomalies.is_empty() { ExitCode::Done } else { ExitCode::Refused };
    if args.json {
        let line = |it: &carnet_guard::audit::Anomaly| AnomalyLine {
            at: it.at.to_string(),
            unusual: it.unusual.word(),
            actor: it.actor.clone(),
            why: it.why.clone(),
        };
        let anomalies = anomalies.iter().map(line).collect();
        let format = "carnet/audit-review/1";
        ui.json(&ReviewReport { format, since: since.to_string(), n_entries, anomalies });
        return Ok(code);
    }
    let mut text = String::new();
    for it in &anomalies {
        let word = ui.yellow_out(it.unusual.word());
        text += &format!("{}  {word}  {}: {}\n", it.at, it.actor, it.why);
    }
    let denials = entries.iter().filter(|it| it.event.at >= since && it.event.event.is_denial());
    text += &format!(
        "since {since}: {n_entries} entries, {} denied, {} unusual\n",
        denials.count(),
        anomalies.len()
    );
    ui.out(&text);
    Ok(code)
}

fn export(ui: &Ui, args: &ExportArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let entries = entries(&workspace, args.since.as_deref())?;
    let text = match args.form {
        ExportForm::Jsonl => entries.iter().map(json_line).collect(),
        ExportForm::Csv => csv(&entries),
    };
    match &args.output {
        None => ui.out(&text),
        Some(path) => {
            std::fs::write(path, &text).map_err(|error| failed("write", path, &error))?;
            ui.err(&format!("carnet: {} entries in {}\n", entries.len(), path.display()));
        }
    }
    Ok(ExitCode::Done)
}

fn json_line(entry: &AuditEntry) -> String {
    let line = serde_json::to_string(entry).expect("because an entry has string keys");
    format!("{line}\n")
}

fn csv(entries: &[AuditEntry]) -> String {
    let mut text = "at,event,at_gate,account,subject,reason,run,findings,writer,n\r\n".to_owned();
    for entry in entries {
        let event = &entry.event;
        let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
        let fields = [
            event.at.to_string(),
            event.event.word().to_owned(),
            event.at_gate.clone(),
            or_empty(&event.account),
            or_empty(&event.subject),
            or_empty(&event.reason),
            event.run.map(|run| run.to_string()).unwrap_or_default(),
            event.findings.join("; "),
            entry.writer.clone(),
            entry.n.to_string(),
        ];
        text += &fields.map(|field| csv_field(&field)).join(",");
        text += "\r\n";
    }
    text
}

/// A field as RFC 4180 has it; what a spreadsheet would take for a formula gets an apostrophe.
fn csv_field(field: &str) -> String {
    let field = match field.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => format!("'{field}"),
        _ => field.to_owned(),
    };
    if field.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", field.replace('"', "\"\""));
    }
    field
}

fn entries(workspace: &Workspace, since: Option<&str>) -> Result<Vec<AuditEntry>, CommandError> {
    let since = since.map(parse_since).transpose()?;
    read_audit(&workspace.repo, since).map_err(unreadable)
}

fn unreadable(error: carnet_git::RefError) -> CommandError {
    CommandError::of(ExitCode::Incomplete, &error).hint("Ask git what it thinks: `git fsck`.")
}

#[cfg(test)]
mod tests {
    use carnet_guard::AuditKind;

    use super::*;

    #[test]
    fn fields_of_csv_are_quoted_and_start_no_formula() {
        for (field, expect) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=1+1", "'=1+1"),
            ("", ""),
        ] {
            assert_eq!(csv_field(field), expect);
        }
    }

    #[test]
    fn every_kind_is_written_as_its_word() {
        for kind in [AuditKind::Refusal, AuditKind::SecretAccess, AuditKind::TokenRefusal] {
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(json, format!("\"{}\"", kind.word()));
        }
    }
}
