//! A stream on its way back: looked through line by line, in the form that the caller speaks, settled however it ends.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use carnet_policy::broker::StreamToAnthropic;
use hyper::{StatusCode, body::Bytes, header};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    Gateway, STREAMED_BYTES_MAX,
    call::{Call, Chosen, headers},
    door::{Door, Problem},
    lines::Held,
    upstream::Upstream,
};
use crate::http::{Streamed, StreamedBody};

/// Pieces that wait for a slow caller; then the model waits too.
const PIECES_MAX: usize = 32;
/// Bytes of a stream that are kept.
const KEPT_BYTES_MAX: usize = 4 << 20;
/// The media type of a stream.
const MEDIA: &str = "text/event-stream";

/// Answers with a stream that has begun.
pub(super) fn begin(call: Call, chosen: Chosen, upstream: Box<Upstream>) -> Streamed {
    let (pieces, body) = mpsc::channel(PIECES_MAX);
    let answer = streamed(body, headers(&chosen.candidate.target, 0.0, false));
    tokio::spawn(async move {
        let translate = (call.door == Door::Anthropic).then(StreamToAnthropic::default);
        let mut relay = Relay {
            pieces,
            seen: Seen { gateway: Arc::clone(&call.gateway), bytes: vec![], is_long: false },
            held: BTreeMap::new(),
            begun: BTreeSet::new(),
            translate,
            usage: Value::Null,
            n_bytes: 0,
            head: Value::Null,
        };
        relay.run(call, chosen, upstream).await;
    });
    answer
}

