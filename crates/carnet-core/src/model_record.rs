//! What was asked of a model and what it answered, so that a replay can answer from the record. The stored form is described
//! in `docs/format/run-tree.md`.
//!
//! Invariants: a request has one digest, whatever the order of its members and its blanks; an exchange whose request has not
//! the digest that it names is not read; a record is within [`RECORD_BYTES_MAX`].
//!
//! What is recorded was redacted before it comes here, the request before it was sent and the reply before the command saw it:
//! so the record holds all that the command saw, and nothing of what it was not to keep.

use std::collections::{BTreeMap, HashMap};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Digest;

/// `format` of an exchange.
pub const EXCHANGE_FORMAT: &str = "carnet/model-exchange/1";
/// Bytes of a record at most.
pub const RECORD_BYTES_MAX: usize = 32 << 20;
/// The largest whole number that every reader of JSON keeps exactly, 2^53 (RFC 8785 §3.2.2.3).
const EXACT_MAX: u64 = 1 << 53;

/// The bytes of a request or of a reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// JSON, whose blanks and order of members say nothing. Requests alone: a reply is given back byte for byte.
    Json(Value),
    /// UTF-8.
    Text(String),
    /// Anything else, as base64.
    Base64(Base64),
}

/// Bytes that are written as base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Base64(Vec<u8>);

/// One request, without the header lines that change from call to call or hold credentials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelRequest {
    /// The digest of method, path and body.
    pub sha256: Digest,
    /// `POST`.
    pub method: String,
    /// `/v1/chat/completions`, with the query where there is one.
    pub path: String,
    /// What was sent, redacted.
    pub body: Body,
    /// Places that were redacted before it was sent.
    pub n_redactions: u32,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelReply {
    /// The status of HTTP.
    pub status: u16,
    /// The header lines that are kept, by lower-case name.
    pub headers: BTreeMap<String, String>,
    /// What the command saw, byte for byte: redacted.
    pub body: Body,
    /// Places that were redacted before the command saw it.
    pub n_redactions: u32,
}

/// One request and its reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelExchange {
    /// Always [`EXCHANGE_FORMAT`].
    pub format: String,
    /// What was asked.
    pub request: ModelRequest,
    /// What was answered.
    pub reply: ModelReply,
}

/// The exchanges of one run, in the order in which they ended.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ModelRecord {
    exchanges: Vec<ModelExchange>,
    size_bytes: usize,
    is_truncated: bool,
}

/// Why a line is no exchange.
#[derive(Debug, thiserror::Error)]
pub enum ModelRecordError {
    /// Not JSON of the right form, or of a later version.
    #[error("line {line} is no exchange of `{EXCHANGE_FORMAT}`")]
    Form {
        /// Which one, from 1.
        line: usize,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// It says that it is of another version.
    #[error("line {line} is of format `{format}`, which this version of carnet does not read")]
    Format {
        /// Which one, from 1.
        line: usize,
        /// What it says of itself.
        format: String,
    },
    /// Its request is not the one that its digest names.
    #[error("the request of line {line} has not the digest that stands beside it")]
    Digest {
        /// Which one, from 1.
        line: usize,
    },
}

impl Body {
    /// Holds the body of a request: as JSON, where that loses nothing.
    pub fn of_request(bytes: &[u8]) -> Body {
        match serde_json::from_slice::<Value>(bytes) {
            Ok(value) if is_exact(&value) => Body::Json(value),
            _ => Body::verbatim(bytes),
        }
    }

    /// Holds bytes as they are.
    pub fn verbatim(bytes: &[u8]) -> Body {
        match std::str::from_utf8(bytes) {
            Ok(text) => Body::Text(text.to_owned()),
            Err(_) => Body::Base64(Base64(bytes.to_vec())),
        }
    }

    /// Returns the bytes; of JSON the canonical ones.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Body::Json(value) => canonical(value),
            Body::Text(text) => text.clone().into_bytes(),
            Body::Base64(Base64(bytes)) => bytes.clone(),
        }
    }
}

/// Tells whether the canonical form of a value is that value and no other's.
fn is_exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            let whole = number.as_u64().or(number.as_i64().map(i64::unsigned_abs));
            whole.is_none_or(|whole| whole <= EXACT_MAX)
        }
        Value::Array(values) => values.iter().all(is_exact),
        Value::Object(members) => members.values().all(is_exact),
        _ => true,
    }
}

fn canonical(value: &impl Serialize) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value)
        .expect("because keys are strings and JSON has no number that is none")
}

impl TryFrom<String> for Base64 {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Base64, base64::DecodeError> {
        BASE64_STANDARD.decode(text).map(Base64)
    }
}

impl From<Base64> for String {
    fn from(bytes: Base64) -> String {
        BASE64_STANDARD.encode(bytes.0)
    }
}

