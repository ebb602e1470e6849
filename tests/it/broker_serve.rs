//! `carnet broker serve` between real HTTP peers: models that the tests start, with faults, and the official OpenAI client.

use std::{
    collections::VecDeque,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use carnet_testkit::python_venv;
use serde_json::{Value, json};

use crate::support::{Walk, carnet_path, everyone, github_token};

/// What a model does with one request.
#[derive(Clone)]
enum Act {
    /// Answers with this text.
    Say(String),
    /// Answers with this text in pieces.
    Stream(Vec<String>),
    /// Answers with this status.
    Status(u16, &'static str),
    /// Never answers.
    Hang,
    /// Begins a stream and breaks off.
    Cut,
    /// Answers 200 with what is no reply.
    Garbage,
    /// Begins a stream of what is no event.
    StreamGarbage,
    /// Answers with this JSON.
    Body(Value),
    /// Answers with these events, named by their type.
    Events(Vec<Value>),
}

/// A model on this machine that does what it is told, and what it heard.
struct Model {
    url: String,
    acts: Arc<Mutex<VecDeque<Act>>>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Model {
    fn start(acts: Vec<Act>) -> Model {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let (acts, heard) =
            (Arc::new(Mutex::new(VecDeque::from(acts))), Arc::<Mutex<Vec<_>>>::default());
        let (to_do, hears) = (Arc::clone(&acts), Arc::clone(&heard));
        // It lives as long as the tests; each connection has a thread, so that one that hangs keeps no one.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (to_do, hears) = (Arc::clone(&to_do), Arc::clone(&hears));
                std::thread::spawn(move || serve(stream.unwrap(), &to_do, &hears));
            }
        });
        Model { url, acts, heard }
    }

    fn then(&self, act: Act) {
        self.acts.lock().unwrap().push_back(act);
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, acts: &Mutex<VecDeque<Act>>, heard: &Mutex<Vec<String>>) {
    let Some(request) = read_request(&mut stream) else { return };
    heard.lock().unwrap().push(request);
    let act = acts.lock().unwrap().pop_front().unwrap_or(Act::Say("nothing more".to_owned()));
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15});
    let chunk = |delta: Value, finish: Value| {
        let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
        format!("data: {chunk}\n\n")
    };
    let events = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let whole = |status: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let text = match act {
        Act::Say(text) => {
            let body = json!({"id": "r", "object": "chat.completion", "created": 1, "model": "m", "usage": usage,
                "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
                "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}]});
            whole("200 OK", &body.to_string())
        }
        Act::Stream(pieces) => {
            let mut text = events.to_owned()
                + &chunk(json!({"role": "assistant", "content": ""}), Value::Null);
            pieces.iter().for_each(|piece| text += &chunk(json!({"content": piece}), Value::Null));
            text += &chunk(json!({}), json!("stop"));
            text += &format!(
                "data: {}\n\ndata: [DONE]\n\n",
                json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": usage})
            );
            text
        }
        Act::Status(status, more) => {
            let body = json!({"error": {"message": format!("told to say {status}")}}).to_string();
            format!(
                "HTTP/1.1 {status} X\r\nconnection: close\r\n{more}content-length: {}\r\n\r\n{body}",
                body.len()
            )
        }
        Act::Hang => {
            // Until the other side gives up.
            let _ = stream.read_to_end(&mut vec![]);
            return;
        }
        Act::Cut => {
            events.to_owned() + &chunk(json!({"content": "half an answer\nand "}), Value::Null)
        }
        Act::Garbage => whole("200 OK", "<html>It works!</html>"),
        Act::Body(body) => whole("200 OK", &body.to_string()),
        Act::Events(named) => {
            let line = |event: &Value| {
                format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())
            };
            events.to_owned() + &named.iter().map(line).collect::<String>()
        }
        Act::StreamGarbage => events.to_owned() + "data: <html>\n\n",
    };
    let _ = stream.write_all(text.as_bytes());
}

fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut heard = vec![];
    let mut piece = [0; 65536];
    loop {
        let text = String::from_utf8_lossy(&heard).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |it| it.parse().unwrap()) {
                return Some(text);
            }
        }
        match stream.read(&mut piece) {
            Ok(n) if n > 0 => heard.extend_from_slice(&piece[..n]),
            _ => return None,
        }
    }
}

/// The gateway, stopped when it is dropped.
struct Gateway {
    child: Child,
    address: String,
}

