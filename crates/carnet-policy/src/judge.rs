//! May content with these findings go on?

use carnet_core::{Decision, Finding, Origin, Reason, Timestamp, Verdict};

use crate::content::{ContentPolicy, Exception};

/// Decides about the findings of one scan.
///
/// - `findings`: in any order; reasons come refusals first, then in the order of the findings.
/// - `now`: decides whether an exception has run out.
///
/// Without findings, and when every finding is below both thresholds, the verdict is to allow. Each reason
/// carries the rule's id, the place as `origin:line:column`, the masked value and a hint; no byte of the secret.
/// Only findings in files can fall under an exception: a prompt or a log has no path that vouches for it.
pub fn judge<'f>(
    policy: &ContentPolicy,
    findings: impl IntoIterator<Item = &'f Finding>,
    now: Timestamp,
) -> Verdict {
    let judged = findings.into_iter().filter_map(|finding| judge_one(policy, finding, now));
    let mut judged: Vec<(Decision, Reason)> = judged.collect();
    judged.sort_by_key(|(decision, _)| std::cmp::Reverse(*decision));
    let decision = judged.first().map_or(Decision::Allow, |(decision, _)| *decision);
    let reasons = judged.into_iter().map(|(_, reason)| reason).collect();
    Verdict { decision, reasons, policy_digest: policy.digest }
}

fn judge_one(
    policy: &ContentPolicy,
    finding: &Finding,
    now: Timestamp,
) -> Option<(Decision, Reason)> {
    let (severity, confidence) = (finding.severity, finding.confidence);
    let thresholds = if finding.is_personal() { policy.personal } else { policy.secrets };
    if thresholds.refuse.is_met(severity, confidence) {
        return Some(refuse_or_except(policy, finding, now));
    }
    let warned = thresholds.warn.is_met(severity, confidence);
    warned.then(|| (Decision::Warn, reason(finding, String::new(), None)))
}

fn refuse_or_except(
    policy: &ContentPolicy,
    finding: &Finding,
    now: Timestamp,
) -> (Decision, Reason) {
    let today = now.day();
    let mut matching = policy.exceptions.iter().filter(|exception| applies(exception, finding));
    let valid = matching.clone().find(|exception| today <= exception.until);
    match (valid, matching.next()) {
        (Some(exception), _) => {
            let more = format!("; excepted until {}: {}", exception.until, exception.reason);
            (Decision::Warn, reason(finding, more, Some(exception)))
        }
        (None, Some(exception)) => {
            let more = format!("; its exception ran out on {}", exception.until);
            (Decision::Deny, reason(finding, more, Some(exception)))
        }
        (None, None) => (Decision::Deny, reason(finding, String::new(), None)),
    }
}

fn applies(exception: &Exception, finding: &Finding) -> bool {
    let path = match &finding.origin {
        Origin::Staged(path) | Origin::Committed(path) => path.to_text(),
        Origin::File(_)
        | Origin::Message(_)
        | Origin::Stdin
        | Origin::Prompt
        | Origin::Artifact(_)
        | Origin::Log(_) => {
            return false;
        }
    };
    exception.rule == finding.rule_id && exception.paths.is_match(&path)
}

fn reason(finding: &Finding, more: String, exception: Option<&Exception>) -> Reason {
    let message = format!(
        "{}: {} `{}` ({} severity, {} confidence){more}",
        place(finding),
        finding.description,
        crate::show(&finding.masked),
        finding.severity.name(),
        finding.confidence.name(),
    );
    Reason {
        rule: finding.rule_id.clone(),
        rule_location: exception.map(|exception| exception.location.clone()),
        message,
        hint: Some(hint(finding)),
    }
}

/// `origin:line:column`; the origin alone when the path itself is the finding.
fn place(finding: &Finding) -> String {
    let name = crate::show(&finding.origin.name());
    match &finding.region {
        Some(region) => format!("{name}:{}:{}", region.start_line, region.start_column),
        None => name,
    }
}

