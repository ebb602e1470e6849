//! The accept loop.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, StatusCode,
    body::{Body as _, Bytes, Incoming},
    header::{self, HeaderMap, HeaderName, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet, time};

/// Most connections at once; more wait in the listener's queue.
pub const CONNECTIONS_MAX: usize = 256;
/// Largest body of a request, in bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Largest head of a request, in bytes; hyper asks for at least 8 KiB.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Most header lines of a request.
const HEADERS_MAX: usize = 64;
/// How long a client may take for its head, and again for its body.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long answers that are under way may take once the server is told to stop.
const FAREWELL: Duration = Duration::from_secs(5);

/// A request, read whole.
#[derive(Debug)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// Its path, without the query.
    pub path: String,
    /// Its header lines.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// What is answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Header lines besides those of the connection.
    pub headers: Vec<(HeaderName, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// An answer of plain text.
    pub fn text(status: StatusCode, text: &str) -> Answer {
        let headers = vec![(header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned())];
        Answer { status, headers, body: format!("{text}\n").into_bytes() }
    }
}

/// Answers requests; it may block, on a thread of its own.
pub type Handler = Arc<dyn Fn(Request) -> Answer + Send + Sync>;

/// Why the server ended, or never began.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address cannot be listened on.
    #[error("listen on `{address}`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The runtime could not be made.
    #[error("start the server")]
    Runtime(#[source] std::io::Error),
}

/// Listens and answers until SIGINT or SIGTERM, then lets answers under way end, for five seconds.
///
/// - `address`: port 0 is any free one.
/// - `on_listen`: told the address once connections are taken.
///
/// # Errors
///
/// [`HttpError`]; what a client does wrong ends its connection alone.
pub fn run_server(
    address: SocketAddr,
    handler: Handler,
    on_listen: impl FnOnce(SocketAddr),
) -> Result<(), HttpError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(HttpError::Runtime)?;
    runtime.block_on(async {
        let listen = |source| HttpError::Listen { address, source };
        let stop = stopped().map_err(HttpError::Runtime)?;
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        on_listen(listener.local_addr().map_err(listen)?);
        accept(listener, handler, stop).await;
        Ok(())
    })
}

/// Ends once the process is told to stop.
fn stopped() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

async fn accept(listener: TcpListener, handler: Handler, stop: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (farewell, _) = tokio::sync::watch::channel(());
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let place = Arc::clone(&places).acquire_owned();
        let accepted = async { (place.await, listener.accept().await) };
        let (place, accepted) = tokio::select! {
            () = &mut stop => break,
            accepted = accepted => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok(place) = place else { break };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, most likely: others must end first.
            time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let handler = Arc::clone(&handler);
        let mut told = farewell.subscribe();
        connections.spawn(async move {
            let _place = place;
            let service = service_fn(move |request| answer(Arc::clone(&handler), request));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .max_buf_size(HEAD_BYTES_MAX)
                .max_headers(HEADERS_MAX)
                .serve_connection(TokioIo::new(stream), service);
            let mut connection = pin!(connection);
            tokio::select! {
                ended = connection.as_mut() => drop(ended),
                _ = told.changed() => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
        });
    }
    drop(listener);
    let _ = farewell.send(());
    let _ =
        time::timeout(FAREWELL, async { while connections.join_next().await.is_some() {} }).await;
}

async fn answer(
    handler: Handler,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let answer = match read_whole(body).await {
        Err(refused) => refused,
        Ok(body) => {
            let path = head.uri.path().to_owned();
            let request = Request { method: head.method, path, headers: head.headers, body };
            // A panic of the handler costs this answer alone.
            let answered = tokio::task::spawn_blocking(move || handler(request)).await;
            let bug = |_| Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "our bug");
            answered.unwrap_or_else(bug)
        }
    };
    let mut response = hyper::Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = answer.status;
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// Reads a body within bounds of size and time, or says what is answered instead.
async fn read_whole(body: Incoming) -> Result<Bytes, Answer> {
    let too_large = || Answer::text(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large");
    // Who says beforehand that it is too much is told at once.
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(too_large());
    }
    match time::timeout(PATIENCE, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Err(_) => Err(Answer::text(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Answer::text(StatusCode::BAD_REQUEST, "the body cannot be read")),
        Ok(Ok(body)) => Ok(body.to_bytes()),
    }
}