impl Gateway {
    fn start(walk: &Walk, more: &[&str]) -> Gateway {
        let mut command = walk.repo.command(carnet_path());
        command.args(["broker", "serve", "--listen", "127.0.0.1:0", "--policy", "broker.toml"]);
        let mut child = command.args(more).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("serving http://").and_then(|rest| rest.split('/').next());
        let address = address.unwrap_or_else(|| panic!("{line}")).to_owned();
        Gateway { child, address }
    }

    /// Stops it as a service manager would: what it knows is in the repository then.
    fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }

    /// Posts JSON and returns status and body.
    fn post(&self, path: &str, headers: &str, body: &Value) -> (u16, String) {
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        self.raw(request.as_bytes())
    }

    fn raw(&self, request: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        // A server that refuses early may close before all was said.
        let _ = stream.write_all(request);
        let mut answer = vec![];
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).unwrap_or_else(|| panic!("{answer:?}"));
        (status.parse().unwrap(), answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    fn chat(&self, text: &str) -> (u16, Value) {
        let body = json!({"model": "auto", "messages": [{"role": "user", "content": text}]});
        let (status, body) = self.post("/v1/chat/completions", "", &body);
        (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A repository whose gateway asks `first`, then `second`.
fn walk(first: &Model, second: &Model, more: &str) -> Walk {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    let card = |provider: &str| {
        format!(
            "[[models]]\nprovider = '{provider}'\nmodel = 'm'\ntier = 'standard'\ninput_usd_per_million_tokens = 1000\noutput_usd_per_million_tokens = 1000\n"
        )
    };
    walk.write("broker.toml", format!(
        "version = '2026-11-22-001'\n{more}\n[[fallback_chain]]\nprovider = 'second'\nmodel = 'm'\n[providers.first]\nbase_url = '{}'\nkey = 'FIRST_KEY'\n[providers.second]\nbase_url = '{}'\nlocal = true\n{}{}",
        first.url, second.url, card("first"), card("second")
    ));
    walk.write("first.key", "first-key-of-a-test\n");
    walk
}

const DEFAULT: &str = "[default_provider]\nprovider = 'first'\nmodel = 'm'\nmax_tokens = 100\n";
const KEY: [&str; 2] = ["--secret", "FIRST_KEY=file:first.key"];

fn receipts(walk: &Walk) -> Vec<Value> {
    let refs = walk.ask(&["for-each-ref", "--format=%(refname)", "refs/carnet/broker/"]);
    let mut found = vec![];
    for name in refs.lines() {
        for commit in walk.ask(&["rev-list", "--reverse", name]).lines() {
            let lines = walk.ask(&["show", &format!("{commit}:receipts.jsonl")]);
            found.extend(lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
        }
    }
    found
}

fn say(text: &str) -> Act {
    Act::Say(text.to_owned())
}

#[test]
fn a_call_is_routed_redacted_metered_and_recorded() {
    let (first, second) =
        (Model::start(vec![say(&format!("take {}", github_token()))]), Model::start(vec![]));
    let walk = walk(&first, &second, DEFAULT);
    let gateway = Gateway::start(&walk, &KEY);
    let (status, reply) = gateway.chat(&format!("my token is {}, why?", github_token()));
    assert_eq!(status, 200, "{reply}");
    let content = reply["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(content.starts_with("take [REDACTED:"), "{content}");
    assert_eq!(reply["carnet"]["provider"], "first");
    let heard = first.heard().remove(0);
    assert!(
        heard.contains("my token is [REDACTED:") && !heard.contains(&github_token()),
        "{heard}"
    );
    assert!(heard.contains("authorization: Bearer first-key-of-a-test"), "{heard}");
    assert!(heard.contains("\"model\":\"m\"") && heard.contains("\"max_tokens\":100"), "{heard}");
    assert!(second.heard().is_empty());
    // What was replaced is in the log by the time of the answer.
    let log = walk.carnet(&["audit", "log"]).expect_code(0).stdout;
    assert!(log.contains("on the way out") && log.contains("on the way back"), "{log}");
    gateway.stop();
    let receipts = receipts(&walk);
    let receipt = &receipts[0];
    assert_eq!(
        (&receipt["tokensIn"], &receipt["tokensOut"], &receipt["costUsd"]),
        (&json!(10), &json!(5), &json!(0.015))
    );
    assert!(
        receipt["replacedOut"].as_object().unwrap().len() == 1
            && receipt["replacedBack"].as_object().unwrap().len() == 1,
        "{receipt}"
    );
    let name = walk.ask(&["for-each-ref", "--format=%(refname)", "refs/carnet/broker/"]);
    let exchange: Value =
        serde_json::from_str(&walk.ask(&["show", &format!("{name}:model/exchanges.jsonl")]))
            .unwrap();
    crate::schemas::fits("model-exchange-1", &exchange);
    assert!(!exchange.to_string().contains(&github_token()));
    let log = walk.carnet(&["audit", "log", "--json"]).expect_code(0).stdout;
    assert!(log.contains("redaction") && !log.contains(&github_token()), "{log}");
    walk.assert_sound();
}

#[test]
fn what_fails_is_asked_of_the_next_and_the_reason_is_told() {
    let faults = [
        Act::Status(500, ""),
        Act::Status(500, ""),
        Act::Status(429, "retry-after: 60\r\n"),
        Act::Status(401, ""),
        Act::Garbage,
        Act::Garbage,
    ];
    let (first, second) = (Model::start(faults.to_vec()), Model::start(vec![]));
    let walk = walk(&first, &second, DEFAULT);
    let gateway = Gateway::start(&walk, &KEY);
    for reason in ["it answered 500", "it answered 429", "it answered 401", "its reply is no JSON"]
    {
        second.then(say("from the second"));
        let (status, reply) = gateway.chat(reason);
        assert_eq!((status, &reply["carnet"]["provider"]), (200, &json!("second")), "{reply}");
        assert!(reply["carnet"]["failures"].to_string().contains(reason), "{reply}");
    }
    // Six failures in a row: the first is left alone, and the second asked at once.
    second.then(say("at once"));
    let n_before = first.heard().len();
    assert_eq!(gateway.chat("again").0, 200);
    assert_eq!(first.heard().len(), n_before);
    // When no one answers, the reasons are the answer.
    for _ in 0..2 {
        second.then(Act::Garbage);
    }
    let (status, reply) = gateway.chat("no one");
    assert_eq!(status, 502, "{reply}");
    assert!(
        reply["error"]["message"].as_str().unwrap().contains("its reply is no JSON"),
        "{reply}"
    );
    // What is the caller's fault is the caller's to mend.
    second.then(Act::Status(400, ""));
    let (status, reply) = gateway.chat("wrong");
    assert_eq!(
        (status, reply["error"]["message"].as_str().unwrap().contains("told to say 400")),
        (400, true),
        "{reply}"
    );
}

#[test]
fn a_model_that_hangs_or_breaks_off_is_left_for_the_next_or_told() {
    let (first, second) = (
        Model::start(vec![Act::Hang, Act::StreamGarbage, Act::StreamGarbage, Act::Cut]),
        Model::start(vec![]),
    );
    let walk =
        walk(&first, &second, &format!("{DEFAULT}constraints = {{ timeout_seconds = 10 }}\n"));
    let gateway = Gateway::start(&walk, &KEY);
    second.then(say("after a while"));
    let (status, reply) = gateway.chat("hang");
    assert_eq!(status, 200, "{reply}");
    assert!(reply["carnet"]["failures"].to_string().contains("did not answer in time"), "{reply}");
    let ask =
        json!({"model": "auto", "stream": true, "messages": [{"role": "user", "content": "x"}]});
    second.then(Act::Stream(vec!["one line\n".to_owned(), "and ".to_owned(), "more".to_owned()]));
    let (status, body) = gateway.post("/v1/chat/completions", "", &ask);
    assert_eq!(status, 200, "{body}");
    assert!(
        body.contains("one line\\n")
            && body.contains("and more")
            && body.trim_end_matches(['\r', '\n', '0']).ends_with("data: [DONE]"),
        "{body}"
    );
    // What was begun cannot be begun anew: it ends with an error, not as if it were whole.
    let (_, body) = gateway.post("/v1/chat/completions", "", &ask);
    assert!(
        body.contains("half an answer")
            && body.contains("its stream was cut")
            && !body.contains("[DONE]"),
        "{body}"
    );
}

#[test]
fn budget_and_task_are_held_before_a_call_and_after_a_restart() {
    let (first, second) = (Model::start(vec![]), Model::start(vec![]));
    let more = format!(
        "{DEFAULT}constraints = {{ max_cost_per_task_usd = 0.22 }}\n[cost_optimization]\nbudget_cap_usd = 1\n"
    );
    let walk = walk(&first, &second, &more);
    let ask = json!({"messages": [{"role": "user", "content": "x"}]});
    let in_task =
        |gateway: &Gateway| gateway.post("/v1/chat/completions", "x-carnet-task: T-1\r\n", &ask);
    let gateway = Gateway::start(&walk, &KEY);
    // A call may cost 0.1 and its request; it costs 0.015. So nine are paid by 0.22 at most, and what follows is not asked.
    let mut n_paid = 0;
    let refused = loop {
        let (status, body) = in_task(&gateway);
        if status != 200 {
            break (status, body);
        }
        n_paid += 1;
        assert!(n_paid < 20, "never refused");
    };
    assert_eq!(refused.0, 403, "{}", refused.1);
    assert!(refused.1.contains("the task may have 0.22 USD"), "{}", refused.1);
    let n_asked = first.heard().len();
    assert_eq!(n_asked, n_paid);
    gateway.stop();
    let gateway = Gateway::start(&walk, &KEY);
    assert_eq!(in_task(&gateway).0, 403);
    assert_eq!(first.heard().len(), n_asked, "what is refused is not asked");
    assert_eq!(gateway.chat("another task").0, 200);
}

#[test]
fn a_request_that_was_answered_is_answered_from_what_is_kept() {
    let (first, second) = (Model::start(vec![say("once")]), Model::start(vec![]));
    let walk =
        walk(&first, &second, &format!("{DEFAULT}[cost_optimization]\nenable_caching = true\n"));
    let gateway = Gateway::start(&walk, &KEY);
    let (_, once) = gateway.chat("same");
    let (_, again) = gateway.chat("same");
    assert_eq!(
        (&once["carnet"]["cached"], &again["carnet"]["cached"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(once["choices"], again["choices"]);
    assert_eq!(first.heard().len(), 1);
    gateway.chat("other");
    assert_eq!(first.heard().len(), 2);
    gateway.stop();
    assert_eq!(receipts(&walk).iter().filter(|it| it["cached"] == true).count(), 1);
    // The next gateway answers from the record; not under another version of the policy.
    let gateway = Gateway::start(&walk, &KEY);
    let (_, later) = gateway.chat("same");
    assert_eq!((&later["carnet"]["cached"], &later["choices"]), (&json!(true), &once["choices"]));
    assert_eq!(first.heard().len(), 2);
    gateway.stop();
    let policy = std::fs::read_to_string(walk.repo.path().join("broker.toml")).unwrap();
    walk.write("broker.toml", policy.replace("2026-11-22-001", "2026-11-22-002"));
    let gateway = Gateway::start(&walk, &KEY);
    assert_eq!(gateway.chat("same").1["carnet"]["cached"], false);
}

#[test]
fn what_is_asked_badly_is_refused_with_a_word() {
    let (first, second) = (Model::start(vec![]), Model::start(vec![]));
    let walk = walk(&first, &second, DEFAULT);
    let gateway = Gateway::start(&walk, &[&KEY[..], &["--caller-key", "FIRST_KEY"]].concat());
    let good = json!({"messages": [{"role": "user", "content": "x"}]});
    let key = "authorization: Bearer first-key-of-a-test\r\n";
    let path = "/v1/chat/completions";
    for (status, path, headers, body) in [
        (401, path, String::new(), good.clone()),
        (403, path, format!("{key}origin: https://evil.example\r\n"), good.clone()),
        (404, "/v1/files", key.to_owned(), good.clone()),
        (400, path, key.to_owned(), json!([])),
        (400, path, key.to_owned(), json!({"messages": []})),
        (400, path, format!("{key}x-carnet-lane: Not A Lane\r\n"), good.clone()),
        (404, path, key.to_owned(), json!({"model": "gpt-99", "messages": good["messages"]})),
        (404, "/v1/embeddings", key.to_owned(), json!({"model": "auto", "input": "x"})),
        (
            400,
            "/v1/messages",
            key.to_owned(),
            json!({"messages": [{"role": "user", "content": [{"type": "image"}]}]}),
        ),
    ] {
        let (found, answer) = gateway.post(path, &headers, &body);
        assert_eq!(found, status, "{path} {body} {answer}");
        assert!(answer.contains("carnet: "), "{answer}");
    }
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", gateway.address);
    let large = format!("{head}content-length: {}\r\n\r\n", 100 << 20);
    assert_eq!(gateway.raw(large.as_bytes()).0, 413);
    let rebound = format!(
        "POST {path} HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    assert_eq!(gateway.raw(rebound.as_bytes()).0, 403);
    assert!(first.heard().is_empty());
    let mut other = walk.repo.command(carnet_path());
    let other = other
        .args(["broker", "serve", "--listen", "127.0.0.1:0", "--policy", "broker.toml"])
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&other.stderr).contains("another gateway serves this repository")
    );
    walk.carnet(&["broker", "serve", "--listen", "0.0.0.0:0", "--policy", "broker.toml"])
        .expect_code(2);
}

#[test]
fn anthropics_messages_are_translated_at_both_ends() {
    let (first, second) = (
        Model::start(vec![say("hello\n")]),
        Model::start(vec![Act::Stream(vec!["hel".to_owned(), "lo".to_owned()])]),
    );
    let walk = walk(&first, &second, DEFAULT);
    let gateway = Gateway::start(&walk, &KEY);
    let ask = json!({"model": "auto", "max_tokens": 50, "system": "be brief", "messages": [{"role": "user", "content": "x"}]});
    let (status, body) = gateway.post("/v1/messages", "", &ask);
    let reply: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, &reply["content"][0]["text"], &reply["usage"]["input_tokens"]),
        (200, &json!("hello\n"), &json!(10)),
        "{body}"
    );
    let heard = first.heard().remove(0);
    assert!(
        heard.contains("\"role\":\"system\"") && heard.contains("\"max_tokens\":50"),
        "{heard}"
    );
    first.then(Act::Status(403, ""));
    let mut ask = ask;
    ask["stream"] = json!(true);
    let (_, body) = gateway.post("/v1/messages", "", &ask);
    for event in [
        "message_start",
        "content_block_start",
        "\"text\":\"hello\"",
        "content_block_stop",
        "\"output_tokens\":5",
        "event: message_stop",
    ] {
        assert!(body.contains(event), "{event}: {body}");
    }
}

#[test]
fn what_the_log_cannot_say_is_not_sent() {
    let (first, second) = (Model::start(vec![]), Model::start(vec![]));
    let walk = walk(&first, &second, DEFAULT);
    let gateway = Gateway::start(&walk, &KEY);
    assert_eq!(gateway.chat("nothing to replace").0, 200);
    let audit = walk.repo.path().join(".git/carnet/audit");
    let aside = audit.with_extension("aside");
    if audit.exists() {
        std::fs::rename(&audit, &aside).unwrap();
    }
    std::fs::write(&audit, "no directory").unwrap();
    let n_heard = first.heard().len();
    let (status, reply) = gateway.chat(&format!("my token is {}", github_token()));
    assert_eq!((status, first.heard().len()), (500, n_heard), "{reply}");
    assert!(reply["error"]["message"].as_str().unwrap().contains("audit log"), "{reply}");
    // Nor is what came back given out, whole or as a stream.
    first.then(say(&format!("take {}", github_token())));
    let (status, reply) = gateway.chat("what is it?");
    assert_eq!(status, 500, "{reply}");
    first.then(Act::Stream(vec![format!("take {}\n", github_token())]));
    let ask =
        json!({"model": "auto", "stream": true, "messages": [{"role": "user", "content": "x"}]});
    let (_, body) = gateway.post("/v1/chat/completions", "", &ask);
    assert!(body.contains("audit log") && !body.contains("take"), "{body}");
    std::fs::remove_file(&audit).unwrap();
    assert_eq!(gateway.chat(&format!("my token is {}", github_token())).0, 200);
}

/// A walk whose only model speaks Anthropic's form.
fn anthropic_walk(model: &Model) -> Walk {
    let walk = walk(model, model, "[default_provider]\nprovider = 'third'\nmodel = 'm'\n");
    let text = std::fs::read_to_string(walk.repo.path().join("broker.toml")).unwrap();
    let text = text.replace("[[fallback_chain]]\nprovider = 'second'\nmodel = 'm'\n", "");
    let base = model.url.trim_end_matches("/v1");
    walk.write(
        "broker.toml",
        format!(
            "{text}[providers.third]\nbase_url = '{base}'\napi = 'anthropic'\nkey = 'FIRST_KEY'\n"
        ),
    );
    walk
}

/// A reply and a stream as Anthropic documents them: text, then a call of a tool.
fn anthropic_acts() -> Vec<Act> {
    let usage = json!({"input_tokens": 10, "output_tokens": 5});
    let tool =
        json!({"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Ulm"}});
    let reply = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": [{"type": "text", "text": "I look."}, tool],
        "stop_reason": "tool_use", "stop_sequence": null, "usage": usage});
    let start = json!({"type": "message_start", "message": {"id": "msg_2", "type": "message", "role": "assistant",
        "model": "m", "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": 10, "output_tokens": 1}}});
    let text = |text: &str| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}});
    let input = |text: &str| json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": text}});
    let events = vec![
        start,
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "ping"}),
        text("I "),
        text("look."),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}}),
        input("{\"city\": "),
        input("\"Ulm\"}"),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"output_tokens": 5}}),
        json!({"type": "message_stop"}),
    ];
    vec![Act::Body(reply), Act::Events(events)]
}