impl ModelRequest {
    /// Names a request by its digest: SHA-256 over the canonical JSON (RFC 8785) of `{"body": …, "method": …, "path": …}`.
    ///
    /// - `body`: redacted already.
    /// - `n_redactions`: places that were replaced in it.
    pub fn new(method: &str, path: &str, body: &[u8], n_redactions: u32) -> ModelRequest {
        let body = Body::of_request(body);
        let sha256 = digest(method, path, &body);
        ModelRequest {
            sha256,
            method: method.to_owned(),
            path: path.to_owned(),
            body,
            n_redactions,
        }
    }
}

fn digest(method: &str, path: &str, body: &Body) -> Digest {
    #[derive(Serialize)]
    struct Named<'a> {
        method: &'a str,
        path: &'a str,
        body: &'a Body,
    }
    Digest::of(&canonical(&Named { method, path, body }))
}

impl ModelExchange {
    /// Puts a request and its reply together.
    pub fn new(request: ModelRequest, reply: ModelReply) -> ModelExchange {
        ModelExchange { format: EXCHANGE_FORMAT.to_owned(), request, reply }
    }

    /// Returns the canonical JSON, without a final newline.
    pub fn to_line(&self) -> Vec<u8> {
        canonical(self)
    }

    /// Reads an exchange back, and holds its request against its digest.
    ///
    /// # Errors
    ///
    /// [`ModelRecordError`] with line 1.
    pub fn from_line(line: &[u8]) -> Result<ModelExchange, ModelRecordError> {
        read_line(line, 1)
    }
}

fn read_line(bytes: &[u8], line: usize) -> Result<ModelExchange, ModelRecordError> {
    let form = |source| ModelRecordError::Form { line, source };
    let exchange: ModelExchange = serde_json::from_slice(bytes).map_err(form)?;
    if exchange.format != EXCHANGE_FORMAT {
        return Err(ModelRecordError::Format { line, format: exchange.format });
    }
    let request = &exchange.request;
    if digest(&request.method, &request.path, &request.body) != request.sha256 {
        return Err(ModelRecordError::Digest { line });
    }
    Ok(exchange)
}

impl ModelRecord {
    /// Adds an exchange. Past [`RECORD_BYTES_MAX`] nothing is kept any more, and the record says so.
    pub fn push(&mut self, exchange: ModelExchange) {
        let size_bytes = self.size_bytes + exchange.to_line().len() + 1;
        if self.is_truncated || size_bytes > RECORD_BYTES_MAX {
            self.is_truncated = true;
        } else {
            self.size_bytes = size_bytes;
            self.exchanges.push(exchange);
        }
    }

    /// Returns the exchanges in their order.
    pub fn exchanges(&self) -> &[ModelExchange] {
        &self.exchanges
    }

    /// Tells whether there was more than is kept.
    pub fn is_truncated(&self) -> bool {
        self.is_truncated
    }

    /// Returns the stored form: one line for each exchange.
    pub fn to_lines(&self) -> Vec<u8> {
        let mut lines = Vec::with_capacity(self.size_bytes);
        for exchange in &self.exchanges {
            lines.extend(exchange.to_line());
            lines.push(b'\n');
        }
        lines
    }

    /// Reads the stored form.
    ///
    /// # Errors
    ///
    /// [`ModelRecordError`] names the first line that is none.
    pub fn from_lines(bytes: &[u8]) -> Result<ModelRecord, ModelRecordError> {
        let mut record = ModelRecord::default();
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        for (line_idx, line) in lines.enumerate() {
            record.push(read_line(line, line_idx + 1)?);
        }
        Ok(record)
    }
}

/// The replies of a record, each of which answers once: who asks the same again hears what was said the second time.
#[derive(Debug, Clone, Default)]
pub struct RecordedReplies {
    /// By the digest of the request, the first recorded last.
    by_request: HashMap<Digest, Vec<ModelReply>>,
}

impl RecordedReplies {
    /// Lays out the replies of a record.
    pub fn new(record: ModelRecord) -> RecordedReplies {
        let mut by_request: HashMap<Digest, Vec<ModelReply>> = HashMap::new();
        for exchange in record.exchanges.into_iter().rev() {
            by_request.entry(exchange.request.sha256).or_default().push(exchange.reply);
        }
        RecordedReplies { by_request }
    }

    /// Takes the next reply to a request; `None` where there is none, or no further one.
    pub fn take(&mut self, request: Digest) -> Option<ModelReply> {
        self.by_request.get_mut(&request)?.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: &str) -> ModelRequest {
        ModelRequest::new("POST", "/v1/chat/completions", body.as_bytes(), 0)
    }

