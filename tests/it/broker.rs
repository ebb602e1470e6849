//! `carnet broker`: what is wrong with a policy is said with its place; what follows from it is explained.

use carnet_testkit::{Ran, Runner, TestRepo};
use serde_json::{Value, json};

use crate::support::{Walk, carnet_path, everyone, root};

const POLICY: &str = "policy/model-broker.toml";

fn example() -> String {
    std::fs::read_to_string(root().join("policy/model-broker.example.toml")).unwrap()
}

fn parsed(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}\n{}", ran.stdout))
}

/// A directory that is in no repository.
struct Outside(TestRepo);

impl Outside {
    fn with(files: &[(&str, &str)]) -> Outside {
        let place = TestRepo::without_repository();
        for (name, text) in files {
            place.write(name, text);
        }
        Outside(place)
    }

    fn carnet(&self, args: &[&str]) -> Ran {
        Runner::new(carnet_path()).in_repo(&self.0).args(args).run()
    }
}

#[test]
fn the_examples_are_sound_wherever_they_are_looked_at() {
    let place = Outside::with(&[]);
    for (args, name) in
        [(&["broker", "example"][..], "p.toml"), (&["broker", "example", "--json"], "p.json")]
    {
        let text = place.carnet(args).expect_code(0).stdout;
        let place = Outside::with(&[(name, &text)]);
        let ran = place.carnet(&["broker", "validate", name]).expect_code(0);
        assert!(
            ran.stdout
                .starts_with(&format!("sound: {name}, version 2026-11-22-001, 5 lanes overridden")),
            "{}",
            ran.stdout
        );
        assert!(ran.stdout.contains("0 warnings"), "{}", ran.stdout);
    }
    let schema = place.carnet(&["broker", "example", "--schema"]).expect_code(0);
    assert_eq!(parsed(&schema)["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

#[test]
fn every_error_has_pointer_line_and_column_and_the_exit_code_of_a_wrong_policy() {
    let text = "{\"version\": \"2026-11-22-001\",\n \"default_provider\": {\"provider\": \"openai\", \"model\": \"gpt-9\", \"temperature\": 3},\n \"lane_override\": {}, \"version\": \"x\"}";
    let place = Outside::with(&[("p.json", text)]);
    let report = parsed(&place.carnet(&["broker", "validate", "p.json", "--json"]).expect_code(78));
    assert_eq!(
        (&report["format"], &report["valid"]),
        (&json!("carnet/broker-validate/1"), &json!(false))
    );
    let errors = report["errors"].as_array().unwrap();
    let places: Vec<_> = errors
        .iter()
        .map(|it| {
            (
                it["pointer"].as_str().unwrap(),
                it["line"].as_u64().unwrap(),
                it["column"].as_u64().unwrap(),
            )
        })
        .collect();
    for place in [
        ("/default_provider/temperature", 2, 78),
        ("/lane_override", 3, 2),
        ("/version", 3, 23),
        ("/version", 3, 34),
    ] {
        assert!(places.contains(&place), "{place:?} {report:#}");
    }
    let ran = place.carnet(&["broker", "validate", "p.json"]).expect_code(78);
    assert!(
        ran.stdout.contains(
            "p.json:3:2: /lane_override: is not known here; did you mean `lane_overrides`?"
        ),
        "{}",
        ran.stdout
    );
    // What is wrong decides nothing.
    let ran = place
        .carnet(&["broker", "route", "--lane", "narrative", "--policy", "p.json"])
        .expect_code(78);
    assert!(
        ran.stderr.contains("p.json:3:2:") && ran.stderr.contains("carnet broker validate p.json"),
        "{}",
        ran.stderr
    );
}

#[test]
fn an_unknown_model_is_a_warning_until_the_catalogue_has_it() {
    let policy = "version = '2026-11-22-001'\ndefault_provider = { provider = 'openai', model = 'gpt-5-nextt' }\n";
    let card = "[[models]]\nprovider = 'openai'\nmodel = 'gpt-5-nextt'\n";
    let place = Outside::with(&[("p.toml", policy), ("other.toml", card)]);
    let ran = place.carnet(&["broker", "validate", "p.toml"]).expect_code(0);
    assert!(ran.stdout.contains("warning: p.toml:2:51: /default_provider/model: model `openai/gpt-5-nextt` is not known here"), "{}", ran.stdout);
    let ran =
        place.carnet(&["broker", "validate", "p.toml", "--catalogue", "other.toml"]).expect_code(0);
    assert!(ran.stdout.contains("0 warnings"), "{}", ran.stdout);
    // A catalogue beside the policy is the one that people edit with it.
    std::fs::rename(place.0.path().join("other.toml"), place.0.path().join("models.toml")).unwrap();
    let ran = place.carnet(&["broker", "validate", "p.toml"]).expect_code(0);
    assert!(ran.stdout.contains("0 warnings"), "{}", ran.stdout);
    std::fs::write(place.0.path().join("models.toml"), "models = 7").unwrap();
    let ran = place.carnet(&["broker", "validate", "p.toml"]).expect_code(78);
    assert!(ran.stderr.contains("models.toml:1:10: /models: must be a list"), "{}", ran.stderr);
}

#[test]
fn hostile_files_are_refused_with_a_word() {
    let deep = "[".repeat(100_000);
    let large = format!("# {}", "x".repeat(2 << 20));
    let place = Outside::with(&[
        ("deep.json", &deep),
        ("large.toml", &large),
        ("empty.json", ""),
        ("future.json", "{\"format\": \"carnet/model-broker/7\"}"),
    ]);
    std::fs::write(place.0.path().join("latin.toml"), b"version = '\xe9'").unwrap();
    for (file, code, word) in [
        ("deep.json", 78, "recursion limit"),
        ("large.toml", 78, "more than"),
        ("empty.json", 78, "EOF"),
        ("future.json", 78, "is from the future"),
        ("latin.toml", 78, "not UTF-8"),
        ("absent.toml", 3, "No such file"),
        (".", 3, "is no file"),
    ] {
        let ran = place.carnet(&["broker", "validate", file]).expect_code(code);
        assert!(
            format!("{}{}", ran.stdout, ran.stderr).contains(word),
            "{file}: {} {}",
            ran.stdout,
            ran.stderr
        );
    }
}

#[test]
fn the_policy_in_force_is_the_commits_and_never_the_work_trees() {
    let script = format!("cp -r '{}' allowlists", root().join("allowlists").display());
    let walk = Walk::initialised(&script, everyone()[0]);
    let ran = walk.carnet(&["broker", "route", "--lane", "narrative"]).expect_code(3);
    assert!(
        ran.stderr.contains("carnet broker example >policy/model-broker.toml"),
        "{}",
        ran.stderr
    );
    walk.commit_round_the_hook(&[(POLICY, &example())]);
    walk.git(&["config", "carnet.policyRef", "HEAD"]).expect_code(0);
    walk.write(POLICY, example().replace("https://", "http://").replace("gpt-5", "gpt-6"));
    let report = walk.json(&["broker", "route", "--lane", "narrative", "--json"]);
    assert_eq!(
        (&report["candidates"][0]["model"], &report["candidates"][0]["source"]),
        (&json!("gpt-5"), &json!("override of the lane"))
    );
    assert_eq!(report["candidates"].as_array().unwrap().len(), 3);
    assert_eq!((&report["budget_cap_usd"], &report["caching"]), (&json!(500.0), &json!(true)));
    let ran = walk.carnet(&["broker", "validate"]).expect_code(0);
    assert!(ran.stdout.starts_with("sound: policy/model-broker.toml"), "{}", ran.stdout);
}

#[test]
fn a_route_that_nothing_can_pay_is_refused_with_the_reason_of_each_candidate() {
    let place = Outside::with(&[("p.toml", &example().replace("local = true", ""))]);
    let args = [
        "broker",
        "route",
        "--lane",
        "code-api-design",
        "--policy",
        "p.toml",
        "--task-usd",
        "7.999999",
    ];
    let ran = place.carnet(&args).expect_code(1);
    assert!(ran.stdout.contains("the task may have 8 USD and had 7.999999"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("passed over: is of tier standard, and the lane asks for advanced"),
        "{}",
        ran.stdout
    );
    let ran = place
        .carnet(&[
            "broker",
            "route",
            "--lane",
            "narrative",
            "--policy",
            "p.toml",
            "--model",
            "gpt-9",
        ])
        .expect_code(1);
    assert!(
        ran.stderr
            .contains("the policy gives lane `narrative` no model `gpt-9`; it has openai/gpt-5,"),
        "{}",
        ran.stderr
    );
    place.carnet(&["broker", "route", "--lane", "Not A Lane", "--policy", "p.toml"]).expect_code(2);
}

#[test]
fn a_diff_is_of_meanings() {
    let new = example().replace("max_tokens = 16384", "max_tokens = 1024");
    let place = Outside::with(&[("old.toml", &example()), ("new.toml", &new)]);
    let ran = place.carnet(&["broker", "diff", "old.toml", "new.toml"]).expect_code(0);
    assert_eq!(ran.stdout, "lane code-impl: max_tokens\n  - 16384\n  + 1024\n");
    let report =
        parsed(&place.carnet(&["broker", "diff", "old.toml", "old.toml", "--json"]).expect_code(0));
    assert_eq!(report["changes"], json!([]));
}
