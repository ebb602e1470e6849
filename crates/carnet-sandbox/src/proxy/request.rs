//! Reads the head of one request to the proxy and says where it wants to go.
//!
//! Refuses whatever two programs could read in two ways: bare line ends, folded lines, two hosts, two lengths, bodies
//! of unknown length.

use carnet_core::{HostError, HostPort};

/// Bytes of a request's head at most.
pub(crate) const HEAD_BYTES_MAX: usize = 16 << 10;
/// Header lines at most.
const HEADERS_MAX: usize = 100;

/// What was asked of the proxy.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// A tunnel, in which TLS to that very host must follow.
    Connect(HostPort),
    /// One plain request.
    Plain {
        /// Where to.
        to: HostPort,
        /// What to send there instead of the head.
        head: Vec<u8>,
        /// Bytes of the body that follow.
        body_bytes: u64,
    },
}

/// Why a request goes nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("the request is malformed: {0}")]
    Malformed(&'static str),
    #[error("the host is malformed: {0}")]
    Host(#[from] HostError),
    #[error("the Host line names another host than the request")]
    HostDiffers,
    #[error("a body must come with its length")]
    Length,
}

/// A request to a server that stands here, and not elsewhere.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Direct {
    /// Its method.
    pub method: String,
    /// Its path, with the query.
    pub path: String,
    /// Its header lines, by lower-case name.
    pub headers: Vec<(String, String)>,
    /// Bytes of the body that follow.
    pub body_bytes: u64,
}

/// Reads a whole head, its last empty line included, of a request that names no host but in its Host line.
pub(crate) fn parse_direct(head: &[u8]) -> Result<Direct, RequestError> {
    let (method, target, headers) = parse_lines(head)?;
    if !target.starts_with('/') || target.contains('#') {
        return Err(RequestError::Malformed("its target is no path"));
    }
    let body_bytes = body_bytes(&headers)?;
    let headers =
        headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), (*value).to_owned()));
    Ok(Direct {
        method: method.to_owned(),
        path: target.to_owned(),
        headers: headers.collect(),
        body_bytes,
    })
}

/// Returns the length of the head in `bytes`, its last empty line included; `None` while that has not come.
pub(crate) fn head_len(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// Reads a whole head, its last empty line included.
pub(crate) fn parse(head: &[u8]) -> Result<Request, RequestError> {
    let (method, target, headers) = parse_lines(head)?;
    if method == "CONNECT" {
        let to: HostPort = target.parse()?;
        host_agrees(&headers, &to, 443)?;
        return Ok(Request::Connect(to));
    }
    plain(method, target, &headers)
}

/// Method, target and header lines.
type Lines<'a> = (&'a str, &'a str, Vec<(&'a str, &'a str)>);

fn parse_lines(head: &[u8]) -> Result<Lines<'_>, RequestError> {
    use RequestError::Malformed;
    let text = std::str::from_utf8(head).map_err(|_| Malformed("it is not UTF-8"))?;
    let text = text.strip_suffix("\r\n\r\n").ok_or(Malformed("it has no end"))?;
    let mut lines = text.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let headers: Vec<(&str, &str)> = lines.map(header).collect::<Result<_, _>>()?;
    if headers.len() > HEADERS_MAX {
        return Err(Malformed("it has too many lines"));
    }
    let words: Vec<&str> = line.split(' ').collect();
    let [method, target, "HTTP/1.1" | "HTTP/1.0"] = words[..] else {
        return Err(Malformed("its first line"));
    };
    if method.is_empty() || !method.bytes().all(is_token) {
        return Err(Malformed("its method"));
    }
    if target.is_empty() || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Malformed("its target"));
    }
    Ok((method, target, headers))
}

fn body_bytes(headers: &[(&str, &str)]) -> Result<u64, RequestError> {
    if headers.iter().any(|(name, _)| is(name, "transfer-encoding")) {
        return Err(RequestError::Length);
    }
    let mut lengths = headers.iter().filter(|(name, _)| is(name, "content-length"));
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(0),
        (Some((_, digits)), None) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().map_err(|_| RequestError::Length)
        }
        _ => Err(RequestError::Length),
    }
}

fn plain(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Request, RequestError> {
    use RequestError::Malformed;
    let scheme = target.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://"));
    let rest = &target[scheme.ok_or(Malformed("its target is not absolute"))?.len()..];
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if path.contains('#') {
        return Err(Malformed("its target has a fragment"));
    }
    let to = HostPort::parse(authority, Some(80))?;
    host_agrees(headers, &to, 80)?;
    let body_bytes = body_bytes(headers)?;
    let slash = if path.starts_with('/') { "" } else { "/" };
    let host = if to.port == 80 { to.host.to_string() } else { to.to_string() };
    let mut head = format!("{method} {slash}{path} HTTP/1.1\r\nHost: {host}\r\n");
    for (name, value) in headers.iter().filter(|(name, _)| !is_ours(name)) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    // One request to a connection, so that none goes by unseen.
    head.push_str("Connection: close\r\n\r\n");
    Ok(Request::Plain { to, head: head.into_bytes(), body_bytes })
}

/// A missing line is no other host; two are.
fn host_agrees(
    headers: &[(&str, &str)],
    to: &HostPort,
    usual_port: u16,
) -> Result<(), RequestError> {
    let mut hosts = headers.iter().filter(|(name, _)| is(name, "host"));
    let (first, second) = (hosts.next(), hosts.next());
    let agrees = match first {
        None => true,
        Some((_, value)) => {
            // Of a tunnel, many programs name the host alone.
            let port = if value.contains(':') { usual_port } else { to.port };
            let port = if usual_port == 80 { usual_port } else { port };
            HostPort::parse(value, Some(port))? == *to
        }
    };
    if agrees && second.is_none() { Ok(()) } else { Err(RequestError::HostDiffers) }
}

/// Lines that are between the command and the proxy alone, and those that the proxy writes.
fn is_ours(name: &str) -> bool {
    let names = ["host", "connection", "keep-alive", "te", "trailer", "upgrade", "http2-settings"];
    names.iter().any(|ours| is(name, ours))
        || name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("proxy-"))
}

