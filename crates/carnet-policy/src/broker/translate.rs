//! OpenAI's chat completions as Anthropic's messages, and back: requests, replies, streams.
//!
//! Text, tools and their results are translated; what has no counterpart is refused by its name, never dropped in silence.
//! Source: <https://platform.openai.com/docs/api-reference/chat>, <https://docs.anthropic.com/en/api/messages>.

use serde_json::{Map, Value, json};

/// Tokens of an answer where the caller does not say: Anthropic's form asks for a number.
const MAX_TOKENS: u64 = 4096;

/// What cannot be translated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{place}` cannot be translated: {why}")]
pub struct TranslateError {
    /// Which member.
    pub place: String,
    /// Why, as a lowercase fragment.
    pub why: String,
}

fn refused(place: impl Into<String>, why: &str) -> TranslateError {
    TranslateError { place: place.into(), why: why.to_owned() }
}

/// Makes a request of Anthropic's form of one of OpenAI's.
///
/// # Errors
///
/// [`TranslateError`] names what has no counterpart.
pub fn to_anthropic_request(request: &Value) -> Result<Value, TranslateError> {
    if request["n"].as_u64().is_some_and(|n| n > 1) {
        return Err(refused("n", "one answer is given"));
    }
    if request.get("response_format").is_some_and(|it| it["type"] != "text") {
        return Err(refused("response_format", "there is none"));
    }
    let mut system = vec![];
    let mut messages: Vec<Value> = vec![];
    for (idx, message) in list(&request["messages"]).iter().enumerate() {
        let place = format!("messages/{idx}");
        match message["role"].as_str().unwrap_or_default() {
            "system" | "developer" => system.push(text_of(&message["content"], &place)?),
            "user" => {
                let content =
                    json!([{"type": "text", "text": text_of(&message["content"], &place)?}]);
                push(&mut messages, "user", content);
            }
            "assistant" => push(&mut messages, "assistant", assistant_blocks(message, &place)?),
            "tool" => {
                let content = json!([{
                    "type": "tool_result",
                    "tool_use_id": message["tool_call_id"],
                    "content": text_of(&message["content"], &place)?,
                }]);
                push(&mut messages, "user", content);
            }
            other => return Err(refused(place, &format!("role `{}`", crate::show(other)))),
        }
    }
    let asked = request["max_completion_tokens"].as_u64().or(request["max_tokens"].as_u64());
    let mut made = json!({
        "model": request["model"],
        "messages": messages,
        "max_tokens": asked.unwrap_or(MAX_TOKENS),
    });
    if !system.is_empty() {
        made["system"] = json!(system.join("\n\n"));
    }
    if let Some(temperature) = request["temperature"].as_f64() {
        // OpenAI's goes to 2, Anthropic's to 1.
        made["temperature"] = json!(temperature.min(1.0));
    }
    copy(request, &mut made, &[("top_p", "top_p"), ("stream", "stream")]);
    match &request["stop"] {
        Value::String(stop) => made["stop_sequences"] = json!([stop]),
        Value::Array(stops) => made["stop_sequences"] = json!(stops),
        _ => {}
    }
    if let Some(user) = request["user"].as_str() {
        made["metadata"] = json!({ "user_id": user });
    }
    let tools: Vec<Value> = list(&request["tools"])
        .iter()
        .map(|tool| {
            let function = &tool["function"];
            json!({
                "name": function["name"],
                "description": function["description"].as_str().unwrap_or_default(),
                "input_schema": function.get("parameters").cloned().unwrap_or(json!({"type": "object"})),
            })
        })
        .collect();
    if !tools.is_empty() && request["tool_choice"] != "none" {
        made["tools"] = json!(tools);
        match &request["tool_choice"] {
            Value::String(choice) if choice == "required" => {
                made["tool_choice"] = json!({"type": "any"})
            }
            Value::Object(choice) => {
                let name = choice.get("function").map(|it| it["name"].clone());
                made["tool_choice"] = json!({"type": "tool", "name": name});
            }
            _ => {}
        }
    }
    Ok(made)
}

/// Adds a message; two of one role become one, as Anthropic's form asks for.
fn push(messages: &mut Vec<Value>, role: &str, content: Value) {
    if let Some(last) = messages.last_mut()
        && last["role"] == role
        && let (Some(blocks), Value::Array(more)) = (last["content"].as_array_mut(), &content)
    {
        blocks.extend(more.iter().cloned());
        return;
    }
    messages.push(json!({"role": role, "content": content}));
}

