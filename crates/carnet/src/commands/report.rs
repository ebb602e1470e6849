//! Findings as people and machines read them, shared by `scan` and `hook`.

use carnet_core::Origin;
use carnet_guard::{Examination, Met, Suppressed, SuppressedBy};
use carnet_scan::RuleSet;
use serde::Serialize;

use super::{annotations::annotations, junit::junit, sarif};
use crate::{cli::ScanFormat, ui::Ui};

/// `carnet scan --json`.
#[derive(Serialize)]
struct ScanReport {
    format: &'static str,
    decision: &'static str,
    policy_sha256: String,
    n_contents: usize,
    n_bytes: u64,
    n_known: usize,
    findings: Vec<FindingLine>,
    suppressed: Vec<SuppressedLine>,
}

#[derive(Serialize)]
struct SuppressedLine {
    #[serde(flatten)]
    finding: FindingLine,
    /// `in-source`, or the entry's place.
    suppressed_by: String,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

#[derive(Serialize)]
struct FindingLine {
    rule: String,
    decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
    description: String,
    path: String,
    start_line: Option<u32>,
    start_column: Option<u32>,
    end_line: Option<u32>,
    end_column: Option<u32>,
    severity: &'static str,
    confidence: &'static str,
    fingerprint: String,
    masked: String,
}

/// Writes the examination in a form: data to standard output, text for people to standard error.
pub fn write(ui: &Ui, rules: &RuleSet, examination: &Examination, format: ScanFormat) {
    match format {
        ScanFormat::Text => ui.err(&summary(ui, examination)),
        ScanFormat::Json => ui.json(&report(examination)),
        ScanFormat::Sarif => ui.json(&sarif::Log::new(rules, examination)),
        ScanFormat::Github => {
            ui.out(&annotations(examination));
            ui.err(&totals(examination));
        }
        ScanFormat::Junit => {
            ui.out(&junit(examination));
            ui.err(&totals(examination));
        }
    }
}

fn report(examination: &Examination) -> ScanReport {
    ScanReport {
        format: "carnet/scan/1",
        decision: decision(examination.verdict.decision),
        policy_sha256: examination.verdict.policy_digest.to_string(),
        n_contents: examination.n_contents,
        n_bytes: examination.n_bytes,
        n_known: examination.n_known,
        findings: examination.findings.iter().map(line).collect(),
        suppressed: examination.suppressed.iter().map(suppressed_line).collect(),
    }
}

fn decision(decision: carnet_core::Decision) -> &'static str {
    match decision {
        carnet_core::Decision::Allow => "allow",
        carnet_core::Decision::Warn => "warn",
        carnet_core::Decision::Deny => "deny",
    }
}

fn line(met: &Met) -> FindingLine {
    let Met { finding, .. } = met;
    let region = finding.region.as_ref();
    FindingLine {
        rule: finding.rule_id.clone(),
        decision: decision(met.decision),
        commit: met.commit_id.map(|id| id.to_string()),
        description: finding.description.clone(),
        path: finding.origin.name(),
        start_line: region.map(|region| region.start_line),
        start_column: region.map(|region| region.start_column),
        end_line: region.map(|region| region.end_line),
        end_column: region.map(|region| region.end_column),
        severity: finding.severity.name(),
        confidence: finding.confidence.name(),
        fingerprint: finding.fingerprint.to_string(),
        masked: finding.masked.clone(),
    }
}

fn suppressed_line(suppressed: &Suppressed) -> SuppressedLine {
    let finding = line(&suppressed.met);
    match suppressed.by.clone() {
        SuppressedBy::InSource { reason } => SuppressedLine {
            finding,
            suppressed_by: "in-source".to_owned(),
            reason,
            owner: None,
            until: None,
        },
        SuppressedBy::File { reason, owner, until, location } => SuppressedLine {
            finding,
            suppressed_by: location,
            reason,
            owner: Some(owner),
            until: Some(until),
        },
    }
}

fn summary(ui: &Ui, examination: &Examination) -> String {
    text(ui, &examination.findings) + &totals(examination)
}

fn totals(examination: &Examination) -> String {
    let suppressed = match examination.suppressed.len() {
        0 => String::new(),
        n => format!(", {n} suppressed"),
    };
    let known = match examination.n_known {
        0 => String::new(),
        n => format!("; {n} known to be clean"),
    };
    format!(
        "{}{suppressed} in {} ({} bytes{known})\n",
        count(examination.findings.len(), "finding"),
        count(examination.n_contents, "file"),
        examination.n_bytes
    )
}

/// Returns one paragraph a finding: place, what it is, the masked value, the rule.
pub fn text(ui: &Ui, findings: &[Met]) -> String {
    let mut text = String::new();
    for Met { finding, commit_id, .. } in findings {
        let name = visible(&finding.origin.name());
        let mut place = match &finding.region {
            Some(region) => format!("{name}:{}:{}", region.start_line, region.start_column),
            None => name,
        };
        // The name of a message says whose it is.
        if let (Some(commit_id), false) = (commit_id, matches!(finding.origin, Origin::Message(_)))
        {
            place += &format!(" in commit {}", commit_id.short());
        }
        text += &format!("{} {}\n", ui.red(&format!("{place}:")), finding.description);
        text += &format!(
            "    {}  (rule {}, {} severity, {} confidence)\n",
            visible(&finding.masked),
            finding.rule_id,
            finding.severity.name(),
            finding.confidence.name()
        );
    }
    text
}

/// Escapes control characters: a file's name must not move the cursor or wipe the line that tells of it.
fn visible(text: &str) -> String {
    let mut visible = String::new();
    for char in text.chars() {
        if char.is_control() {
            visible.extend(char.escape_unicode());
        } else {
            visible.push(char);
        }
    }
    visible
}

/// Returns `1 finding` or `3 findings`.
pub fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}
