//! Licences of contents, judged in the same pass as secrets: what is at fault is a finding like any other.
//!
//! Nothing is looked for unless the policy speaks of licences. A mention is not judged: only what puts something under a
//! licence is.

use std::ops::Range;

use carnet_core::{
    Confidence, Content, Decision, Finding, LineIndex, Origin, Region, Severity, Timestamp,
};
use carnet_policy::{LicenceClaim, LicencePolicy};
use carnet_scan::{Detection, FingerprintKey, LicenceKind, Licences, licences};

/// Family of the fingerprints of such findings.
const FAMILY: &str = "licence";

/// Returns what is at fault with the licences of a content, in order of place.
pub(crate) fn licence_findings(
    policy: &LicencePolicy,
    key: &FingerprintKey,
    content: &Content,
    now: Timestamp,
) -> Vec<Finding> {
    if policy.is_empty() || matches!(content.origin, Origin::Message(_) | Origin::Log(_)) {
        return Vec::new();
    }
    let found = licences(content.origin.name().as_bytes(), &content.bytes);
    let lines = std::cell::OnceCell::new();
    let region = |span: &Range<usize>| {
        let lines = lines.get_or_init(|| LineIndex::new(&content.bytes));
        Some(lines.region(span.start, span.end))
    };
    findings_of(policy, key, &content.origin, &found, &region, now)
}

/// Returns what is at fault with the licences found in a content; `region` says where a span stands.
pub(crate) fn findings_of(
    policy: &LicencePolicy,
    key: &FingerprintKey,
    origin: &Origin,
    found: &Licences,
    region: &dyn Fn(&Range<usize>) -> Option<Region>,
    now: Timestamp,
) -> Vec<Finding> {
    let Licences { detections, unknown } = found;
    let path = origin.name();
    let judged: Vec<&Detection> =
        detections.iter().filter(|met| met.kind != LicenceKind::Mention).collect();
    let claims: Vec<LicenceClaim<'_>> = judged.iter().map(|met| claim(met)).collect();
    let faults = policy.judge(&path, &claims, unknown.len(), now);
    let mut findings: Vec<Finding> = Vec::new();
    for fault in faults {
        let met = fault.claim_idx.map(|idx| judged[idx]);
        let shown = met.map_or(path.as_str(), |met| &met.expression);
        let (severity, confidence) = match fault.decision {
            Decision::Deny => (Severity::Critical, Confidence::High),
            Decision::Warn | Decision::Allow => (Severity::Low, Confidence::Low),
        };
        let finding = Finding {
            rule_id: fault.rule.to_owned(),
            description: fault.message + &words(met),
            origin: origin.clone(),
            region: met.and_then(|met| region(&met.span)),
            severity,
            confidence,
            fingerprint: key.fingerprint(FAMILY, format!("{}\0{shown}", fault.rule).as_bytes()),
            masked: shown.to_owned(),
        };
        // One notice often names a licence more than once: the first place is told.
        let is_said =
            |other: &Finding| other.rule_id == finding.rule_id && other.masked == finding.masked;
        if !findings.iter().any(is_said) {
            findings.push(finding);
        }
    }
    findings
}

/// Returns what the policy is told of a detection.
pub(crate) fn claim(met: &Detection) -> LicenceClaim<'_> {
    LicenceClaim {
        expression: &met.expression,
        is_modified: met.is_modified(),
        is_tag: met.kind == LicenceKind::Tag,
    }
}

/// The first words that a modified text has added or left out.
fn words(met: Option<&Detection>) -> String {
    const CHARS_MAX: usize = 60;
    let Some(first) = met.filter(|met| met.is_modified()).and_then(|met| met.deviations.first())
    else {
        return String::new();
    };
    let cut = |words: &str| words.chars().take(CHARS_MAX).collect::<String>();
    match (first.added.as_str(), first.missing.as_str()) {
        ("", missing) => format!(": without `{}`", cut(missing)),
        (added, "") => format!(": with `{}`", cut(added)),
        (added, missing) => format!(": `{}` for `{}`", cut(added), cut(missing)),
    }
}
