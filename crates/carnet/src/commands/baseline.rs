//! `carnet findings baseline`: accepting at once what stands in an old repository.
//!
//! What is accepted in `allowlists/findings.toml` stays there, and so does what only a rule and a path, or the policy's own waivers,
//! can accept: contents that were not examined in full, and licences.

use std::{collections::BTreeMap, path::Path};

use carnet_core::{Decision, ExitCode};
use carnet_guard::{BASELINE_FILE, FINDINGS_FILE, Met};
use carnet_policy::{Baseline, BaselineLine, Suppressions, empty_findings};
use carnet_scan::UNEXAMINED;
use clap::Args;
use serde::Serialize;

use super::{
    findings::{days_from, owner, read, refused, write},
    report::count,
    scan,
};
use crate::{
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::{Workspace, now, own_salt},
};

/// How long a line counts when nobody says, in days.
const DAYS_DEFAULT: i64 = 365;
/// Has git merge two versions of the baseline by taking the lines of both.
const ATTRIBUTES_FILE: &str = "allowlists/.gitattributes";
const ATTRIBUTES_LINE: &str = "findings.baseline merge=union\n";

/// Options of `findings baseline`.
#[derive(Debug, Args)]
pub struct BaselineArgs {
    /// Accept what HEAD's files hold, and not what only older commits do.
    #[arg(long)]
    pub head: bool,
    /// Give every line today's review and a new end, not only the new ones.
    #[arg(long)]
    pub renew: bool,
    /// Who answers for it (default: git's user.email).
    #[arg(long, value_name = "WHO")]
    pub owner: Option<String>,
    /// The last day on which new lines count, YYYY-MM-DD (default: in a year).
    #[arg(long, value_name = "DAY")]
    pub until: Option<String>,
    /// Say what would be accepted, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Write JSON (`carnet/findings-baseline/1`).
    #[arg(long)]
    pub json: bool,
}

/// `carnet findings baseline --json`.
#[derive(Serialize)]
struct BaselineReport {
    format: &'static str,
    file: &'static str,
    /// `head` or `history`.
    looked_in: &'static str,
    reviewed: String,
    /// Findings by rule that the file accepts now.
    accepted: BTreeMap<String, usize>,
    n_lines: usize,
    n_new: usize,
    /// Lines that left the file, as they are met no more.
    n_gone: usize,
    /// Findings by rule that no baseline accepts.
    left: BTreeMap<String, usize>,
}