fn assistant_blocks(message: &Value, place: &str) -> Result<Value, TranslateError> {
    let mut blocks = vec![];
    let text = text_of(&message["content"], place)?;
    if !text.is_empty() {
        blocks.push(json!({"type": "text", "text": text}));
    }
    for call in list(&message["tool_calls"]) {
        let arguments = call["function"]["arguments"].as_str().unwrap_or("{}");
        let input: Value =
            serde_json::from_str(if arguments.is_empty() { "{}" } else { arguments })
                .map_err(|_| refused(place, "the arguments of a tool are no JSON"))?;
        blocks.push(json!({"type": "tool_use", "id": call["id"], "name": call["function"]["name"], "input": input}));
    }
    Ok(json!(blocks))
}

/// The text of a content: a string, or parts of text.
fn text_of(content: &Value, place: &str) -> Result<String, TranslateError> {
    match content {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        Value::Array(parts) => {
            let texts = parts.iter().map(|part| match part["type"].as_str() {
                Some("text" | "input_text") => Ok(part["text"].as_str().unwrap_or_default()),
                other => {
                    let why = format!("content of type `{}`", crate::show(other.unwrap_or("none")));
                    Err(refused(place, &why))
                }
            });
            texts.collect::<Result<Vec<_>, _>>().map(|texts| texts.concat())
        }
        _ => Err(refused(place, "its content is neither text nor a list")),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn copy(from: &Value, to: &mut Value, names: &[(&str, &str)]) {
    for (old, new) in names {
        if let Some(value) = from.get(old).filter(|value| !value.is_null()) {
            to[new] = value.clone();
        }
    }
}

/// Makes a request of OpenAI's form of one of Anthropic's.
///
/// # Errors
///
/// [`TranslateError`] names what has no counterpart.
pub fn from_anthropic_request(request: &Value) -> Result<Value, TranslateError> {
    let mut messages = vec![];
    let system = text_of(&request["system"], "system")?;
    if !system.is_empty() {
        messages.push(json!({"role": "system", "content": system}));
    }
    for (idx, message) in list(&request["messages"]).iter().enumerate() {
        let place = format!("messages/{idx}");
        let role = message["role"].as_str().unwrap_or_default();
        if role != "user" && role != "assistant" {
            return Err(refused(place, &format!("role `{}`", crate::show(role))));
        }
        let Value::Array(blocks) = &message["content"] else {
            let text = text_of(&message["content"], &place)?;
            messages.push(json!({"role": role, "content": text}));
            continue;
        };
        let (mut text, mut calls) = (String::new(), vec![]);
        for block in blocks {
            match block["type"].as_str().unwrap_or_default() {
                "text" => text += block["text"].as_str().unwrap_or_default(),
                "tool_use" => calls.push(tool_call(block)),
                "tool_result" => messages.push(json!({
                    "role": "tool",
                    "tool_call_id": block["tool_use_id"],
                    "content": text_of(&block["content"], &place)?,
                })),
                other => {
                    return Err(refused(
                        place,
                        &format!("content of type `{}`", crate::show(other)),
                    ));
                }
            }
        }
        if !calls.is_empty() {
            messages.push(json!({"role": role, "content": text, "tool_calls": calls}));
        } else if !text.is_empty() {
            messages.push(json!({"role": role, "content": text}));
        }
    }
    let mut made = json!({"model": request["model"], "messages": messages});
    let names = [
        ("max_tokens", "max_tokens"),
        ("temperature", "temperature"),
        ("top_p", "top_p"),
        ("stream", "stream"),
        ("stop_sequences", "stop"),
    ];
    copy(request, &mut made, &names);
    let tools: Vec<Value> = list(&request["tools"])
        .iter()
        .map(|tool| {
            let mut function = Map::new();
            function.insert("name".to_owned(), tool["name"].clone());
            function.insert("parameters".to_owned(), tool["input_schema"].clone());
            if tool["description"].is_string() {
                function.insert("description".to_owned(), tool["description"].clone());
            }
            json!({"type": "function", "function": function})
        })
        .collect();
    if !tools.is_empty() {
        made["tools"] = json!(tools);
        match request["tool_choice"]["type"].as_str() {
            Some("any") => made["tool_choice"] = json!("required"),
            Some("none") => made["tool_choice"] = json!("none"),
            Some("tool") => {
                let name = &request["tool_choice"]["name"];
                made["tool_choice"] = json!({"type": "function", "function": {"name": name}});
            }
            _ => {}
        }
    }
    Ok(made)
}

fn tool_call(block: &Value) -> Value {
    let arguments = block["input"].to_string();
    json!({"id": block["id"], "type": "function",
        "function": {"name": block["name"], "arguments": arguments}})
}

/// Makes a reply of OpenAI's form of one of Anthropic's; `None` where it is none.
pub fn from_anthropic_reply(reply: &Value) -> Option<Value> {
    let blocks = reply["content"].as_array()?;
    let texts = blocks.iter().filter(|block| block["type"] == "text");
    let text: String = texts.filter_map(|block| block["text"].as_str()).collect();
    let calls = blocks.iter().filter(|block| block["type"] == "tool_use").map(tool_call);
    let calls: Vec<Value> = calls.collect();
    let mut message = json!({"role": "assistant", "content": text});
    if !calls.is_empty() {
        message["tool_calls"] = json!(calls);
    }
    Some(json!({
        "id": reply["id"],
        "object": "chat.completion",
        "created": 0,
        "model": reply["model"],
        "choices": [{"index": 0, "message": message, "logprobs": null,
            "finish_reason": finish_reason(&reply["stop_reason"])}],
        "usage": openai_usage(&reply["usage"]),
    }))
}

fn finish_reason(stop_reason: &Value) -> Value {
    match stop_reason.as_str() {
        Some("max_tokens") => json!("length"),
        Some("tool_use") => json!("tool_calls"),
        Some("refusal") => json!("content_filter"),
        Some(_) => json!("stop"),
        None => Value::Null,
    }
}

fn stop_reason(finish_reason: &Value) -> Value {
    match finish_reason.as_str() {
        Some("length") => json!("max_tokens"),
        Some("tool_calls") => json!("tool_use"),
        Some("content_filter") => json!("refusal"),
        Some(_) => json!("end_turn"),
        None => Value::Null,
    }
}

fn openai_usage(usage: &Value) -> Value {
    let count = |name: &str| usage[name].as_u64().unwrap_or(0);
    let input = count("input_tokens")
        + count("cache_creation_input_tokens")
        + count("cache_read_input_tokens");
    let output = count("output_tokens");
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})
}

