//! Accepts connections and turns lines into requests. Every line, wait and count has a bound.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};

use crate::{
    protocol::{Answer, LINE_BYTES_MAX, Request, from_line, to_line},
    socket::own_uid,
    work::chain,
};

/// Most connections served at once.
pub(crate) const CONNECTIONS_MAX: usize = 256;
/// How long a request may take to arrive, and an answer to be taken.
const LINE_TIME: Duration = Duration::from_secs(30);
/// How long to wait before accepting again when the system is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A request on its way to the loop.
pub(crate) struct Inbound {
    pub request: Request,
    pub reply: oneshot::Sender<Reply>,
}

/// An answer, and a token that is dropped once it is written: the loop ends after the last of them.
pub(crate) type Reply = (Answer, mpsc::Sender<()>);

/// Accepts connections until the loop ends.
pub(crate) async fn accept_all(listener: UnixListener, inbox: mpsc::Sender<Inbound>) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        if !is_welcome(&stream) {
            continue;
        }
        let (inbox, seat) = (inbox.clone(), Arc::clone(&seats).try_acquire_owned());
        let Ok(seat) = seat else {
            // Not awaited: a client that takes nothing must not hold up the others.
            let error = format!("{CONNECTIONS_MAX} connections are open already");
            let _ = stream.try_write(&to_line(&Answer::Refused { error }));
            continue;
        };
        // A panic in there ends that task, and with it one connection.
        tokio::spawn(async move {
            serve(stream, inbox).await;
            drop(seat);
        });
    }
}

/// Tells whether the other end is this user or root.
fn is_welcome(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own_uid() || peer.uid() == 0)
}

async fn serve(stream: UnixStream, inbox: mpsc::Sender<Inbound>) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    while let Some(line) = read_line(&mut reader).await {
        let (answer, writing) = match line {
            Ok(line) => match from_line(&line) {
                Ok(request) => {
                    let Some((answer, writing)) = ask(&inbox, request).await else { return };
                    (answer, Some(writing))
                }
                Err(err) => (Answer::Refused { error: chain(&err) }, None),
            },
            Err(error) => {
                write_line(&mut writer, &Answer::Refused { error }).await;
                return;
            }
        };
        if !write_line(&mut writer, &answer).await {
            return;
        }
        drop(writing);
    }
}

/// `None` when the loop ends without an answer.
async fn ask(inbox: &mpsc::Sender<Inbound>, request: Request) -> Option<Reply> {
    let (reply, answer) = oneshot::channel();
    inbox.send(Inbound { request, reply }).await.ok()?;
    answer.await.ok()
}

/// Reads a line; `None` at the end, after an error, or when the time is over.
async fn read_line(reader: &mut BufReader<OwnedReadHalf>) -> Option<Result<Vec<u8>, String>> {
    let mut line = Vec::new();
    let mut bounded = reader.take(LINE_BYTES_MAX as u64);
    let n_read = timeout(LINE_TIME, bounded.read_until(b'\n', &mut line)).await.ok()?.ok()?;
    match line.last() {
        Some(b'\n') => Some(Ok(line)),
        _ if n_read == LINE_BYTES_MAX => {
            Some(Err(format!("a line has at most {LINE_BYTES_MAX} bytes")))
        }
        _ => None,
    }
}

async fn write_line(writer: &mut OwnedWriteHalf, answer: &Answer) -> bool {
    let line = to_line(answer);
    matches!(timeout(LINE_TIME, writer.write_all(&line)).await, Ok(Ok(())))
}
