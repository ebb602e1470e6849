//! A run that asks a model, and its replay when the model is gone.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};

use crate::{
    replay::walk_with,
    schemas::fits,
    support::{Walk, github_token},
};

/// Asks by HTTP as any client does, and writes what it heard.
const ASK: &str = r#"
import json, os, sys, urllib.error, urllib.request
base = os.environ["OPENAI_BASE_URL"]
with open("out", "w") as out:
    for line in open("questions"):
        body = json.dumps({"model": "small", "messages": [{"role": "user", "content": line.strip()}]})
        headers = {"Content-Type": "application/json", "Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
        request = urllib.request.Request(base + "/chat/completions", body.encode(), headers)
        try:
            with urllib.request.urlopen(request) as reply:
                out.write(json.load(reply)["choices"][0]["message"]["content"] + "\n")
        except urllib.error.HTTPError as error:
            out.write("%d %s\n" % (error.code, json.load(error)["error"]["type"]))
"#;

/// A model that never says the same twice, and what it was asked.
struct Oracle {
    address: SocketAddr,
    n_asked: Arc<AtomicUsize>,
    is_over: Arc<AtomicUsize>,
    serving: Option<std::thread::JoinHandle<Vec<String>>>,
}

impl Oracle {
    fn start(add: String) -> Oracle {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (n_asked, is_over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (n, over) = (Arc::clone(&n_asked), Arc::clone(&is_over));
        let serving = std::thread::spawn(move || {
            let mut heard = vec![];
            loop {
                let (stream, _) = listener.accept().unwrap();
                if over.load(Ordering::SeqCst) > 0 {
                    return heard;
                }
                let n = n.fetch_add(1, Ordering::SeqCst);
                heard.push(answer(stream, &format!("answer {n} {add}")));
            }
        });
        Oracle { address, n_asked, is_over, serving: Some(serving) }
    }

    fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Stops it; its address is nobody's then. Returns what it heard.
    fn stop(mut self) -> Vec<String> {
        self.is_over.store(1, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        self.serving.take().unwrap().join().unwrap()
    }
}

fn answer(mut stream: TcpStream, content: &str) -> String {
    let mut heard = vec![];
    let mut chunk = [0; 4096];
    let whole = |heard: &[u8]| {
        let text = String::from_utf8_lossy(heard).to_lowercase();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
        (body.len() >= length.parse().unwrap()).then_some(())
    };
    while whole(&heard).is_none() {
        let n = stream.read(&mut chunk).unwrap();
        assert_ne!(n, 0, "{}", String::from_utf8_lossy(&heard));
        heard.extend_from_slice(&chunk[..n]);
    }
    let body =
        json!({"choices": [{"message": {"role": "assistant", "content": content}}]}).to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nset-cookie: a=b\r\n";
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    String::from_utf8(heard).unwrap()
}

fn walk() -> Walk {
    walk_with(&format!(
        "printf 'first\\nsecond\\nfirst\\n' >questions\ncat >ask.py <<'END'{ASK}END"
    ))
}

fn exchanges(walk: &Walk, run: &str) -> Vec<Value> {
    let commit = walk.json(&["runs", "--json"])["runs"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["run"] == run)
        .unwrap()["commit"]
        .as_str()
        .unwrap()
        .to_owned();
    let lines = walk.ask(&["show", &format!("{commit}:model/exchanges.jsonl")]);
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn recorded_replies_answer_for_a_model_that_is_gone() {
    let walk = walk();
    let oracle = Oracle::start(String::new());
    let run = walk.shell(&["--output", "out", "--model", &oracle.url()], "python3 ask.py");
    assert_eq!(oracle.n_asked.load(Ordering::SeqCst), 3);
    let heard = oracle.stop();
    assert!(heard[0].starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{}", heard[0]);
    assert!(!heard[0].to_lowercase().contains("authorization"), "{}", heard[0]);

    let recorded = exchanges(&walk, &run);
    assert_eq!(recorded.len(), 3);
    recorded.iter().for_each(|exchange| fits("model-exchange-1", exchange));
    assert_eq!(recorded[0]["request"]["body"]["json"]["messages"][0]["content"], "first");
    assert_eq!(recorded[0]["reply"]["headers"], json!({"content-type": "application/json"}));
    let passport = walk.json(&["show", &run, "--json"]);
    fits("passport-1", &passport);
    assert_eq!(passport["predicate"]["model"]["nExchanges"], 3);
    walk.carnet(&["passport", "verify", &run]).expect_code(0);

    let report = walk.replay(&run, &[], 0);
    assert_eq!(report["verdict"], "MATCH_EXACT", "{report:#}");
    // The replay's own record answers as well as the first one.
    let again = report["replay_run"].as_str().unwrap();
    let own = exchanges(&walk, &walk.newest_run());
    assert_eq!(own, recorded);
    assert_eq!(walk.replay(again, &[], 0)["verdict"], "MATCH_EXACT");
    walk.assert_sound();
}

#[test]
fn a_request_that_is_not_recorded_is_told_and_diverges() {
    let walk = walk();
    let oracle = Oracle::start(String::new());
    let run = walk.shell(&["--output", "out", "--model", &oracle.url()], "python3 ask.py");
    oracle.stop();
    walk.write("questions", "first\nother\nfirst\n");
    walk.commit_round_the_hook(&[]);
    // Today's code on the recorded replies.
    let report = walk.replay(&run, &["--skip-git"], 13);
    assert_eq!(report["verdict"], "DIVERGED");
    let difference = &report["differences"][0];
    assert_eq!(difference["path"], "model/exchanges.jsonl");
    let detail = difference["detail"].as_str().unwrap();
    for part in ["`/messages/0/content` \"second\"", "`/messages/0/content` \"other\""] {
        assert!(detail.contains(part), "{detail}");
    }
    assert_eq!(report["differences"][1]["path"], "artifacts/out");
    let own = exchanges(&walk, &walk.newest_run());
    assert_eq!(own[1]["reply"]["status"], 422);
    assert!(own[1]["reply"]["body"]["text"].as_str().unwrap().contains("carnet_unrecorded"));
}

#[test]
fn secrets_reach_neither_the_model_nor_the_command_nor_the_record() {
    let walk = walk();
    let token = github_token();
    let oracle = Oracle::start(token.clone());
    let script = format!(
        "printf 'the token is %s%s\\n' '{}' '{}' >questions; python3 ask.py",
        &token[..9],
        &token[9..]
    );
    let run = walk.shell(&["--output", "out", "--model", &oracle.url()], &script);
    let heard = oracle.stop();
    assert!(heard[0].contains("[REDACTED:") && !heard[0].contains(&token), "{}", heard[0]);
    let recorded = exchanges(&walk, &run);
    assert!(!recorded[0].to_string().contains(&token), "{}", recorded[0]);
    assert_eq!(recorded[0]["request"]["nRedactions"], 1);
    assert_eq!(recorded[0]["reply"]["nRedactions"], 1);
    let everything = walk.ask(&["cat-file", "--batch-all-objects", "--batch", "--unordered"]);
    assert!(!everything.contains(&token));
    assert_eq!(walk.replay(&run, &[], 0)["verdict"], "MATCH_EXACT");
}

#[test]
fn a_model_that_is_away_is_part_of_the_record_and_one_elsewhere_is_refused() {
    let walk = walk();
    let gone = Oracle::start(String::new());
    let url = gone.url();
    gone.stop();
    let run = walk.shell(&["--output", "out", "--model", &url], "python3 ask.py");
    let recorded = exchanges(&walk, &run);
    assert_eq!(recorded[0]["reply"]["status"], 502);
    assert_eq!(walk.replay(&run, &[], 0)["verdict"], "MATCH_EXACT");
    for bad in ["https://api.openai.com/v1", "http://10.0.0.1/v1", "here"] {
        let ran =
            walk.carnet(&["run", "--lane", "tests", "--model", bad, "--", "sh", "-c", "true"]);
        let ran = ran.expect_code(2);
        assert!(ran.stderr.contains("is no address of a model"), "{}", ran.stderr);
    }
}

#[test]
fn a_run_without_a_model_finds_none() {
    let walk = walk();
    let script = "test -z \"$OPENAI_BASE_URL\" && ! python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 11411))'";
    walk.shell(&[], script);
}
