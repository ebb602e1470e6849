//! `carnet search` and `carnet cite` on a repository of its own, with git telling what a blob holds.

use crate::support::{Walk, everyone};

const SOURCES: &str = r#"
mkdir -p src tests
printf 'import os\n\n\ndef parse_config(path):\n    """Parse the configuration file."""\n    return open(path).read()\n' >src/config.py
printf 'from src.config import parse_config\n\n\ndef test_parse_config():\n    assert parse_config("x")\n' >tests/test_config.py
printf '# Guide\n\nHow the retry limit\nis counted.\n' >guide.md
"#;

fn paths(answer: &serde_json::Value) -> Vec<&str> {
    let hits = answer["hits"].as_array().unwrap();
    hits.iter().map(|hit| hit["path"].as_str().unwrap()).collect()
}

#[test]
fn a_search_gives_the_best_first_with_lines_scores_and_a_citation() {
    let walk = Walk::initialised(SOURCES, everyone()[0]);
    let answer = walk.json(&["search", "parse the configuration", "--json"]);
    let hit = &answer["hits"][0];
    assert_eq!(
        (hit["path"].as_str(), hit["start_line"].as_u64(), hit["end_line"].as_u64()),
        (Some("src/config.py"), Some(4), Some(6)),
        "{answer}"
    );
    assert_eq!(hit["symbol"], "parse_config");
    assert!(hit["parts"]["doc"].as_f64().unwrap() > 0.0, "{hit}");
    assert_eq!(answer["index"]["commit"], answer["index"]["head"]);
    let blob = walk.ask(&["rev-parse", "HEAD:src/config.py"]);
    let citation = format!("src/config.py#L4-L6@{}", &blob[..12]);
    assert_eq!(hit["citation"], citation.as_str());
    let ran = walk.carnet(&["search", "parse_config"]).expect_code(0);
    assert!(ran.stdout.starts_with("src/config.py:4-6  function parse_config"), "{}", ran.stdout);
    assert!(ran.stdout.contains("     4  def parse_config(path):\n"), "{}", ran.stdout);
    assert!(ran.stderr.contains("level with HEAD"), "{}", ran.stderr);
    walk.carnet(&["search", "no_such_word"]).expect_code(3);
}

#[test]
fn phrases_expressions_and_filters_narrow_a_search_down() {
    let walk = Walk::initialised(SOURCES, everyone()[0]);
    let json = |args: &[&str]| walk.json(&[&["search"], args, &["--json"]].concat());
    assert_eq!(paths(&json(&["\"retry limit is\""])), ["guide.md"]);
    assert_eq!(paths(&json(&[r"/def \w+_config\(\)/"])), ["tests/test_config.py"]);
    assert_eq!(paths(&json(&["parse_config", "--path", "tests"]))[0], "tests/test_config.py");
    assert_eq!(paths(&json(&["retry", "--lang", "markdown"])), ["guide.md"]);
    let one = json(&["parse_config", "--limit", "1"]);
    assert_eq!(one["truncated"]["shown"], 1, "{one}");
    assert!(one["truncated"]["total"].as_u64().unwrap() > 1, "{one}");
}

#[test]
fn a_budget_of_tokens_is_never_exceeded() {
    let walk = Walk::initialised(SOURCES, everyone()[0]);
    let whole = walk.carnet(&["search", "parse_config", "--json"]).expect_code(0).stdout;
    let n_tokens = whole.len().div_ceil(4);
    for budget in [1, 150, n_tokens / 2, n_tokens - 1, n_tokens] {
        let text = budget.to_string();
        let args = ["search", "parse_config", "--json", "--max-tokens", &text];
        let ran = walk.carnet(&args).expect_code(0);
        let answer: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let n_hits = paths(&answer).len();
        assert!(ran.stdout.len() <= budget * 4 || n_hits == 0, "{budget}: {}", ran.stdout);
        assert_eq!(budget < n_tokens, answer["truncated"]["total"].is_u64(), "{}", ran.stdout);
        let ran = walk.carnet(&["search", "parse_config", "--max-tokens", &text]);
        assert!(ran.stdout.len() <= budget * 4, "{budget}: {}", ran.stdout);
    }
}

