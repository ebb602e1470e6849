//! Many ask at once while somebody commits: no error, and no answer that is of another commit than it says.
//!
//! Each commit has a definition that no other has, so an answer shows by itself of which commit it is.
//! `cargo xtask bench daemon --only clients` runs this with 50 clients for a minute.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Followed, Walk, carnet_path, everyone, size};

/// A commit and when it can have been HEAD: from before git began it until after git ended the next.
struct Epoch {
    commit: String,
    from: Instant,
    until: Option<Instant>,
}

/// One answer.
struct Answer {
    how: &'static str,
    asked: Instant,
    answered: Instant,
    commit: String,
    head: String,
    behind: Option<u64>,
    /// The number in the definition that only one commit has.
    only: Option<usize>,
}

/// How a client asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Client {
    Outline,
    Callers,
    Search,
    WaitFresh,
    NoWait,
    Mcp,
}

const CLIENTS: [Client; 6] = [
    Client::Outline,
    Client::Mcp,
    Client::WaitFresh,
    Client::Callers,
    Client::NoWait,
    Client::Search,
];

fn source(n: usize) -> String {
    format!(
        "from stable import stable\n\n\ndef only_{n}():\n    \"\"\"The latest of all marks.\"\"\"\n    return stable()\n"
    )
}

/// The number after `only_` in a name.
fn number(value: &Value) -> Option<usize> {
    value.as_str()?.strip_prefix("only_")?.parse().ok()
}

#[test]
fn many_clients_get_answers_of_the_commit_that_they_name() {
    let n_clients = size("CARNET_CLIENTS", 8);
    let during = Duration::from_secs(size("CARNET_CLIENT_SECONDS", 5) as u64);
    let script = "printf 'def stable():\\n    return 1\\n' >stable.py";
    let walk = Walk::initialised(script, everyone()[0]);
    walk.write("marks.py", source(0));
    let walk = Followed(walk);
    let began = Instant::now();
    let first = Epoch { commit: walk.commit(), from: began, until: None };
    walk.carnet(&["where-defined", "stable"]).expect_code(0);

    let (epochs, n_answers) = (Mutex::new(vec![first]), AtomicUsize::new(0));
    let is_over = || {
        // A machine under load gets the time for some commits and for an answer to each client.
        let enough =
            n_answers.load(Ordering::Relaxed) >= n_clients && epochs.lock().unwrap().len() > 5;
        began.elapsed() >= during && (enough || began.elapsed().as_secs() > 300)
    };
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..n_clients)
            .map(|n| {
                let (walk, n_answers, is_over) = (&walk, &n_answers, &is_over);
                let kind = CLIENTS[n % CLIENTS.len()];
                scope.spawn(move || ask(walk, kind, is_over, n_answers))
            })
            .collect();
        while !is_over() {
            let (n, answered) = (epochs.lock().unwrap().len(), n_answers.load(Ordering::Relaxed));
            let from = Instant::now();
            walk.0.write("marks.py", source(n));
            let commit = match n % 3 {
                0 => walk.0.commit_round_the_hook(&[]),
                _ => walk.commit(),
            };
            let mut epochs = epochs.lock().unwrap();
            epochs.last_mut().unwrap().until = Some(Instant::now());
            epochs.push(Epoch { commit, from, until: None });
            drop(epochs);
            // The next commit when some have asked about this one.
            while !is_over() && n_answers.load(Ordering::Relaxed) < answered + n_clients.div_ceil(4)
            {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });

    let epochs = epochs.into_inner().unwrap();
    for answer in &answers {
        check(answer, &epochs);
    }
    let lagging = answers.iter().filter(|it| it.behind != Some(0)).count();
    eprintln!(
        "{n_clients} clients, {} answers in {:.1} s, {} commits; {lagging} answers said that they lag",
        answers.len(),
        began.elapsed().as_secs_f64(),
        epochs.len()
    );
    for kind in ["outline", "who-calls", "search", "--wait-fresh", "--no-wait", "mcp"] {
        let mut took: Vec<u128> = answers
            .iter()
            .filter(|it| it.how == kind)
            .map(|it| (it.answered - it.asked).as_millis())
            .collect();
        took.sort_unstable();
        if let (Some(middle), Some(most)) = (took.get(took.len() / 2), took.last()) {
            eprintln!(
                "  {kind:<14} {:>6} answers, half within {middle} ms, all within {most} ms",
                took.len()
            );
        }
    }
    let status = walk.0.json(&["status", "--json"]);
    assert!(status["daemon"]["last_error"].is_null(), "{status:#}");
}

