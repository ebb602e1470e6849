//! The proxy's deeds: takes connections, dials, carries bytes, counts.
//!
//! Invariants: a name is resolved once, and what is dialled is an address that was examined; not a byte is
//! sent before the request, and in a tunnel the TLS hello, agree with it; every wait, buffer and number of connections has
//! a bound; when [`Proxy::finish`] returns, every connection is shut.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use carnet_core::{Host, HostPort};

use super::{
    direct,
    hello::{self, HELLO_BYTES_MAX, Hello},
    request::{self, HEAD_BYTES_MAX, Request},
};
use crate::{Door, DoorAnswer, Network};

/// Connections at once; more are told to come back.
const CONNECTIONS_MAX: usize = 64;
/// Time for a request's head, and again for the hello.
const HEAD_TIME_MAX: Duration = Duration::from_secs(15);
/// Time for one address to answer.
const DIAL_TIME_MAX: Duration = Duration::from_secs(10);
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;
/// Time without a byte in either direction.
const IDLE_MAX: Duration = Duration::from_secs(120);
/// Bytes in both directions of all connections together.
const BYTES_MAX: u64 = 16 << 30;
/// Refusals that are told one by one.
const REFUSALS_TOLD_MAX: usize = 8;
/// Bytes carried at once.
const TURN_BYTES: usize = 32 << 10;

/// What went through, and what did not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Traffic {
    /// By host: connections, bytes sent, bytes received.
    pub hosts: BTreeMap<HostPort, (u64, u64, u64)>,
    /// Refusals in their order, the first of them.
    pub refusals: Vec<String>,
    /// All refusals.
    pub n_refused: u64,
    /// Requests that a door answered.
    pub n_answered: u64,
}

impl Traffic {
    /// Returns one line for the receipt.
    pub fn describe(&self, network: &Network) -> String {
        let named: Vec<String> = network.hosts().iter().map(HostPort::to_string).collect();
        let mut text = format!("a proxy of the supervisor lets through {}", named.join(" "));
        for (host, (n_connections, sent, received)) in &self.hosts {
            text.push_str(&format!(
                "; {host}: {n_connections} connections, {sent} bytes sent, {received} received"
            ));
        }
        text + &self.describe_refusals()
    }

    /// Returns the same for a door.
    pub fn describe_door(&self, door: &Door) -> String {
        let n_answered = self.n_answered;
        let text =
            format!("the supervisor answers at 127.0.0.1:{}: {n_answered} requests", door.port);
        text + &self.describe_refusals()
    }

    fn describe_refusals(&self) -> String {
        let mut text = String::new();
        if self.n_refused > 0 {
            let told = self.refusals.join(", ");
            text.push_str(&format!("; refused {}: {told}", self.n_refused));
        }
        text
    }
}

/// A running proxy.
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    listener: TcpListener,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    network: Network,
    /// What answers, where this is a door and no proxy.
    door: Option<DoorAnswer>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    is_closing: bool,
    /// Both ends of each connection, so that they can be shut from outside.
    open: BTreeMap<u64, Vec<TcpStream>>,
    next_id: u64,
    n_bytes: u64,
    traffic: Traffic,
}

