use carnet_core::{Content, Origin, RepoPath};
use proptest::prelude::*;

use super::*;
use crate::checksum::with_crc32;

fn key() -> FingerprintKey {
    FingerprintKey::from_bytes([7; 32])
}

fn text(bytes: &[u8]) -> Content {
    Content { origin: Origin::Stdin, bytes: bytes.to_vec() }
}

fn staged(path: &str, bytes: &[u8]) -> Content {
    Content {
        origin: Origin::Staged(RepoPath::new(path.as_bytes()).unwrap()),
        bytes: bytes.to_vec(),
    }
}

/// A token that no scanner sees in this file.
fn token() -> String {
    ["gh", "p_", "a1B2c3D4e5F6g7H8i9", "J0k1L2m3N4o5P6q7R8"].concat()
}

fn aws() -> String {
    ["AK", "IA", "Q3EGTZ7M", "2LWX5KPD"].concat()
}

/// Scans `input`, where `{ghp}` and `{aws}` stand for tokens, and compares `rule@line:column` of each finding.
fn check(input: &str, expect: &[&str]) {
    let input = input.replace("{ghp}", &token()).replace("{aws}", &aws());
    let scan = scan(RuleSet::built_in(), &key(), &text(input.as_bytes()));
    let shown: Vec<String> = scan.findings.iter().map(place).collect();
    assert_eq!(shown, expect, "{input:?}");
}

fn place(finding: &Finding) -> String {
    match finding.region {
        Some(region) => {
            format!("{}@{}:{}", finding.rule_id, region.start_line, region.start_column)
        }
        None => finding.rule_id.clone(),
    }
}

fn check_path(path: &str, bytes: &str, expect: &[&str]) {
    let scan = scan(RuleSet::built_in(), &key(), &staged(path, bytes.as_bytes()));
    assert_eq!(scan.findings.iter().map(place).collect::<Vec<_>>(), expect, "{path}");
}

#[test]
fn clean_text_has_no_findings() {
    check("", &[]);
    check("fn main() { println!(\"hello\"); }\n", &[]);
}
#[test]
fn a_token_alone() {
    check("{ghp}", &["github-personal-access-token@1:1"]);
}
#[test]
fn a_token_in_quotes() {
    check("x = \"{ghp}\"\n", &["github-personal-access-token@1:6"]);
}
#[test]
fn two_tokens_on_a_line() {
    check("{aws} {ghp}", &["aws-access-key-id@1:1", "github-personal-access-token@1:22"]);
}
#[test]
fn findings_come_by_place() {
    check("{ghp}\n{aws}\n", &["github-personal-access-token@1:1", "aws-access-key-id@2:1"]);
}
#[test]
fn a_longer_word_is_not_a_token() {
    check("{ghp}x", &[]);
    check("x{aws}", &[]);
}
#[test]
fn a_specific_password_beats_the_generic() {
    check("postgres://bot:{ghp}@db.internal/x", &["github-personal-access-token@1:16"]);
    check("https://bot:{ghp}@git.internal/x", &["github-personal-access-token@1:13"]);
}
#[test]
fn placeholders_in_urls_are_not_secrets() {
    check("postgres://user:password@db/x", &[]);
    check("https://user:<token>@host/x", &[]);
    check(&["https://user:", "${TOKEN}@host/x"].concat(), &[]);
}
#[test]
fn an_allow_with_a_reason_suppresses() {
    check("{ghp} # carnet:allow github-personal-access-token revoked in 2024", &[]);
    check("# carnet:allow github-personal-access-token revoked\n{ghp}", &[]);
}
#[test]
fn an_allow_without_a_reason_does_not() {
    check(
        "{ghp} # carnet:allow github-personal-access-token",
        &["github-personal-access-token@1:1"],
    );
}
#[test]
fn an_allow_for_another_rule_does_not() {
    check("{ghp} # carnet:allow aws-access-key-id revoked", &["github-personal-access-token@1:1"]);
}
#[test]
fn a_secret_cannot_be_its_own_reason() {
    check(
        "carnet:allow github-personal-access-token {ghp}",
        &["github-personal-access-token@1:43"],
    );
}
#[test]
fn an_allow_does_not_reach_two_lines_down() {
    check(
        "# carnet:allow github-personal-access-token revoked\n\n{ghp}",
        &["github-personal-access-token@3:1"],
    );
}