fn anthropic_usage(usage: &Value) -> Value {
    json!({"input_tokens": usage["prompt_tokens"].as_u64().unwrap_or(0),
        "output_tokens": usage["completion_tokens"].as_u64().unwrap_or(0)})
}

/// Makes a reply of Anthropic's form of one of OpenAI's; `None` where it is none.
pub fn to_anthropic_reply(reply: &Value) -> Option<Value> {
    let choice = reply["choices"].as_array()?.first()?;
    let message = choice.get("message")?;
    let blocks = assistant_blocks(message, "choices/0").ok()?;
    Some(json!({
        "id": reply["id"],
        "type": "message",
        "role": "assistant",
        "model": reply["model"],
        "content": blocks,
        "stop_reason": stop_reason(&choice["finish_reason"]),
        "stop_sequence": null,
        "usage": anthropic_usage(&reply["usage"]),
        "carnet": reply["carnet"],
    }))
}

/// Turns the events of a stream of Anthropic's into the chunks of one of OpenAI's.
#[derive(Debug, Default)]
pub struct StreamFromAnthropic {
    head: Value,
    usage: Map<String, Value>,
    n_calls: u64,
}

impl StreamFromAnthropic {
    /// Returns the chunks that an event becomes, and whether it was the last one.
    pub fn event(&mut self, event: &Value) -> (Vec<Value>, bool) {
        match event["type"].as_str().unwrap_or_default() {
            "message_start" => {
                self.head = event["message"].clone();
                self.note(&event["message"]["usage"]);
                (vec![self.chunk(json!({"role": "assistant", "content": ""}), &Value::Null)], false)
            }
            "content_block_start" if event["content_block"]["type"] == "tool_use" => {
                let block = &event["content_block"];
                let call = json!({"index": self.n_calls, "id": block["id"], "type": "function",
                    "function": {"name": block["name"], "arguments": ""}});
                self.n_calls += 1;
                (vec![self.chunk(json!({"tool_calls": [call]}), &Value::Null)], false)
            }
            "content_block_delta" => {
                let delta = &event["delta"];
                let made = match delta["type"].as_str() {
                    Some("text_delta") => json!({"content": delta["text"]}),
                    Some("input_json_delta") => json!({"tool_calls": [{
                        "index": self.n_calls.saturating_sub(1),
                        "function": {"arguments": delta["partial_json"]},
                    }]}),
                    _ => return (vec![], false),
                };
                (vec![self.chunk(made, &Value::Null)], false)
            }
            "message_delta" => {
                self.note(&event["usage"]);
                let finish = finish_reason(&event["delta"]["stop_reason"]);
                (vec![self.chunk(json!({}), &finish)], false)
            }
            "message_stop" => {
                let mut last = self.chunk(json!({}), &Value::Null);
                last["choices"] = json!([]);
                last["usage"] = openai_usage(&Value::Object(self.usage.clone()));
                (vec![last], true)
            }
            _ => (vec![], false),
        }
    }

