//! `carnet scan --format sarif`: SARIF 2.1.0, as typed structs with the section of the standard that each follows.
//!
//! Only what carnet knows is written: every member that is here is right, and no optional member is a guess.

use std::collections::BTreeMap;

use carnet_core::{Decision, Finding, Origin, Severity};
use carnet_guard::{Examination, Met, Suppressed, SuppressedBy};
use carnet_scan::{RuleSet, UNEXAMINED, personal_rules};
use serde::Serialize;

/// The log file (§3.13).
#[derive(Serialize)]
pub struct Log {
    /// Where the schema lies (§3.13.3).
    #[serde(rename = "$schema")]
    schema: &'static str,
    /// Always `2.1.0` (§3.13.2).
    version: &'static str,
    /// One scan is one run (§3.13.4).
    runs: [Run; 1],
}

/// One scan (§3.14).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    /// §3.14.6.
    tool: Tool,
    /// §3.14.11.
    invocations: [Invocation; 1],
    /// How columns count (§3.14.17).
    column_kind: &'static str,
    /// §3.14.23.
    results: Vec<ResultObject>,
}

/// §3.18.
#[derive(Serialize)]
struct Tool {
    /// §3.18.2.
    driver: ToolComponent,
}

/// carnet itself (§3.19).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolComponent {
    /// §3.19.8.
    name: &'static str,
    /// §3.19.12.
    semantic_version: &'static str,
    /// Rules that were met, by id (§3.19.23).
    rules: Vec<ReportingDescriptor>,
}

/// A rule (§3.49).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReportingDescriptor {
    /// §3.49.3.
    id: String,
    /// §3.49.9.
    short_description: Message,
    /// The provider's documentation (§3.49.12).
    #[serde(skip_serializing_if = "Option::is_none")]
    help_uri: Option<String>,
    /// §3.49.14.
    default_configuration: ReportingConfiguration,
    /// §3.8, with the members that code-scanning services read.
    properties: RuleProperties,
}

/// §3.50.
#[derive(Serialize)]
struct ReportingConfiguration {
    /// §3.50.3.
    level: &'static str,
}

/// A property bag (§3.8).
#[derive(Serialize)]
struct RuleProperties {
    /// §3.8.2.
    tags: [&'static str; 2],
    /// How likely a finding of the rule is real.
    precision: &'static str,
    /// A number from 0 to 10 as text.
    #[serde(rename = "security-severity")]
    security_severity: &'static str,
}

/// §3.20.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    /// Whether everything was examined; a scan that could not writes no log at all (§3.20.14).
    execution_successful: bool,
}

/// A finding (§3.27).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResultObject {
    /// §3.27.5.
    rule_id: String,
    /// Place of the rule in the driver's `rules` (§3.27.6).
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_index: Option<usize>,
    /// What the policy says of it (§3.27.10).
    level: &'static str,
    /// §3.27.11.
    message: Message,
    /// §3.27.12; none for a stream.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    locations: Vec<Location>,
    /// The finding's lasting name (§3.27.16); the member's name carries the version (§3.27.16, §3.5.4.2).
    fingerprints: BTreeMap<&'static str, String>,
    /// §3.27.23. Always written: without it a reader could not tell "accepted by no one" from "not asked".
    suppressions: Vec<Suppression>,
    /// §3.8; the commit that brought it.
    #[serde(skip_serializing_if = "Option::is_none")]
    properties: Option<ResultProperties>,
}

/// A property bag (§3.8).
#[derive(Serialize)]
struct ResultProperties {
    /// The commit's id.
    commit: String,
}

/// §3.11.
#[derive(Serialize)]
struct Message {
    /// Plain text (§3.11.8); braces stand for themselves only where they are doubled (§3.11.5).
    text: String,
}

/// §3.28.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    /// §3.28.3.
    physical_location: PhysicalLocation,
}

/// §3.29.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    /// §3.29.3.
    artifact_location: ArtifactLocation,
    /// §3.29.4; none when the path itself is the finding.
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
}

/// §3.4.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ArtifactLocation {
    /// A relative reference, percent-encoded (§3.4.3).
    uri: String,
    /// `%SRCROOT%`, the top of the work tree, for paths in the repository (§3.4.4).
    #[serde(skip_serializing_if = "Option::is_none")]
    uri_base_id: Option<&'static str>,
}

/// §3.30.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    /// §3.30.5.
    start_line: u32,
    /// §3.30.6.
    start_column: u32,
    /// §3.30.7.
    end_line: u32,
    /// §3.30.8.
    end_column: u32,
}

/// §3.35.
#[derive(Serialize)]
struct Suppression {
    /// `inSource` or `external` (§3.35.2).
    kind: &'static str,
    /// §3.35.3.
    status: &'static str,
    /// The reason (§3.35.5).
    justification: String,
}

