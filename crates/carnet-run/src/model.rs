//! A model that a run can ask: the answer comes through a door of the sandbox, is recorded, and answers again in a replay.
//!
//! Invariants: a request is redacted before it is sent, a reply before the command sees it, so what is recorded is what was
//! said; a request from which a secret cannot be taken without breaking it is not sent; in a replay nothing is asked of anyone,
//! and a request that is not in the record is told so.
//!
//! The guard cannot be lent to the door's threads, which may outlive the run while a model is slow: a clerk that lives as long
//! as the run takes their papers and is the only one to see it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, mpsc},
    thread,
};

use carnet_core::{
    Body, Digest, GitOid, ModelExchange, ModelRecord, ModelReply, ModelRequest, OutputClass,
    RecordedReplies,
    passport::{ModelUse, Passport},
};
use carnet_git::Repo;
use carnet_guard::Redactor;
use carnet_sandbox::{Door, DoorReply, DoorRequest};
use serde_json::{Value, json};

use crate::{
    ledger::{LoadError, read_file},
    replay::{Difference, How},
};

/// Where a run tree keeps what was asked of a model.
pub const RECORD_PATH: &str = "model/exchanges.jsonl";
/// The port at which a run finds its model, on its own loopback; always the same, so that a replay sees the same variables.
pub const PORT: u16 = 11_411;
/// What a client that insists on a key is given; it opens nothing, and is not sent on.
const NO_KEY: &str = "carnet";
/// Header lines of a request that are sent on; none is recorded.
const SENT: [&str; 8] = [
    "accept",
    "anthropic-beta",
    "anthropic-version",
    "authorization",
    "content-type",
    "openai-beta",
    "openai-organization",
    "x-api-key",
];
/// Header lines of a reply that the command sees, and that are recorded.
const KEPT: [&str; 2] = ["content-type", "retry-after"];

/// Asks a model, and says in words why there is no answer.
pub type Ask = Arc<dyn Fn(&DoorRequest) -> Result<DoorReply, String> + Send + Sync>;

/// Who answers what a run asks of its model.
#[derive(Clone)]
pub enum Model {
    /// The model itself.
    Live(Ask),
    /// The record of an earlier run, and no one else.
    Recorded(ModelRecord),
}

/// The variables by which the clients of models find one.
///
/// - `address`: `http://127.0.0.1:8080/v1`; its path is kept.
pub(crate) fn variables(address: &str) -> [(String, String); 2] {
    let path = address.splitn(4, '/').nth(3).map_or_else(String::new, |path| format!("/{path}"));
    [
        ("OPENAI_API_KEY".to_owned(), NO_KEY.to_owned()),
        ("OPENAI_BASE_URL".to_owned(), format!("http://127.0.0.1:{PORT}{path}")),
    ]
}

/// Says what a passport says of a record.
pub(crate) fn model_use(record: &ModelRecord) -> ModelUse {
    let lines = record.to_lines();
    let exchanges = record.exchanges();
    let redactions = exchanges.iter().map(|it| it.request.n_redactions + it.reply.n_redactions);
    ModelUse {
        n_exchanges: u32::try_from(exchanges.len()).unwrap_or(u32::MAX),
        sha256: Digest::of(&lines),
        size_bytes: lines.len() as u64,
        n_redactions: redactions.fold(0, u32::saturating_add),
        truncated: record.is_truncated(),
    }
}

/// Reads what a run asked of its model; `None` where it had none.
///
/// # Errors
///
/// [`LoadError`] where it is missing, is not what the passport names, or cannot be understood.
pub fn read_record(
    repo: &Repo,
    commit: GitOid,
    passport: &Passport,
) -> Result<Option<ModelRecord>, LoadError> {
    let Some(named) = &passport.model else { return Ok(None) };
    let bytes = read_file(repo, commit, RECORD_PATH)?;
    if Digest::of(&bytes) != named.sha256 {
        return Err(LoadError::ModelDigest(commit));
    }
    let record = ModelRecord::from_lines(&bytes);
    record.map(Some).map_err(|source| LoadError::Model { commit, source })
}

