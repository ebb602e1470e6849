//! Clients that misbehave.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
};

use carnet_daemon::{Client, ClientError};

use crate::home::{Home, NO_POLL, assert_fresh, until};

struct Raw(BufReader<UnixStream>);

impl Raw {
    fn connect(home: &Home) -> Raw {
        let text = fs::read_to_string(home.daemon_file("lock")).unwrap();
        let (_, rest) = text.split_once("\"socket\":\"").unwrap();
        Raw(BufReader::new(UnixStream::connect(rest.split_once('"').unwrap().0).unwrap()))
    }

    fn say(&mut self, bytes: &[u8]) {
        // The daemon may have closed already; what it answered is still there to read.
        let _ = self.0.get_mut().write_all(bytes);
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }
}

#[test]
fn what_is_no_request_is_refused_and_the_connection_goes_on() {
    let mut home = Home::new();
    home.start(&[]);
    let mut raw = Raw::connect(&home);
    let lines: [&[u8]; 5] = [
        b"\n",
        b"GET / HTTP/1.1\r\n",
        b"\xff\xfe\x00\n",
        b"{\"format\":\"carnet/daemon/9\",\"request\":\"ping\"}\n",
        b"{\"format\":\"carnet/daemon/1\",\"request\":\"dance\"}\n",
    ];
    for line in lines {
        raw.say(line);
        let answer = raw.line();
        assert!(answer.contains("\"answer\":\"refused\""), "{answer}");
    }
    raw.say(b"{\"format\":\"carnet/daemon/1\",\"request\":\"ping\"}\n");
    assert!(raw.line().contains("\"answer\":\"pong\""));
}

#[test]
fn a_line_without_end_is_refused_and_closed() {
    let mut home = Home::new();
    home.start(&[]);
    let mut raw = Raw::connect(&home);
    raw.say(&vec![b'x'; 64 << 10]);
    assert!(raw.line().contains("at most"));
    let mut rest = Vec::new();
    raw.0.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
    home.client().ping().unwrap();
}

#[test]
fn half_a_line_and_silence_cost_nothing() {
    let mut home = Home::new();
    let mut client = home.start(&[]);
    let mut half = Raw::connect(&home);
    half.say(b"{\"format\":");
    drop(half);
    let mut waits = Raw::connect(&home);
    let id = "0".repeat(40);
    waits.say(
        format!(
            "{{\"format\":\"carnet/daemon/1\",\"request\":\"wait_fresh\",\"worktree\":\"\",\
             \"commit\":\"{id}\",\"timeout_ms\":600000}}\n"
        )
        .as_bytes(),
    );
    drop(waits);
    assert_fresh(&mut client, &home.head());
}

#[test]
fn too_many_connections_are_refused_until_some_end() {
    let mut home = Home::new();
    drop(home.start(&[NO_POLL]));
    let mut clients = Vec::new();
    let refused = loop {
        let mut client = home.client();
        match client.ping() {
            Ok(_) => clients.push(client),
            Err(err) => break err,
        }
        assert!(clients.len() <= 256);
    };
    assert!(matches!(refused, ClientError::Refused(_)), "{refused:?}");
    assert!(clients.len() >= 250);
    clients.clear();
    until(|| home.client().ping().is_ok());
}

#[test]
fn a_worktree_that_is_none_is_told_so() {
    let mut home = Home::new();
    home.start(&[NO_POLL]);
    home.until_indexed(&home.head());
    let mut raw = Raw::connect(&home);
    let id = "1".repeat(40);
    raw.say(
        format!(
            "{{\"format\":\"carnet/daemon/1\",\"request\":\"wait_fresh\",\"worktree\":\"nowhere\",\
             \"commit\":\"{id}\",\"timeout_ms\":600000}}\n"
        )
        .as_bytes(),
    );
    assert!(raw.line().contains("the worktree is gone"));
    assert!(Client::connect(&home.repo()).unwrap().is_some());
}
