use carnet_core::{Confidence, Fingerprint, RepoPath, Severity};

use super::*;

const FILE: &str = "allowlists/findings.toml";

/// 2026-11-18.
fn now() -> Timestamp {
    Timestamp::from_millis(1_794_960_000_000)
}

fn finding(path: &str, secret: &[u8]) -> Finding {
    Finding {
        rule_id: "test-token".to_owned(),
        description: "test token".to_owned(),
        origin: Origin::Committed(RepoPath::new(path.as_bytes()).unwrap()),
        region: None,
        severity: Severity::High,
        confidence: Confidence::High,
        fingerprint: Fingerprint(Digest::of(secret)),
        masked: "ab…yz".to_owned(),
    }
}

fn head() -> String {
    format!("format = \"carnet/findings/1\"\nsalt = \"{}\"\n", "5a".repeat(32))
}

fn by_fingerprint(secret: &[u8]) -> NewEntry {
    NewEntry::Fingerprint(finding("a", secret).fingerprint.to_string())
}

fn add(text: Option<&str>, entry: &NewEntry) -> Result<String, Vec<PolicyProblem>> {
    with_entry(FILE, text, &[7; 32], entry, ("known \"fake\"", "ada", "2026-11-18"), now())
}

#[test]
fn a_fingerprint_is_accepted_wherever_it_lies_in_files_and_nowhere_else() {
    let text = add(None, &by_fingerprint(b"one")).unwrap();
    let read = Suppressions::parse(FILE, &text, now()).unwrap();
    assert_eq!(read.fingerprint_key(), [7; 32]);
    let entry = read.of(&finding("any/where", b"one")).unwrap();
    assert_eq!((entry.reason.as_str(), entry.owner.as_str()), ("known \"fake\"", "ada"));
    assert_eq!(entry.location, "allowlists/findings.toml:5");
    assert!(read.of(&finding("any/where", b"two")).is_none());
    for origin in [Origin::Prompt, Origin::Log("x".to_owned()), Origin::Artifact("x".to_owned())] {
        assert!(read.of(&Finding { origin, ..finding("a", b"one") }).is_none());
    }
}

#[test]
fn a_rule_is_accepted_in_its_paths_only() {
    let entry = NewEntry::RuleAndPath { rule: "test-token".into(), path: "tests/*.txt".into() };
    let read = Suppressions::parse(FILE, &add(None, &entry).unwrap(), now()).unwrap();
    assert!(read.of(&finding("tests/a.txt", b"one")).is_some());
    assert!(read.of(&finding("tests/deep/a.txt", b"one")).is_none());
    let other = Finding { rule_id: "other".to_owned(), ..finding("tests/a.txt", b"one") };
    assert!(read.of(&other).is_none());
    let outside = Origin::File("tests/a.txt".to_owned());
    assert!(read.of(&Finding { origin: outside, ..finding("a", b"one") }).is_none());
}

#[test]
fn entries_are_put_in_order_and_every_other_byte_stays() {
    let mut text = format!("# mine\n{}", head());
    let mut secrets: Vec<Vec<u8>> = (0..20_u8).map(|n| vec![n]).collect();
    secrets.reverse();
    for secret in &secrets {
        let before = text.clone();
        text = add(Some(&text), &by_fingerprint(secret)).unwrap();
        let mut kept = text.lines();
        for line in before.lines() {
            assert!(kept.any(|now| now == line), "{line:?} is gone");
        }
    }
    let rule = NewEntry::RuleAndPath { rule: "a".into(), path: "b".into() };
    text = add(Some(&text), &rule).unwrap();
    text = add(Some(&text), &by_fingerprint(b"last")).unwrap();
    let read = Suppressions::parse(FILE, &text, now()).unwrap();
    assert!(read.entries().is_sorted_by_key(Suppression::sort_key), "{text}");
    assert_eq!(read.entries().len(), 22);
    assert!(text.starts_with("# mine\n"));
}

#[test]
fn every_mistake_is_named_by_line_and_field() {
    let good =
        "fingerprint='0123456789abcdef0123456789abcdef'\nreason='r'\nowner='o'\nuntil=2026-11-18\n";
    let parse = |entry: &str| {
        Suppressions::parse(FILE, &format!("{}\n[[finding]]\n{entry}", head()), now())
    };
    assert!(parse(good).is_ok());
    for (from, to, line, field) in [
        ("2026-11-18", "2026-11-17", 8, "finding.until"),
        ("2026-11-18", "'soon'", 8, "finding.until"),
        ("reason='r'\n", "", 4, "finding.reason"),
        ("reason='r'", "reason='  '", 6, "finding.reason"),
        ("owner='o'\n", "", 4, "finding.owner"),
        ("owner='o'", "owner='o'\nnote='x'", 8, "finding.note"),
        ("0123", "0123Z", 5, "finding.fingerprint"),
        ("fingerprint=", "rule=", 4, "finding"),
        ("reason=", "rule='a'\nreason=", 4, "finding"),
    ] {
        let problems = parse(&good.replace(from, to)).unwrap_err();
        let told: Vec<_> = problems.iter().map(|it| (it.line, it.field.as_str())).collect();
        assert!(told.contains(&(line, field)), "{to}: {problems:?}");
    }
    let glob = good.replace("fingerprint='0123456789abcdef0123456789abcdef'", "rule='a'\npath='['");
    assert_eq!(parse(&glob).unwrap_err()[0].field, "finding.path");
    for text in ["", "format = 'carnet/findings/2'\n", "[[finding]\n", "\0", "salt = 1"] {
        assert!(Suppressions::parse(FILE, text, now()).is_err(), "{text:?}");
    }
    let many = "[[finding]]\n".repeat(ENTRIES_MAX + 1);
    assert!(Suppressions::parse(FILE, &(head() + &many), now()).is_err());
}

#[test]
fn what_the_reader_would_refuse_is_not_written() {
    for (reason, owner, until) in [
        (" ", "ada", "2026-11-18"),
        ("r", "", "2026-11-18"),
        ("r", "ada", "2026-11-17"),
        ("r", "ada", "2026-99-99"),
        ("r", "ada", "2027-01-01\nreason = 'x'"),
    ] {
        let said = (reason, owner, until);
        let entry = by_fingerprint(b"one");
        assert!(with_entry(FILE, None, &[7; 32], &entry, said, now()).is_err(), "{said:?}");
    }
    assert!(add(Some("broken = "), &by_fingerprint(b"one")).is_err());
    assert!(add(None, &NewEntry::Fingerprint("short".to_owned())).is_err());
}

#[test]
fn a_merge_that_brings_an_entry_twice_is_sound() {
    let text = add(None, &by_fingerprint(b"one")).unwrap();
    let twice = add(Some(&text), &by_fingerprint(b"one")).unwrap();
    assert_eq!(Suppressions::parse(FILE, &twice, now()).unwrap().entries().len(), 2);
}