/// Does `run` with a door behind which `model` answers; returns what was asked and answered as well.
pub(crate) fn attended<T>(
    model: Model,
    redactor: Redactor<'_>,
    run: impl FnOnce(Door) -> T,
) -> (T, ModelRecord) {
    let (papers, incoming) = mpsc::channel();
    let (ask, replies) = match model {
        Model::Live(ask) => (ask, None),
        Model::Recorded(record) => {
            let no_one: Ask = Arc::new(|_| Err("a replay asks no one".to_owned()));
            (no_one, Some(RecordedReplies::new(record)))
        }
    };
    let clerk = Clerk { redactor, replies, record: ModelRecord::default() };
    thread::scope(|scope| {
        let clerk = scope.spawn(move || clerk.work(&incoming));
        let closing = Closing(papers.clone());
        let answer = move |request| answer(&papers, &ask, request);
        let ended = run(Door { port: PORT, answer: Arc::new(answer) });
        drop(closing);
        let record = clerk.join().unwrap_or_else(|bug| std::panic::resume_unwind(bug));
        (ended, record)
    })
}

/// What is brought to the clerk, and where the answer goes.
enum Paper {
    /// A request as the command made it.
    Asked(DoorRequest, mpsc::Sender<Advice>),
    /// A reply as it came, to what was sent.
    Answered(ModelRequest, DoorReply, mpsc::Sender<DoorReply>),
    /// The run is over.
    Over,
}

/// What is to be done with a request.
enum Advice {
    /// Give this.
    Give(DoorReply),
    /// Send this.
    Send(DoorRequest, ModelRequest),
}

/// Tells the clerk to go home, however the run ends.
struct Closing(mpsc::Sender<Paper>);

impl Drop for Closing {
    fn drop(&mut self) {
        let _ = self.0.send(Paper::Over);
    }
}

/// Answers one request at the door, on a thread of its own.
fn answer(papers: &mpsc::Sender<Paper>, ask: &Ask, request: DoorRequest) -> DoorReply {
    // Once the clerk is gone so is the run, and no one hears this.
    let over = || problem(503, "carnet_over", "the run is over");
    let (back, advice) = mpsc::channel();
    if papers.send(Paper::Asked(request, back)).is_err() {
        return over();
    }
    let (request, named) = match advice.recv() {
        Ok(Advice::Give(reply)) => return reply,
        Ok(Advice::Send(request, named)) => (request, named),
        Err(_) => return over(),
    };
    let reply = ask(&request).unwrap_or_else(|why| problem(502, "carnet_no_model", &why));
    let (back, given) = mpsc::channel();
    if papers.send(Paper::Answered(named, reply, back)).is_err() {
        return over();
    }
    given.recv().unwrap_or_else(|_| over())
}

/// An answer of carnet's own, in the form in which models tell of errors.
fn problem(status: u16, kind: &str, message: &str) -> DoorReply {
    let error =
        json!({"error": {"message": format!("carnet: {message}"), "type": kind, "code": kind}});
    DoorReply {
        status,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: error.to_string().into_bytes(),
    }
}

/// The only one who sees the guard and writes the record.
struct Clerk<'g> {
    redactor: Redactor<'g>,
    /// In a replay, what answers.
    replies: Option<RecordedReplies>,
    record: ModelRecord,
}

