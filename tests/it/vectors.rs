//! The graph of neighbours with the real binary: made where there are many vectors, by `--once` and by the daemon, and made anew
//! where it is damaged or outgrown.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::{Followed, Walk, everyone};

const VERBS: [&str; 12] = [
    "parse", "read", "write", "send", "close", "open", "merge", "split", "count", "sort", "filter",
    "remove",
];
const NOUNS: [&str; 13] = [
    "config", "file", "message", "socket", "token", "table", "index", "header", "buffer", "queue",
    "user", "image", "date",
];

/// A module of functions, no two alike.
fn module(salt: usize) -> String {
    let mut text = String::new();
    for (at, verb) in VERBS.iter().enumerate() {
        for noun in NOUNS {
            let other = NOUNS[(at + salt) % NOUNS.len()];
            let _ = writeln!(
                text,
                "def {verb}_{noun}_{salt}({other}):\n    {noun} = {verb}({other}, {at})\n    return {noun}\n"
            );
        }
    }
    text
}

fn hits(walk: &Walk, question: &str) -> Vec<String> {
    let answer = walk.json(&["search", question, "-n", "10", "--json"]);
    let citation = |hit: &Value| hit["citation"].as_str().unwrap().to_owned();
    answer["hits"].as_array().unwrap().iter().map(citation).collect()
}

const QUESTIONS: [&str; 3] =
    ["sort the messages of a queue", "take a user out", "shut down the connection"];

fn walk() -> Walk {
    let walk = Walk::initialised("true", everyone()[0]);
    for salt in 0..4 {
        walk.write(&format!("m{salt}.py"), module(salt));
    }
    walk.git(&["add", "-A"]).expect_code(0);
    walk.git(&["commit", "-qnm", "next"]).expect_code(0);
    walk
}

#[test]
fn once_makes_the_graph_where_it_is_needed_and_says_where_it_is_damaged() {
    let walk = walk();
    let ran = walk.carnet(&["daemon", "--once"]).expect_code(0);
    assert!(!ran.stdout.contains("graph"), "{}", ran.stdout);
    assert_eq!(walk.json(&["status", "--json"])["vector_graph"], Value::Null);
    let exact = QUESTIONS.map(|question| hits(&walk, question));
    assert!(exact.iter().all(|hits| hits.len() == 10), "{exact:?}");

    walk.git(&["config", "carnet.exactVectors", "300"]).expect_code(0);
    assert_eq!(walk.json(&["status", "--json"])["vector_graph"], "due");
    let ran = walk.carnet(&["daemon", "--once"]).expect_code(0);
    assert!(ran.stdout.contains("neighbours made"), "{}", ran.stdout);
    assert_eq!(walk.json(&["status", "--json"])["vector_graph"], "fresh");
    assert_eq!(QUESTIONS.map(|question| hits(&walk, question)), exact);

    let graph = walk.repo.path().join(".git/carnet/index/words/neighbours");
    let mut bytes = std::fs::read(&graph).unwrap();
    let n_bytes = bytes.len();
    bytes[30..n_bytes].iter_mut().for_each(|byte| *byte ^= 0x11);
    std::fs::write(&graph, bytes).unwrap();
    assert_eq!(QUESTIONS.map(|question| hits(&walk, question)), exact);
    let ran = walk.carnet(&["search", QUESTIONS[0]]).expect_code(0);
    assert!(ran.stderr.contains("graph of neighbours is damaged"), "{}", ran.stderr);
    let ran = walk.carnet(&["daemon", "vectors"]).expect_code(0);
    assert!(ran.stdout.contains("neighbours made"), "{}", ran.stdout);
    let ran = walk.carnet(&["search", QUESTIONS[0]]).expect_code(0);
    assert!(!ran.stderr.contains("damaged"), "{}", ran.stderr);

    walk.git(&["config", "carnet.memoryMiB", "100000"]).expect_code(0);
    walk.git(&["config", "carnet.exactVectors", "1000000"]).expect_code(0);
    let ran = walk.carnet(&["daemon", "vectors"]).expect_code(0);
    assert!(ran.stdout.contains("no graph is needed"), "{}", ran.stdout);
}

#[test]
fn the_daemon_makes_the_graph_after_a_commit_and_anew_when_it_is_outgrown() {
    let walk = Followed(walk());
    walk.0.git(&["config", "carnet.exactVectors", "300"]).expect_code(0);
    walk.carnet(&["daemon", "start"]).expect_code(0);
    walk.status_when(|status| status["vector_graph"] == "fresh");
    for salt in 4..7 {
        walk.0.write(&format!("m{salt}.py"), module(salt));
    }
    let commit = walk.commit();
    let made = walk.status_when(|status| {
        status["index"]["commit"] == commit.as_str() && status["vector_graph"] == "fresh"
    });
    assert!(made["sizes"]["vectors"].as_u64().unwrap() > 0, "{made}");
    let name = hits(&walk.0, "filter the tokens of a header")[0].clone();
    assert!(name.starts_with('m'), "{name}");
}
