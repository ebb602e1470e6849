//! Texts on their way out and back: `carnet redact`, `rehydrate`, `approve`, and logs of runs.

use std::os::unix::fs::PermissionsExt as _;

use carnet_testkit::{Ran, TestRepo};
use serde_json::Value;

use crate::support::{Walk, aws_key, carnet_path, everyone, github_token};

fn walk() -> Walk {
    Walk::initialised("echo hello >README; printf '.env\\n*.map\\n' >.gitignore", everyone()[0])
}

/// A value that no rule of carnet's knows.
fn password() -> String {
    ["zur-", "Sonne/", "94+!"].concat()
}

fn mail() -> String {
    ["ada.lovelace", "analytical.org"].join("@")
}

fn redact(walk: &Walk, args: &[&str], text: impl AsRef<[u8]>) -> Ran {
    let args = [&["redact"], args].concat();
    walk.runner(carnet_path())
        .args(&args)
        .env("DEPLOY_PASSWORD", password())
        .stdin(text.as_ref())
        .run()
}

/// What was written to the audit log, the oldest first.
fn audited(walk: &Walk) -> Vec<String> {
    let log = walk.json(&["audit", "log", "--json"]);
    let events = log["entries"].as_array().unwrap().iter();
    events
        .map(|it| it["event"].as_str().unwrap().to_owned())
        .filter(|it| it != "key-change")
        .collect()
}

#[test]
fn a_prompt_leaves_without_secrets_known_values_and_personal_data() {
    for who in everyone() {
        let walk = Walk::initialised("echo hello >README; echo .env >.gitignore", *who);
        walk.write(
            ".env",
            format!("# no secret\nMODE=production\nexport DB_PASSWORD='{}x'\n", password()),
        );
        let text = format!(
            "{}: {} {}x, {} in production\n",
            mail(),
            github_token(),
            password(),
            password()
        );
        let ran = redact(&walk, &[], &text).expect_code(0);
        assert_eq!(
            ran.stdout,
            "[REDACTED:pii-email]: [REDACTED:github-personal-access-token] [REDACTED:DB_PASSWORD], [REDACTED:DEPLOY_PASSWORD] in production\n"
        );
        assert_eq!(ran.stderr, "");
        let again = redact(&walk, &["--json"], &ran.stdout).expect_code(0);
        assert_eq!(again.stdout, ran.stdout);
        let summary: Value = serde_json::from_str(&again.stderr).unwrap();
        assert_eq!(
            (&summary["format"], &summary["replaced"]),
            (&"carnet/redact/1".into(), &serde_json::json!({}))
        );
        assert_eq!(audited(&walk), ["redaction"]);
        walk.assert_sound();
    }
}

#[test]
fn files_go_through_one_after_the_other_and_outside_of_a_repository_too() {
    let walk = walk();
    walk.write("a.txt", format!("a {}\n", password()));
    walk.write("b.txt", format!("b {}\n", aws_key()));
    let expect = "a [REDACTED:DEPLOY_PASSWORD]\nb [REDACTED:aws-access-key-id]\n";
    assert_eq!(redact(&walk, &["a.txt", "b.txt"], "").expect_code(0).stdout, expect);
    redact(&walk, &["a.txt", "gone.txt"], "").expect_code(4);
    let outside = Walk::new(TestRepo::without_repository(), everyone()[0]);
    assert_eq!(
        redact(&outside, &[], format!("x {}", password())).expect_code(0).stdout,
        "x [REDACTED:DEPLOY_PASSWORD]"
    );
    redact(&outside, &["--hold"], format!("x {}", password())).expect_code(3);
}