#[test]
fn path_rules_see_paths() {
    check_path(".env", "A=b1", &["env-file"]);
    check_path("x/.env.local", "A=b1", &["env-file"]);
    check_path(".env.example", "A=b1", &[]);
    check_path(".env", "# nothing\nA=\n", &[]);
    check_path("credentials.json", "{}", &["credentials-file"]);
    check_path("ca.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", &[]);
    check_path("ca.pem", "MIIB", &["key-file"]);
    check_path("src/main.rs", "", &[]);
}

#[test]
fn a_stream_has_no_path() {
    for origin in [Origin::Log(".env".to_owned()), Origin::Prompt] {
        let content = Content { origin, bytes: b"A=b1".to_vec() };
        assert_eq!(scan(RuleSet::built_in(), &key(), &content), Scan::default());
    }
}

#[test]
fn the_allowed_are_told_with_their_reason() {
    let input = format!("{} # carnet:allow github-personal-access-token test account", token());
    let scan = scan(RuleSet::built_in(), &key(), &text(input.as_bytes()));
    assert_eq!(scan.allowed.len(), 1);
    assert_eq!(scan.allowed[0].reason, "test account");
}

#[test]
fn a_checksum_that_holds_raises_the_confidence_and_one_that_fails_drops_nothing() {
    let confidence = |token: &str| {
        let scan = scan(RuleSet::built_in(), &key(), &text(token.as_bytes()));
        scan.findings[0].confidence
    };
    assert_eq!(confidence(&with_crc32("ghp_", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5")), Confidence::High);
    assert_eq!(confidence(&token()), Confidence::Medium);
}

#[test]
fn fingerprints_survive_moves_and_renames_and_tell_secrets_apart() {
    let name =
        |content: Content| scan(RuleSet::built_in(), &key(), &content).findings[0].fingerprint;
    let here = name(staged("a", token().as_bytes()));
    assert_eq!(here, name(staged("b", format!("\n\n  {}", token()).as_bytes())));
    assert_ne!(here, name(staged("a", token().replace('5', "4").as_bytes())));
}

#[test]
fn nothing_of_a_finding_shows_the_secret() {
    let token = token();
    let scan = scan(RuleSet::built_in(), &key(), &text(token.as_bytes()));
    let shown = format!("{:?}", scan.findings);
    assert!(shown.contains("ghp_… (40 bytes)"));
    assert!(!shown.contains(&token[..5]));
}

#[test]
fn a_line_of_many_secrets_and_markers_finishes() {
    let n_pairs = 20_000;
    let pair = format!("{} carnet:allow github-personal-access-token , ", token());
    let scan = scan(RuleSet::built_in(), &key(), &text(pair.repeat(n_pairs).as_bytes()));
    assert_eq!((scan.findings.len(), scan.allowed.len()), (n_pairs, 0));
}

proptest! {
    #[test]
    fn findings_are_sorted_and_share_no_byte(
        order in prop::collection::vec(0_usize..4, 0..20)
    ) {
        let (ghp, aws) = (token(), aws());
        let url = format!("https://bot:{ghp}@git.internal/ ");
        let pieces = [&*ghp, &*aws, &*url, "\n"];
        let input: String = order.iter().map(|idx| pieces[*idx]).collect();
        let found = scan(RuleSet::built_in(), &key(), &text(input.as_bytes())).findings;
        let regions: Vec<_> = found.iter().map(|finding| finding.region.unwrap()).collect();
        prop_assert!(regions.windows(2).all(|pair| pair[0].end <= pair[1].start));
    }
}
