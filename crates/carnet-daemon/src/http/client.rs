//! One request over plain HTTP to a server on this machine.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time};

/// How long connecting may take.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long an answer may take, its body included: models think.
const ANSWER_MAX: Duration = Duration::from_secs(600);
/// Largest body of an answer, in bytes.
const BODY_BYTES_MAX: usize = 16 << 20;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Its method.
    pub method: String,
    /// Its path, with the query.
    pub path: String,
    /// Header lines besides those of the connection.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// Its header lines, by lower-case name; those that are no text are left out.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody took the connection.
    #[error("connect to `{address}`: {source}")]
    Connect {
        /// Where.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The request cannot be said in HTTP.
    #[error("the request cannot be sent: {0}")]
    Request(#[from] hyper::http::Error),
    /// The conversation broke.
    #[error("`{address}` broke off: {source}")]
    Broken {
        /// Where.
        address: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It took too long.
    #[error("`{address}` did not answer in {} s", .after.as_secs())]
    Late {
        /// Where.
        address: String,
        /// How long was waited.
        after: Duration,
    },
    /// The runtime could not be made.
    #[error("prepare to ask: {0}")]
    Runtime(std::io::Error),
}

/// Asks a server, and returns its answer whole.
///
/// - `address`: `127.0.0.1:8080`.
///
/// # Errors
///
/// [`AskError`]; an answer of any status is none.
pub fn ask(address: &str, request: Outgoing) -> Result<Answered, AskError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(AskError::Runtime)?;
    let late = |after| move |_| AskError::Late { address: address.to_owned(), after };
    runtime.block_on(async {
        let connecting = time::timeout(CONNECT_MAX, TcpStream::connect(address));
        let connected = connecting.await.map_err(late(CONNECT_MAX))?;
        let stream = connected
            .map_err(|source| AskError::Connect { address: address.to_owned(), source })?;
        time::timeout(ANSWER_MAX, converse(address, stream, request))
            .await
            .map_err(late(ANSWER_MAX))?
    })
}

async fn converse(
    address: &str,
    stream: TcpStream,
    request: Outgoing,
) -> Result<Answered, AskError> {
    let broken = |source| AskError::Broken { address: address.to_owned(), source };
    let mut made = hyper::Request::builder()
        .method(request.method.as_str())
        .uri(&request.path)
        .header("host", address)
        .header("connection", "close");
    for (name, value) in &request.headers {
        made = made.header(name, value);
    }
    let made = made.body(Full::new(Bytes::from(request.body)))?;
    let hands = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = hands.map_err(|error| broken(error.into()))?;
    let carrying = tokio::spawn(connection);
    let answer = sender.send_request(made).await.map_err(|error| broken(error.into()))?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(broken)?.to_bytes();
    carrying.abort();
    let headers = head.headers.iter().filter_map(|(name, value)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    });
    Ok(Answered { status: head.status.as_u16(), headers: headers.collect(), body: body.to_vec() })
}