impl Clerk<'_> {
    fn work(mut self, incoming: &mpsc::Receiver<Paper>) -> ModelRecord {
        while let Ok(paper) = incoming.recv() {
            match paper {
                Paper::Asked(request, back) => drop(back.send(self.asked(request))),
                Paper::Answered(named, reply, back) => {
                    drop(back.send(self.answered(named, reply)));
                }
                Paper::Over => break,
            }
        }
        self.record
    }

    fn asked(&mut self, request: DoorRequest) -> Advice {
        let (body, n_redactions) = self.redacted(&request.body);
        let (path, n_in_path) = self.redacted(request.path.as_bytes());
        let path = String::from_utf8_lossy(&path).into_owned();
        let is_json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).is_ok();
        let is_broken = n_redactions > 0 && is_json(&request.body) && !is_json(&body);
        let named = ModelRequest::new(&request.method, &path, &body, n_redactions + n_in_path);
        if n_in_path > 0 || is_broken {
            let why = "the request holds a secret that cannot be taken out; nothing was sent";
            return Advice::Give(self.keep(named, problem(403, "carnet_secret", why), 0));
        }
        if let Some(replies) = &mut self.replies {
            let reply = match replies.take(named.sha256) {
                Some(reply) => {
                    self.record.push(ModelExchange::new(named, reply.clone()));
                    at_door(reply)
                }
                None => {
                    let why = format!(
                        "this run is a replay, and no further reply to this request is recorded (sha256 {})",
                        named.sha256
                    );
                    self.keep(named, problem(422, "carnet_unrecorded", &why), 0)
                }
            };
            return Advice::Give(reply);
        }
        let is_sent = |(name, value): &(String, String)| {
            SENT.contains(&name.as_str()) && value.trim_start_matches("Bearer ") != NO_KEY
        };
        let headers = request.headers.into_iter().filter(is_sent).collect();
        Advice::Send(DoorRequest { method: request.method, path, headers, body }, named)
    }

    fn answered(&mut self, named: ModelRequest, reply: DoorReply) -> DoorReply {
        let (body, n_redactions) = self.redacted(&reply.body);
        self.keep(named, DoorReply { body, ..reply }, n_redactions)
    }

    /// Records a reply, and returns it as the command sees it.
    fn keep(&mut self, named: ModelRequest, reply: DoorReply, n_redactions: u32) -> DoorReply {
        let headers: BTreeMap<String, String> =
            reply.headers.into_iter().filter(|(name, _)| KEPT.contains(&name.as_str())).collect();
        let body = Body::verbatim(&reply.body);
        let reply = ModelReply { status: reply.status, headers, body, n_redactions };
        self.record.push(ModelExchange::new(named, reply.clone()));
        at_door(reply)
    }

    fn redacted(&self, bytes: &[u8]) -> (Vec<u8>, u32) {
        let (bytes, replaced) = self.redactor.redact(bytes);
        (bytes, u32::try_from(replaced.n()).unwrap_or(u32::MAX))
    }
}

fn at_door(reply: ModelReply) -> DoorReply {
    let body = reply.body.to_bytes();
    DoorReply { status: reply.status, headers: reply.headers.into_iter().collect(), body }
}

/// Says where a replay asked something else than what is recorded. The order in which it asked says nothing.
pub(crate) fn differences(recorded: &ModelRecord, replayed: &ModelRecord) -> Vec<Difference> {
    let mut balance: HashMap<Digest, i64> = HashMap::new();
    for (record, sign) in [(recorded, 1), (replayed, -1)] {
        for exchange in record.exchanges() {
            *balance.entry(exchange.request.sha256).or_default() += sign;
        }
    }
    // The last ones of a kind are those that are too many.
    let mut surplus = |record: &ModelRecord, sign: i64| {
        let mut found = vec![];
        for exchange in record.exchanges().iter().rev() {
            let left = balance.entry(exchange.request.sha256).or_default();
            if left.signum() == sign {
                *left -= sign;
                found.push(exchange.request.clone());
            }
        }
        found.reverse();
        found
    };
    let (unasked, unrecorded) = (surplus(recorded, 1), surplus(replayed, -1));
    let n = unasked.len().max(unrecorded.len());
    let pairs = (0..n).map(|idx| (unasked.get(idx), unrecorded.get(idx)));
    pairs.map(|(then, now)| difference(then, now)).collect()
}

fn difference(then: Option<&ModelRequest>, now: Option<&ModelRequest>) -> Difference {
    let whole = |request: &ModelRequest| format!("{} {}", request.method, request.path);
    let (recorded, replayed) = match (then, now) {
        (Some(then), Some(now)) => {
            let parted = parting(then, now);
            let [recorded, replayed] = [(then, &parted.1), (now, &parted.2)]
                .map(|(request, said)| format!("{} with {} {said}", whole(request), parted.0));
            (recorded, replayed)
        }
        (then, now) => {
            let word = |request: Option<&ModelRequest>, word: &str| {
                request.map_or_else(|| format!("a request that was not {word}"), whole)
            };
            (word(then, "recorded"), word(now, "made again"))
        }
    };
    let how = How::Other { recorded, replayed };
    Difference { path: RECORD_PATH.to_owned(), class: OutputClass::Exact, how }
}

/// Where two requests part: a JSON pointer into the bodies, and what stands there in each.
fn parting(then: &ModelRequest, now: &ModelRequest) -> (String, String, String) {
    let short = |text: String| text.chars().take(80).collect::<String>();
    match (&then.body, &now.body) {
        (Body::Json(then), Body::Json(now)) if then != now => {
            let (pointer, then, now) = first_member(then, now, String::new());
            let word = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
            (format!("`{pointer}`"), short(word(then)), short(word(now)))
        }
        (then, now) => {
            let text = |body: &Body| short(String::from_utf8_lossy(&body.to_bytes()).into_owned());
            ("a body of".to_owned(), text(then), text(now))
        }
    }
}