    fn note(&mut self, usage: &Value) {
        self.usage.extend(usage.as_object().cloned().unwrap_or_default());
    }

    fn chunk(&self, delta: Value, finish: &Value) -> Value {
        json!({"id": self.head["id"], "object": "chat.completion.chunk", "created": 0,
            "model": self.head["model"],
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    }
}

/// Turns the chunks of a stream of OpenAI's into the events of one of Anthropic's.
#[derive(Debug, Default)]
pub struct StreamToAnthropic {
    is_begun: bool,
    block: Option<Block>,
    n_blocks: u64,
    stop_reason: Value,
    usage: Value,
    carnet: Value,
}

#[derive(Debug, PartialEq, Eq)]
enum Block {
    Text,
    Tool(u64),
}

impl StreamToAnthropic {
    /// Returns the events that a chunk becomes.
    pub fn chunk(&mut self, chunk: &Value) -> Vec<Value> {
        let mut events = vec![];
        if !self.is_begun {
            self.is_begun = true;
            events.push(json!({"type": "message_start", "message": {
                "id": chunk["id"], "type": "message", "role": "assistant", "content": [],
                "model": chunk["model"], "stop_reason": null, "stop_sequence": null,
                "usage": {"input_tokens": 0, "output_tokens": 0}}}));
        }
        if chunk["usage"].is_object() {
            self.usage = chunk["usage"].clone();
        }
        if chunk["carnet"].is_object() {
            self.carnet = chunk["carnet"].clone();
        }
        let choice = &chunk["choices"][0];
        let delta = &choice["delta"];
        if let Some(text) = delta["content"].as_str().filter(|text| !text.is_empty()) {
            self.enter(Block::Text, &json!({"type": "text", "text": ""}), &mut events);
            events.push(self.delta(json!({"type": "text_delta", "text": text})));
        }
        for call in list(&delta["tool_calls"]) {
            let block = json!({"type": "tool_use", "id": call["id"],
                "name": call["function"]["name"], "input": {}});
            self.enter(Block::Tool(call["index"].as_u64().unwrap_or(0)), &block, &mut events);
            let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
            if !arguments.is_empty() {
                events.push(
                    self.delta(json!({"type": "input_json_delta", "partial_json": arguments})),
                );
            }
        }
        if !choice["finish_reason"].is_null() {
            self.stop_reason = stop_reason(&choice["finish_reason"]);
        }
        events
    }

    /// Returns the events that end the stream.
    pub fn finish(&mut self) -> Vec<Value> {
        let mut events = vec![];
        self.leave(&mut events);
        let usage = anthropic_usage(&self.usage);
        events.push(json!({"type": "message_delta", "usage": usage, "carnet": self.carnet,
            "delta": {"stop_reason": self.stop_reason, "stop_sequence": null}}));
        events.push(json!({"type": "message_stop"}));
        events
    }

    fn enter(&mut self, block: Block, start: &Value, events: &mut Vec<Value>) {
        if self.block.as_ref() != Some(&block) {
            self.leave(events);
            events.push(json!({"type": "content_block_start", "index": self.n_blocks, "content_block": start}));
            self.block = Some(block);
        }
    }

    fn leave(&mut self, events: &mut Vec<Value>) {
        if self.block.take().is_some() {
            events.push(json!({"type": "content_block_stop", "index": self.n_blocks}));
            self.n_blocks += 1;
        }
    }

    fn delta(&self, delta: Value) -> Value {
        json!({"type": "content_block_delta", "index": self.n_blocks, "delta": delta})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation() -> Value {
        json!({
            "model": "m", "max_tokens": 100, "temperature": 0.5, "stream": true, "stop": ["x"],
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": "weather?"},
                {"role": "assistant", "content": "let me see", "tool_calls": [
                    {"id": "t1", "type": "function", "function": {"name": "look", "arguments": "{\"at\":\"Bern\"}"}}]},
                {"role": "tool", "tool_call_id": "t1", "content": "rain"},
            ],
            "tools": [{"type": "function", "function": {"name": "look", "description": "looks", "parameters": {"type": "object"}}}],
            "tool_choice": "required",
        })
    }

    #[test]
    fn a_request_goes_there_and_comes_back_as_it_was() {
        let there = to_anthropic_request(&conversation()).unwrap();
        assert_eq!(there["system"], "be brief");
        assert_eq!(there["messages"].as_array().unwrap().len(), 3);
        assert_eq!(
            there["messages"][1]["content"][1],
            json!({"type": "tool_use", "id": "t1", "name": "look", "input": {"at": "Bern"}})
        );
        assert_eq!(there["messages"][2]["content"][0]["type"], "tool_result");
        assert_eq!(there["tool_choice"], json!({"type": "any"}));
        assert_eq!(from_anthropic_request(&there).unwrap(), conversation());
    }

    #[test]
    fn what_has_no_counterpart_is_refused_by_name() {
        let image = json!([{"type": "image_url", "image_url": {"url": "x"}}]);
        let request = json!({"messages": [{"role": "user", "content": image}]});
        let error = to_anthropic_request(&request).unwrap_err().to_string();
        assert_eq!(error, "`messages/0` cannot be translated: content of type `image_url`");
        let image = json!({"messages": [{"role": "user", "content": [{"type": "image"}]}]});
        assert!(from_anthropic_request(&image).is_err());
        assert!(to_anthropic_request(&json!({"n": 2})).is_err());
        assert!(to_anthropic_request(&json!({"messages": [{"role": "function"}]})).is_err());
        assert!(
            to_anthropic_request(&json!({"messages": "hello", "temperature": 2})).unwrap()["temperature"]
                == 1.0
        );
    }

    #[test]
    fn a_reply_goes_there_and_comes_back_as_it_was() {
        let reply = json!({"id": "i", "type": "message", "role": "assistant", "model": "m", "stop_sequence": null,
            "content": [{"type": "text", "text": "hi"}, {"type": "tool_use", "id": "t", "name": "n", "input": {"a": 1}}],
            "stop_reason": "tool_use", "usage": {"input_tokens": 3, "output_tokens": 4}, "carnet": null});
        let made = from_anthropic_reply(&reply).unwrap();
        assert_eq!(
            made["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"],
            "{\"a\":1}"
        );
        assert_eq!(
            (&made["choices"][0]["finish_reason"], &made["usage"]["total_tokens"]),
            (&json!("tool_calls"), &json!(7))
        );
        assert_eq!(to_anthropic_reply(&made).unwrap(), reply);
        for none in [json!({}), json!([]), json!({"choices": []}), json!({"content": "x"})] {
            assert!(from_anthropic_reply(&none).is_none() && to_anthropic_reply(&none).is_none());
        }
    }

    #[test]
    fn a_stream_goes_there_and_comes_back_with_the_same_words() {
        let events = [
            json!({"type": "message_start", "message": {"id": "i", "model": "m", "usage": {"input_tokens": 5}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "ping"}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "he"}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "llo"}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "n"}}),
            json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{}"}}),
            json!({"type": "content_block_stop", "index": 1}),
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 7}}),
            json!({"type": "message_stop"}),
        ];
        let (mut there, mut back) = (StreamFromAnthropic::default(), StreamToAnthropic::default());
        let (mut n_last, mut returned) = (0, vec![]);
        for event in &events {
            let (chunks, is_last) = there.event(event);
            n_last += usize::from(is_last);
            chunks.iter().for_each(|chunk| returned.extend(back.chunk(chunk)));
        }
        returned.extend(back.finish());
        assert_eq!(n_last, 1);
        let kinds = |events: &[Value]| -> Vec<String> {
            let kinds = events.iter().map(|it| it["type"].as_str().unwrap().to_owned());
            kinds.filter(|kind| kind != "ping").collect()
        };
        assert_eq!(kinds(&returned), kinds(&events));
        assert_eq!(
            returned[returned.len() - 2]["usage"],
            json!({"input_tokens": 5, "output_tokens": 7})
        );
        assert_eq!(returned[returned.len() - 2]["delta"]["stop_reason"], "tool_use");
    }
}