/// Answers with a stream that was kept.
pub(super) fn again(body: Vec<u8>, extra: Vec<(&'static str, String)>) -> Streamed {
    let (pieces, receiver) = mpsc::channel(1);
    let _ = pieces.try_send(Bytes::from(body));
    streamed(receiver, extra)
}

fn streamed(body: mpsc::Receiver<Bytes>, extra: Vec<(&'static str, String)>) -> Streamed {
    let mut lines = vec![
        (header::CONTENT_TYPE, MEDIA.to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    let named = extra.into_iter().filter(|(name, _)| *name != "x-carnet-cost-usd");
    lines.extend(named.map(|(name, value)| (header::HeaderName::from_static(name), value)));
    Streamed { status: StatusCode::OK, headers: lines, body: StreamedBody::Pieces(body) }
}

/// Which text a piece belongs to: a choice, and its content (`None`) or the arguments of one of its tools.
type Place = (u64, Option<u64>);

struct Relay {
    pieces: mpsc::Sender<Bytes>,
    seen: Seen,
    held: BTreeMap<Place, Held>,
    /// Texts that were heard of.
    begun: BTreeSet<Place>,
    translate: Option<StreamToAnthropic>,
    usage: Value,
    n_bytes: usize,
    /// A chunk without choices, for those of our own.
    head: Value,
}

/// What the caller saw, while it is short enough to be kept, alone and with all others.
struct Seen {
    gateway: Arc<Gateway>,
    bytes: Vec<u8>,
    is_long: bool,
}

impl Seen {
    fn push(&mut self, text: &[u8]) {
        if self.is_long {
            return;
        }
        let mut state = self.gateway.state();
        self.is_long = self.bytes.len() + text.len() > KEPT_BYTES_MAX
            || state.n_streamed + text.len() > STREAMED_BYTES_MAX;
        if self.is_long {
            state.n_streamed -= std::mem::take(&mut self.bytes).len();
        } else {
            state.n_streamed += text.len();
            self.bytes.extend_from_slice(text);
        }
    }

    /// Returns it; nothing where it was too long.
    fn take(&mut self) -> Vec<u8> {
        self.gateway.state().n_streamed -= self.bytes.len();
        std::mem::take(&mut self.bytes)
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        self.take();
    }
}

/// Why a stream ends before its end: a status, and words.
type Ended = (u16, String);

fn gone() -> Ended {
    (499, "the caller went away".to_owned())
}

impl Relay {
    async fn run(&mut self, mut call: Call, chosen: Chosen, mut upstream: Box<Upstream>) {
        let ended = loop {
            match upstream.next().await {
                Ok(Some(chunks)) => {
                    let mut relayed = Ok(());
                    for chunk in chunks {
                        if relayed.is_ok() {
                            relayed = self.chunk(chunk, &mut call).await;
                        }
                    }
                    if let Err(ended) = relayed {
                        break Err(ended);
                    }
                }
                Ok(None) => break Ok(()),
                Err(problem) => break Err(problem),
            }
        };
        drop(upstream);
        let took = call.took(&self.usage, self.n_bytes);
        let usd = call.cost(&chosen.candidate, took);
        let target = chosen.candidate.target.clone();
        let ended = match ended {
            Ok(()) => match self.end(&mut call, &target, usd).await {
                // All but the last words were said.
                Err((499, _)) => Ok(()),
                ended => ended,
            },
            cut => {
                let _ = self.flush(&mut call).await;
                cut
            }
        };
        let status = match ended {
            Ok(()) => 200,
            Err((status, why)) => {
                call.failures.push(format!("{target}: {why}"));
                self.error(
                    &Problem::new(status, "carnet_cut", format!("{target}: {why}")),
                    call.door,
                )
                .await;
                status
            }
        };
        let seen = self.seen.take();
        call.finish(chosen, took, seen, MEDIA, status);
    }

    async fn chunk(&mut self, mut chunk: Value, call: &mut Call) -> Result<(), Ended> {
        if chunk["usage"].is_object() {
            self.usage = chunk["usage"].take();
        }
        if let Some(members) = chunk.as_object_mut() {
            members.remove("usage");
            self.head = json!({"id": members.get("id"), "object": "chat.completion.chunk",
                "created": members.get("created"), "model": members.get("model")});
        }
        // What is held comes before what begins now: to Anthropic's clients the order is the meaning.
        if self.begins_another(&chunk) {
            self.flush(call).await?;
        }
        let mut says_anything = false;
        let mut is_finished = false;
        for choice in chunk["choices"].as_array_mut().into_iter().flatten() {
            let index = choice["index"].as_u64().unwrap_or(0);
            is_finished |= !choice["finish_reason"].is_null();
            says_anything |= !choice["finish_reason"].is_null();
            let Some(delta) = choice.get_mut("delta").and_then(Value::as_object_mut) else {
                continue;
            };
            if let Some(Value::String(text)) = delta.get_mut("content") {
                let is_first = text.is_empty();
                self.n_bytes += text.len();
                *text = self.hold((index, None), text, call);
                says_anything |= is_first || !text.is_empty();
            }
            for tool in
                delta.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten()
            {
                let tool_index = tool["index"].as_u64().unwrap_or(0);
                says_anything |= tool["id"].is_string();
                if let Some(Value::String(text)) = tool["function"].get_mut("arguments") {
                    self.n_bytes += text.len();
                    *text = self.hold((index, Some(tool_index)), text, call);
                    says_anything |= !text.is_empty();
                }
            }
            let others = ["content", "tool_calls"];
            says_anything |= delta
                .iter()
                .any(|(name, value)| !others.contains(&name.as_str()) && !value.is_null());
        }
        if is_finished {
            self.flush(call).await?;
        }
        if says_anything {
            self.send(&chunk, call).await?;
        }
        Ok(())
    }

    /// Whether a chunk begins a text that was not heard of yet.
    fn begins_another(&mut self, chunk: &Value) -> bool {
        let mut is_new = false;
        for choice in chunk["choices"].as_array().into_iter().flatten() {
            let index = choice["index"].as_u64().unwrap_or(0);
            let delta = &choice["delta"];
            let content = delta["content"].is_string().then_some((index, None));
            let tools = delta["tool_calls"].as_array().into_iter().flatten();
            let tools = tools.map(|tool| (index, Some(tool["index"].as_u64().unwrap_or(0))));
            for place in content.into_iter().chain(tools) {
                is_new |= self.begun.insert(place);
            }
        }
        is_new
    }

    fn hold(&mut self, place: Place, text: &str, call: &mut Call) -> String {
        let redact = &call.gateway.setup.redact;
        self.held.entry(place).or_default().push(text, redact, &mut call.replaced_back)
    }

    /// Sends what is held.
    async fn flush(&mut self, call: &mut Call) -> Result<(), Ended> {
        for (place, mut held) in std::mem::take(&mut self.held) {
            let text = held.finish(&call.gateway.setup.redact, &mut call.replaced_back);
            if text.is_empty() {
                continue;
            }
            let delta = match place.1 {
                None => json!({"content": text}),
                Some(tool) => {
                    json!({"tool_calls": [{"index": tool, "function": {"arguments": text}}]})
                }
            };
            let mut chunk = self.head.clone();
            chunk["choices"] = json!([{"index": place.0, "delta": delta, "finish_reason": null}]);
            self.send(&chunk, call).await?;
        }
        Ok(())
    }

    /// Ends a stream that came to its end: what is held, what it took, and the mark of the end.
    async fn end(
        &mut self,
        call: &mut Call,
        target: &carnet_policy::broker::Target,
        usd: f64,
    ) -> Result<(), Ended> {
        self.flush(call).await?;
        let mut last = self.head.clone();
        last["usage"] = self.usage.clone();
        last["carnet"] = call.note(target, usd, false);
        // Who did not ask for usage may look into the choices of every chunk.
        last["choices"] = if call.wants_usage() {
            json!([])
        } else {
            json!([{"index": 0, "delta": {}, "finish_reason": null}])
        };
        self.send(&last, call).await?;
        match &mut self.translate {
            Some(translate) => {
                for event in translate.finish() {
                    self.write(event_of(&event)).await?;
                }
            }
            None => self.write("data: [DONE]\n\n".to_owned()).await?,
        }
        Ok(())
    }

    /// Sends a chunk, once the log has what was replaced in it.
    async fn send(&mut self, chunk: &Value, call: &mut Call) -> Result<(), Ended> {
        call.log_back().await.map_err(|problem| (problem.status, problem.message))?;
        let Some(translate) = &mut self.translate else {
            return self.write(format!("data: {chunk}\n\n")).await;
        };
        for event in translate.chunk(chunk) {
            self.write(event_of(&event)).await?;
        }
        Ok(())
    }

    /// Ends a stream that was cut.
    async fn error(&mut self, problem: &Problem, door: Door) {
        let body = problem.body(door);
        let event = if door == Door::Anthropic { "event: error\n" } else { "" };
        let _ = self.write(format!("{event}data: {body}\n\n")).await;
    }

    async fn write(&mut self, text: String) -> Result<(), Ended> {
        self.seen.push(text.as_bytes());
        self.pieces.send(Bytes::from(text)).await.map_err(|_| gone())
    }
}

fn event_of(event: &Value) -> String {
    format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or("ping"))
}