    fn reply(body: &[u8]) -> ModelReply {
        let headers = [("content-type".to_owned(), "application/json".to_owned())].into();
        ModelReply { status: 200, headers, body: Body::verbatim(body), n_redactions: 0 }
    }

    fn record(exchanges: &[(&str, &str)]) -> ModelRecord {
        let mut record = ModelRecord::default();
        for (asked, answered) in exchanges {
            record.push(ModelExchange::new(request(asked), reply(answered.as_bytes())));
        }
        record
    }

    #[test]
    fn blanks_and_the_order_of_members_do_not_name_another_request() {
        let one = request(r#"{"model":"m","messages":[{"role":"user"}],"temperature":1.0}"#);
        let other = request(
            "{ \"messages\": [ {\"role\": \"user\"} ],\n\"temperature\": 1, \"model\": \"m\" }",
        );
        assert_eq!(one.sha256, other.sha256);
        for different in [
            request(r#"{"model":"n","messages":[{"role":"user"}],"temperature":1}"#),
            request(r#"{"model":"m","messages":[{"role":"User"}],"temperature":1}"#),
            ModelRequest::new("POST", "/v1/embeddings", &one.body.to_bytes(), 0),
            ModelRequest::new("PUT", "/v1/chat/completions", &one.body.to_bytes(), 0),
        ] {
            assert_ne!(one.sha256, different.sha256);
        }
    }

    #[test]
    fn what_json_would_lose_is_kept_as_text_and_told_apart() {
        let (a, b) =
            (request("{\"seed\":9007199254740993}"), request("{\"seed\":9007199254740994}"));
        assert!(matches!((&a.body, &b.body), (Body::Text(_), Body::Text(_))));
        assert_ne!(a.sha256, b.sha256);
        assert_eq!(Body::of_request(b"\xff"), Body::Base64(Base64(vec![0xff])));
        assert_eq!(Body::of_request(b""), Body::Text(String::new()));
        // The text of a body is no body that looks like it.
        assert_ne!(
            digest("POST", "/", &Body::of_request(b"{}")),
            digest("POST", "/", &Body::verbatim(b"{}"))
        );
    }

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        let mut record =
            record(&[("{\"a\":1}", "{ \"b\" : 2 }"), ("not json", "data: x\n\ndata: y\n\n")]);
        record.push(ModelExchange::new(request("[]"), reply(b"\x00\xff")));
        let again = ModelRecord::from_lines(&record.to_lines()).unwrap();
        assert_eq!(again, record);
        assert_eq!(again.exchanges()[0].reply.body.to_bytes(), b"{ \"b\" : 2 }");
        assert_eq!(again.exchanges()[2].reply.body.to_bytes(), b"\x00\xff");
        assert_eq!(again.to_lines(), record.to_lines());
    }

    #[test]
    fn a_request_that_was_changed_is_not_read() {
        let text = String::from_utf8(record(&[("{\"a\":1}", "x"), ("{\"a\":2}", "y")]).to_lines());
        let text = text.unwrap();
        let changed = text.replace("{\"a\":2}", "{\"a\":3}");
        assert_ne!(changed, text);
        let error = ModelRecord::from_lines(changed.as_bytes()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the request of line 2 has not the digest that stands beside it"
        );
        let later = text.replace("model-exchange/1", "model-exchange/2");
        let error = ModelRecord::from_lines(later.as_bytes()).unwrap_err();
        assert!(matches!(error, ModelRecordError::Format { line: 1, .. }), "{error}");
        let error = ModelRecord::from_lines(b"{}\n").unwrap_err();
        assert!(matches!(error, ModelRecordError::Form { line: 1, .. }), "{error}");
    }

    #[test]
    fn each_reply_answers_once_and_in_its_order() {
        let record = record(&[("1", "first"), ("2", "other"), ("1", "second")]);
        let mut replies = RecordedReplies::new(record);
        let mut ask = |body: &str| {
            let found = replies.take(request(body).sha256);
            found.map(|reply| String::from_utf8(reply.body.to_bytes()).unwrap())
        };
        assert_eq!(ask("2").as_deref(), Some("other"));
        assert_eq!(ask("1").as_deref(), Some("first"));
        assert_eq!(ask(" 1 ").as_deref(), Some("second"));
        assert_eq!((ask("1"), ask("3")), (None, None));
    }

    #[test]
    fn past_its_bound_a_record_keeps_what_it_has_and_says_so() {
        let mut record = record(&[("1", "kept")]);
        let large = vec![b'x'; RECORD_BYTES_MAX];
        record.push(ModelExchange::new(request("2"), reply(&large)));
        // What came after it could be small: a record with a hole would answer wrongly.
        record.push(ModelExchange::new(request("3"), reply(b"small")));
        assert!(record.is_truncated());
        assert_eq!(record.exchanges().len(), 1);
    }
}
