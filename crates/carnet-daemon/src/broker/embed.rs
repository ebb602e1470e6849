//! Vectors of texts from an endpoint of OpenAI's form, `/embeddings`, for the code index.
//!
//! What it answers is believed only when it is as many vectors as were asked, each as long as was said, of finite numbers, in one
//! reply within the bound of replies. Texts must have been looked through before. Redirects are not followed.

use std::time::Duration;

use carnet_policy::broker::Provider;
use serde_json::{Value, json};

use super::upstream::{Attempt, Clients, attempt};

/// An endpoint that embeds.
#[derive(Clone)]
pub struct Embedder {
    /// Where its API begins: `http://127.0.0.1:8080/v1`.
    pub base_url: String,
    /// The model's name as the endpoint writes it.
    pub model: String,
    /// Its key, where it asks for one.
    pub key: Option<String>,
    /// How many numbers a vector has.
    pub dimension: usize,
    /// How long one request may take.
    pub timeout: Duration,
}

impl std::fmt::Debug for Embedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Embedder({} at {})", self.model, self.base_url)
    }
}

/// Why there are no vectors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmbedError {
    /// The endpoint says that the request is wrong.
    #[error("the endpoint refused the request with {status}: {message}")]
    Refused {
        /// The status.
        status: u16,
        /// What it says.
        message: String,
    },
    /// It did not answer.
    #[error("the endpoint did not answer: {why}")]
    Away {
        /// Why.
        why: String,
        /// What it asked to wait, in milliseconds.
        retry_after_ms: Option<u64>,
        /// Whether it may answer when it is asked again.
        is_passing: bool,
    },
    /// Another number of vectors than of texts.
    #[error("the endpoint answered {found} vectors to {asked} texts")]
    Count {
        /// Texts.
        asked: usize,
        /// Vectors.
        found: usize,
    },
    /// A vector of another length.
    #[error("the endpoint's vectors have {found} numbers, not {expected}")]
    Dimension {
        /// What was said.
        expected: usize,
        /// What came.
        found: usize,
    },
    /// A vector that points nowhere, or holds what is no finite number.
    #[error(
        "the endpoint answered a vector that is none: a number that is not finite, or nothing but zeros"
    )]
    NoVector,
    /// The client could not be made.
    #[error("prepare to ask: {0}")]
    Prepare(String),
}

impl Embedder {
    /// Asks for the vectors of texts; each comes back with length 1.
    ///
    /// # Errors
    ///
    /// [`EmbedError`]; no vector is given where one of them does not hold.
    pub fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let prepared = |error: &dyn std::error::Error| EmbedError::Prepare(error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| prepared(&error))?;
        let clients = Clients::new().map_err(|error| prepared(&error))?;
        let body = json!({ "model": self.model, "input": texts, "encoding_format": "float" });
        let provider: Provider = serde_json::from_value(json!({
            "api": "openai",
            "base_url": self.base_url.trim_end_matches('/'),
            "local": is_local(&self.base_url),
        }))
        .expect("because it is the form of a provider");
        let key = self.key.as_deref();
        let asked = attempt(&clients, &provider, key, &body, true, self.timeout);
        match runtime.block_on(asked) {
            Attempt::Reply(reply) => read(&reply, texts.len(), self.dimension),
            Attempt::Wrong(status, message) => Err(EmbedError::Refused { status, message }),
            Attempt::Failed(failure) => Err(EmbedError::Away {
                why: failure.why,
                retry_after_ms: failure.retry_after_ms,
                is_passing: failure.is_passing,
            }),
            Attempt::Stream(_) => Err(EmbedError::Count { asked: texts.len(), found: 0 }),
        }
    }
}