#[test]
fn hostile_queries_are_refused_with_what_is_wrong() {
    let walk = Walk::initialised(SOURCES, everyone()[0]);
    let long = "x".repeat(100_000);
    for (query, what) in [
        (long.as_str(), "at most"),
        ("\"open", "no closing"),
        ("/(/", "unclosed"),
        (r"/(\w{500}){500}/", "takes more than"),
        ("/(a|b)*/", "empty text"),
        ("?!", "no word"),
    ] {
        let ran = walk.carnet(&["search", query]).expect_code(2);
        assert!(ran.stderr.contains(what), "{what}: {}", ran.stderr);
    }
    // Backtracking would take for ever here.
    walk.write("long.py", format!("x = '{}'\n", "a".repeat(4_000)));
    walk.git(&["add", "-A"]).expect_code(0);
    walk.git(&["commit", "-qm", "a long line"]).expect_code(0);
    walk.carnet(&["search", "/(aa*)+$b/"]).expect_code(3);
    walk.carnet(&["search", "x", "--kind", "nothing"]).expect_code(2);
    walk.carnet(&["search", "x", "--path", "a["]).expect_code(2);
}

#[test]
fn a_citation_holds_when_head_has_moved_on() {
    let walk = Walk::initialised(SOURCES, everyone()[0]);
    let answer = walk.json(&["search", "parse_config", "--json"]);
    let citation = answer["hits"][0]["citation"].as_str().unwrap().to_owned();
    let cited = walk.carnet(&["cite", &citation]).expect_code(0);
    let expected = walk.ask(&["show", "HEAD:src/config.py"]);
    let expected: Vec<_> = expected.lines().skip(3).take(3).collect();
    assert_eq!(cited.stdout.lines().collect::<Vec<_>>(), expected);
    assert!(cited.stderr.contains("as HEAD has it"), "{}", cited.stderr);
    walk.git(&["rm", "-q", "src/config.py"]).expect_code(0);
    walk.git(&["commit", "-qm", "remove it"]).expect_code(0);
    let again = walk.json(&["cite", &citation, "--json"]);
    assert_eq!(again["text"].as_str().unwrap().trim_end(), expected.join("\n"));
    assert_eq!(again["is_in_head"], false);
    let gone = walk.carnet(&["search", "Parse the configuration file", "--json"]);
    let gone: serde_json::Value = serde_json::from_str(&gone.stdout).unwrap();
    assert!(!paths(&gone).contains(&"src/config.py"), "{gone}");
    walk.carnet(&["cite", "src/config.py#L1-L2@000000000000"]).expect_code(3);
    walk.carnet(&["cite", &citation.replace("#L4-L6", "#L400-L600")]).expect_code(3);
    walk.carnet(&["cite", "src/config.py"]).expect_code(2);
}

#[test]
fn damaged_words_are_made_anew_by_the_next_question() {
    let walk = Walk::initialised(SOURCES, everyone()[0]);
    let before = walk.json(&["search", "parse_config", "--json"])["hits"].clone();
    let words = walk.repo.path().join(".git/carnet/index/words");
    std::fs::write(words.join("meta.json"), "{").unwrap();
    let ran = walk.carnet(&["search", "parse_config", "--json"]).expect_code(0);
    assert!(ran.stderr.contains("made anew"), "{}", ran.stderr);
    let after: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(after["hits"], before);
    std::fs::remove_dir_all(&words).unwrap();
    assert_eq!(walk.json(&["search", "parse_config", "--json"])["hits"], before);
}

#[test]
fn a_pack_holds_hits_and_neighbours_within_its_budget() {
    let walk = Walk::initialised(SOURCES, everyone()[0]);
    let pack = walk.json(&["pack", "--json", "parse the configuration file"]);
    let items = pack["items"].as_array().unwrap();
    assert_eq!((&items[0]["symbol"], &items[0]["role"]), (&"parse_config".into(), &"hit".into()));
    assert!(items[0]["text"].as_str().unwrap().starts_with("def parse_config"), "{pack}");
    let scoped = ["pack", "--json", "--path", "src", "parse the configuration file"];
    let scoped = walk.json(&scoped);
    let caller = scoped["items"].as_array().unwrap().iter().find(|it| it["role"] == "caller");
    let caller = caller.unwrap_or_else(|| panic!("no caller: {scoped}"));
    assert_eq!((&caller["symbol"], &caller["depth"]), (&"test_parse_config".into(), &1.into()));
    for budget in [200, 250, 300, 400, 700, 4_000] {
        let text = budget.to_string();
        for form in [&["--json"][..], &[]] {
            let args = [&["pack", "--budget", &text, "parse_config retry"], form].concat();
            let ran = walk.carnet(&args);
            assert!(ran.stdout.len() <= budget * 4, "{budget}: {}", ran.stdout);
        }
    }
    let small = walk.json(&["pack", "--json", "--budget", "300", "parse_config"]);
    assert!(small["truncated"]["total"].as_u64() > small["truncated"]["shown"].as_u64(), "{small}");
    walk.carnet(&["pack", "--budget", "10", "x"]).expect_code(2);
    walk.carnet(&["pack", "no_such_word"]).expect_code(3);
}
