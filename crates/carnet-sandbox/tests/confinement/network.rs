//! The way out of a run: through the proxy to hosts that are named, and no other.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::atomic::AtomicBool,
};

use carnet_core::HostPort;
use carnet_sandbox::{Confined, Network, SandboxSpec};

use crate::kit::{bench, stdout, told};

/// A server on this machine that says `served` to each request; returns its port.
fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nserved");
        }
    });
    port
}

fn hosts(port: u16) -> Vec<HostPort> {
    vec![format!("localhost:{port}").parse().unwrap()]
}

fn run(spec: &SandboxSpec) -> Confined {
    carnet_sandbox::run(spec, &AtomicBool::new(false)).unwrap()
}

fn network_of(ran: &Confined) -> &str {
    &ran.enforcement.iter().find(|it| it.mechanism == "network").unwrap().detail
}

/// Asks through the proxy as the environment names it, then directly.
fn script(port: u16) -> String {
    format!(
        "import os, socket, urllib.request as r, urllib.error as e
os.environ['no_proxy'] = ''
def ask(url):
    try: return r.urlopen(url, timeout=20).read().decode()
    except e.HTTPError as error: return f'{{error.code}} {{error.read().decode()}}'
print(ask('http://localhost:{port}/'))
print(ask('http://other.example/'))
try: print(socket.create_connection(('127.0.0.1', {port}), 5))
except OSError as error: print('direct:', error.strerror)
print(os.environ['HTTPS_PROXY'] == os.environ['http_proxy'], os.path.exists('/etc/ssl/private'))"
    )
}

#[test]
fn a_named_host_is_reached_through_the_proxy_and_nothing_else() {
    let Some(bench) = bench() else { return };
    let port = server();
    let mut spec = bench.spec(&["/usr/bin/python3", "-c", &script(port)]);
    spec.network = Network::of_a_test(hosts(port));
    let ran = run(&spec);
    let said = stdout(&ran);
    let expect = "served\n403 carnet: other.example:80: not named by the lane\n\ndirect: Connection refused\nTrue False\n";
    assert_eq!(said, expect, "{}", told(&ran));
    let receipt = network_of(&ran);
    assert!(receipt.contains("interfaces: lo"), "{receipt}");
    assert!(receipt.contains(&format!("localhost:{port}: 1 connections, ")), "{receipt}");
    assert!(receipt.contains("refused 1: other.example:80"), "{receipt}");
}

#[test]
fn a_named_host_that_is_this_machine_is_refused() {
    let Some(bench) = bench() else { return };
    let port = server();
    let mut spec = bench.spec(&["/usr/bin/python3", "-c", &script(port)]);
    spec.network = Network::new(hosts(port));
    let ran = run(&spec);
    let expect = format!("403 carnet: localhost:{port}: its address is not a public one\n");
    assert!(stdout(&ran).starts_with(&expect), "{}", told(&ran));
}

#[test]
fn without_named_hosts_there_is_no_proxy() {
    let Some(bench) = bench() else { return };
    let ran = bench.sh("env | grep -ci proxy; test -e /etc/ssl && echo certificates");
    assert_eq!(stdout(&ran), "0\n", "{}", told(&ran));
    assert!(!network_of(&ran).contains("proxy"));
}
