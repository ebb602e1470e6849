//! What callers ask, and how they are answered: OpenAI's chat completions, embeddings and models, Anthropic's messages.

use std::sync::Arc;

use carnet_core::LaneName;
use carnet_policy::broker::{from_anthropic_request, to_anthropic_reply};
use hyper::{HeaderMap, Method, StatusCode, header};
use serde_json::{Value, json};

use super::{Gateway, call};
use crate::http::{Answer, Request, Streamed};

/// Which form a caller speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// OpenAI's.
    Openai,
    /// Anthropic's.
    Anthropic,
}

/// A call as it was asked, in OpenAI's form.
pub(super) struct Asked {
    pub(super) door: Door,
    pub(super) lane: LaneName,
    pub(super) task: Option<String>,
    pub(super) model: Option<String>,
    pub(super) is_embedding: bool,
    pub(super) path: &'static str,
    pub(super) body: Value,
}

/// An error as a caller reads it.
pub(super) struct Problem {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Problem {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Problem {
        Problem { status, code, message: message.into() }
    }

    /// The body in the form of a door.
    pub(super) fn body(&self, door: Door) -> Value {
        let message = format!("carnet: {}", self.message);
        let error =
            json!({"message": message, "type": self.code, "code": self.code, "param": null});
        match door {
            Door::Openai => json!({"error": error}),
            Door::Anthropic => json!({"type": "error", "error": error}),
        }
    }

    pub(super) fn answer(&self, door: Door) -> Streamed {
        json_answer(self.status, &self.body(door), vec![])
    }
}

/// An answer of JSON.
pub(super) fn json_answer(
    status: u16,
    body: &Value,
    extra: Vec<(&'static str, String)>,
) -> Streamed {
    let mut headers = vec![(header::CONTENT_TYPE, "application/json".to_owned())];
    let named =
        extra.into_iter().map(|(name, value)| (header::HeaderName::from_static(name), value));
    headers.extend(named);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Answer { status, headers, body: body.to_string().into_bytes() }.into()
}

/// Answers one request.
pub(super) async fn answer(gateway: Arc<Gateway>, request: Request) -> Streamed {
    let door = if request.path == "/v1/messages" { Door::Anthropic } else { Door::Openai };
    match asked(&gateway, &request, door) {
        Ok(Reading::Call(asked)) => call::make(gateway, *asked).await,
        Ok(Reading::Said(body)) => json_answer(200, &body, vec![]),
        Err(problem) => problem.answer(door),
    }
}

enum Reading {
    Call(Box<Asked>),
    Said(Value),
}

fn asked(gateway: &Gateway, request: &Request, door: Door) -> Result<Reading, Problem> {
    let headers = &request.headers;
    from_here(headers)?;
    let setup = &gateway.setup;
    if let Some(key) = &setup.caller_key {
        let shown = text(headers, "authorization").and_then(|it| it.strip_prefix("Bearer "));
        let shown = shown.or_else(|| text(headers, "x-api-key")).unwrap_or_default();
        if !same_bytes(shown.as_bytes(), key.as_bytes()) {
            return Err(Problem::new(
                401,
                "carnet_key",
                "the key is not the one that this gateway asks for",
            ));
        }
    }
    let (path, is_embedding) = match (&request.method, request.path.as_str()) {
        (&Method::GET, "/health") => return Ok(Reading::Said(json!({"status": "ok"}))),
        (&Method::GET, "/v1/models") => return Ok(Reading::Said(models(gateway))),
        (&Method::POST, "/v1/chat/completions") => ("/v1/chat/completions", false),
        (&Method::POST, "/v1/messages") => ("/v1/messages", false),
        (&Method::POST, "/v1/embeddings") => ("/v1/embeddings", true),
        _ => {
            let message = "asked can be POST /v1/chat/completions, /v1/embeddings and /v1/messages, and GET /v1/models and /health";
            return Err(Problem::new(404, "carnet_no_such_path", message));
        }
    };
    let invalid = |message: String| Problem::new(400, "invalid_request_error", message);
    let body: Value = serde_json::from_slice(&request.body)
        .map_err(|error| invalid(format!("the body is no JSON: {error}")))?;
    let is_chat = body["messages"].as_array().is_some_and(|messages| !messages.is_empty());
    if !body.is_object() || !(is_chat || is_embedding && body.get("input").is_some()) {
        let what = if is_embedding { "`input`" } else { "a list of `messages`" };
        return Err(invalid(format!("the body must be an object with {what}")));
    }
    let body = match door {
        Door::Openai => body,
        Door::Anthropic => {
            from_anthropic_request(&body).map_err(|error| invalid(error.to_string()))?
        }
    };
    let model = body["model"].as_str().unwrap_or("auto");
    let named = text(headers, "x-carnet-lane").or_else(|| model.strip_prefix("lane:"));
    let lane = match named {
        Some(name) => LaneName::new(name).map_err(|error| invalid(error.to_string()))?,
        None => setup.lane.clone(),
    };
    let is_left_open = matches!(model, "auto" | "carnet") || model.starts_with("lane:");
    let model = (!is_left_open).then(|| model.to_owned());
    let task = text(headers, "x-carnet-task").map(str::to_owned);
    if task.as_ref().is_some_and(|task| task.len() > 200) {
        return Err(invalid("the name of a task has more than 200 bytes".to_owned()));
    }
    Ok(Reading::Call(Box::new(Asked { door, lane, task, model, is_embedding, path, body })))
}

/// Refuses what a web page has a browser ask: it has an origin, or names another host.
fn from_here(headers: &HeaderMap) -> Result<(), Problem> {
    let host = text(headers, "host").unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host }
    });
    let is_here = ["localhost", "127.0.0.1", "[::1]"].contains(&name);
    if headers.contains_key("origin") || !is_here {
        return Err(Problem::new(403, "carnet_origin", "only programs of this machine may ask"));
    }
    Ok(())
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Compares in a time that tells nothing of where the two part.
fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

fn models(gateway: &Gateway) -> Value {
    let line = |target: &&carnet_policy::broker::Target| json!({"id": target.to_string(), "object": "model", "created": 0, "owned_by": target.provider});
    let data: Vec<Value> = gateway.setup.policy.targets().iter().map(line).collect();
    json!({"object": "list", "data": data})
}

/// A reply in the form of a door.
pub(super) fn in_form_of(door: Door, reply: Value) -> Value {
    match door {
        Door::Openai => reply,
        Door::Anthropic => to_anthropic_reply(&reply).unwrap_or(reply),
    }
}