/// Tells whether an address is one of this machine: no proxy is asked for it.
fn is_local(base_url: &str) -> bool {
    let rest = base_url.split_once("://").map_or(base_url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host =
        if host.starts_with('[') { host } else { host.split(':').next().unwrap_or_default() };
    host == "localhost"
        || host.starts_with("[::1]")
        || host.parse::<std::net::Ipv4Addr>().is_ok_and(|it| it.is_loopback())
}

fn read(reply: &Value, asked: usize, dimension: usize) -> Result<Vec<Vec<f32>>, EmbedError> {
    let data = reply["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    if data.len() != asked {
        return Err(EmbedError::Count { asked, found: data.len() });
    }
    let mut vectors = vec![None; asked];
    for (at, item) in data.iter().enumerate() {
        let at = item["index"].as_u64().map_or(at, |it| usize::try_from(it).unwrap_or(asked));
        let numbers = item["embedding"].as_array().map(Vec::as_slice).unwrap_or_default();
        if numbers.len() != dimension {
            return Err(EmbedError::Dimension { expected: dimension, found: numbers.len() });
        }
        let vector: Vec<f32> =
            numbers.iter().map(|it| it.as_f64().map_or(f32::NAN, |it| it as f32)).collect();
        let length = vector.iter().map(|it| it * it).sum::<f32>().sqrt();
        if !length.is_finite() || length < 1e-6 {
            return Err(EmbedError::NoVector);
        }
        let place = vectors.get_mut(at).ok_or(EmbedError::Count { asked, found: at })?;
        *place = Some(vector.iter().map(|it| it / length).collect());
    }
    let found = vectors.iter().flatten().count();
    vectors.into_iter().collect::<Option<_>>().ok_or(EmbedError::Count { asked, found })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Result<Vec<Vec<f32>>, EmbedError> {
        read(&serde_json::from_str(text).unwrap(), 2, 2)
    }

    #[test]
    fn vectors_come_in_the_order_of_their_texts_with_length_one() {
        let text = r#"{"data":[{"index":1,"embedding":[0,2]},{"index":0,"embedding":[3,4]}]}"#;
        assert_eq!(reply(text).unwrap(), [[0.6, 0.8], [0.0, 1.0]]);
        let text = r#"{"data":[{"embedding":[1,0]},{"embedding":[0,1]}]}"#;
        assert_eq!(reply(text).unwrap(), [[1.0, 0.0], [0.0, 1.0]]);
    }

    #[test]
    fn what_is_no_answer_is_refused_whole() {
        let count = |found| Err(EmbedError::Count { asked: 2, found });
        assert_eq!(reply(r#"{"data":[{"embedding":[1,0]}]}"#), count(1));
        assert_eq!(reply(r#"{"error":"x"}"#), count(0));
        let twice = r#"{"data":[{"index":0,"embedding":[1,0]},{"index":0,"embedding":[1,0]}]}"#;
        assert_eq!(reply(twice), count(1));
        let far = r#"{"data":[{"index":9,"embedding":[1,0]},{"index":0,"embedding":[1,0]}]}"#;
        assert_eq!(reply(far), count(9));
        let long = r#"{"data":[{"embedding":[1,0,0]},{"embedding":[1,0]}]}"#;
        assert_eq!(reply(long), Err(EmbedError::Dimension { expected: 2, found: 3 }));
        for bad in ["null,1", "1e999,1", "0,0", "\"1\",1"] {
            let text = format!(r#"{{"data":[{{"embedding":[{bad}]}},{{"embedding":[1,0]}}]}}"#);
            let Ok(value) = serde_json::from_str(&text) else { continue };
            assert_eq!(read(&value, 2, 2), Err(EmbedError::NoVector), "{bad}");
        }
    }

    #[test]
    fn addresses_of_this_machine_are_known() {
        assert!(is_local("http://127.0.0.1:8080/v1") && is_local("http://localhost:1/v1"));
        assert!(is_local("http://[::1]:80/v1"));
        assert!(!is_local("https://127.example.org/v1") && !is_local("https://localhost.evil/v1"));
        assert!(!is_local("https://api.example.org/v1"));
    }
}
