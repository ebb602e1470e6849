//! A model of git's configuration: an endpoint of OpenAI's form that answers, is busy, lies and goes away; and a directory.

use std::{
    collections::VecDeque,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use crate::support::{Walk, aws_key, carnet_path, everyone, which};

const DIMENSION: usize = 16;

/// How one request is answered.
#[derive(Clone, Copy, PartialEq)]
enum Act {
    Well,
    Busy,
    TooFew,
    TooShort,
    NoNumber,
    NoJson,
    Endless,
    Refuse,
}

/// An endpoint on this machine: what it was asked, and how it is to answer; well where nothing is said.
struct Endpoint {
    address: SocketAddr,
    acts: Arc<Mutex<VecDeque<Act>>>,
    heard: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Endpoint {
    fn start() -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (acts, heard) =
            (Arc::<Mutex<VecDeque<Act>>>::default(), Arc::<Mutex<Vec<_>>>::default());
        let (its_acts, its_heard) = (Arc::clone(&acts), Arc::clone(&heard));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &its_acts, &its_heard);
            }
        });
        Endpoint { address, acts, heard }
    }

    fn will(&self, acts: &[Act]) {
        *self.acts.lock().unwrap() = acts.iter().copied().collect();
    }

    /// Returns the texts of source it was asked for since this was called last, and questions.
    fn texts(&self) -> Vec<String> {
        let heard = std::mem::take(&mut *self.heard.lock().unwrap());
        let inputs = heard.iter().flat_map(|(_, body)| body["input"].as_array().unwrap().clone());
        inputs.map(|it| it.as_str().unwrap().to_owned()).collect()
    }
}

/// A vector of the letters of a text: near where the words are.
fn vector(text: &str) -> Vec<f64> {
    let mut numbers = vec![0.01; DIMENSION];
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 2) {
        let sum: usize = word.to_lowercase().bytes().map(usize::from).sum();
        numbers[sum % DIMENSION] += 1.0;
    }
    numbers
}