/// The first member at which two values part, and what each has there.
fn first_member<'a>(
    then: &'a Value,
    now: &'a Value,
    at: String,
) -> (String, Option<&'a Value>, Option<&'a Value>) {
    let below = |key: &str| format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
    let mut parts: Vec<(String, Option<&Value>, Option<&Value>)> = vec![];
    match (then, now) {
        (Value::Object(then), Value::Object(now)) => {
            let keys = then.keys().chain(now.keys().filter(|key| !then.contains_key(*key)));
            parts.extend(keys.map(|key| (below(key), then.get(key), now.get(key))));
        }
        (Value::Array(then), Value::Array(now)) => {
            let n = then.len().max(now.len());
            parts.extend((0..n).map(|idx| (below(&idx.to_string()), then.get(idx), now.get(idx))));
        }
        _ => {}
    }
    match parts.into_iter().find(|(_, then, now)| then != now) {
        Some((at, Some(then), Some(now))) => first_member(then, now, at),
        Some(one_sided) => one_sided,
        None => (at, Some(then), Some(now)),
    }
}

#[cfg(test)]
mod tests {
    use carnet_scan::RuleSet;

    use super::*;

    fn request(path: &str, body: &str) -> DoorRequest {
        let headers =
            ["content-type: application/json", "authorization: Bearer carnet", "cookie: x"];
        let headers = headers.map(|line| line.split_once(": ").unwrap());
        DoorRequest {
            method: "POST".to_owned(),
            path: path.to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            body: body.as_bytes().to_vec(),
        }
    }

    fn github_token() -> String {
        ["gh", "p_", "x7Kd92mQvT4bWz8RfL1nYc6HsJ3gPa5Ue0Xo"].concat()
    }

    /// Asks each in turn, and returns what came back, and the record.
    fn ask_all(model: Model, requests: &[DoorRequest]) -> (Vec<(u16, String)>, ModelRecord) {
        let redactor = Redactor::new(RuleSet::built_in());
        attended(model, redactor, |door| {
            assert_eq!(door.port, PORT);
            let asked = requests.iter().map(|request| (door.answer)(request.clone()));
            asked.map(|it| (it.status, String::from_utf8(it.body).unwrap())).collect()
        })
    }

    /// Answers with what it was sent.
    fn echo() -> Model {
        Model::Live(Arc::new(|request| {
            assert_eq!(request.headers.len(), 1, "{:?}", request.headers);
            let headers = vec![
                ("content-type".to_owned(), "text/plain".to_owned()),
                ("set-cookie".to_owned(), "a=b".to_owned()),
            ];
            Ok(DoorReply { status: 200, headers, body: request.body.clone() })
        }))
    }

    #[test]
    fn what_is_recorded_answers_again_and_what_is_not_is_told_so() {
        let asked = [request("/v1/a", "{\"n\":1}"), request("/v1/a", "{\"n\":2}")];
        let (said, record) = ask_all(echo(), &asked);
        assert_eq!(said, [(200, "{\"n\":1}".to_owned()), (200, "{\"n\":2}".to_owned())]);
        let headers = &record.exchanges()[0].reply.headers;
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["content-type"]);
        let named = model_use(&record);
        assert_eq!((named.n_exchanges, named.n_redactions, named.truncated), (2, 0, false));

        // In another order, with other blanks.
        let again = [request("/v1/a", "{ \"n\": 2 }"), request("/v1/a", "{\"n\":1}")];
        let (said_again, replayed) = ask_all(Model::Recorded(record.clone()), &again);
        assert_eq!(said_again, [said[1].clone(), said[0].clone()]);
        assert_eq!(differences(&record, &replayed), []);

