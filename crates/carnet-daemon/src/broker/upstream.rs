//! One attempt at one endpoint.

use std::time::Duration;

use carnet_policy::broker::{
    Api, Candidate, Provider, StreamFromAnthropic, from_anthropic_reply, to_anthropic_request,
};
use reqwest::{Client, Response, redirect};
use serde_json::{Value, json};

use super::lines::Events;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// Largest reply that does not come as a stream, in bytes.
const REPLY_BYTES_MAX: usize = 32 << 20;
/// Characters of a foreign message that are repeated.
const MESSAGE_CHARS: usize = 300;

/// Clients: one goes by the environment's proxies, one never does.
pub(super) struct Clients {
    remote: Client,
    local: Client,
}

impl Clients {
    pub(super) fn new() -> Result<Clients, reqwest::Error> {
        // Another part of the process may have chosen already; both are sound.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let build =
            || Client::builder().connect_timeout(CONNECT).redirect(redirect::Policy::none());
        Ok(Clients { remote: build().build()?, local: build().no_proxy().build()? })
    }
}

/// What came of an attempt.
pub(super) enum Attempt {
    /// A reply in OpenAI's form.
    Reply(Value),
    /// A stream that has begun.
    Stream(Box<Upstream>),
    /// The endpoint says that the request is wrong: so it is for the caller.
    Wrong(u16, String),
    /// It did not answer.
    Failed(Failure),
}

/// Why an endpoint did not answer.
pub(super) struct Failure {
    /// In words.
    pub(super) why: String,
    /// What a caller is told if no one else answers.
    pub(super) status: u16,
    /// What it asked to wait, in milliseconds.
    pub(super) retry_after_ms: Option<u64>,
    /// Whether the same endpoint may answer when it is asked again.
    pub(super) is_passing: bool,
}

fn failed(status: u16, why: impl Into<String>) -> Attempt {
    let is_passing = status != 501;
    Attempt::Failed(Failure { why: why.into(), status, retry_after_ms: None, is_passing })
}

/// A stream of an endpoint, as chunks of OpenAI's form.
pub(super) struct Upstream {
    response: Response,
    events: Events,
    translate: Option<StreamFromAnthropic>,
    ready: std::collections::VecDeque<Vec<u8>>,
    /// The chunk that showed that it is a stream.
    first: Vec<Value>,
    is_over: bool,
}

/// Asks an endpoint.
///
/// - `body`: the request in OpenAI's form.
pub(super) async fn attempt(
    clients: &Clients,
    provider: &Provider,
    key: Option<&str>,
    body: &Value,
    is_embedding: bool,
    timeout: Duration,
) -> Attempt {
    let (path, body) = match (provider.api, is_embedding) {
        (Api::Openai, true) => ("/embeddings", body.clone()),
        (Api::Openai, false) => ("/chat/completions", body.clone()),
        (Api::Anthropic, true) => return failed(501, "it has no embeddings"),
        (Api::Anthropic, false) => match to_anthropic_request(body) {
            Ok(body) => ("/v1/messages", body),
            Err(error) => return failed(501, error.to_string()),
        },
    };
    let is_stream = body["stream"] == true;
    let client = if provider.local { &clients.local } else { &clients.remote };
    let mut request = client
        .post(format!("{}{path}", provider.base_url))
        .header("content-type", "application/json")
        .timeout(timeout)
        .body(body.to_string());
    if let Some(key) = key {
        request = match provider.api {
            Api::Openai => request.bearer_auth(key),
            Api::Anthropic => request.header("x-api-key", key),
        };
    }
    if provider.api == Api::Anthropic {
        request = request.header("anthropic-version", "2023-06-01");
    }
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return not_sent(&error),
    };
    let status = response.status().as_u16();
    if status != 200 {
        return refusal(response, status).await;
    }
    if is_stream {
        return begun(response, provider.api).await;
    }
    let bytes = match whole(response).await {
        Ok(bytes) => bytes,
        Err(failure) => return failure,
    };
    let Ok(value) = serde_json::from_slice::<Value>(&bytes) else {
        return failed(502, "its reply is no JSON");
    };
    let member = if is_embedding { "data" } else { "choices" };
    let reply = match provider.api {
        Api::Openai => value[member].is_array().then_some(value),
        Api::Anthropic => from_anthropic_reply(&value),
    };
    reply
        .map_or_else(|| failed(502, format!("its reply has no list of `{member}`")), Attempt::Reply)
}

fn not_sent(error: &reqwest::Error) -> Attempt {
    if error.is_timeout() {
        return failed(504, "it did not answer in time");
    }
    // The innermost cause says what happened; the outer ones repeat the address.
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let what = if error.is_connect() { "it cannot be reached" } else { "it broke off" };
    failed(502, format!("{what}: {cause}"))
}

async fn whole(mut response: Response) -> Result<Vec<u8>, Attempt> {
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(bytes),
            Ok(Some(piece)) if bytes.len() + piece.len() > REPLY_BYTES_MAX => {
                return Err(failed(502, "its reply has more than 32 MiB"));
            }
            Ok(Some(piece)) => bytes.extend_from_slice(&piece),
            Err(error) => return Err(not_sent(&error)),
        }
    }
}

