//! The walk of a run (ARCHITECTURE.md, "A run"): run, ledger, notes, checkout, replay.

use carnet_core::Outcome;
use serde_json::json;

use crate::support::{Walk, aws_key, everyone};

const MAKEFILE: &str = "printf 'out/a.txt:\\n\\tmkdir -p out && echo made >out/a.txt && echo building\\nrandom:\\n\\tmkdir -p out && od -An -N16 -tx1 /dev/urandom >out/a.txt\\nleak:\\n\\tcat secret.txt && mkdir -p out && cp secret.txt out/\\nslow:\\n\\twhile :; do :; done\\n' >Makefile";

#[test]
fn a_run_is_recorded_and_read_back_by_carnet_and_by_git_alone() {
    for who in everyone() {
        let walk = Walk::initialised(MAKEFILE, *who);
        let ran = walk
            .carnet(&["run", "--validate", "--output", "out/*", "--", "make", "out/a.txt"])
            .expect_code(0);
        assert!(ran.stdout.ends_with("building\n"), "{}", ran.stdout);
        let run = walk.newest_run();

        let passport = walk.json(&["show", &run, "--json"]);
        let predicate = &passport["predicate"];
        assert_eq!(predicate["outcome"], json!({"status": "exited", "exitCode": 0}));
        assert_eq!(predicate["artifacts"][0]["name"], "out/a.txt");
        assert_eq!(predicate["validationPass"], true);
        walk.carnet(&["passport", "verify", &run[..8]]).expect_code(0);

        let commit =
            walk.json(&["runs", "--json"])["runs"][0]["commit"].as_str().unwrap().to_owned();
        assert_eq!(walk.ask(&["show", &format!("{commit}:artifacts/out/a.txt")]), "made");
        assert_eq!(
            walk.ask(&["rev-parse", &format!("{commit}:source")]),
            walk.ask(&["rev-parse", "HEAD^{tree}"])
        );
        for target in ["HEAD", "HEAD^{tree}"] {
            let id = walk.ask(&["rev-parse", target]);
            let note = walk.ask(&["notes", "--ref=carnet/passports", "show", &id]);
            assert!(note.contains(&run), "{note}");
        }
        let dir = walk.repo.root().join("checkout");
        let dir = dir.to_str().unwrap();
        walk.git(&["worktree", "add", "-q", "--detach", dir, &commit]).expect_code(0);
        walk.repo
            .command("sha256sum")
            .args(["-c", "--strict", "--quiet", "MANIFEST.sha256"])
            .current_dir(dir);
        let check = walk
            .repo
            .command("sha256sum")
            .args(["-c", "--strict", "--quiet", "MANIFEST.sha256"])
            .current_dir(dir)
            .status();
        assert!(check.unwrap().success());
        walk.assert_sound();
    }
}

#[test]
fn a_replay_of_the_same_is_an_exact_match_and_of_another_is_told_byte_by_byte() {
    for who in everyone() {
        let walk = Walk::initialised(MAKEFILE, *who);
        walk.carnet(&["run", "--output", "out/*", "--", "make", "out/a.txt"]).expect_code(0);
        let run = walk.newest_run();
        let refs = walk.ask(&["for-each-ref"]);
        let plan = walk.carnet(&["replay", &run, "--dry-run"]).expect_code(0);
        assert!(plan.stdout.contains("artifacts/out/a.txt"), "{}", plan.stdout);
        assert_eq!(walk.ask(&["for-each-ref"]), refs, "a dry run changes nothing");
        let replayed = walk.carnet(&["replay", &run]).expect_code(0);
        assert!(replayed.stdout.starts_with("MATCH_EXACT"), "{}", replayed.stdout);

        walk.carnet(&["run", "--output", "out/*", "--", "make", "random"]).expect_code(0);
        let random = walk.newest_run();
        let ran = walk.carnet(&["replay", &random, "--json"]).expect_code(13);
        let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(report["verdict"], "DIVERGED");
        assert_eq!(report["differences"][0]["path"], "artifacts/out/a.txt");
        assert!(report["differences"][0]["first_byte"].is_u64());
    }
}