        let other = [request("/v1/a", "{\"n\":1}"), request("/v1/a", "{\"n\":3}")];
        let (said_other, replayed) = ask_all(Model::Recorded(record.clone()), &other);
        assert_eq!(said_other[0], said[0]);
        assert_eq!(said_other[1].0, 422);
        assert!(said_other[1].1.contains("is recorded"), "{}", said_other[1].1);
        let [difference] = differences(&record, &replayed).try_into().unwrap();
        let expected = How::Other {
            recorded: "POST /v1/a with `/n` 2".to_owned(),
            replayed: "POST /v1/a with `/n` 3".to_owned(),
        };
        assert_eq!(difference.how, expected);
    }

    #[test]
    fn asking_once_more_or_once_less_is_a_difference() {
        let (one, two) = (request("/v1/a", "1"), request("/v1/a", "2"));
        let (_, record) = ask_all(echo(), &[one.clone(), one.clone(), two.clone()]);
        let (said, more) = ask_all(
            Model::Recorded(record.clone()),
            &[one.clone(), one.clone(), one.clone(), two.clone()],
        );
        assert_eq!(
            said.iter().map(|(status, _)| *status).collect::<Vec<_>>(),
            [200, 200, 422, 200]
        );
        let how = |replayed| {
            let [difference] = differences(&record, replayed).try_into().unwrap();
            let How::Other { recorded, replayed } = difference.how else { panic!() };
            (recorded, replayed)
        };
        let (recorded, replayed) = how(&more);
        assert_eq!(
            (recorded.as_str(), replayed.as_str()),
            ("a request that was not recorded", "POST /v1/a")
        );
        let (_, less) = ask_all(Model::Recorded(record.clone()), &[one, two]);
        let (recorded, replayed) = how(&less);
        assert_eq!(
            (recorded.as_str(), replayed.as_str()),
            ("POST /v1/a", "a request that was not made again")
        );
    }

    #[test]
    fn secrets_are_neither_sent_nor_seen_nor_recorded() {
        let token = github_token();
        let asked = [
            request("/v1/a", &format!("{{\"text\":\"the token is {token}\"}}")),
            request(&format!("/v1/{token}"), "{}"),
        ];
        let leaks = Arc::new({
            let token = token.clone();
            move |request: &DoorRequest| {
                assert!(!String::from_utf8_lossy(&request.body).contains(&token));
                assert_eq!(request.path, "/v1/a");
                Ok(DoorReply {
                    status: 200,
                    headers: vec![],
                    body: format!("here: {token}").into(),
                })
            }
        });
        let (said, record) = ask_all(Model::Live(leaks), &asked);
        assert_eq!(said[0].0, 200);
        assert_eq!(said[1].0, 403, "{}", said[1].1);
        let kept = String::from_utf8(record.to_lines()).unwrap();
        for text in [&kept, &said[0].1, &said[1].1] {
            assert!(!text.contains(&token), "{text}");
        }
        assert_eq!(model_use(&record).n_redactions, 3);
        // Asked again with the same secret, the same request is found.
        let (again, _) = ask_all(Model::Recorded(record), &asked[..1]);
        assert_eq!(again[0], said[0]);
    }

    #[test]
    fn a_model_that_is_away_is_told_and_recorded_as_such() {
        let away = Model::Live(Arc::new(|_| Err("nobody listens at 127.0.0.1:9".to_owned())));
        let (said, record) = ask_all(away, &[request("/v1/a", "{}")]);
        assert_eq!(said[0].0, 502);
        assert!(said[0].1.contains("nobody listens"), "{}", said[0].1);
        let (again, _) = ask_all(Model::Recorded(record), &[request("/v1/a", "{}")]);
        assert_eq!(again, said);
    }

    #[test]
    fn the_variables_keep_the_path_of_the_address() {
        for (address, expected) in [
            ("http://127.0.0.1:8080/v1", "http://127.0.0.1:11411/v1"),
            ("http://localhost:8080", "http://127.0.0.1:11411"),
            ("http://[::1]:8080/a/b", "http://127.0.0.1:11411/a/b"),
        ] {
            assert_eq!(variables(address)[1].1, expected);
        }
    }

    #[test]
    fn two_values_part_at_their_first_member() {
        let check = |then: Value, now: Value, expected: &str| {
            assert_eq!(first_member(&then, &now, String::new()).0, expected);
        };
        check(json!({"a": [1, {"b": 2}]}), json!({"a": [1, {"b": 3}]}), "/a/1/b");
        check(json!({"a": 1}), json!({"a": 1, "b/c": 2}), "/b~1c");
        check(json!([1, 2]), json!([1]), "/1");
        check(json!(1), json!("1"), "");
    }
}