#[test]
fn a_model_of_anthropics_form_is_asked_and_read_in_it() {
    let model = Model::start(anthropic_acts());
    let walk = anthropic_walk(&model);
    let gateway = Gateway::start(&walk, &KEY);
    let tools = json!([{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]);
    let mut ask = json!({"model": "auto", "max_tokens": 50, "tools": tools,
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "x"}]});
    let (status, body) = gateway.post("/v1/chat/completions", "", &ask);
    assert_eq!(status, 200, "{body}");
    let reply: Value = serde_json::from_str(&body).unwrap();
    let message = &reply["choices"][0]["message"];
    assert_eq!(
        (&message["content"], &reply["usage"]["total_tokens"]),
        (&json!("I look."), &json!(15))
    );
    let called = &message["tool_calls"][0]["function"];
    assert_eq!(
        (&called["name"], &reply["choices"][0]["finish_reason"]),
        (&json!("weather"), &json!("tool_calls"))
    );
    let heard = model.heard().remove(0);
    assert!(heard.starts_with("POST /v1/messages HTTP/1.1\r\n"), "{heard}");
    for part in [
        "x-api-key: first-key-of-a-test",
        "anthropic-version: ",
        "\"system\":\"be brief\"",
        "\"max_tokens\":50",
        "\"input_schema\":",
    ] {
        assert!(heard.contains(part), "{part}: {heard}");
    }
    ask["stream"] = json!(true);
    let (_, body) = gateway.post("/v1/chat/completions", "", &ask);
    let chunks: Vec<Value> = body
        .lines()
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
        .collect();
    let all =
        |path: &str| chunks.iter().filter_map(|it| it.pointer(path)?.as_str()).collect::<String>();
    assert_eq!(all("/choices/0/delta/content"), "I look.", "{body}");
    assert!(
        body.find("I look.") < body.find("toolu_1"),
        "in the order in which it was said: {body}"
    );
    let arguments = all("/choices/0/delta/tool_calls/0/function/arguments");
    assert_eq!(
        serde_json::from_str::<Value>(&arguments).unwrap(),
        json!({"city": "Ulm"}),
        "{body}"
    );
    assert!(body.contains("data: [DONE]"), "{body}");
}

