//! Reads the name that a TLS client asks for from its first message (RFC 8446 §4.1.2, RFC 6066 §3).
//!
//! Refuses a hello that hides its name (encrypted hello), names two, or is no TLS at all.

use carnet_core::Host;

/// Bytes of the first flight at most.
pub(crate) const HELLO_BYTES_MAX: usize = 32 << 10;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const RECORD_BYTES_MAX: usize = 16 << 10;
const SERVER_NAME: u16 = 0;
const ENCRYPTED_HELLO: u16 = 0xfe0d;

/// What the bytes so far say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hello {
    /// The hello is not whole yet.
    Unfinished,
    /// It names this host, or none.
    Names(Option<Host>),
    /// It must not be sent on.
    Refused(&'static str),
}

/// Tells whether a hello that says `named` may go to `host`: a name must be named, an address cannot be.
pub(crate) fn agrees(named: Option<&Host>, host: &Host) -> bool {
    match host {
        Host::Name(_) => named == Some(host),
        Host::Address(_) => named.is_none(),
    }
}

/// Reads the client's first bytes.
pub(crate) fn read(bytes: &[u8]) -> Hello {
    let mut message = Vec::new();
    let mut rest = bytes;
    loop {
        let Some((&[kind, major, _, high, low], after)) = rest.split_first_chunk() else {
            let is_tls = rest.first().is_none_or(|kind| *kind == HANDSHAKE);
            return if is_tls { Hello::Unfinished } else { Hello::Refused("it is not TLS") };
        };
        let len = usize::from(u16::from_be_bytes([high, low]));
        if kind != HANDSHAKE || major != 3 || len == 0 || len > RECORD_BYTES_MAX {
            return Hello::Refused("it is not TLS");
        }
        let Some((fragment, after)) = after.split_at_checked(len) else { return Hello::Unfinished };
        message.extend_from_slice(fragment);
        if message[0] != CLIENT_HELLO {
            return Hello::Refused("it does not begin with a client's hello");
        }
        if let Some(&[_, a, b, c]) = message.first_chunk() {
            let len = u32::from_be_bytes([0, a, b, c]) as usize;
            if len > HELLO_BYTES_MAX {
                return Hello::Refused("the hello is too long");
            }
            if let Some(body) = message.get(4..4 + len) {
                return body_of(body).unwrap_or(Hello::Refused("the hello is malformed"));
            }
        }
        rest = after;
    }
}

/// `None` for what is malformed.
fn body_of(body: &[u8]) -> Option<Hello> {
    let mut body = Bytes(body);
    body.take(2 + 32)?;
    body.vector(1)?;
    body.vector(2)?;
    body.vector(1)?;
    if body.0.is_empty() {
        return Some(Hello::Names(None));
    }
    let mut extensions = Bytes(body.vector(2)?);
    if !body.0.is_empty() {
        return None;
    }
    let mut named = None;
    while !extensions.0.is_empty() {
        let kind = extensions.number()?;
        let value = extensions.vector(2)?;
        match kind {
            ENCRYPTED_HELLO => return Some(Hello::Refused("the hello hides its name")),
            SERVER_NAME if named.is_some() => return None,
            SERVER_NAME => named = Some(server_name(value)?),
            _ => {}
        }
    }
    Some(Hello::Names(named))
}

fn server_name(value: &[u8]) -> Option<Host> {
    let mut value = Bytes(value);
    let mut list = Bytes(value.vector(2)?);
    let kind = list.take(1)?;
    let name = list.vector(2)?;
    if kind != [0] || !list.0.is_empty() || !value.0.is_empty() {
        return None;
    }
    Host::parse(std::str::from_utf8(name).ok()?).ok().filter(|it| matches!(it, Host::Name(_)))
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    /// Bytes behind their length, which has one byte or two.
    fn vector(&mut self, len_bytes: usize) -> Option<&'a [u8]> {
        let len = self.take(len_bytes)?.iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
        self.take(len)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn extension(kind: u16, value: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], &(value.len() as u16).to_be_bytes(), value].concat()
    }

    fn names(names: &[&str]) -> Vec<u8> {
        let entry =
            |name: &&str| [&[0], &(name.len() as u16).to_be_bytes()[..], name.as_bytes()].concat();
        let list: Vec<u8> = names.iter().flat_map(entry).collect();
        extension(0, &[&(list.len() as u16).to_be_bytes()[..], &list].concat())
    }

    fn message(extensions: &[u8]) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0x13, 1, 1, 0]);
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
        let mut message = vec![1, 0];
        message.extend((body.len() as u16).to_be_bytes());
        message.extend(body);
        message
    }

    fn records(message: &[u8], size: usize) -> Vec<u8> {
        let record =
            |part: &[u8]| [&[22, 3, 1][..], &(part.len() as u16).to_be_bytes(), part].concat();
        message.chunks(size).flat_map(record).collect()
    }

    /// A hello that asks for `name`.
    pub(crate) fn hello(name: &str) -> Vec<u8> {
        records(&message(&names(&[name])), 16 << 10)
    }

    fn host(name: &str) -> Host {
        Host::parse(name).unwrap()
    }

    #[test]
    fn the_name_is_found_however_the_hello_is_cut() {
        let message = message(&[extension(43, &[2, 3, 4]), names(&["A.example"])].concat());
        for size in [1, 7, 4096] {
            let whole = records(&message, size);
            assert_eq!(read(&whole), Hello::Names(Some(host("a.example"))));
            for len in 0..whole.len() {
                assert_eq!(read(&whole[..len]), Hello::Unfinished, "{size} {len}");
            }
        }
        assert_eq!(read(&records(&super::tests::message(&[]), 99)), Hello::Names(None));
    }

    #[test]
    fn what_hides_its_name_or_is_no_hello_is_refused() {
        let refused = |bytes: &[u8]| matches!(read(bytes), Hello::Refused(_));
        assert!(refused(b"SSH-2.0-x"));
        assert!(refused(b"GET / HTTP/1.1\r\n"));
        assert!(refused(&[22, 3, 1, 0, 0]));
        assert!(refused(&[22, 3, 1, 0, 1, 2]));
        assert!(refused(&[22, 3, 1, 0, 4, 1, 255, 0, 0]));
        let of = |extensions: &[u8]| records(&message(extensions), 9999);
        assert!(refused(&of(&extension(ENCRYPTED_HELLO, &[0]))));
        assert!(refused(&of(&[names(&["a.example"]), names(&["b.example"])].concat())));
        assert!(refused(&of(&names(&["a.example", "b.example"]))));
        assert!(refused(&of(&names(&["a.example."]))));
        assert!(refused(&of(&names(&["a.example\0b"]))));
        assert!(refused(&of(&names(&["127.0.0.1"]))));
        assert!(refused(&of(&names(&[""]))));
        assert!(refused(&of(&[0, 0, 0, 9])));
    }

    #[test]
    fn a_name_must_be_named_and_an_address_cannot_be() {
        let (name, address) = (host("a.example"), host("192.0.2.1"));
        assert!(agrees(Some(&name), &name) && agrees(None, &address));
        assert!(!agrees(None, &name) && !agrees(Some(&host("b.example")), &name));
        assert!(!agrees(Some(&name), &address));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_fall(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = read(&bytes);
            let _ = read(&records(&message(&bytes), 64));
        }
    }
}