#[test]
fn a_replay_needs_neither_the_branch_nor_the_work_tree_it_came_from() {
    let walk = Walk::initialised(MAKEFILE, everyone()[0]);
    walk.carnet(&["run", "--output", "out/*", "--", "make", "out/a.txt"]).expect_code(0);
    let run = walk.newest_run();
    walk.write("Makefile", "out/a.txt:\n\tfalse\n");
    walk.git(&["commit", "-q", "--amend", "-am", "rewritten"]).expect_code(0);
    walk.git(&["reflog", "expire", "--expire=now", "--all"]).expect_code(0);
    walk.git(&["gc", "--quiet", "--prune=now"]).expect_code(0);
    walk.carnet(&["replay", &run]).expect_code(0);
}

#[test]
fn uncommitted_changes_are_said_to_be_left_out() {
    let walk = Walk::initialised(MAKEFILE, everyone()[0]);
    let said = "uncommitted changes are not part of this run";
    assert!(!walk.carnet(&["run", "--", "true"]).expect_code(0).stderr.contains(said));
    walk.write("Makefile", "all:\n\tfalse\n");
    assert!(walk.carnet(&["run", "--", "true"]).expect_code(0).stderr.contains(said));
    assert!(
        !walk
            .carnet(&["run", "--commit", "HEAD~0", "--", "true"])
            .expect_code(0)
            .stderr
            .contains(said)
    );
}

#[test]
fn the_exit_code_of_the_command_is_the_outcome() {
    let walk = Walk::initialised(MAKEFILE, everyone()[0]);
    walk.carnet(&["run", "--", "false"]).expect_code(10);
    let run = walk.newest_run();
    let outcome: Outcome = serde_json::from_value(
        walk.json(&["show", &run, "--json"])["predicate"]["outcome"].clone(),
    )
    .unwrap();
    assert_eq!(outcome, Outcome::Exited { exit_code: 1 });
    walk.carnet(&["replay", &run]).expect_code(0);
}

#[test]
fn a_command_outside_the_lane_is_refused_recorded_and_never_started() {
    let walk = Walk::initialised(MAKEFILE, everyone()[0]);
    for argv in
        [&["curl", "http://example.com"][..], &["sh", "-c", "true"], &["make", "-C", "/", "all"]]
    {
        let ran = walk.carnet(&[&["run", "--"], argv].concat()).expect_code(1);
        assert!(ran.stderr.contains("allowlists/"), "the rule's place: {}", ran.stderr);
        let run = walk.newest_run();
        let passport = walk.json(&["show", &run, "--json"]);
        assert_eq!(passport["predicate"]["outcome"]["status"], "refused");
        assert_eq!(passport["predicate"]["enforcement"], json!([]));
        walk.carnet(&["passport", "verify", &run]).expect_code(0);
        let replayed = walk.carnet(&["replay", &run]).expect_code(3);
        assert!(replayed.stdout.starts_with("NOT_REPLAYABLE"), "{}", replayed.stdout);
    }
}

#[test]
fn runs_are_listed_by_what_they_have_in_common() {
    let walk = Walk::initialised(MAKEFILE, everyone()[0]);
    walk.carnet(&["run", "--", "true"]).expect_code(0);
    walk.carnet(&["run", "--", "false"]).expect_code(10);
    walk.carnet(&["run", "--lane", "narrative", "--", "curl"]).expect_code(1);
    let count = |args: &[&str]| walk.json(&[&["runs", "--json"], args].concat())["n_runs"].as_u64();
    assert_eq!(count(&[]), Some(3));
    assert_eq!(count(&["--lane", "narrative"]), Some(1));
    assert_eq!(count(&["--outcome", "succeeded"]), Some(1));
    assert_eq!(count(&["--outcome", "refused", "--tool", "curl"]), Some(1));
    assert_eq!(count(&["--tool", "false", "--commit", "HEAD", "--since", "2000-01-01"]), Some(1));
    assert_eq!(count(&["--kind", "replay"]), Some(0));
    walk.carnet(&["runs", "--since", "yesterday"]).expect_code(2);
}