#[test]
fn the_official_anthropic_client_is_answered() {
    let dir = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let Some(venv) = python_venv(dir, "anthropic", &["anthropic==2.12.0"]) else { return };
    let program = r#"
import sys, anthropic
client = anthropic.Anthropic(base_url=sys.argv[1], api_key="none", max_retries=0)
tools = [{"name": "weather", "description": "how it is", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}]
ask = dict(model="auto", max_tokens=50, system="be brief", tools=tools, messages=[{"role": "user", "content": "hi"}])
def show(message):
    print(*[block.text if block.type == "text" else f"{block.name}{block.input}" for block in message.content], message.stop_reason, message.usage.input_tokens, message.usage.output_tokens)
show(client.messages.create(**ask))
with client.messages.stream(**ask) as stream:
    show(stream.get_final_message())
try:
    client.messages.create(model="gpt-99", max_tokens=5, messages=[{"role": "user", "content": "hi"}])
    print("TAKEN")
except anthropic.NotFoundError as error:
    print(error.status_code, error.body["error"]["message"])
"#;
    // The same client, before a model of its own form and before one of OpenAI's.
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15});
    let call = json!({"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Ulm\"}"}});
    let openai = json!({"id": "r", "object": "chat.completion", "created": 1, "model": "m", "usage": usage,
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": "I look.", "tool_calls": [call]}}]});
    let third = Model::start(anthropic_acts());
    let of_openai = Model::start(vec![
        Act::Body(openai),
        Act::Stream(vec!["I ".to_owned(), "look.".to_owned()]),
    ]);
    let tool = "I look. weather{'city': 'Ulm'} tool_use 10 5";
    let text = "I look. end_turn 10 5";
    for (walk, lines) in [
        (anthropic_walk(&third), [tool, tool]),
        (walk(&of_openai, &of_openai, DEFAULT), [tool, text]),
    ] {
        let gateway = Gateway::start(&walk, &KEY);
        let url = format!("http://{}", gateway.address);
        let ran =
            Command::new(venv.join("bin/python")).args(["-c", program, &url]).output().unwrap();
        let stdout = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success(), "{ran:?}");
        let said: Vec<&str> = stdout.lines().collect();
        assert_eq!(said[..2], lines, "{stdout}");
        assert!(said[2].starts_with("404 carnet: "), "{stdout}");
    }
}