/// Why a connection was not made: an HTTP status, and what the receipt says.
pub(super) struct Refused(pub(super) &'static str, pub(super) String);

impl Proxy {
    /// Begins to serve connections of `listener`, which the run's first process has bound.
    pub fn start(listener: OwnedFd, network: Network) -> io::Result<Proxy> {
        Proxy::serve(listener, network, None)
    }

    /// Begins to answer at a door.
    pub fn start_door(listener: OwnedFd, door: &Door) -> io::Result<Proxy> {
        Proxy::serve(listener, Network::default(), Some(Arc::clone(&door.answer)))
    }

    fn serve(listener: OwnedFd, network: Network, door: Option<DoorAnswer>) -> io::Result<Proxy> {
        let listener = TcpListener::from(listener);
        let shared = Arc::new(Shared { network, door, state: Mutex::default() });
        let (taken, state) = (listener.try_clone()?, Arc::clone(&shared));
        let accepting = thread::Builder::new()
            .name("proxy".to_owned())
            .spawn(move || accept(&taken, &state))?;
        Ok(Proxy { shared, listener, accepting: Some(accepting) })
    }

    /// Shuts every connection and returns what went through.
    pub fn finish(mut self) -> Traffic {
        self.close();
        self.shared.state().traffic.clone()
    }

    fn close(&mut self) {
        self.shared.state().is_closing = true;
        // A listener that is shut wakes whoever waits on it.
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        for stream in self.shared.state().open.values().flatten() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts bytes about to be carried; `false` where no more may be.
    fn count(&self, to: &HostPort, n_bytes: usize, is_sent: bool) -> bool {
        let mut state = self.state();
        state.n_bytes += n_bytes as u64;
        if state.n_bytes > BYTES_MAX || state.is_closing {
            return false;
        }
        let (_, sent, received) = state.traffic.hosts.entry(to.clone()).or_default();
        *(if is_sent { sent } else { received }) += n_bytes as u64;
        true
    }

    fn refused(&self, why: &str) {
        let mut state = self.state();
        state.traffic.n_refused += 1;
        if state.traffic.refusals.len() < REFUSALS_TOLD_MAX {
            state.traffic.refusals.push(why.to_owned());
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((mut client, _)) = listener.accept() {
        let mut state = shared.state();
        if state.is_closing {
            return;
        }
        let Ok(kept) = client.try_clone() else { continue };
        if state.open.len() >= CONNECTIONS_MAX {
            drop(state);
            let _ = client.set_write_timeout(Some(Duration::from_millis(100)));
            let _ = answer(&mut client, "503 Service Unavailable", "too many connections at once");
            continue;
        }
        let id = state.next_id;
        state.next_id += 1;
        state.open.insert(id, vec![kept]);
        drop(state);
        let serving = Arc::clone(shared);
        let serve = move || {
            serve(&serving, id, client);
            serving.state().open.remove(&id);
        };
        if thread::Builder::new().name("proxy".to_owned()).spawn(serve).is_err() {
            shared.state().open.remove(&id);
        }
    }
}

fn serve(shared: &Shared, id: u64, mut client: TcpStream) {
    if let Err(Refused(status, why)) = try_serve(shared, id, &mut client) {
        shared.refused(&why);
        let _ = answer(&mut client, status, &why);
    }
    let _ = client.shutdown(Shutdown::Both);
}

fn try_serve(shared: &Shared, id: u64, client: &mut TcpStream) -> Result<(), Refused> {
    if let Some(door) = &shared.door {
        let has_asked = direct::serve(client, door)?;
        shared.state().traffic.n_answered += u64::from(has_asked);
        return Ok(());
    }
    let bad = |why: String| Refused("400 Bad Request", why);
    let mut buffer = Vec::new();
    let whole =
        read_until(client, &mut buffer, HEAD_BYTES_MAX, |bytes| request::head_len(bytes).is_some());
    let len = match request::head_len(&buffer) {
        Some(len) if whole => len,
        // Whoever only looked whether someone listens has asked for nothing.
        _ if buffer.is_empty() => return Ok(()),
        _ => return Err(bad("a request whose head did not come".to_owned())),
    };
    let rest = buffer.split_off(len);
    let request = request::parse(&buffer).map_err(|error| bad(error.to_string()))?;
    match request {
        Request::Plain { to, head, body_bytes } => {
            let mut server = dial(shared, id, &to)?;
            let exchanged = send(shared, &to, &mut server, &head).and_then(|()| {
                let n_here = usize::try_from(body_bytes).unwrap_or(usize::MAX).min(rest.len());
                send(shared, &to, &mut server, &rest[..n_here])?;
                let left = body_bytes - n_here as u64;
                carry_both(shared, &to, client, &server, left)
            });
            // What breaks from here on is the command's to see, not a refusal.
            drop(exchanged);
            Ok(())
        }
        Request::Connect(to) => tunnel(shared, id, client, &to, rest),
    }
}

fn tunnel(
    shared: &Shared,
    id: u64,
    client: &mut TcpStream,
    to: &HostPort,
    mut first: Vec<u8>,
) -> Result<(), Refused> {
    let mut server = dial(shared, id, to)?;
    // The server has seen nothing yet; the client says its hello only after this.
    if client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").is_err() {
        return Ok(());
    }
    let is_read = |bytes: &[u8]| hello::read(bytes) != Hello::Unfinished;
    if !is_read(&first) {
        read_until(client, &mut first, HELLO_BYTES_MAX, is_read);
    }
    let why = match hello::read(&first) {
        Hello::Names(named) if hello::agrees(named.as_ref(), &to.host) => None,
        Hello::Names(Some(named)) => Some(format!("{to}: the hello names {named}")),
        Hello::Names(None) => Some(format!("{to}: the hello names no host")),
        Hello::Unfinished => Some(format!("{to}: no whole TLS hello came")),
        Hello::Refused(why) => Some(format!("{to}: {why}")),
    };
    if let Some(why) = why {
        // An answer now would be taken for the server's.
        shared.refused(&why);
        return Ok(());
    }
    if send(shared, to, &mut server, &first).is_ok() {
        let _ = carry_both(shared, to, client, &server, u64::MAX);
    }
    Ok(())
}

/// Resolves `to` once and connects to an address of it that was examined.
fn dial(shared: &Shared, id: u64, to: &HostPort) -> Result<TcpStream, Refused> {
    let forbidden = |why: &str| Refused("403 Forbidden", format!("{to}: {why}"));
    if !shared.network.allows(to) {
        return Err(forbidden("not named by the lane"));
    }
    let unreachable = |error: io::Error| Refused("502 Bad Gateway", format!("{to}: {error}"));
    let resolve = |name: &str| -> io::Result<Vec<IpAddr>> {
        Ok((name, to.port).to_socket_addrs()?.map(|address| address.ip()).collect())
    };
    let allowed = allowed_addresses(&shared.network, &to.host, resolve).map_err(unreachable)?;
    let mut failure = forbidden("its address is not a public one");
    for address in allowed.into_iter().take(ADDRESSES_MAX) {
        let dialled = TcpStream::connect_timeout(&SocketAddr::new(address, to.port), DIAL_TIME_MAX);
        match dialled.and_then(|server| Ok((server.try_clone()?, server))) {
            Ok((kept, server)) => {
                let mut state = shared.state();
                if state.is_closing {
                    return Err(forbidden("the run is over"));
                }
                state.open.entry(id).or_default().push(kept);
                state.traffic.hosts.entry(to.clone()).or_default().0 += 1;
                return Ok(server);
            }
            Err(error) => failure = unreachable(error),
        }
    }
    Err(failure)
}

/// Returns the addresses of `host` that may be dialled. A name is asked for once, as the type of `resolve` has it: what
/// it answers the next time is never heard.
fn allowed_addresses(
    network: &Network,
    host: &Host,
    resolve: impl FnOnce(&str) -> io::Result<Vec<IpAddr>>,
) -> io::Result<Vec<IpAddr>> {
    let mut addresses = match host {
        Host::Address(address) => vec![*address],
        Host::Name(name) => resolve(name.as_str())?,
    };
    addresses.retain(|address| network.allows_address(*address));
    Ok(addresses)
}

/// Reads until `is_enough`; false at the end of the stream, of the time or of the room.
pub(super) fn read_until(
    from: &mut TcpStream,
    buffer: &mut Vec<u8>,
    bytes_max: usize,
    is_enough: impl Fn(&[u8]) -> bool,
) -> bool {
    let deadline = Instant::now() + HEAD_TIME_MAX;
    let mut chunk = [0; 4096];
    while !is_enough(buffer) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || buffer.len() >= bytes_max {
            return false;
        }
        if from.set_read_timeout(Some(left)).is_err() {
            return false;
        }
        match from.read(&mut chunk) {
            Ok(0) => return false,
            Ok(n_read) => buffer.extend_from_slice(&chunk[..n_read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    true
}

fn send(shared: &Shared, to: &HostPort, server: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    server.set_write_timeout(Some(IDLE_MAX))?;
    if !shared.count(to, bytes.len(), true) {
        return Err(io::ErrorKind::QuotaExceeded.into());
    }
    server.write_all(bytes)
}

/// Carries bytes both ways until both have ended, `to_server_max` at most to the server.
fn carry_both(
    shared: &Shared,
    to: &HostPort,
    client: &TcpStream,
    server: &TcpStream,
    to_server_max: u64,
) -> io::Result<()> {
    let last = Mutex::new(Instant::now());
    for stream in [client, server] {
        stream.set_read_timeout(Some(IDLE_MAX))?;
        stream.set_write_timeout(Some(IDLE_MAX))?;
    }
    thread::scope(|scope| {
        let back = thread::Builder::new().spawn_scoped(scope, || {
            if carry(shared, (to, false), (server, client), u64::MAX, &last).is_err() {
                shut_both(client, server);
            }
        });
        let Ok(_) = back else {
            shut_both(client, server);
            return;
        };
        // A tunnel that may send no more says so; of a plain request the server knows the length.
        let sent = carry(shared, (to, true), (client, server), to_server_max, &last);
        if sent.is_err() {
            shut_both(client, server);
        }
    });
    Ok(())
}

fn shut_both(client: &TcpStream, server: &TcpStream) {
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

fn carry(
    shared: &Shared,
    (to, is_sent): (&HostPort, bool),
    (mut from, mut into): (&TcpStream, &TcpStream),
    bytes_max: u64,
    last: &Mutex<Instant>,
) -> io::Result<()> {
    let mut buffer = vec![0; TURN_BYTES];
    let mut left = bytes_max;
    while left > 0 {
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(TURN_BYTES);
        match from.read(&mut buffer[..room]) {
            Ok(0) => {
                let _ = into.shutdown(Shutdown::Write);
                return Ok(());
            }
            Ok(n_read) => {
                if !shared.count(to, n_read, is_sent) {
                    return Err(io::ErrorKind::QuotaExceeded.into());
                }
                into.write_all(&buffer[..n_read])?;
                left -= n_read as u64;
                *last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // The other direction may have been at work.
                let idle = last.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
                if idle >= IDLE_MAX {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn answer(client: &mut TcpStream, status: &str, why: &str) -> io::Result<()> {
    let body = format!("carnet: {why}\n");
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    client.set_write_timeout(Some(HEAD_TIME_MAX))?;
    client.write_all(head.as_bytes())?;
    client.write_all(body.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{super::hello::tests::hello, *};

    /// A server that answers each connection with what `respond` makes of its first bytes, and says what it read.
    fn server(respond: fn(&[u8]) -> Vec<u8>) -> (u16, std::sync::mpsc::Receiver<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, told) = std::sync::mpsc::channel();
        thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let mut bytes = vec![0; 4096];
                let n_read = stream.read(&mut bytes).unwrap_or(0);
                bytes.truncate(n_read);
                let _ = stream.write_all(&respond(&bytes));
                if tell.send(bytes).is_err() {
                    return;
                }
            }
        });
        (port, told)
    }

    fn proxy(network: Network) -> (Proxy, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (Proxy::start(listener.into(), network).unwrap(), address)
    }

    fn named(port: u16) -> Vec<HostPort> {
        vec![format!("localhost:{port}").parse().unwrap()]
    }

    fn ask(proxy: SocketAddr, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(proxy).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    }

    #[test]
    fn a_plain_request_to_a_named_host_goes_through_and_is_counted() {
        let (port, told) = server(|_| b"HTTP/1.1 200 OK\r\n\r\nhere".to_vec());
        let (proxy, at) = proxy(Network::of_a_test(named(port)));
        let request = format!(
            "GET http://localhost:{port}/x HTTP/1.1\r\nHost: localhost:{port}\r\n\r\nGET http://evil/ HTTP/1.1\r\n\r\n"
        );
        assert!(ask(at, request.as_bytes()).ends_with("here"));
        let sent = String::from_utf8(told.recv().unwrap()).unwrap();
        let expect =
            format!("GET /x HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n");
        assert_eq!(sent, expect, "and nothing that came behind it");
        let traffic = proxy.finish();
        let host = &named(port)[0];
        assert_eq!(traffic.hosts[host], (1, expect.len() as u64, 23));
        assert_eq!(traffic.n_refused, 0);
    }

    #[test]
    fn hosts_and_ports_that_are_not_named_are_refused_and_told() {
        let (port, told) = server(|_| vec![]);
        let (proxy, at) = proxy(Network::of_a_test(named(port)));
        for to in ["other.example:443", "localhost:1", "127.0.0.1:443"] {
            let said = ask(at, format!("CONNECT {to} HTTP/1.1\r\n\r\n").as_bytes());
            assert!(said.starts_with("HTTP/1.1 403 ") && said.contains(to), "{said}");
        }
        assert!(ask(at, b"GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400 "));
        let traffic = proxy.finish();
        assert_eq!((traffic.n_refused, traffic.hosts.len()), (4, 0));
        assert!(traffic.refusals[0].contains("other.example:443"), "{:?}", traffic.refusals);
        assert!(told.try_recv().is_err());
    }

    #[test]
    fn a_named_host_at_an_address_of_this_machine_is_refused() {
        let (port, told) = server(|_| vec![]);
        let mut hosts = named(port);
        hosts.push(format!("127.0.0.1:{port}").parse().unwrap());
        hosts.push(format!("[::ffff:127.0.0.1]:{port}").parse().unwrap());
        let (proxy, at) = proxy(Network::new(hosts.clone()));
        for to in hosts {
            let said = ask(at, format!("CONNECT {to} HTTP/1.1\r\n\r\n").as_bytes());
            assert!(said.contains("not a public one"), "{said}");
        }
        assert_eq!(proxy.finish().n_refused, 3);
        assert!(told.try_recv().is_err());
    }

    #[test]
    fn of_the_addresses_of_a_name_only_public_ones_are_dialled() {
        let network = Network::new(named(443));
        let check = |host: &str, answered: &[&str], expect: &[&str]| {
            let parse = |texts: &[&str]| -> Vec<IpAddr> {
                texts.iter().map(|text| text.parse().unwrap()).collect()
            };
            let HostPort { host, .. } = format!("{host}:443").parse().unwrap();
            let found = allowed_addresses(&network, &host, |_| Ok(parse(answered))).unwrap();
            assert_eq!(found, parse(expect), "{answered:?}");
        };
        // A name that is led elsewhere: to this machine, the metadata of a cloud, a neighbour, the same in IPv6.
        let private = ["127.0.0.1", "169.254.169.254", "10.0.0.1", "192.168.1.1", "::1", "fd00::1"];
        check("registry.example", &private, &[]);
        check("registry.example", &["10.0.0.1", "93.184.215.14"], &["93.184.215.14"]);
        check("registry.example", &["::ffff:10.0.0.1", "64:ff9b::a00:1"], &[]);
        // An address names itself; no one is asked.
        check("93.184.215.14", &["10.0.0.1"], &["93.184.215.14"]);
        check("10.0.0.1", &["93.184.215.14"], &[]);
    }

    #[test]
    fn a_tunnel_carries_tls_to_the_host_that_it_names_and_to_no_other() {
        let (port, told) = server(|_| b"hello yourself".to_vec());
        let (proxy, at) = proxy(Network::of_a_test(named(port)));
        let connect = format!("CONNECT localhost:{port} HTTP/1.1\r\n\r\n");
        let said = ask(at, &[connect.as_bytes(), &hello("localhost")].concat());
        assert!(said.starts_with("HTTP/1.1 200 ") && said.ends_with("hello yourself"), "{said}");
        assert_eq!(told.recv().unwrap(), hello("localhost"));
        for first in
            [hello("evil.example"), b"SSH-2.0-x\r\n".to_vec(), hello("localhost")[..9].to_vec()]
        {
            let said = ask(at, &[connect.as_bytes(), &first].concat());
            assert!(!said.contains("yourself"), "{said}");
            assert_eq!(told.recv().unwrap(), b"", "the server saw a connection and not a byte");
        }
        let traffic = proxy.finish();
        assert_eq!(traffic.n_refused, 3, "{:?}", traffic.refusals);
    }

    #[test]
    fn a_proxy_that_is_finished_shuts_what_is_open() {
        let (proxy, at) = proxy(Network::of_a_test(named(1)));
        let mut waiting = TcpStream::connect(at).unwrap();
        waiting.write_all(b"CONNECT ").unwrap();
        // Taken for sure once a later one was answered.
        assert!(ask(at, b"x\r\n\r\n").starts_with("HTTP/1.1 400 "));
        proxy.finish();
        let mut said = Vec::new();
        let _ = waiting.read_to_end(&mut said);
        assert!(TcpStream::connect(at).is_err());
    }

    #[test]
    fn a_head_past_its_bound_is_refused() {
        let (proxy, at) = proxy(Network::of_a_test(named(1)));
        let mut stream = TcpStream::connect(at).unwrap();
        stream.write_all(&vec![b'x'; HEAD_BYTES_MAX]).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert!(said.starts_with("HTTP/1.1 400 "), "{said}");
        proxy.finish();
    }
}
