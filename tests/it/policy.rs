//! `carnet policy`: what it finds wrong, what it says to a command, and the decisions of the shipped lanes.

use std::fs;

use carnet_testkit::{Ran, Runner, TestRepo};
use serde_json::Value;

use crate::support::{Walk, carnet_path, everyone, root};

fn outside(args: &[&str]) -> Ran {
    let nowhere = TestRepo::without_repository();
    Runner::new(carnet_path()).in_repo(&nowhere).args(args).run()
}

/// A repository whose policy ref names a commit with the shipped lanes, something of them replaced.
fn with_policy(file: &str, from: &str, to: &str) -> Walk {
    let script = format!("cp -r '{}' allowlists", root().join("allowlists").display());
    let walk = Walk::initialised(&script, everyone()[0]);
    let text = fs::read_to_string(walk.repo.path().join("allowlists").join(file)).unwrap();
    assert!(text.contains(from), "{from}");
    walk.write(&format!("allowlists/{file}"), text.replacen(from, to, 1));
    walk.commit_round_the_hook(&[]);
    walk.git(&["config", "carnet.policyRef", "HEAD"]).expect_code(0);
    walk
}

#[test]
fn every_shipped_lane_decides_as_its_file_of_decisions_says() {
    let dir = root().join("crates/carnet-policy/decisions");
    let mut n_lanes = 0;
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let lane = path.file_stem().unwrap().to_str().unwrap().to_owned();
        outside(&["policy", "test", "--lane", &lane, path.to_str().unwrap()]).expect_code(0);
        n_lanes += 1;
    }
    assert_eq!(n_lanes, 7);
}

#[test]
fn a_decision_that_is_not_as_expected_is_named_and_fails() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    walk.write(
        "d.jsonl",
        "{\"argv\": [\"true\"], \"expect\": \"allow\"}\n\n{\"argv\": [\"sh\"], \"expect\": \"allow\"}\n\
         {\"argv\": [\"true\"], \"env\": {\"LD_PRELOAD\": \"x\"}, \"expect\": \"deny\", \"why\": \"loads\"}\n",
    );
    let test = ["policy", "test", "--lane", "code-impl", "d.jsonl"];
    let ran = walk.carnet(&test).expect_code(1);
    assert!(ran.stdout.starts_with("d.jsonl:3: denied: "), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("3 decisions, 2 as expected, 1 not\n"), "{}", ran.stdout);
    let json = walk.carnet(&[&test[..], &["--json"]].concat()).expect_code(1);
    let lines: Vec<Value> =
        json.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1]["decision"], "deny");
    assert_eq!(lines[1]["as_expected"], false);
    assert_eq!(lines[1]["rule"], "deny/raw-shell");
    walk.write("d.jsonl", "{\"argv\": [\"true\"]}\n{\"argv\": \"true\"}\n");
    let ran = walk.carnet(&test).expect_code(2);
    assert!(ran.stderr.contains("d.jsonl:2: "), "{}", ran.stderr);
    walk.write("d.jsonl", "\n");
    walk.carnet(&test).expect_code(3);
    walk.carnet(&["policy", "test", "--lane", "no-such", "d.jsonl"]).expect_code(2);
    walk.carnet(&["policy", "test", "--lane", "code-impl", "absent.jsonl"]).expect_code(3);
}

#[test]
fn an_explanation_names_the_rule_or_the_first_argument_that_differed() {
    let said = |args: &[&str], code| {
        outside(&[&["policy", "explain"], args].concat()).expect_code(code).stdout
    };
    let text = said(&["--", "cargo", "test"], 0);
    assert!(text.contains("`code-impl/cargo-test` (allowlists/code-impl.toml:"), "{text}");
    assert!(text.contains("landlock:2, seccomp"), "{text}");
    let text = said(&["--", "curl", "x"], 1);
    assert!(text.contains("`deny/download` (allowlists/deny.toml:"), "{text}");
    let text = said(&["--", "cargo", "test", "--config-x"], 1);
    assert!(text.contains("argument 3 `--config-x` is not an option of rule"), "{text}");
    let text = said(&["--env", "GIT_DIR=x", "--", "git", "status"], 1);
    assert!(text.contains("variable `GIT_DIR`"), "{text}");
    let json = said(&["--json", "--lane", "narrative", "--", "git", "status"], 1);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["format"], "carnet/policy-decision/1");
    assert_eq!(json["lane"], "narrative");
    outside(&["policy", "explain", "--env", "X", "--", "true"]).expect_code(2);
}

