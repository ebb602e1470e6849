//! A real server that speaks Vault's language, and a front that spoils its answers: what a test needs to ask a vault that is ill.
//!
//! The server is `rvault` of crates.io's `rusty_vault`: `CARNET_TEST_VAULT` names it, else it is looked for where
//! `cargo xtask vault-server` puts it, and on `PATH`.

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

/// How long a server may take to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(120);
/// Largest message that the front carries, in bytes.
const MESSAGE_BYTES_MAX: u64 = 64 << 20;

/// Returns the server's program; `None`, said aloud, where there is none.
///
/// - `tools`: where `cargo xtask vault-server` puts it.
#[expect(clippy::print_stderr, reason = "what is not checked is said aloud")]
pub fn vault_program(tools: &Path) -> Option<PathBuf> {
    let named = std::env::var_os("CARNET_TEST_VAULT").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = named
        .into_iter()
        .chain([tools.join("bin/rvault")])
        .chain(std::env::split_paths(&path).map(|dir| dir.join("rvault")))
        .find(|path| path.is_file());
    if found.is_none() {
        eprintln!(
            "NOT CHECKED HERE: there is no vault server; install it with `cargo xtask vault-server`"
        );
    }
    found
}

/// A running server. It ends with this value.
pub struct VaultServer {
    child: Child,
    /// `127.0.0.1:PORT`.
    pub address: String,
    /// The token that may do everything; empty before [`VaultServer::initialise`].
    pub root_token: String,
    unseal_key: String,
    dir: tempfile::TempDir,
}

impl VaultServer {
    /// Starts a server with an empty store.
    ///
    /// - `tls`: certificate and key, in PEM, for HTTPS.
    pub fn start(program: &Path, tls: Option<(&Path, &Path)>) -> VaultServer {
        let dir = tempfile::tempdir().unwrap();
        for name in ["data", "work"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        // Between looking for a port and listening on it another process can take it.
        for _ in 0..8 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let address = format!("127.0.0.1:{port}");
            let config = dir.path().join("config.hcl");
            fs::write(&config, config_text(dir.path(), &address, tls)).unwrap();
            let mut child = Command::new(program)
                .args(["server", "--config"])
                .arg(&config)
                .current_dir(dir.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            if listens(&mut child, &address) {
                let (root_token, unseal_key) = (String::new(), String::new());
                return VaultServer { child, address, root_token, unseal_key, dir };
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("{} could not be started", program.display());
    }

    /// Initialises and unseals it. Not over TLS.
    pub fn initialise(&mut self) {
        let shares = r#"{"secret_shares":1,"secret_threshold":1}"#;
        let (status, made) = self.ask("PUT", "sys/init", shares);
        assert_eq!(status, 200, "{made}");
        self.root_token = text_after(&made, "\"root_token\":\"");
        self.unseal_key = text_after(&made, "\"keys\":[\"");
        self.unseal();
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
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let token = &self.root_token;
        let host = &self.address;
        write!(
            stream,
            "{method} /v1/{path} HTTP/1.1\r\nHost: {host}\r\nX-Vault-Token: {token}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let message = Message::read(&mut stream);
        let status = message.head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, String::from_utf8(message.body).unwrap())
    }

    /// Ends it before its time.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// A directory of its own, which goes with it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for VaultServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn config_text(dir: &Path, address: &str, tls: Option<(&Path, &Path)>) -> String {
    let dir = dir.display();
    let tls = match tls {
        None => "tls_disable = \"true\"".to_owned(),
        Some((certificate, key)) => format!(
            "tls_disable = \"false\"\n  tls_cert_file = \"{}\"\n  tls_key_file = \"{}\"",
            certificate.display(),
            key.display()
        ),
    };
    format!(
        "storage \"file\" {{\n  path = \"{dir}/data\"\n}}\nlistener \"tcp\" {{\n  address = \"{address}\"\n  {tls}\n}}\napi_addr = \"http://{address}\"\nlog_level = \"error\"\npid_file = \"{dir}/pid\"\nwork_dir = \"{dir}/work\"\n"
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
    /// Asks the server another question instead: its path, under another token where one is named.
    ForwardTo(String, Option<String>),
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
    let question = Message::read(&mut stream);
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
        Turn::Forward => question.sent_to(server, None, None),
        Turn::ForwardTo(path, token) => question.sent_to(server, Some(&path), token.as_deref()),
    };
    let _ = stream.write_all(&answer);
}

struct Message {
    head: String,
    body: Vec<u8>,
}

impl Message {
    fn read(stream: &mut TcpStream) -> Message {
        let mut reader = BufReader::new(stream);
        let (mut head, mut length, mut is_chunked) = (String::new(), None, false);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                break;
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().ok();
            }
            is_chunked |= lower.starts_with("transfer-encoding:") && lower.contains("chunked");
            head.push_str(&line);
        }
        assert!(!is_chunked, "the server answers with a length: {head}");
        let mut body = vec![];
        let length = length.unwrap_or(0).min(MESSAGE_BYTES_MAX);
        let _ = reader.take(length).read_to_end(&mut body);
        Message { head, body }
    }

    fn sent_to(&self, server: &str, path: Option<&str>, token: Option<&str>) -> Vec<u8> {
        let mut lines = self.head.lines();
        let first = lines.next().unwrap();
        let method = first.split(' ').next().unwrap();
        let first = path.map_or(first.to_owned(), |path| format!("{method} /v1/{path} HTTP/1.1"));
        let mut head = format!("{first}\r\n");
        for line in lines {
            let name = line.split(':').next().unwrap().to_ascii_lowercase();
            let is_replaced = token.is_some() && name == "x-vault-token";
            if !is_replaced && !["connection", "content-length"].contains(&name.as_str()) {
                head += &format!("{line}\r\n");
            }
        }
        if let Some(token) = token {
            head += &format!("X-Vault-Token: {token}\r\n");
        }
        head += &format!("Connection: close\r\nContent-Length: {}\r\n\r\n", self.body.len());
        let mut upstream = TcpStream::connect(server).unwrap();
        upstream.write_all(&[head.as_bytes(), &self.body].concat()).unwrap();
        let answer = Message::read(&mut upstream);
        // The next question comes by another connection.
        let head = answer.head.trim_end();
        [format!("{head}\r\nconnection: close\r\n\r\n").as_bytes(), &answer.body].concat()
    }
}
