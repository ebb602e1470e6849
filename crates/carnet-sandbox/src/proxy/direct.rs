//! One request at a [`Door`](crate::Door), read whole and within bounds, and its answer.

use std::{
    io::{self, Write},
    net::TcpStream,
};

use super::{
    request::{self, HEAD_BYTES_MAX},
    serve::{Refused, read_until},
};
use crate::{DoorAnswer, DoorReply, DoorRequest};

/// Bytes of a request's body at most.
const BODY_BYTES_MAX: usize = 16 << 20;

/// Answers what `client` asks; `Ok(false)` where it asked for nothing.
pub(super) fn serve(client: &mut TcpStream, answer: &DoorAnswer) -> Result<bool, Refused> {
    let bad = |why: String| Refused("400 Bad Request", why);
    let mut buffer = Vec::new();
    let has_head = |bytes: &[u8]| request::head_len(bytes).is_some();
    read_until(client, &mut buffer, HEAD_BYTES_MAX, has_head);
    let Some(len) = request::head_len(&buffer) else {
        // Whoever only looked whether someone listens has asked for nothing.
        return if buffer.is_empty() {
            Ok(false)
        } else {
            Err(bad("a request whose head did not come".to_owned()))
        };
    };
    let mut body = buffer.split_off(len);
    let head = request::parse_direct(&buffer).map_err(|error| bad(error.to_string()))?;
    let body_bytes = usize::try_from(head.body_bytes).unwrap_or(usize::MAX);
    if body_bytes > BODY_BYTES_MAX {
        let why = format!("a body of more than {BODY_BYTES_MAX} bytes");
        return Err(Refused("413 Content Too Large", why));
    }
    let expects = |(name, value): &(String, String)| {
        name == "expect" && value.eq_ignore_ascii_case("100-continue")
    };
    if body.len() < body_bytes && head.headers.iter().any(expects) {
        let _ = client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
    }
    if !read_until(client, &mut body, body_bytes, |bytes| bytes.len() >= body_bytes) {
        return Err(bad("a request whose body did not come".to_owned()));
    }
    body.truncate(body_bytes);
    let request = DoorRequest { method: head.method, path: head.path, headers: head.headers, body };
    // What breaks from here on is the command's to see.
    let _ = write(client, &answer(request));
    Ok(true)
}

fn write(client: &mut TcpStream, reply: &DoorReply) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {} {}\r\n", reply.status, reason(reply.status));
    let is_plain = |text: &str| !text.contains(['\r', '\n', '\0']);
    for (name, value) in
        reply.headers.iter().filter(|(name, value)| is_plain(name) && is_plain(value))
    {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\nconnection: close\r\n\r\n", reply.body.len()));
    client.write_all(head.as_bytes())?;
    client.write_all(&reply.body)
}

/// The words that go with a status; nothing obeys them.
fn reason(status: u16) -> &'static str {
    if (200..300).contains(&status) { "OK" } else { "Not OK" }
}
