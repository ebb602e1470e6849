//! `carnet findings`: accepting findings, and looking at what is accepted.

use std::path::{Path, PathBuf};

use carnet_core::{ExitCode, Timestamp};
use carnet_guard::{BASELINE_FILE, FINDINGS_FILE, SuppressedBy};
use carnet_policy::{NewEntry, PolicyProblem, Suppression, Suppressions, with_entry};
use serde::Serialize;

use super::{report::count, scan};
use crate::{
    cli::{AllowArgs, FindingsCommand, ListFindingsArgs},
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::{Workspace, now, own_salt},
};

/// How long an entry counts when nobody says, in days.
const DAYS_DEFAULT: i64 = 180;
/// An entry that runs out within this many days is pointed out.
const DAYS_SOON: i64 = 14;
const DAY_MS: i64 = 86_400_000;

/// `carnet findings list --json`.
#[derive(Serialize)]
struct FindingsReport {
    format: &'static str,
    file: &'static str,
    /// `head` or `history`.
    looked_in: &'static str,
    entries: Vec<EntryLine>,
}

#[derive(Serialize)]
struct EntryLine {
    accepts: String,
    reason: String,
    owner: String,
    until: String,
    location: String,
    /// Findings that it accepts, where was looked.
    n_met: usize,
    runs_out_soon: bool,
}

/// Accepts findings, or lists what is accepted.
pub fn findings(ui: &Ui, command: &FindingsCommand) -> CommandResult {
    match command {
        FindingsCommand::Allow(args) => allow(ui, args),
        FindingsCommand::Baseline(args) => super::baseline::baseline(ui, args),
        FindingsCommand::List(args) => list(ui, args),
    }
}

fn allow(ui: &Ui, args: &AllowArgs) -> CommandResult {
    let workspace = Workspace::with_work_tree()?;
    let path = workspace.repo.require_work_tree()?.join(FINDINGS_FILE);
    let text = read(&path)?;
    let entry = match (&args.fingerprint, &args.rule, &args.path) {
        (Some(digits), _, _) => NewEntry::Fingerprint(digits.clone()),
        (None, Some(rule), Some(path)) => {
            NewEntry::RuleAndPath { rule: rule.clone(), path: path.clone() }
        }
        _ => {
            return Err(CommandError::new(
                ExitCode::Usage,
                "give a fingerprint, or --rule and --path",
            ));
        }
    };
    let owner = owner(&workspace, args.owner.as_ref())?;
    let until = args.until.clone().unwrap_or_else(|| days_from(now(), DAYS_DEFAULT).day());
    let salt = match text {
        Some(_) => [0; 32],
        None => own_salt(&workspace.key()?),
    };
    let said = (args.reason.as_str(), owner.as_str(), until.as_str());
    let made = with_entry(FINDINGS_FILE, text.as_deref(), &salt, &entry, said, now())
        .map_err(|problems| refused(&problems))?;
    write(&path, &made)?;
    ui.out(&format!(
        "added to {FINDINGS_FILE}, until {until}; it counts once it is committed:\n  git add {FINDINGS_FILE} && git commit -m 'accept a finding' -- {FINDINGS_FILE}\n"
    ));
    Ok(ExitCode::Done)
}

/// Returns who answers for what is accepted.
pub fn owner(workspace: &Workspace, said: Option<&String>) -> Result<String, CommandError> {
    let owner = said.cloned().or_else(|| workspace.repo.config_get("user.email"));
    owner.ok_or_else(|| {
        CommandError::new(ExitCode::Usage, "nobody answers for what is accepted")
            .hint("Say who with `--owner WHO`, or type `git config user.email ADDRESS`.")
    })
}

/// Returns the time some days later.
pub fn days_from(start: Timestamp, n_days: i64) -> Timestamp {
    Timestamp::from_millis(start.as_millis() + n_days * DAY_MS)
}