fn is(name: &str, expected: &str) -> bool {
    name.eq_ignore_ascii_case(expected)
}

fn header(line: &str) -> Result<(&str, &str), RequestError> {
    let malformed = RequestError::Malformed("a header line");
    let (name, value) = line.split_once(':').ok_or(malformed.clone())?;
    let is_plain = |char: char| char == '\t' || !char.is_control();
    if name.is_empty() || !name.bytes().all(is_token) || !value.chars().all(is_plain) {
        return Err(malformed);
    }
    Ok((name, value.trim_matches([' ', '\t'])))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(text: &str) -> Result<Request, RequestError> {
        Ok(Request::Connect(text.parse().unwrap()))
    }

    #[test]
    fn tunnels_are_read() {
        for (head, expect) in [
            ("CONNECT a.example:443 HTTP/1.1\r\n\r\n", "a.example:443"),
            ("CONNECT A.Example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", "a.example:443"),
            ("CONNECT a.example:8443 HTTP/1.1\r\nHost: a.example\r\n\r\n", "a.example:8443"),
            ("CONNECT [2606::1]:443 HTTP/1.0\r\n\r\n", "[2606::1]:443"),
        ] {
            assert_eq!(parse(head.as_bytes()), connect(expect), "{head}");
        }
    }

    #[test]
    fn a_plain_request_is_sent_on_without_what_is_between_it_and_us() {
        let head = "POST http://a.example:8080?q=1 HTTP/1.1\r\nhost: A.example:8080\r\nProxy-Authorization: x\r\nConnection: keep-alive\r\nUpgrade: h2c\r\nContent-Length: 3\r\nAccept: */*\r\n\r\n";
        let sent = "POST /?q=1 HTTP/1.1\r\nHost: a.example:8080\r\nContent-Length: 3\r\nAccept: */*\r\nConnection: close\r\n\r\n";
        let expect = Request::Plain {
            to: "a.example:8080".parse().unwrap(),
            head: sent.as_bytes().to_vec(),
            body_bytes: 3,
        };
        assert_eq!(parse(head.as_bytes()), Ok(expect));
        let bare = parse(b"GET http://a.example HTTP/1.1\r\nHost: a.example\r\n\r\n").unwrap();
        assert!(matches!(bare, Request::Plain { to, body_bytes: 0, .. } if to.port == 80));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for head in [
            "",
            "\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
            "GET ftp://a.example/ HTTP/1.1\r\n\r\n",
            "GET https://a.example/ HTTP/1.1\r\n\r\n",
            "GET http://user@a.example/ HTTP/1.1\r\n\r\n",
            "GET http://a.example@evil.example/ HTTP/1.1\r\n\r\n",
            "GET http://a.example./ HTTP/1.1\r\n\r\n",
            "GET http://a.example\\.evil.example/ HTTP/1.1\r\n\r\n",
            "GET http://a.example/#x HTTP/1.1\r\n\r\n",
            "GET  http://a.example/ HTTP/1.1\r\n\r\n",
            "GET http://a.example/ HTTP/2\r\n\r\n",
            "G\0T http://a.example/ HTTP/1.1\r\n\r\n",
            "GET http://a.example/\0 HTTP/1.1\r\n\r\n",
            "GET http://a.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n",
            "GET http://a.example/ HTTP/1.1\r\nHost: a.example:81\r\n\r\n",
            "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n\r\n",
            "GET http://a.example/ HTTP/1.1\r\nHost : a.example\r\n\r\n",
            "GET http://a.example/ HTTP/1.1\r\n folded\r\n\r\n",
            "GET http://a.example/ HTTP/1.1\r\nA: b\nHost: b.example\r\n\r\n",
            "GET http://a.example/ HTTP/1.1\r\nA: b\rc\r\n\r\n",
            "POST http://a.example/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST http://a.example/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "POST http://a.example/ HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
            "POST http://a.example/ HTTP/1.1\r\nContent-Length: \r\n\r\n",
            "CONNECT a.example HTTP/1.1\r\n\r\n",
            "CONNECT user@a.example:443 HTTP/1.1\r\n\r\n",
            "CONNECT a.example.:443 HTTP/1.1\r\n\r\n",
            "CONNECT a.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\n",
            "CONNECT http://a.example:443 HTTP/1.1\r\n\r\n",
            "CONNECT 0x7f.1:443 HTTP/1.1\r\n\r\n",
        ] {
            assert!(parse(head.as_bytes()).is_err(), "{head:?}");
        }
        let many = format!("CONNECT a.example:443 HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(101));
        assert!(parse(many.as_bytes()).is_err());
    }

    #[test]
    fn a_head_ends_at_its_empty_line() {
        assert_eq!(head_len(b"GET / HTTP/1.1\r\n\r\nbody"), Some(18));
        assert_eq!(head_len(b"GET / HTTP/1.1\r\n"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_fall(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = parse(&[b"GET http://a.example/", bytes.as_slice(), b"\r\n\r\n"].concat());
            let _ = parse(&[b"CONNECT ", bytes.as_slice(), b" HTTP/1.1\r\n\r\n"].concat());
        }
    }
}