fn hint(finding: &Finding) -> String {
    let rule = &finding.rule_id;
    if rule.starts_with("licence-") {
        return licence_hint(finding);
    }
    if finding.is_personal() {
        return match &finding.origin {
            Origin::Prompt | Origin::Artifact(_) | Origin::Log(_) => {
                "leave it out of what is sent".to_owned()
            }
            _ => format!(
                "take the person's data out, or put a made-up value in its place; when it is nobody's, say so on its line: `carnet:allow {rule} <reason>`"
            ),
        };
    }
    let inline =
        format!("when it is no secret, say so on its line: `carnet:allow {rule} <reason>`");
    match (&finding.origin, &finding.region) {
        (Origin::Staged(path), None) => {
            let path = crate::show(&path.to_text());
            format!("take the file out with `git rm --cached -- {path}`, and ignore it")
        }
        (Origin::Staged(_), Some(_)) => format!(
            "remove the secret, stage the file again, and revoke it at the provider; {inline}"
        ),
        (Origin::Committed(_), _) => format!(
            "revoke it at the provider, as the history keeps it, and remove it from the file; {inline}"
        ),
        (Origin::File(_), _) => {
            format!("remove the secret, and revoke it at the provider if it was shared; {inline}")
        }
        (Origin::Message(_), _) => format!(
            "write the message without it (`git commit --amend`), and revoke it at the provider if it was shared; {inline}"
        ),
        (Origin::Stdin | Origin::Prompt | Origin::Artifact(_) | Origin::Log(_), _) => {
            "leave it out of what is sent, and revoke it at the provider if it was shared"
                .to_owned()
        }
    }
}

fn licence_hint(finding: &Finding) -> String {
    let path = crate::show(&finding.origin.name());
    match finding.rule_id.as_str() {
        "licence-header" => {
            format!("write the header with `carnet licence fix {path}`, and stage the file again")
        }
        rule => format!(
            "take it out, or have it accepted: a waiver in policy/content.toml, or `carnet findings allow --rule {rule} --path {path} --reason TEXT`; `carnet licence list {path}` shows what was found"
        ),
    }
}

#[cfg(test)]
mod tests {
    use carnet_core::{Confidence, Digest, Fingerprint, LineIndex, RepoPath, Severity};

    use super::*;

    fn finding(path: &str, severity: Severity, confidence: Confidence) -> Finding {
        Finding {
            rule_id: "test-token".to_owned(),
            description: "test token".to_owned(),
            origin: Origin::Staged(RepoPath::new(path.as_bytes()).unwrap()),
            region: Some(LineIndex::new(b"a\nkey = xxxx\n").region(8, 12)),
            severity,
            confidence,
            fingerprint: Fingerprint(Digest::of(b"x")),
            masked: "ab…yz".to_owned(),
        }
    }

    fn at(day: &str) -> Timestamp {
        // 2026-11-18 in milliseconds; later days by counting.
        let days = match day {
            "2026-11-18" => 0,
            "2026-11-19" => 1,
            _ => panic!("{day}"),
        };
        Timestamp::from_millis(1_794_960_000_000 + days * 86_400_000)
    }

    fn check(policy: &ContentPolicy, finding: Finding, day: &str, expect: Decision) -> Verdict {
        let verdict = judge(policy, &[finding], at(day));
        assert_eq!(verdict.decision, expect, "{:?}", verdict.reasons);
        verdict
    }

    fn with_exception() -> ContentPolicy {
        let text = include_str!("../../../policy/content.toml").to_owned()
            + "\n[[exception]]\nrule = 'test-token'\npaths = ['tests/*.txt']\nreason = 'fixture'\n\
               until = 2026-11-18\n";
        ContentPolicy::parse("policy/content.toml", &text).unwrap()
    }

    #[test]
    fn no_findings_are_allowed() {
        let verdict = judge(&ContentPolicy::built_in(), &[], at("2026-11-18"));
        assert_eq!((verdict.decision, verdict.reasons.len()), (Decision::Allow, 0));
        assert_eq!(verdict.policy_digest, ContentPolicy::built_in().digest());
    }

    #[test]
    fn likely_secrets_are_refused_and_the_reason_says_where_and_what_to_do() {
        let likely = finding("src/a.py", Severity::Critical, Confidence::High);
        let verdict = check(&ContentPolicy::built_in(), likely, "2026-11-18", Decision::Deny);
        let reason = &verdict.reasons[0];
        assert_eq!(reason.rule, "test-token");
        assert!(
            reason.message.starts_with("src/a.py:2:7: test token `ab…yz`"),
            "{}",
            reason.message
        );
        let hint = reason.hint.as_deref().unwrap();
        assert!(hint.contains("stage the file again"), "{hint}");
        assert!(hint.contains("carnet:allow test-token <reason>"), "{hint}");
    }

    #[test]
    fn doubtful_findings_are_warnings() {
        let policy = ContentPolicy::built_in();
        let doubtful = finding("a", Severity::Critical, Confidence::Low);
        check(&policy, doubtful, "2026-11-18", Decision::Warn);
        check(&policy, finding("a", Severity::Low, Confidence::High), "2026-11-18", Decision::Warn);
        let edge = finding("a", Severity::Medium, Confidence::Medium);
        check(&policy, edge, "2026-11-18", Decision::Deny);
    }