#[test]
fn a_check_finds_every_problem_at_once_with_file_line_and_field() {
    outside(&["policy", "check"]).expect_code(0);
    outside(&["policy", "test"]).expect_code(0);
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    let lane = fs::read_to_string(root().join("allowlists/narrative.toml")).unwrap();
    walk.write("narrative.toml", lane.replacen("max_parallel = 2", "max_paralel = 2", 1));
    let ran = walk.carnet(&["policy", "check", "narrative.toml"]).expect_code(78);
    for field in ["`limits.max_paralel`: ", "`limits.max_parallel`: "] {
        assert!(ran.stdout.contains(field), "{field}: {}", ran.stdout);
    }
    let json = walk.carnet(&["policy", "check", "--json", "narrative.toml"]).expect_code(78).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["problems"][0]["file"], "narrative.toml");
    assert!(json["problems"][0]["line"].as_u64().unwrap() > 1);
    walk.carnet(&["policy", "check", "absent.toml"]).expect_code(3);
}

/// Each way to spoil a policy closes the lane with its place, and nothing is started or recorded.
#[test]
fn a_policy_that_is_wrong_runs_nothing() {
    let shadowed = "[[allow]]\nid = \"again\"\nargv = [\"true\"]\nruns_repository_code = false\n\
                    match = [[\"true\"]]\nnot_match = [[\"x\"]]\n\n[[allow]]\nid = \"cat\"";
    for (file, from, to, said) in [
        ("code-impl.toml", "max_cpu_pct = 80", "max_cpu = 80", "`limits.max_cpu`: "),
        ("code-impl.toml", "[[\"true\"], [\"false\"]]", "[[\"true\", \"x\"]]", "`allow.match`: "),
        ("code-impl.toml", "[[\"true\", \"x\"]", "[[\"true\"]", "`allow.not_match`: "),
        ("code-impl.toml", "[[allow]]\nid = \"cat\"", shadowed, "can never decide"),
        ("deny.toml", "reason = ", "because = ", "`deny.because`: "),
        ("code-impl.toml", "\"landlock:2\"", "\"landlock\"", "`sandbox.required`: "),
    ] {
        let walk = with_policy(file, from, to);
        let ran = walk.carnet(&["run", "--", "true"]).expect_code(78);
        assert!(ran.stderr.contains(said), "{to}: {}", ran.stderr);
        assert!(ran.stderr.contains(&format!("allowlists/{file}:")), "{to}: {}", ran.stderr);
        assert!(ran.stderr.contains("hint:"), "{}", ran.stderr);
        assert_eq!(walk.json(&["runs", "--json"])["n_runs"], 0);
    }
}

#[test]
fn an_unreadable_policy_of_the_work_tree_runs_nothing() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    walk.write("allowlists/code-impl.toml/not-a-file", "x");
    let ran = walk.carnet(&["run", "--", "true"]).expect_code(78);
    assert!(ran.stderr.contains("work-tree:allowlists/code-impl.toml"), "{}", ran.stderr);
    fs::remove_dir_all(walk.repo.path().join("allowlists")).unwrap();
    walk.write("allowlists/deny.toml", [0xff, 0xfe]);
    walk.carnet(&["run", "--", "true"]).expect_code(78);
    assert_eq!(walk.json(&["runs", "--json"])["n_runs"], 0);
}

#[test]
fn a_work_tree_tightens_what_the_policy_allows_and_never_loosens_it() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    let before = walk.json(&["policy", "explain", "--json", "--", "true"]);
    let shipped = |file: &str| fs::read_to_string(root().join("allowlists").join(file)).unwrap();
    let rule = "\n[[deny]]\nid = \"not-true\"\nargv = [\"true\"]\nreason = \"not here\"\nmatch = [[\"true\"]]\nnot_match = [[\"x\"]]\n";
    walk.write("allowlists/deny.toml", shipped("deny.toml") + rule);
    let ran = walk.carnet(&["policy", "explain", "--", "true"]).expect_code(1);
    assert!(ran.stdout.contains("work-tree:allowlists/deny.toml:"), "{}", ran.stdout);
    assert!(ran.stdout.contains("the policy in force would allow it"), "{}", ran.stdout);
    walk.carnet(&["run", "--", "true"]).expect_code(1);
    walk.carnet(&["run", "--", "ls"]).expect_code(0);
    let after = walk.json(&["policy", "explain", "--json", "--", "true"]);
    assert_eq!(after["by"], "work-tree");
    assert_ne!(before["policy_sha256"], after["policy_sha256"]);
    // What ran under both is done again under both, wherever the work tree has gone.
    let run = walk.newest_run();
    let by = walk.json(&["show", &run, "--json"])["predicate"]["policy"]["tightenedBy"].clone();
    assert_eq!(by[0]["path"], "allowlists/deny.toml");
    assert_eq!(by.as_array().unwrap().len(), 1);
    let shown = walk.carnet(&["show", &run]).expect_code(0).stdout;
    assert!(shown.contains("allowlists/deny.toml of the work tree"), "{shown}");
    fs::remove_dir_all(walk.repo.path().join("allowlists")).unwrap();
    walk.carnet(&["replay", &run]).expect_code(0);
    walk.carnet(&["run", "--", "ls"]).expect_code(0);
    let untouched = walk.json(&["show", &walk.newest_run(), "--json"])["predicate"].clone();
    assert_eq!(untouched["policy"]["tightenedBy"], serde_json::Value::Null);
    let lane = shipped("code-impl.toml").replace("{one-of:true|false}", "{one-of:true|false|id}");
    walk.write("allowlists/code-impl.toml", lane);
    let ran = walk.carnet(&["policy", "explain", "--", "id"]).expect_code(1);
    assert!(!ran.stdout.contains("the policy in force would allow it"), "{}", ran.stdout);
}

