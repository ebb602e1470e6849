//! The accept loop.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, StatusCode,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    header::{self, HeaderMap, HeaderName, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time,
};

/// Most connections at once; more wait in the listener's queue.
pub const CONNECTIONS_MAX: usize = 256;
/// Largest body of a request, in bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a body that is too large which are read all the same, so that its client hears the answer.
const DISCARDED_BYTES_MAX: usize = 256 * 1024 * 1024;
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

/// An answer whose body may still come while it is sent.
#[derive(Debug)]
pub struct Streamed {
    /// The status.
    pub status: StatusCode,
    /// Header lines besides those of the connection.
    pub headers: Vec<(HeaderName, String)>,
    /// The body.
    pub body: StreamedBody,
}

/// A body that is whole, or comes in pieces; it ends when the sender is dropped.
#[derive(Debug)]
pub enum StreamedBody {
    /// All of it.
    Whole(Full<Bytes>),
    /// Its pieces, as they come.
    Pieces(mpsc::Receiver<Bytes>),
}

impl From<Answer> for Streamed {
    fn from(answer: Answer) -> Streamed {
        let Answer { status, headers, body } = answer;
        Streamed { status, headers, body: StreamedBody::Whole(Full::new(Bytes::from(body))) }
    }
}

impl Body for StreamedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            StreamedBody::Whole(whole) => Pin::new(whole).poll_frame(context),
            StreamedBody::Pieces(pieces) => {
                pieces.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            StreamedBody::Whole(whole) => whole.size_hint(),
            StreamedBody::Pieces(_) => SizeHint::default(),
        }
    }
}

/// Answers requests without blocking.
pub type StreamHandler =
    Arc<dyn Fn(Request) -> Pin<Box<dyn Future<Output = Streamed> + Send>> + Send + Sync>;

/// How much a server takes.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections at once.
    pub connections: usize,
    /// Bytes of a request's body.
    pub body_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { connections: CONNECTIONS_MAX, body_bytes: BODY_BYTES_MAX }
    }
}

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
    let answer: StreamHandler = Arc::new(move |request| {
        let handler = Arc::clone(&handler);
        // A panic of the handler costs this answer alone.
        let answered = tokio::task::spawn_blocking(move || handler(request));
        let bug = |_| Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "our bug");
        Box::pin(async move { answered.await.unwrap_or_else(bug).into() })
    });
    run_stream_server(address, Bounds::default(), answer, on_listen)
}

/// The same for answers that come while they are sent.
///
/// # Errors
///
/// [`HttpError`].
pub fn run_stream_server(
    address: SocketAddr,
    bounds: Bounds,
    handler: StreamHandler,
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
        accept(listener, bounds, handler, stop).await;
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

async fn accept(
    listener: TcpListener,
    bounds: Bounds,
    handler: StreamHandler,
    stop: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(bounds.connections));
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
            let service = service_fn(move |request| answer(Arc::clone(&handler), bounds, request));
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
    handler: StreamHandler,
    bounds: Bounds,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<StreamedBody>, Infallible> {
    let (head, body) = request.into_parts();
    let answer = match read_whole(body, bounds.body_bytes).await {
        Err(refused) => refused.into(),
        Ok(body) => {
            let path = head.uri.path().to_owned();
            let request = Request { method: head.method, path, headers: head.headers, body };
            handler(request).await
        }
    };
    let mut response = hyper::Response::new(answer.body);
    *response.status_mut() = answer.status;
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// Reads a body within bounds of size and time, or says what is answered instead.
async fn read_whole(body: Incoming, bytes_max: usize) -> Result<Bytes, Answer> {
    match time::timeout(PATIENCE, collected(body, bytes_max)).await {
        Err(_) => Err(Answer::text(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
        Ok(Err(_)) => Err(Answer::text(StatusCode::BAD_REQUEST, "the body cannot be read")),
        Ok(Ok(Some(body))) => Ok(body),
        Ok(Ok(None)) => Err(Answer::text(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large")),
    }
}

/// Reads a body; `None` for one that is too large, at once where it says so beforehand. The rest of such a one is read beside
/// the answer and kept nowhere, for many a client listens only once it has said all.
async fn collected(mut body: Incoming, bytes_max: usize) -> Result<Option<Bytes>, hyper::Error> {
    let mut whole = Vec::new();
    let mut is_too_large = body.size_hint().lower() > bytes_max as u64;
    while !is_too_large && let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        is_too_large = whole.len() + data.len() > bytes_max;
        whole.extend_from_slice(&data);
    }
    if is_too_large {
        drop(tokio::spawn(discard(body)));
        return Ok(None);
    }
    Ok(Some(Bytes::from(whole)))
}

/// Reads what comes, until there is too much of it, or nothing for a while.
async fn discard(mut body: Incoming) {
    let mut n_bytes = 0;
    while n_bytes < DISCARDED_BYTES_MAX
        && let Ok(Some(Ok(frame))) = time::timeout(FAREWELL, body.frame()).await
    {
        n_bytes += frame.data_ref().map_or(0, Bytes::len);
    }
}