/// Returns the refusal of a file that is wrong, or would be.
pub fn refused(problems: &[PolicyProblem]) -> CommandError {
    let mut refusal = CommandError::new(ExitCode::Config, "the entry cannot be added");
    refusal.causes = problems.iter().map(ToString::to_string).collect();
    refusal.hint(format!("Mend {FINDINGS_FILE}, or what was typed; nothing was written."))
}

/// Reads a file; `None` where there is none.
pub fn read(path: &Path) -> Result<Option<String>, CommandError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path, &error)),
    }
}

/// Writes the file beside its place and renames it there.
pub fn write(path: &Path, text: &str) -> Result<(), CommandError> {
    let beside = PathBuf::from(format!("{}.new", path.display()));
    let dir = path.parent().unwrap_or(path);
    std::fs::create_dir_all(dir)
        .and_then(|()| std::fs::write(&beside, text))
        .and_then(|()| std::fs::rename(&beside, path))
        .map_err(|error| failed("write", path, &error))
}

pub fn failed(verb: &str, path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::new(ExitCode::Io, format!("cannot {verb} `{}`: {error}", path.display()))
}

fn list(ui: &Ui, args: &ListFindingsArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let gate = workspace.gate(now())?;
    let entries = gate.suppressions().map_or(&[][..], Suppressions::entries);
    let met = if entries.is_empty() {
        vec![]
    } else if args.history {
        scan::examine_history(ui, &workspace, &gate)?.suppressed
    } else {
        let head = workspace.repo.resolve_commit("HEAD")?;
        gate.examine_tree(&workspace.repo, &head, now())?.suppressed
    };
    let place = if args.history { "the history" } else { "HEAD's tree" };
    let soon = days_from(now(), DAYS_SOON).day();
    let line = |entry: &Suppression| EntryLine {
        accepts: entry.subject(),
        reason: entry.reason.clone(),
        owner: entry.owner.clone(),
        until: entry.until.clone(),
        location: entry.location.clone(),
        n_met: met.iter().filter(|it| accepted_by(&it.by) == Some(&entry.location)).count(),
        runs_out_soon: entry.until <= soon,
    };
    let entries: Vec<_> = entries.iter().map(line).collect();
    if args.json {
        ui.json(&FindingsReport {
            format: "carnet/findings-list/1",
            file: FINDINGS_FILE,
            looked_in: if args.history { "history" } else { "head" },
            entries,
        });
    } else {
        ui.out(&text(ui, place, &entries));
    }
    Ok(ExitCode::Done)
}

fn accepted_by(by: &SuppressedBy) -> Option<&String> {
    match by {
        SuppressedBy::File { location, .. } => Some(location),
        SuppressedBy::InSource { .. } => None,
    }
}

fn text(ui: &Ui, place: &str, entries: &[EntryLine]) -> String {
    let mut text = String::new();
    // A long baseline would hide the rest: of what is met there, only how many.
    let (quiet, entries): (Vec<_>, Vec<_>) =
        entries.iter().partition(|it| it.location.starts_with(BASELINE_FILE) && it.n_met > 0);
    for entry in entries {
        let met = match entry.n_met {
            0 => ui.yellow_out(&format!("unused: met nowhere in {place}")),
            n => format!("met {} in {place}", count(n, "time")),
        };
        let soon = if entry.runs_out_soon { ui.yellow_out(", soon") } else { String::new() };
        text += &format!("{}  {met}\n", ui.bold_out(&entry.accepts));
        text += &format!("    until {}{soon}, {}: {}", entry.until, entry.owner, entry.reason);
        text += &format!("  ({})\n", entry.location);
    }
    if let Some(first) = quiet.iter().map(|it| &it.until).min() {
        let n = count(quiet.len(), "line");
        let soon = if quiet.iter().any(|it| it.runs_out_soon) {
            ui.yellow_out(", soon")
        } else {
            String::new()
        };
        text += &format!(
            "{n} of {BASELINE_FILE} met in {place}; the first runs out on {first}{soon}\n"
        );
    }
    if text.is_empty() {
        text += "No finding is accepted here; `carnet findings allow --help` says how one is.\n";
    }
    text
}