#[test]
fn arguments_beyond_the_bound_are_refused_unread_and_not_recorded() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    let long = "a".repeat(100_000);
    let mut argv = vec!["run", "--", "cat"];
    argv.extend(std::iter::repeat_n(long.as_str(), 18));
    let ran = walk.carnet(&argv).expect_code(1);
    assert!(ran.stderr.contains("bytes of arguments are more than"), "{}", ran.stderr);
    assert_eq!(walk.json(&["runs", "--json"])["n_runs"], 0);
}

#[test]
fn a_work_tree_that_repeats_the_policy_is_counted_once() {
    let walk = with_policy("narrative.toml", "", "");
    let bare = walk.carnet(&["policy", "check"]).expect_code(0).stdout;
    let count = |text: &str| text.split(' ').nth(1).unwrap().parse::<usize>().unwrap();
    let in_force = fs::read_dir(root().join("allowlists")).unwrap().count();
    assert!(count(&bare) <= in_force, "{bare}");
    let path = "allowlists/narrative.toml";
    let text = fs::read_to_string(walk.repo.path().join(path)).unwrap();
    walk.write(path, format!("{text}# mine\n"));
    let with_own = walk.carnet(&["policy", "check"]).expect_code(0).stdout;
    assert_eq!(count(&with_own), count(&bare) + 1);
}

#[test]
fn a_floor_that_the_kernel_cannot_give_refuses_before_a_process_starts() {
    let text = fs::read_to_string(root().join("allowlists/code-impl.toml")).unwrap();
    let line = text.lines().find(|line| line.starts_with("required = ")).unwrap();
    let walk = with_policy("code-impl.toml", line, "required = [\"landlock:64\"]");
    let ran = walk.carnet(&["run", "--output", "started", "--", "touch", "started"]).expect_code(1);
    assert!(ran.stderr.contains("landlock"), "{}", ran.stderr);
    // Nothing ran: a run that was started is recorded, whatever became of it.
    assert_eq!(walk.json(&["runs", "--json"])["n_runs"], 0);
    let text = text.replace(line, "required = [\"landlock:2\"]");
    walk.commit_round_the_hook(&[("allowlists/code-impl.toml", &text)]);
    walk.carnet(&["run", "--output", "started", "--", "touch", "started"]).expect_code(0);
}

#[test]
fn the_page_of_the_format_shows_what_explain_says() {
    let page = fs::read_to_string(root().join("docs/format/allowlist.md")).unwrap();
    // Lines of files move.
    let without_lines = |text: &str| {
        text.split(".toml:")
            .map(|it| it.trim_start_matches(|char: char| char.is_ascii_digit()))
            .collect::<Vec<_>>()
            .join(".toml:")
    };
    let (mut n_allowed, mut n_denied) = (0, 0);
    for shown in page.split("\n    $ carnet policy explain -- ").skip(1) {
        let (command, rest) = shown.split_once('\n').unwrap();
        let lines = rest.lines().map_while(|line| line.strip_prefix("    "));
        let shown: String = lines.map(|line| format!("{line}\n")).collect();
        let argv: Vec<_> = command.split(' ').collect();
        let said = outside(&[&["policy", "explain", "--"], argv.as_slice()].concat()).stdout;
        let (said, _) = said.rsplit_once("  policy: ").unwrap();
        assert_eq!(without_lines(said), without_lines(&shown), "{command}");
        if said.starts_with("allowed") { n_allowed += 1 } else { n_denied += 1 }
    }
    assert_eq!((n_allowed, n_denied), (5, 5));
}