#[test]
fn a_request_with_a_secret_is_held_until_a_person_lets_it_out() {
    let (first, second) = (Model::start(vec![]), Model::start(vec![]));
    let walk = walk(&first, &second, DEFAULT);
    let gateway = Gateway::start(&walk, &[&KEY[..], &["--hold"]].concat());
    let text = format!("my token is {}", github_token());
    let (status, reply) = gateway.chat(&text);
    let message = reply["error"]["message"].as_str().unwrap();
    assert_eq!((status, first.heard().len()), (403, 0), "{message}");
    let id = message.rsplit(' ').next().unwrap();
    assert!(message.contains("carnet approve"), "{message}");
    walk.carnet(&["approve", id, "--yes"]).expect_code(0);
    assert_eq!(gateway.chat(&text).0, 200);
    assert_eq!(gateway.chat("nothing to hold").0, 200);
}

#[test]
fn the_official_openai_client_is_answered() {
    let dir = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let Some(venv) = python_venv(dir, "openai", &["openai==3.54.0"]) else { return };
    let (first, second) = (
        Model::start(vec![
            say("hello"),
            Act::Stream(vec!["hel".to_owned(), "lo\n".to_owned(), "you".to_owned()]),
            say("vectors"),
            Act::Cut,
            Act::Garbage,
            Act::Garbage,
        ]),
        Model::start(vec![]),
    );
    second.then(Act::Garbage);
    second.then(Act::Garbage);
    let walk =
        walk(&first, &second, &format!("{DEFAULT}[embeddings]\nprovider = 'first'\nmodel = 'm'\n"));
    let gateway = Gateway::start(&walk, &KEY);
    let program = r#"
import sys, openai
client = openai.OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0, default_headers={"x-carnet-lane": "narrative"})
ask = dict(model="auto", messages=[{"role": "user", "content": "hi"}])
reply = client.chat.completions.create(**ask)
print(reply.choices[0].message.content, reply.usage.total_tokens, reply.carnet["provider"], reply.carnet["lane"])
text, usage = "", None
for chunk in client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **ask):
    text += "".join(choice.delta.content or "" for choice in chunk.choices)
    usage = chunk.usage or usage