/// Writes the baseline of what stands today.
pub fn baseline(ui: &Ui, args: &BaselineArgs) -> CommandResult {
    let workspace = Workspace::with_work_tree()?;
    let root = workspace.repo.require_work_tree()?.to_owned();
    let today = now().day();
    let until = args.until.clone().unwrap_or_else(|| days_from(now(), DAYS_DEFAULT).day());
    let owner = owner(&workspace, args.owner.as_ref())?;
    let accepted = accepted_by_entry(&workspace, &root)?;
    let old = match read(&root.join(BASELINE_FILE))? {
        Some(text) => Baseline::parse(BASELINE_FILE, &text).map_err(|it| refused(&it))?,
        None => Baseline::default(),
    };
    let gate = workspace.gate_with(Some(accepted.suppressions))?;
    let examination = if args.head {
        let head = workspace.repo.resolve_commit("HEAD")?;
        gate.examine_tree(&workspace.repo, &head, now())?
    } else {
        scan::examine_history(ui, &workspace, &gate)?
    };
    let (taken, left): (Vec<&Met>, Vec<&Met>) = examination
        .findings
        .iter()
        .filter(|met| met.decision != Decision::Allow)
        .partition(|met| can_be_taken(met));
    // What only older commits hold was not looked for in HEAD's files, and stays.
    let mut new = if args.head { old.clone() } else { Baseline::default() };
    for met in &taken {
        let fingerprint = met.finding.fingerprint.to_string();
        let stays = |line: &&BaselineLine| !args.renew && line.until >= today;
        let line = old.get(&fingerprint).filter(stays).cloned();
        let made = || BaselineLine::new(today.clone(), until.clone(), owner.clone());
        new.insert(fingerprint, line.unwrap_or_else(made));
    }
    // Written as it will be read: a wrong day or owner is told before anything is.
    let text = new.to_text();
    let reread = Baseline::parse(BASELINE_FILE, &text).map_err(|it| refused(&it))?;
    let ran_out = reread.ran_out(BASELINE_FILE, now());
    if !ran_out.is_empty() {
        return Err(refused(&ran_out));
    }
    let is_missing = |of: &Baseline, fingerprint: &&str| of.get(fingerprint).is_none();
    let report = BaselineReport {
        format: "carnet/findings-baseline/1",
        file: BASELINE_FILE,
        looked_in: if args.head { "head" } else { "history" },
        reviewed: today,
        accepted: by_rule(&taken),
        n_lines: new.len(),
        n_new: new.fingerprints().filter(|it| is_missing(&old, it)).count(),
        n_gone: old.fingerprints().filter(|it| is_missing(&new, it)).count(),
        left: by_rule(&left),
    };
    if !args.dry_run {
        if let Some(text) = accepted.to_write {
            write(&root.join(FINDINGS_FILE), &text)?;
        }
        write(&root.join(BASELINE_FILE), &text)?;
        let attributes = read(&root.join(ATTRIBUTES_FILE))?.unwrap_or_default();
        if !attributes.lines().any(|line| line == ATTRIBUTES_LINE.trim_end()) {
            write(&root.join(ATTRIBUTES_FILE), &(attributes + ATTRIBUTES_LINE))?;
        }
    }
    if args.json {
        ui.json(&report);
    } else {
        ui.out(&said(&report, args.dry_run, &until));
    }
    Ok(ExitCode::Done)
}

/// What the work tree's `allowlists/findings.toml` accepts, and that file where it is to be made.
struct AcceptedByEntry {
    suppressions: Suppressions,
    to_write: Option<String>,
}

fn accepted_by_entry(workspace: &Workspace, root: &Path) -> Result<AcceptedByEntry, CommandError> {
    let there = read(&root.join(FINDINGS_FILE))?;
    let is_there = there.is_some();
    let text = match there {
        Some(text) => text,
        None => empty_findings(&own_salt(&workspace.key()?)),
    };
    let suppressions =
        Suppressions::parse(FINDINGS_FILE, &text, now()).map_err(|it| refused(&it))?;
    Ok(AcceptedByEntry { suppressions, to_write: (!is_there).then_some(text) })
}

/// Not every finding is one thing that stays what it is: what was not examined may be anything tomorrow, and the name of a licence is
/// the same in every file.
fn can_be_taken(met: &Met) -> bool {
    let rule = &met.finding.rule_id;
    rule != UNEXAMINED && !rule.starts_with("licence-")
}

fn by_rule(findings: &[&Met]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for met in findings {
        *counts.entry(met.finding.rule_id.clone()).or_default() += 1;
    }
    counts
}

fn said(report: &BaselineReport, is_dry_run: bool, until: &str) -> String {
    let mut text = String::new();
    let mut rules: Vec<_> = report.accepted.iter().collect();
    rules.sort_by_key(|(rule, n)| (std::cmp::Reverse(**n), (*rule).clone()));
    for (rule, n) in rules {
        text += &format!("{n:>6}  {rule}\n");
    }
    for (rule, n) in &report.left {
        text +=
            &format!("{n:>6}  {rule}: stays refused; accept it by rule and path, or by a waiver\n");
    }
    let verb = if is_dry_run { "would accept" } else { "accepts" };
    text += &format!(
        "{BASELINE_FILE} {verb} {} ({} new until {until}, {} met no more)\n",
        count(report.n_lines, "secret or value"),
        report.n_new,
        report.n_gone
    );
    if !is_dry_run && report.n_lines > 0 {
        text += "What it accepts is known to everyone who can read the history: revoke it. It counts once it is committed:\n  git add allowlists && git commit -m 'accept what stood here' -- allowlists\n";
    }
    text
}