    #[test]
    fn personal_data_has_thresholds_of_its_own() {
        let policy = ContentPolicy::built_in();
        let personal = |severity, confidence| Finding {
            rule_id: "pii-card".to_owned(),
            ..finding("a", severity, confidence)
        };
        let certain = personal(Severity::High, Confidence::High);
        let verdict = check(&policy, certain, "2026-11-18", Decision::Deny);
        assert!(verdict.reasons[0].hint.as_deref().unwrap().contains("made-up"));
        let likely = personal(Severity::High, Confidence::Medium);
        check(&policy, likely, "2026-11-18", Decision::Warn);
        let mild = personal(Severity::Medium, Confidence::High);
        check(&policy, mild, "2026-11-18", Decision::Warn);
        let weak = personal(Severity::High, Confidence::Low);
        check(&policy, weak, "2026-11-18", Decision::Allow);
        let text = include_str!("../../../policy/content.toml");
        let start = text.find("[personal]").unwrap();
        let end = start + text[start..].find("\n\n").unwrap();
        let without = [&text[..start], &text[end..]].concat();
        let older = ContentPolicy::parse("c.toml", &without).unwrap();
        let mild = personal(Severity::Medium, Confidence::High);
        check(&older, mild, "2026-11-18", Decision::Warn);
    }

    #[test]
    fn refusals_come_before_warnings_and_decide() {
        let doubtful = finding("a", Severity::Low, Confidence::Low);
        let likely = finding("b", Severity::High, Confidence::High);
        let verdict = judge(&ContentPolicy::built_in(), &[doubtful, likely], at("2026-11-18"));
        assert_eq!(verdict.decision, Decision::Deny);
        assert!(verdict.reasons[0].message.starts_with("b:"));
        assert_eq!(verdict.reasons.len(), 2);
    }

    #[test]
    fn an_exception_warns_through_its_last_day_in_its_paths_only() {
        let policy = with_exception();
        let real = |path| finding(path, Severity::High, Confidence::High);
        check(&policy, real("tests/a.txt"), "2026-11-18", Decision::Warn);
        let late = check(&policy, real("tests/a.txt"), "2026-11-19", Decision::Deny);
        assert!(late.reasons[0].message.contains("ran out on 2026-11-18"));
        check(&policy, real("tests/x/a.txt"), "2026-11-18", Decision::Deny);
        check(&policy, real("src/a.txt"), "2026-11-18", Decision::Deny);
        let other = Finding { rule_id: "other".to_owned(), ..real("tests/a.txt") };
        check(&policy, other, "2026-11-18", Decision::Deny);
        let prompt = Finding { origin: Origin::Prompt, ..real("tests/a.txt") };
        check(&policy, prompt, "2026-11-18", Decision::Deny);
    }

    #[test]
    fn a_path_finding_has_no_line_and_a_hint_of_its_own() {
        let path = Finding { region: None, ..finding(".env", Severity::High, Confidence::High) };
        let verdict = check(&ContentPolicy::built_in(), path, "2026-11-18", Decision::Deny);
        assert!(verdict.reasons[0].message.starts_with(".env: "));
        assert!(verdict.reasons[0].hint.as_deref().unwrap().contains("git rm --cached"));
    }

    #[test]
    fn policies_with_a_mistake_are_refused_with_line_and_field() {
        let good = include_str!("../../../policy/content.toml");
        let parse = |text: &str| ContentPolicy::parse("c.toml", text).unwrap_err();
        let problem = &parse(&good.replace("refuse_at_severity = \"medium\"", "x = 1"))[0];
        assert_eq!(problem.file, "c.toml");
        let unknown = parse(&good.replace("warn_at_severity", "warn_at"));
        assert!(
            unknown.iter().any(|problem| problem.message == "unknown key" && problem.line == 10)
        );
        for (from, to) in [
            ("\"medium\"", "\"loud\""),
            ("carnet/content/1", "carnet/content/2"),
            ("[secrets]", "[secret]"),
            ("warn_at_severity = \"low\"", "warn_at_severity = \"critical\""),
        ] {
            assert!(!parse(&good.replace(from, to)).is_empty(), "{to}");
        }
        for exception in [
            "rule='a'\npaths=['b']\nreason='c'",
            "rule='a'\npaths=[]\nreason='c'\nuntil=2026-01-01",
            "rule='a'\npaths=['[']\nreason='c'\nuntil=2026-01-01",
            "rule='a'\npaths=['b']\nreason=''\nuntil=2026-01-01",
            "rule='a'\npaths=['b']\nreason='c'\nuntil=2026-01-01T00:00:00Z",
        ] {
            assert!(
                !parse(&format!("{good}\n[[exception]]\n{exception}\n")).is_empty(),
                "{exception}"
            );
        }
    }
}