print(repr(text), usage.total_tokens)
print(client.embeddings.create(model="auto", input="x", encoding_format="float").data[0].embedding)
print([model.id for model in client.models.list()])
try:
    for chunk in client.chat.completions.create(stream=True, **ask): pass
    print("TAKEN")
except openai.APIError as error:
    print("cut:", error.message)
try:
    client.chat.completions.create(**ask)
    print("TAKEN")
except openai.InternalServerError as error:
    print(error.status_code, error.message)
try:
    client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "x" * (100 << 20)}])
    print("TAKEN")
except openai.APIStatusError as error:
    print(error.status_code)
"#;
    let url = format!("http://{}/v1", gateway.address);
    let ran = Command::new(venv.join("bin/python")).args(["-c", program, &url]).output().unwrap();
    let stdout = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{ran:?}");
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(
        lines[..4],
        ["hello 15 first narrative", "'hello\\nyou' 15", "[0.5, 0.25]", "['first/m', 'second/m']"],
        "{stdout}"
    );
    assert!(lines[4].starts_with("cut: carnet: first/m: its stream was cut"), "{stdout}");
    assert!(lines[5].starts_with("502 ") && lines[5].contains("its reply is no JSON"), "{stdout}");
    assert_eq!(lines[6], "413", "{stdout}");
}