impl Log {
    /// Makes the log of an examination.
    pub fn new(rules: &RuleSet, examination: &Examination) -> Log {
        let suppressed = &examination.suppressed;
        let all = || examination.findings.iter().chain(suppressed.iter().map(|it| &it.met));
        let mut of_rules: BTreeMap<&str, &Finding> = BTreeMap::new();
        for finding in all().map(|met| &met.finding) {
            of_rules.entry(&finding.rule_id).or_insert(finding);
        }
        let ids: Vec<&str> = of_rules.keys().copied().collect();
        let standing = examination.findings.iter().map(|finding| result(&ids, finding, vec![]));
        let accepted = suppressed.iter().map(|it| result(&ids, &it.met, vec![suppression(it)]));
        let results = standing.chain(accepted).collect();
        let driver = ToolComponent {
            name: "carnet",
            semantic_version: env!("CARGO_PKG_VERSION"),
            rules: of_rules.values().map(|finding| descriptor(rules, finding)).collect(),
        };
        Log {
            schema: "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
            version: "2.1.0",
            runs: [Run {
                tool: Tool { driver },
                invocations: [Invocation { execution_successful: true }],
                column_kind: "utf16CodeUnits",
                results,
            }],
        }
    }
}

/// Describes the rule of a finding: one of a rule file, a kind of personal data, or what the policy says of licences.
fn descriptor(rules: &RuleSet, finding: &Finding) -> ReportingDescriptor {
    let id = finding.rule_id.as_str();
    let of_file = rules.rules().iter().find(|rule| rule.id() == id);
    let personal = personal_rules().find(|rule| rule.id == id);
    let (text, help_uri, kind) = match (of_file, personal) {
        (Some(rule), _) => (rule.description(), rule.references().first().cloned(), "secret"),
        (None, Some(rule)) => (rule.description, rule.reference.map(str::to_owned), "privacy"),
        (None, None) if id == UNEXAMINED => {
            ("content that was not examined in full", None, "secret")
        }
        (None, None) => (licence_rule(id), None, "licence"),
    };
    let (severity, confidence) = of_file.map_or((finding.severity, finding.confidence), |rule| {
        (rule.severity(), rule.confidence())
    });
    ReportingDescriptor {
        id: id.to_owned(),
        short_description: Message { text: escaped(text) },
        help_uri,
        default_configuration: ReportingConfiguration {
            level: if severity >= Severity::Medium { "error" } else { "warning" },
        },
        properties: RuleProperties {
            tags: ["security", kind],
            precision: confidence.name(),
            security_severity: match severity {
                Severity::Low => "3.0",
                Severity::Medium => "5.5",
                Severity::High => "8.0",
                Severity::Critical => "9.5",
            },
        },
    }
}

/// What the rules of `[licences]` in the content policy look for, in a few words.
fn licence_rule(id: &str) -> &'static str {
    match id {
        "licence-denied" => "a licence that the policy denies",
        "licence-review" => "a licence that the policy wants looked at",
        "licence-unlisted" => "a licence that the policy does not list",
        "licence-modified" => "a licence text with other words than the licence",
        "licence-unknown" => "a tag or name that is no known licence",
        "licence-header" => "a file without the header that the policy asks for",
        _ => "a licence that the policy refuses",
    }
}

fn result(rule_ids: &[&str], met: &Met, suppressions: Vec<Suppression>) -> ResultObject {
    let finding = &met.finding;
    let text = format!("{} {}", finding.description, finding.masked);
    ResultObject {
        rule_id: finding.rule_id.clone(),
        rule_index: rule_ids.iter().position(|id| *id == finding.rule_id),
        level: level(met.decision),
        message: Message { text: escaped(&text) },
        locations: location(met).into_iter().collect(),
        fingerprints: BTreeMap::from([("carnet/1", finding.fingerprint.to_string())]),
        suppressions,
        properties: met.commit_id.map(|id| ResultProperties { commit: id.to_string() }),
    }
}

fn suppression(suppressed: &Suppressed) -> Suppression {
    let (kind, justification) = match &suppressed.by {
        SuppressedBy::InSource { reason } => ("inSource", reason.clone()),
        SuppressedBy::File { reason, .. } => ("external", reason.clone()),
    };
    Suppression { kind, status: "accepted", justification }
}

fn level(decision: Decision) -> &'static str {
    match decision {
        Decision::Deny => "error",
        Decision::Warn => "warning",
        Decision::Allow => "note",
    }
}

fn location(met: &Met) -> Option<Location> {
    let (name, uri_base_id) = match &met.finding.origin {
        Origin::Staged(path) | Origin::Committed(path) => (path.as_bytes(), Some("%SRCROOT%")),
        Origin::File(name) => (name.as_bytes(), None),
        Origin::Message(_)
        | Origin::Stdin
        | Origin::Prompt
        | Origin::Artifact(_)
        | Origin::Log(_) => return None,
    };
    let region = met.finding.region.zip(met.columns).map(|(region, columns)| Region {
        start_line: region.start_line,
        start_column: columns.start,
        end_line: region.end_line,
        end_column: columns.end,
    });
    let artifact_location = ArtifactLocation { uri: uri(name), uri_base_id };
    Some(Location { physical_location: PhysicalLocation { artifact_location, region } })
}

/// Returns a path as a relative reference: RFC 3986's unreserved characters and `/` stay, all else is percent-encoded.
fn uri(path: &[u8]) -> String {
    let mut uri = String::new();
    for byte in path {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(*byte));
            }
            other => uri += &format!("%{other:02X}"),
        }
    }
    uri
}

/// Doubles braces, which would be placeholders (§3.11.5).
fn escaped(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}
