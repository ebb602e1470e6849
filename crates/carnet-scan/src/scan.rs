//! One content in, its findings out.

use std::{cmp::Reverse, ops::Range};

use carnet_core::{Confidence, Content, Finding, LineIndex, Origin};

use crate::{
    allow::Markers,
    engine::{self, Match},
    fingerprint::FingerprintKey,
    mask::mask,
    overlap::{self, Rank},
    rule::{Matcher, PathMatcher, Rule},
    rule_set::RuleSet,
};

/// What a scan met in one content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scan {
    /// Findings that stand, sorted by region (paths first), then by rule id.
    pub findings: Vec<Finding>,
    /// Findings accepted by a `carnet:allow` in the text, in the same order.
    pub allowed: Vec<Allowed>,
}

/// A finding accepted where it stands, by `carnet:allow <rule-id> <reason>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// The finding.
    pub finding: Finding,
    /// The reason given, with invalid UTF-8 replaced.
    pub reason: String,
}

/// Scans one content.
///
/// - Of findings that share bytes the most specific stays: a provider's rule before a generic one, then
///   higher confidence, then higher severity, then the longer region, then the rule id.
/// - A finding of a path rule has no region; it stands beside findings in the bytes.
/// - A `carnet:allow <rule-id> <reason>` on the line where a secret begins, or the line above, moves the
///   finding of that rule to [`Scan::allowed`]; without a reason it does nothing.
///
/// Any bytes are fine: invalid UTF-8, NULs, lines of any length.
pub fn scan(rules: &RuleSet, key: &FingerprintKey, content: &Content) -> Scan {
    let mut scan = Scan::default();
    for rule in path_rules_met(rules, content) {
        scan.findings.push(path_finding(rule, key, content));
    }
    let matches = engine::matches(rules, &content.bytes);
    if matches.is_empty() {
        return scan;
    }
    let lines = LineIndex::new(&content.bytes);
    let secrets: Vec<Range<usize>> = matches.iter().map(|found| found.secret.clone()).collect();
    let markers = Markers::new(&content.bytes, &lines, &joined(secrets));
    for found in most_specific(rules, &content.bytes, &matches) {
        let rule = &rules.rules()[found.rule_idx];
        let secret = &content.bytes[found.secret.clone()];
        let region = lines.region(found.secret.start, found.secret.end);
        let finding = Finding {
            rule_id: rule.id.clone(),
            description: rule.description.clone(),
            origin: content.origin.clone(),
            region: Some(region),
            severity: rule.severity,
            confidence: confidence(rule, secret),
            fingerprint: key.fingerprint(&rule.family, secret),
            masked: mask(secret),
        };
        match markers.reason(&rule.id, region.start_line) {
            Some(reason) => scan.allowed.push(Allowed { finding, reason }),
            None => scan.findings.push(finding),
        }
    }
    scan
}

/// Returns the matches that stay, sorted by region and rule id.
pub(crate) fn most_specific<'m>(
    rules: &RuleSet,
    bytes: &[u8],
    matches: &'m [Match],
) -> Vec<&'m Match> {
    let candidates: Vec<(Range<usize>, Rank<'_>)> = matches
        .iter()
        .map(|found| {
            let rule = &rules.rules()[found.rule_idx];
            (found.secret.clone(), rank(rule, bytes, &found.secret))
        })
        .collect();
    let stays = overlap::survivors(&candidates);
    let mut kept: Vec<&Match> =
        matches.iter().zip(stays).filter(|(_, stays)| *stays).map(|(found, _)| found).collect();
    kept.sort_by_key(|found| (found.secret.start, found.secret.end, found.rule_idx));
    kept
}

/// Returns what decides between this match and others on the same bytes; the smaller wins.
pub(crate) fn rank<'r>(rule: &'r Rule, bytes: &[u8], secret: &Range<usize>) -> Rank<'r> {
    (
        rule.is_generic(),
        Reverse(confidence(rule, &bytes[secret.clone()])),
        Reverse(rule.severity),
        Reverse(secret.len()),
        secret.start,
        rule.id.as_str(),
    )
}

/// Returns the regions in order, those that share a byte joined.
pub(crate) fn joined(mut regions: Vec<Range<usize>>) -> Vec<Range<usize>> {
    regions.sort_by_key(|region| (region.start, region.end));
    let mut joined: Vec<Range<usize>> = Vec::new();
    for region in regions {
        match joined.last_mut() {
            Some(last) if region.start < last.end => last.end = last.end.max(region.end),
            _ => joined.push(region),
        }
    }
    joined
}

/// Returns the rule's confidence, or high when the secret's checksum holds.
fn confidence(rule: &Rule, secret: &[u8]) -> Confidence {
    match &rule.matcher {
        Matcher::Content(content) if content.checksum.is_some_and(|sum| sum.holds(secret)) => {
            Confidence::High
        }
        _ => rule.confidence,
    }
}

fn path_rules_met<'r>(rules: &'r RuleSet, content: &'r Content) -> impl Iterator<Item = &'r Rule> {
    let path = path_of(&content.origin);
    rules.rules().iter().filter(move |rule| match (&rule.matcher, path) {
        (Matcher::Path(matcher), Some(path)) => is_path_met(matcher, path, &content.bytes),
        _ => false,
    })
}

fn is_path_met(matcher: &PathMatcher, path: &[u8], bytes: &[u8]) -> bool {
    matcher.matches_path(path) && !matcher.unless_content.is_some_and(|class| class.holds(bytes))
}

/// Returns the path or name that path rules look at; streams have none.
fn path_of(origin: &Origin) -> Option<&[u8]> {
    match origin {
        Origin::Staged(path) | Origin::Committed(path) => Some(path.as_bytes()),
        Origin::File(name) | Origin::Artifact(name) => Some(name.as_bytes()),
        Origin::Stdin | Origin::Prompt | Origin::Log(_) => None,
    }
}

/// Makes the finding of a path rule: the path stands for the secret, and may be shown.
fn path_finding(rule: &Rule, key: &FingerprintKey, content: &Content) -> Finding {
    let path = path_of(&content.origin).unwrap_or_default();
    Finding {
        rule_id: rule.id.clone(),
        description: rule.description.clone(),
        origin: content.origin.clone(),
        region: None,
        severity: rule.severity,
        confidence: rule.confidence,
        fingerprint: key.fingerprint(&rule.family, path),
        masked: String::from_utf8_lossy(path).into_owned(),
    }
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
