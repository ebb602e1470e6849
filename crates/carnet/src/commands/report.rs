//! Findings as people and machines read them, shared by `scan` and `hook`.

use carnet_core::{Finding, Verdict};
use carnet_guard::Examination;
use serde::Serialize;

use crate::ui::Ui;

/// `carnet scan --json`.
#[derive(Serialize)]
struct ScanReport {
    format: &'static str,
    decision: &'static str,
    policy_sha256: String,
    n_contents: usize,
    n_bytes: u64,
    findings: Vec<FindingLine>,
}

#[derive(Serialize)]
struct FindingLine {
    rule: String,
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

/// Writes the examination as JSON to standard output.
pub fn json(ui: &Ui, examination: &Examination) {
    ui.json(&ScanReport {
        format: "carnet/scan/1",
        decision: decision(&examination.verdict),
        policy_sha256: examination.verdict.policy_digest.to_string(),
        n_contents: examination.n_contents,
        n_bytes: examination.n_bytes,
        findings: examination.findings.iter().map(line).collect(),
    });
}

fn decision(verdict: &Verdict) -> &'static str {
    match verdict.decision {
        carnet_core::Decision::Allow => "allow",
        carnet_core::Decision::Warn => "warn",
        carnet_core::Decision::Deny => "deny",
    }
}

fn line(finding: &Finding) -> FindingLine {
    let region = finding.region.as_ref();
    FindingLine {
        rule: finding.rule_id.clone(),
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

/// Returns one paragraph a finding: place, what it is, the masked value, the rule.
pub fn text(ui: &Ui, findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let place = match &finding.region {
            Some(region) => {
                format!("{}:{}:{}", finding.origin.name(), region.start_line, region.start_column)
            }
            None => finding.origin.name(),
        };
        text += &format!("{} {}\n", ui.red(&format!("{place}:")), finding.description);
        text += &format!(
            "    {}  (rule {}, {} severity, {} confidence)\n",
            finding.masked,
            finding.rule_id,
            finding.severity.name(),
            finding.confidence.name()
        );
    }
    text
}

/// Returns `1 finding` or `3 findings`.
pub fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}