#[test]
fn a_map_gives_every_byte_back_and_lies_where_git_does_not_see_it() {
    let walk = walk();
    let text = format!("{} or eva@{} [REDACTED:pii-email] {}\n", mail(), &mail()[13..], password());
    let ran = redact(&walk, &["--map", "chat.map"], &text).expect_code(0);
    let expect = "[REDACTED:pii-email] or [REDACTED:pii-email#2] [REDACTED:text] [REDACTED:DEPLOY_PASSWORD]\n";
    assert_eq!(ran.stdout, expect);
    let map = walk.repo.path().join("chat.map");
    assert_eq!(std::fs::metadata(&map).unwrap().permissions().mode() & 0o777, 0o600);
    let back = |text: &str| {
        let ran = walk
            .runner(carnet_path())
            .args(["rehydrate", "--map", "chat.map"])
            .stdin(text.as_bytes())
            .run();
        ran.expect_code(0).stdout
    };
    assert_eq!(back(&ran.stdout), text);
    assert_eq!(
        back("ask [REDACTED:pii-email#2] or [REDACTED:pii-email#3]"),
        format!("ask eva@{} or [REDACTED:pii-email#3]", &mail()[13..])
    );
    // The next text of the conversation goes by the same names.
    let next =
        redact(&walk, &["--map", "chat.map"], format!("eva@{} [REDACTED:text]", &mail()[13..]))
            .expect_code(0);
    assert_eq!(next.stdout, "[REDACTED:pii-email#2] [REDACTED:text]");
    // Where git would see it, where others may read it, and what is none.
    redact(&walk, &["--map", "chat.json"], &text).expect_code(1);
    assert!(!walk.repo.path().join("chat.json").exists());
    std::fs::set_permissions(&map, std::fs::Permissions::from_mode(0o644)).unwrap();
    walk.carnet(&["rehydrate", "--map", "chat.map", "README"]).expect_code(1);
    std::fs::set_permissions(&map, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(
        &map,
        format!(
            "{{\"format\": \"carnet/redaction-map/1\", \"entries\": [{{\"name\": \"{}\"}}]}}",
            password()
        ),
    )
    .unwrap();
    let broken = walk.carnet(&["rehydrate", "--map", "chat.map", "README"]).expect_code(78);
    assert!(!broken.stderr.contains(&password()), "{}", broken.stderr);
}

#[test]
fn a_held_text_leaves_when_a_person_approved_that_very_text() {
    let walk = walk();
    let text = format!("deploy with {}", password());
    assert_eq!(
        redact(&walk, &["--hold"], "nothing to hide").expect_code(0).stdout,
        "nothing to hide"
    );
    let held = redact(&walk, &["--hold"], &text).expect_code(1);
    assert_eq!(held.stdout, "");
    let listed = walk.json(&["approve", "--json"]);
    let id = listed["held"][0]["id"].as_str().unwrap().to_owned();
    assert!(held.stderr.contains(&format!("carnet approve {id}")), "{}", held.stderr);
    // Nobody is there to be asked.
    walk.carnet(&["approve", &id]).expect_code(1);
    redact(&walk, &["--hold"], &text).expect_code(1);
    let shown = walk.carnet(&["approve", &id[..6], "--yes"]).expect_code(0);
    assert!(shown.stdout.contains("deploy with [REDACTED:DEPLOY_PASSWORD]"), "{}", shown.stdout);
    assert_eq!(
        redact(&walk, &["--hold"], &text).expect_code(0).stdout,
        "deploy with [REDACTED:DEPLOY_PASSWORD]"
    );
    redact(&walk, &["--hold"], format!("{text} now")).expect_code(1);
    let other = walk.json(&["approve", "--json"])["held"][1]["id"].as_str().unwrap().to_owned();
    walk.carnet(&["approve", &other, "--refuse"]).expect_code(0);
    walk.carnet(&["approve", &other]).expect_code(3);
    let mut events = audited(&walk);
    events.retain(|it| it != "redaction");
    assert_eq!(events, ["refusal", "refusal", "approval", "refusal", "refusal"]);
    let named = walk.json(&["audit", "log", "--json", "--event", "approval"]).to_string();
    assert!(named.contains(&id) && named.contains("DEPLOY_PASSWORD 1"), "{named}");
    walk.carnet(&["audit", "verify"]).expect_code(0);
    let kept = walk.repo.path().join(".git/carnet/held");
    for entry in std::fs::read_dir(kept).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!std::fs::read_to_string(path).unwrap().contains(&password()));
    }
}

#[test]
fn what_was_named_and_cannot_be_looked_for_is_an_error() {
    let walk = walk();
    redact(&walk, &["--env", "NO_SUCH_VARIABLE"], "").expect_code(2);
    let short = |walk: &Walk| {
        walk.runner(carnet_path())
            .args(["redact", "--env", "PIN"])
            .env("PIN", "1234")
            .stdin(b"1234")
            .run()
    };
    let ran = short(&walk).expect_code(2);
    assert!(ran.stderr.contains("`PIN`") && !ran.stderr.contains("1234"), "{}", ran.stderr);
    redact(&walk, &["--env-file", "gone.env"], "").expect_code(2);
    walk.write("token", "a-handed-value\n");
    let ran =
        redact(&walk, &["--secret", "HANDED=file:token"], "x a-handed-value y").expect_code(0);
    assert_eq!(ran.stdout, "x [REDACTED:HANDED] y");
}

#[test]
fn any_bytes_and_endless_lines_go_through() {
    let walk = walk();
    let noise: Vec<u8> =
        (0..70_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    redact(&walk, &[], &noise).expect_code(0);
    let line = "a,".repeat(5 << 20);
    let ran = redact(&walk, &[], format!("{line}{}", password())).expect_code(0);
    assert_eq!(ran.stdout, format!("{line}[REDACTED:DEPLOY_PASSWORD]"));
    let wide: Vec<u8> =
        format!("mail {} please", mail()).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let ran = redact(&walk, &["--json"], &wide).expect_code(0);
    assert!(ran.stderr.contains("pii-email"), "{}", ran.stderr);
}

#[test]
fn logs_of_runs_go_through_the_same_redactor() {
    let say = format!(
        "printf 'use:\\n\\techo to {}; base64 <&$$CARNET_SECRET_FD_TOKEN\\n' >Makefile",
        mail()
    );
    let walk = Walk::initialised(&say, everyone()[0]);
    walk.write("token", "correct-horse-battery");
    let ran = walk
        .carnet(&["run", "--secret", "TOKEN=file:token", "--", "make", "-s", "use"])
        .expect_code(0);
    assert_eq!(ran.stdout, "to [REDACTED:pii-email]\n[REDACTED:TOKEN]\n", "{}", ran.stderr);
    let run = walk.ask(&["for-each-ref", "--format=%(objectname)", "refs/carnet/runs/"]);
    let everything = walk.ask(&["rev-list", "--objects", "--all"]);
    assert!(!everything.is_empty(), "{run}");
    let ids: Vec<&str> = everything.lines().filter_map(|line| line.split(' ').next()).collect();
    let blobs = ids.iter().filter(|id| walk.ask(&["cat-file", "-t", id]) == "blob");
    let logs: Vec<String> = blobs
        .map(|id| walk.ask(&["cat-file", "-p", id]))
        .filter(|it| it.contains("REDACTED"))
        .collect();
    assert_eq!(logs, ["to [REDACTED:pii-email]\n[REDACTED:TOKEN]"]);
}