fn answer(mut stream: TcpStream, acts: &Mutex<VecDeque<Act>>, heard: &Mutex<Vec<(String, Value)>>) {
    let mut bytes = Vec::new();
    let (head, body) = loop {
        let mut piece = [0; 4096];
        let n = stream.read(&mut piece).unwrap();
        bytes.extend_from_slice(&piece[..n]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lower = head.to_lowercase();
            let length = lower.lines().find_map(|it| it.strip_prefix("content-length: ")).unwrap();
            if body.len() >= length.trim().parse().unwrap() {
                break (head.to_owned(), body.to_owned());
            }
        }
        assert!(n > 0, "cut: {text}");
    };
    let body: Value = serde_json::from_str(&body).unwrap();
    let act = acts.lock().unwrap().pop_front().unwrap_or(Act::Well);
    let mut data: Vec<Value> = body["input"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
        .map(|(at, text)| json!({ "index": at, "embedding": vector(text.as_str().unwrap()) }))
        .collect();
    heard.lock().unwrap().push((head, body));
    match act {
        Act::TooFew => drop(data.pop()),
        Act::TooShort => data[0]["embedding"] = json!([1.0, 2.0]),
        Act::NoNumber => data[0]["embedding"][3] = Value::Null,
        _ => {}
    }
    let (status, extra, text) = match act {
        Act::Busy => {
            ("429 Too Many", "retry-after: 0\r\n", r#"{"error":{"message":"slow"}}"#.into())
        }
        Act::Refuse => ("401 No", "", r#"{"error":{"message":"who are you"}}"#.into()),
        Act::NoJson => ("200 OK", "", "hello".to_owned()),
        Act::Endless => ("200 OK", "", format!("{{\"data\":\"{}\"}}", "x".repeat(33 << 20))),
        _ => ("200 OK", "", json!({ "data": data }).to_string()),
    };
    let n = text.len();
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {n}\r\n{extra}connection: close\r\n\r\n");
    // Whoever has heard enough breaks off.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(text.as_bytes()));
}

const SOURCES: &str = r#"
mkdir -p src
printf 'def remove_file(path):\n    """Removes a file."""\n    os.unlink(path)\n\n\ndef parse_date(text):\n    return strptime(text)\n' >src/a.py
printf 'def send_mail(message):\n    return smtp.send(message)\n' >src/b.py
"#;

fn walk(endpoint: &Endpoint) -> Walk {
    let walk = Walk::initialised(SOURCES, everyone()[0]);
    for (key, value) in [
        ("carnet.embeddingEndpoint", format!("http://{}/v1", endpoint.address)),
        ("carnet.embeddingModel", "letters".to_owned()),
        ("carnet.embeddingDimensions", DIMENSION.to_string()),
        ("carnet.embeddingKey", "env:LETTERS_KEY".to_owned()),
    ] {
        walk.git(&["config", key, &value]).expect_code(0);
    }
    walk
}

fn carnet(walk: &Walk, args: &[&str]) -> carnet_testkit::Ran {
    walk.runner(carnet_path()).env("LETTERS_KEY", "letters-and-digits").args(args).run()
}

fn search(walk: &Walk) -> Value {
    let ran = carnet(walk, &["search", "how a file is removed", "--json"]).expect_code(0);
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn an_endpoint_embeds_each_text_once_and_never_sees_a_secret() {
    let endpoint = Endpoint::start();
    let walk = walk(&endpoint);
    let source = format!("def connect():\n    key = '{}'\n", aws_key());
    walk.commit_round_the_hook(&[("src/k.py", source.as_str())]);
    let before = search(&walk);
    assert!(before["degraded"].as_str().unwrap().contains("0 of 3 files so far"), "{before}");
    assert!(!before["hits"].as_array().unwrap().is_empty());

    let ran = carnet(&walk, &["daemon", "--once"]).expect_code(0);
    assert!(ran.stdout.contains("`letters` has embedded 3 of 3 files"), "{}", ran.stdout);
    let (head, body) = endpoint.heard.lock().unwrap()[0].clone();
    assert!(head.starts_with("POST /v1/embeddings "), "{head}");
    assert!(head.to_lowercase().contains("authorization: bearer letters-and-digits"), "{head}");
    assert_eq!(body["model"], "letters");
    let texts = endpoint.texts();
    assert_eq!(texts.len(), 4, "{texts:?}");
    assert!(texts.iter().any(|text| text.contains("[REDACTED:")), "{texts:?}");
    assert!(!texts.iter().any(|text| text.contains(&aws_key())));

    let model = walk.json(&["status", "--json"])["model"].clone();
    assert!(model["error"].as_str().unwrap().contains("LETTERS_KEY"), "{model}");
    let status = carnet(&walk, &["status", "--json"]).expect_code(0);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(
        (&status["model"]["n_files_embedded"], &status["model"]["name"]),
        (&json!(3), &json!("letters"))
    );
    let after = search(&walk);
    assert_eq!(after["degraded"], Value::Null, "{after}");
    assert_eq!(after["hits"][0]["symbol"], "remove_file", "{after}");
    assert!(after["hits"][0]["parts"]["vector"].as_f64().unwrap() > 0.0, "{after}");
    assert_eq!(endpoint.texts().len(), 1, "the question");

    carnet(&walk, &["daemon", "vectors"]).expect_code(0);
    assert!(endpoint.texts().is_empty(), "nothing is new");
    walk.commit_round_the_hook(&[("src/b.py", "def send_mail(message):\n    return smtp.send(message)\n\n\ndef receive_mail():\n    return pop.next()\n")]);
    carnet(&walk, &["daemon", "--once"]).expect_code(0);
    let texts = endpoint.texts();
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(texts[0].contains("receive_mail"), "{texts:?}");
    let grep = walk.runner(&which("grep")).args(["-rl", "letters-and-digits", "."]);
    grep.run().expect_code(1);
}

#[test]
fn an_endpoint_that_lies_is_told_off_and_one_that_is_busy_is_asked_again() {
    let endpoint = Endpoint::start();
    let walk = walk(&endpoint);
    carnet(&walk, &["outline", "src/a.py"]).expect_code(0);
    for (act, said) in [
        (Act::TooFew, "answered 2 vectors to 3 texts"),
        (Act::TooShort, "have 2 numbers, not 16"),
        (Act::NoNumber, "not finite"),
        (Act::Refuse, "401: who are you"),
    ] {
        endpoint.will(&[act]);
        let ran = carnet(&walk, &["daemon", "vectors"]).expect_code(4);
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
    endpoint.texts();
    endpoint.will(&[Act::Busy, Act::Busy]);
    carnet(&walk, &["daemon", "vectors"]).expect_code(0);
    assert_eq!(endpoint.texts().len(), 9, "three texts, three times");

    for act in [Act::NoJson, Act::Endless, Act::TooShort, Act::Refuse, Act::Busy] {
        endpoint.will(&[act]);
        let answer = search(&walk);
        assert!(answer["degraded"].as_str().unwrap().contains("letters"), "{answer}");
        assert_eq!(answer["hits"][0]["symbol"], "remove_file", "{answer}");
    }
    walk.git(&["config", "carnet.embeddingEndpoint", "http://127.0.0.1:9/v1"]).expect_code(0);
    let ran = carnet(&walk, &["search", "how a file is removed"]).expect_code(0);
    assert!(ran.stderr.contains("degraded: "), "{}", ran.stderr);
    walk.git(&["config", "carnet.embeddingDimensions", "many"]).expect_code(0);
    let ran = carnet(&walk, &["daemon", "vectors"]).expect_code(78);
    assert!(ran.stderr.contains("`carnet.embeddingDimensions` is `many`"), "{}", ran.stderr);
    walk.git(&["config", "carnet.embeddingKey", "letters-and-digits"]).expect_code(0);
    walk.git(&["config", "carnet.embeddingDimensions", "16"]).expect_code(0);
    let ran = carnet(&walk, &["daemon", "vectors"]).expect_code(78);
    assert!(!ran.stderr.contains("letters-and-digits"), "{}", ran.stderr);
}

#[test]
fn a_directory_that_is_no_model_is_said() {
    let walk = Walk::initialised(SOURCES, everyone()[0]);
    walk.git(&["config", "carnet.embeddingDirectory", "/no/such/model"]).expect_code(0);
    let ran = carnet(&walk, &["daemon", "vectors"]).expect_code(78);
    assert!(ran.stderr.contains("/no/such/model"), "{}", ran.stderr);
    assert!(search(&walk)["degraded"].as_str().unwrap().contains("/no/such/model"));
}