#[test]
fn a_secret_reaches_neither_log_nor_artifact_nor_any_object() {
    let walk = Walk::initialised(MAKEFILE, everyone()[0]);
    walk.write("secret.txt", format!("{}\n", aws_key()));
    walk.git(&["add", "-A"]).expect_code(0);
    walk.git(&["commit", "-qnm", "round the hook"]).expect_code(0);
    let ran = walk.carnet(&["run", "--output", "out/*", "--", "make", "leak"]).expect_code(0);
    assert!(ran.stdout.contains("[REDACTED:aws-access-key-id]"), "{}", ran.stdout);
    assert!(ran.stderr.contains("withheld out/secret.txt"), "{}", ran.stderr);
    let passport = walk.json(&["show", &walk.newest_run(), "--json"]);
    assert_eq!(passport["predicate"]["validationPass"], false);
    assert_eq!(passport["predicate"]["artifacts"], json!([]));

    let source = walk.ask(&["rev-parse", "HEAD:secret.txt"]);
    let objects =
        walk.ask(&["cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)"]);
    for line in objects.lines().filter(|line| !line.ends_with("tree")) {
        let (id, kind) = line.split_once(' ').unwrap();
        let bytes = walk.repo.git_bytes(&["cat-file", kind, id]);
        let holds = bytes.windows(20).any(|window| window == aws_key().as_bytes());
        assert_eq!(holds, id == source, "object {id}");
    }
}

#[test]
fn a_secret_on_the_command_line_is_refused_and_not_recorded() {
    let walk = Walk::initialised(MAKEFILE, everyone()[0]);
    let ran = walk.carnet(&["run", "--", "make", &aws_key()]).expect_code(1);
    assert!(!ran.stderr.contains(&aws_key()), "{}", ran.stderr);
    assert_eq!(walk.json(&["runs", "--json"])["n_runs"], 0);
}

#[test]
fn a_changed_passport_no_longer_verifies() {
    let walk = Walk::initialised(MAKEFILE, everyone()[0]);
    walk.carnet(&["run", "--", "true"]).expect_code(0);
    let run = walk.newest_run();
    let commit = walk.json(&["runs", "--json"])["runs"][0]["commit"].as_str().unwrap().to_owned();
    // A forger writes the same run with another outcome and repoints the ledger at it.
    walk.repo.script(&format!(
        "export GIT_INDEX_FILE=forged.index
         git read-tree {commit}
         blob=$(git show {commit}:passport.json | sed 's/\"exitCode\":0/\"exitCode\":7/' | git hash-object -w --stdin)
         git update-index --cacheinfo 100644,$blob,passport.json
         forged=$(git commit-tree -p HEAD -m forged $(git write-tree))
         ref=$(git for-each-ref --format='%(refname)' refs/carnet/ledger)
         git cat-file commit $ref | sed \"s/{commit}/$forged/g\" >event
         git -c core.hooksPath=/dev/null update-ref $ref $(git hash-object -t commit -w event)
         rm forged.index event"
    ));
    let ran = walk.carnet(&["passport", "verify", &run]).expect_code(1);
    for check in ["ledger event", "passport", "signature", "manifest"] {
        assert!(ran.stdout.contains(&format!("FAILS  {check}")), "{check}: {}", ran.stdout);
    }
}

#[test]
fn a_broken_ledger_commit_is_reported_and_hides_nothing_else() {
    let walk = Walk::initialised(MAKEFILE, everyone()[0]);
    walk.carnet(&["run", "--", "true"]).expect_code(0);
    walk.ask(&["update-ref", "refs/carnet/ledger/0123456789abcdef/2026-01-01", "HEAD"]);
    let ran = walk.carnet(&["runs"]).expect_code(4);
    assert!(ran.stdout.contains("true"), "{}", ran.stdout);
    assert!(ran.stderr.contains("0123456789abcdef/2026-01-01 cannot be read"), "{}", ran.stderr);
}

#[test]
fn eight_processes_record_every_run_and_the_lane_keeps_its_bound() {
    let walk = Walk::initialised(MAKEFILE, everyone()[0]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..2 {
                    walk.carnet(&["run", "--", "true"]).expect_code(0);
                    walk.carnet(&["run", "--", "curl"]).expect_code(1);
                }
            });
        }
    });
    assert_eq!(walk.json(&["runs", "--json"])["n_runs"], 32);
    let head = walk.ask(&["rev-parse", "HEAD"]);
    let note = walk.ask(&["notes", "--ref=carnet/passports", "show", &head]);
    assert_eq!(note.lines().count(), 32);
    walk.assert_sound();
}