fn check(answer: &Answer, epochs: &[Epoch]) {
    let say = |what: &str| {
        format!("{}: {what}: commit {}, only_{:?}", answer.how, answer.commit, answer.only)
    };
    let n = epochs.iter().position(|it| it.commit == answer.commit);
    let n = n.unwrap_or_else(|| panic!("{}", say("no such commit was made")));
    if let Some(only) = answer.only {
        assert_eq!(only, n, "{}", say("the content is of another commit"));
    }
    let epoch = &epochs[n];
    assert!(epoch.from <= answer.answered, "{}", say("the commit was made after the answer"));
    let is_level = answer.commit == answer.head;
    assert_eq!(answer.behind == Some(0), is_level, "{}", say("the lag is not said"));
    if is_level {
        let was_head_before = epoch.until.is_some_and(|until| until < answer.asked);
        assert!(!was_head_before, "{}", say("it was HEAD only before the question"));
    } else {
        assert_eq!(answer.how, "--no-wait", "{}", say("an answer that waited lags"));
    }
}

fn ask(
    walk: &Followed,
    kind: Client,
    is_over: &dyn Fn() -> bool,
    n_answers: &AtomicUsize,
) -> Vec<Answer> {
    let mut session = (kind == Client::Mcp).then(|| Session::new(walk));
    let mut answers = Vec::new();
    loop {
        let asked = Instant::now();
        let (how, value) = match (kind, &mut session) {
            (_, Some(session)) => ("mcp", session.outline(answers.len())),
            (Client::Callers, _) => ("who-calls", json_of(walk, &["who-calls", "stable"])),
            (Client::Search, _) => ("search", json_of(walk, &["search", "latest of all marks"])),
            (Client::WaitFresh, _) => {
                ("--wait-fresh", json_of(walk, &["outline", "marks.py", "--wait-fresh"]))
            }
            (Client::NoWait, _) => {
                ("--no-wait", json_of(walk, &["outline", "marks.py", "--no-wait"]))
            }
            _ => ("outline", json_of(walk, &["outline", "marks.py"])),
        };
        let text = |name: &str| value["index"][name].as_str().unwrap().to_owned();
        let only = match how {
            "who-calls" => number(&value["resolved"][0]["caller"]),
            "search" => number(&value["hits"][0]["symbol"]),
            _ => number(&value["definitions"][0]["name"]),
        };
        assert!(only.is_some(), "{how}: {value:#}");
        answers.push(Answer {
            how,
            asked,
            answered: Instant::now(),
            commit: text("commit"),
            head: text("head"),
            behind: value["index"]["behind_commits"].as_u64(),
            only,
        });
        n_answers.fetch_add(1, Ordering::Relaxed);
        if is_over() {
            return answers;
        }
    }
}

fn json_of(walk: &Followed, args: &[&str]) -> Value {
    let ran = walk.runner(carnet_path()).args(args).args(["--json"]).run();
    // With `--no-wait`, an answer that lags ends with 4.
    let is_good = ran.code == Some(0) || (args.contains(&"--no-wait") && ran.code == Some(4));
    assert!(is_good, "{args:?} ended with {:?}\n{}\n{}", ran.code, ran.stdout, ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

/// A session of the Model Context Protocol.
struct Session {
    server: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Session {
    fn new(walk: &Followed) -> Session {
        let mut command = walk.0.repo.command(carnet_path());
        command.arg("mcp").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = command.spawn().unwrap();
        let output = BufReader::new(server.stdout.take().unwrap());
        let mut session = Session { server, output };
        let client = json!({ "name": "t", "version": "0" });
        session.say(json!({
            "jsonrpc": "2.0", "id": 0, "method": "initialize",
            "params": { "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client },
        }));
        session.hear();
        session.say(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        session
    }

    fn say(&mut self, line: Value) {
        writeln!(self.server.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    fn outline(&mut self, n: usize) -> Value {
        let call = json!({ "name": "outline", "arguments": { "path": "marks.py" } });
        self.say(json!({ "jsonrpc": "2.0", "id": n + 1, "method": "tools/call", "params": call }));
        let answer = self.hear();
        assert_eq!(answer["result"]["isError"], false, "{answer:#}");
        answer["result"]["structuredContent"].clone()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.server.stdin.take());
        let _ = self.server.wait();
    }
}
