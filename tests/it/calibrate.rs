//! `carnet calibrate`: real runs teach, those that may not are named, and the state is a history in git.

use serde_json::{Value, json};

use crate::support::{Walk, everyone};

fn steps(report: &Value) -> Vec<(&str, &str)> {
    let steps = report["steps"].as_array().unwrap().iter();
    steps
        .map(|it| (it["decision"].as_str().unwrap(), it["reason"].as_str().unwrap_or("")))
        .collect()
}

#[test]
fn runs_that_validated_teach_and_others_are_named() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    walk.carnet(&["calibrate", "show"]).expect_code(0);
    walk.carnet(&["run", "--validate", "--", "true"]).expect_code(0);
    let taught = walk.newest_run();
    walk.carnet(&["run", "--", "true"]).expect_code(0);
    walk.carnet(&["run", "--validate", "--", "false"]).expect_code(10);
    walk.carnet(&["replay", &taught]).expect_code(0);
    walk.carnet(&["sandbox", "--any-command", "--", "true"]).expect_code(0);
    let dry = walk.json(&["calibrate", "update", "--dry-run", "--json"]);
    assert_eq!(dry["n_runs"], 5);
    walk.git(&["rev-parse", "--verify", "-q", "refs/carnet/calibration"]).expect_code(1);
    let report = walk.json(&["calibrate", "update", "--json", "--min-runs", "2"]);
    assert_eq!(
        steps(&report),
        [
            ("waits", "1 of 2 runs"),
            ("excluded", "it did not validate (`carnet run --validate`)"),
            ("excluded", "it failed"),
            ("excluded", "a replay repeats work that counts already"),
            ("excluded", "a sandbox run is a try"),
        ]
    );
    assert_eq!(walk.json(&["calibrate", "update", "--json"])["n_runs"], 0);
    walk.carnet(&["run", "--validate", "--", "true"]).expect_code(0);
    assert_eq!(steps(&walk.json(&["calibrate", "update", "--json"])), [("moved", "")]);
    let shown = walk.json(&["calibrate", "show", "--json"]);
    let cell = &shown["cells"][0];
    assert_eq!(
        (&cell["lane"], &cell["provider"], &cell["n_runs"]),
        (&json!("code-impl"), &json!("none"), &json!(2))
    );
    let time = &cell["priors"][0];
    assert_eq!((&time["quantity"], &time["n"]), (&json!("time"), &json!(2)));
    assert!(time["low"].as_f64().unwrap() <= time["mean"].as_f64().unwrap());
    let explained = walk.json(&["calibrate", "explain", &taught, "--json"]);
    assert_eq!(
        (&explained["state"], &explained["cell"]),
        (&json!("counts"), &json!("code-impl/none"))
    );
    let text = walk.carnet(&["calibrate", "explain", &taught]).expect_code(0).stdout;
    assert!(text.contains("of code-impl/none: counts\n  time "), "{text}");
    // The history is plain git.
    assert_eq!(
        walk.ask(&["log", "--format=%s", "refs/carnet/calibration"]),
        "calibrate: 1 runs seen, 1 batches moved\ncalibrate: 5 runs seen"
    );
    let state: Value =
        serde_json::from_str(&walk.ask(&["show", "refs/carnet/calibration:calibration.json"]))
            .unwrap();
    assert_eq!((&state["format"], &state["runsMin"]), (&json!("carnet/calibration/1"), &json!(2)));
    walk.assert_sound();
}

#[test]
fn a_hotfix_says_so_and_teaches_as_any_other_run_that_validated() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    walk.carnet(&["run", "--validate", "--hotfix", "--", "true"]).expect_code(0);
    let run = walk.newest_run();
    assert_eq!(walk.json(&["show", &run, "--json"])["predicate"]["run"]["kind"], "hotfix");
    assert_eq!(walk.json(&["runs", "--kind", "hotfix", "--json"])["n_runs"], 1);
    let report = walk.json(&["calibrate", "update", "--json"]);
    assert_eq!(steps(&report), [("waits", "1 of 5 runs")]);
}

#[test]
fn freezing_and_thawing_say_why_and_refuse_what_is_not() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    walk.carnet(&["run", "--validate", "--", "true"]).expect_code(0);
    walk.carnet(&["calibrate", "update"]).expect_code(0);
    walk.carnet(&["calibrate", "freeze", "nonsense", "--reason", "x"]).expect_code(2);
    let ran = walk.carnet(&["calibrate", "thaw", "code-impl/openai"]).expect_code(3);
    assert!(ran.stderr.contains("nothing is known of `code-impl/openai`"), "{}", ran.stderr);
    walk.carnet(&["calibrate", "freeze", "code-impl/none", "--reason", "new machine"])
        .expect_code(0);
    let shown = walk.carnet(&["calibrate", "show"]).expect_code(0).stdout;
    assert!(shown.contains("frozen: new machine (0 runs held)"), "{shown}");
    walk.carnet(&["calibrate", "freeze", "code-impl/none", "--reason", "again"]).expect_code(1);
    walk.carnet(&["calibrate", "thaw", "code-impl/none"]).expect_code(0);
    let ran = walk.carnet(&["calibrate", "thaw", "code-impl/none"]).expect_code(1);
    assert!(ran.stderr.contains("is thawed already"), "{}", ran.stderr);
    assert!(
        walk.ask(&["log", "--format=%B", "refs/carnet/calibration"])
            .contains("calibrate: freeze code-impl/none\n\nnew machine")
    );
}

#[test]
fn runs_of_keys_that_no_one_trusts_wait_until_they_are_trusted() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    walk.carnet(&["run", "--validate", "--", "true"]).expect_code(0);
    let key = walk.carnet(&["passport", "key"]).expect_code(0).stdout;
    let signing = walk.ask(&["rev-parse", "--git-path", "carnet/signing-key.pem"]);
    std::fs::remove_file(walk.repo.path().join(signing)).unwrap();
    walk.carnet(&["init"]).expect_code(0);
    let report = walk.json(&["calibrate", "update", "--json"]);
    assert_eq!((&report["n_runs"], &report["n_untrusted"]), (&json!(0), &json!(1)));
    let run = walk.newest_run();
    walk.carnet(&["calibrate", "explain", &run]).expect_code(1);
    walk.git(&["config", "--add", "carnet.trustedKey", key.trim()]).expect_code(0);
    let report = walk.json(&["calibrate", "update", "--json"]);
    assert_eq!((&report["n_runs"], &report["n_untrusted"]), (&json!(1), &json!(0)));
}
