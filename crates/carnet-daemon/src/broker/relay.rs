//! A stream on its way back: looked through line by line, in the form that the caller speaks, settled however it ends.

use std::collections::BTreeMap;

use carnet_policy::broker::StreamToAnthropic;
use hyper::{StatusCode, body::Bytes, header};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
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
            seen: vec![],
            is_long: false,
            held: BTreeMap::new(),
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
    /// What the caller saw, while it is short enough to be kept.
    seen: Vec<u8>,
    is_long: bool,
    held: BTreeMap<Place, Held>,
    translate: Option<StreamToAnthropic>,
    usage: Value,
    n_bytes: usize,
    /// A chunk without choices, for those of our own.
    head: Value,
}

/// The caller went away.
struct Gone;

impl Relay {
    async fn run(&mut self, mut call: Call, chosen: Chosen, mut upstream: Box<Upstream>) {
        let ended = loop {
            match upstream.next().await {
                Ok(Some(chunks)) => {
                    let mut is_gone = false;
                    for chunk in chunks {
                        is_gone = is_gone || self.chunk(chunk, &mut call).await.is_err();
                    }
                    if is_gone {
                        break Err((499, "the caller went away".to_owned()));
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
        let status = match ended {
            Ok(()) => {
                let _ = self.end(&mut call, &target, usd).await;
                200
            }
            Err((status, why)) => {
                call.failures.push(format!("{target}: {why}"));
                let problem = Problem::new(status, "carnet_cut", format!("{target}: {why}"));
                let door = call.door;
                let _ = self.flush(&mut call).await;
                let _ = self.send("error", &problem.body(door), door).await;
                status
            }
        };
        let seen = if self.is_long { vec![] } else { std::mem::take(&mut self.seen) };
        call.finish(chosen, took, seen, MEDIA, status);
    }

    async fn chunk(&mut self, mut chunk: Value, call: &mut Call) -> Result<(), Gone> {
        if chunk["usage"].is_object() {
            self.usage = chunk["usage"].take();
        }
        if let Some(members) = chunk.as_object_mut() {
            members.remove("usage");
            self.head = json!({"id": members.get("id"), "object": "chat.completion.chunk",
                "created": members.get("created"), "model": members.get("model")});
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
            self.send("", &chunk, call.door).await?;
        }
        Ok(())
    }

    fn hold(&mut self, place: Place, text: &str, call: &mut Call) -> String {
        let redact = &call.gateway.setup.redact;
        self.held.entry(place).or_default().push(text, redact, &mut call.replaced_back)
    }

    /// Sends what is held.
    async fn flush(&mut self, call: &mut Call) -> Result<(), Gone> {
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
            self.send("", &chunk, call.door).await?;
        }
        Ok(())
    }

    /// Ends a stream that came to its end: what is held, what it took, and the mark of the end.
    async fn end(
        &mut self,
        call: &mut Call,
        target: &carnet_policy::broker::Target,
        usd: f64,
    ) -> Result<(), Gone> {
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
        self.send("", &last, call.door).await?;
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

    async fn send(&mut self, kind: &str, chunk: &Value, door: Door) -> Result<(), Gone> {
        match &mut self.translate {
            Some(translate) if kind != "error" => {
                for event in translate.chunk(chunk) {
                    self.write(event_of(&event)).await?;
                }
                Ok(())
            }
            _ if door == Door::Anthropic => {
                self.write(format!("event: {kind}\ndata: {chunk}\n\n")).await
            }
            _ => self.write(format!("data: {chunk}\n\n")).await,
        }
    }

    async fn write(&mut self, text: String) -> Result<(), Gone> {
        if self.seen.len() + text.len() > KEPT_BYTES_MAX {
            self.is_long = true;
            self.seen = vec![];
        }
        if !self.is_long {
            self.seen.extend_from_slice(text.as_bytes());
        }
        self.pieces.send(Bytes::from(text)).await.map_err(|_| Gone)
    }
}

fn event_of(event: &Value) -> String {
    format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or("ping"))
}