/// A status that is none of success: the caller's fault, or the endpoint's.
async fn refusal(response: Response, status: u16) -> Attempt {
    let header = |name: &str| response.headers().get(name)?.to_str().ok()?.parse::<f64>().ok();
    let asked = header("retry-after-ms").or(header("retry-after").map(|seconds| seconds * 1000.0));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let retry_after_ms = asked.filter(|ms| ms.is_finite()).map(|ms| ms.clamp(0.0, 1e9) as u64);
    let bytes = whole(response).await.unwrap_or_default();
    let message = serde_json::from_slice::<Value>(&bytes).ok();
    let message = message.and_then(|it| it["error"]["message"].as_str().map(str::to_owned));
    let message = message.unwrap_or_else(|| String::from_utf8_lossy(&bytes).into_owned());
    let message: String = message.chars().filter(|c| !c.is_control()).take(MESSAGE_CHARS).collect();
    match status {
        400 | 404 | 409 | 413 | 422 => Attempt::Wrong(status, message),
        _ => Attempt::Failed(Failure {
            why: format!("it answered {status}: {message}"),
            status: if status == 429 { 429 } else { 502 },
            retry_after_ms,
            is_passing: status == 429 || status == 408 || status >= 500,
        }),
    }
}

/// Waits until a stream shows that it is one.
async fn begun(response: Response, api: Api) -> Attempt {
    let translate = (api == Api::Anthropic).then(StreamFromAnthropic::default);
    let mut upstream = Upstream {
        response,
        events: Events::default(),
        translate,
        ready: std::collections::VecDeque::new(),
        first: vec![],
        is_over: false,
    };
    loop {
        match upstream.next().await {
            Ok(Some(chunks)) if chunks.is_empty() => {}
            Ok(Some(chunks)) => {
                upstream.first = chunks;
                return Attempt::Stream(Box::new(upstream));
            }
            Ok(None) => return failed(502, "its stream ended before it began"),
            Err((status, why)) => return failed(status, why),
        }
    }
}

impl Upstream {
    /// Returns the next chunks; `None` at the end. An end that no one announced is an error.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Value>>, (u16, String)> {
        if !self.first.is_empty() {
            return Ok(Some(std::mem::take(&mut self.first)));
        }
        loop {
            if self.is_over {
                return Ok(None);
            }
            if let Some(data) = self.ready.pop_front() {
                return self.chunk(&data).map(Some);
            }
            match self.response.chunk().await {
                Ok(Some(piece)) => {
                    let events = self.events.push(&piece);
                    self.ready.extend(events.map_err(|why| (502, why.to_owned()))?);
                }
                Ok(None) => return Err((502, "its stream was cut".to_owned())),
                Err(error) if error.is_timeout() => {
                    return Err((504, "its stream took too long".to_owned()));
                }
                Err(_) => return Err((502, "its stream was cut".to_owned())),
            }
        }
    }

    fn chunk(&mut self, data: &[u8]) -> Result<Vec<Value>, (u16, String)> {
        if data == b"[DONE]" {
            self.is_over = true;
            return Ok(vec![]);
        }
        let garbage = || (502, "its stream holds what is no event of a model".to_owned());
        let value: Value = serde_json::from_slice(data).map_err(|_| garbage())?;
        if value["error"].is_object() {
            let message = value["error"]["message"].as_str().unwrap_or("no reason given");
            let message: String = message.chars().take(MESSAGE_CHARS).collect();
            return Err((502, format!("its stream says: {message}")));
        }
        match &mut self.translate {
            Some(translate) if value["type"].is_string() => {
                let (chunks, is_last) = translate.event(&value);
                self.is_over = is_last;
                Ok(chunks)
            }
            None if value["choices"].is_array() => Ok(vec![value]),
            _ => Err(garbage()),
        }
    }
}

/// The request for one candidate: its model, and what the policy sets.
pub(super) fn request_for(
    body: &Value,
    candidate: &Candidate,
    temperature: Option<f64>,
    is_embedding: bool,
) -> Value {
    let mut made = body.clone();
    made["model"] = json!(candidate.target.model);
    if is_embedding {
        return made;
    }
    if let Some(temperature) = temperature {
        made["temperature"] = json!(temperature);
    }
    // Newer models of OpenAI's ask for the longer name; most others know the shorter alone.
    let wants_long = body.get("max_completion_tokens").is_some()
        || (candidate.target.provider == "openai" && body.get("max_tokens").is_none());
    if let Some(members) = made.as_object_mut() {
        members.remove("max_tokens");
        members.remove("max_completion_tokens");
    }
    made[if wants_long { "max_completion_tokens" } else { "max_tokens" }] =
        json!(candidate.max_tokens);
    if made["stream"] == true && candidate.provider.api == Api::Openai {
        made["stream_options"] = json!({"include_usage": true});
    }
    made
}
