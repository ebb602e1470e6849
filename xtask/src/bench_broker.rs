//! What the model gateway adds to a call, and what five hundred streams at once take: `cargo xtask bench broker`.
//!
//! A model of our own on the loopback answers at once; each call is made directly and through the gateway, in turn, over a kept
//! connection. Streams are held by the model until every caller has seen its first piece, so that all are open at the same time.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{
    bench::{median, repository},
    system,
};

const N_CALLS: usize = 2_000;
const N_STREAMS: usize = 500;
/// Pieces of one stream after its first, and words of a piece.
const N_PIECES: usize = 200;
const N_WORDS: usize = 6;
/// How long streams wait for one another.
const PATIENCE: Duration = Duration::from_secs(300);
/// Threads that wait need little.
const STACK_BYTES: usize = 128 << 10;

/// Prints what a gateway adds, and what it takes.
///
/// - `carnet`: the binary; without it, a release build.
pub fn bench_broker(carnet: Option<&str>) -> Result<(), String> {
    let carnet = carnet.map_or_else(|| system::built_carnet("release"), |it| Ok(it.into()))?;
    let dir = system::target_dir().join("bench-broker");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|error| error.to_string())?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).map_err(|error| error.to_string())?;
    let begun = Arc::<Begun>::default();
    let model = model(Arc::clone(&begun))?;
    let gateway = Gateway::start(&carnet, &dir, &model)?;
    calls(&model, &gateway)?;
    streams(&gateway, &begun)
}

fn calls(model: &str, gateway: &Gateway) -> Result<(), String> {
    let prompt = "Why does the build of this crate fail when its feature is off?\\n".repeat(32);
    let body = format!(
        r#"{{"model":"auto","max_tokens":64,"messages":[{{"role":"user","content":"{prompt}"}}]}}"#
    );
    let (mut direct, mut through) = (connect(model)?, connect(&gateway.address)?);
    let mut times = [vec![], vec![]];
    let mut cpu_before = 0.0;
    for call_idx in 0..N_CALLS + 100 {
        if call_idx == 100 {
            cpu_before = gateway.cpu_ms()?;
        }
        for (times, stream) in times.iter_mut().zip([&mut direct, &mut through]) {
            let begun = Instant::now();
            post(stream, &body)?;
            let answer = whole_answer(stream)?;
            let ms = begun.elapsed().as_secs_f64() * 1000.0;
            if !answer.contains("the feature is off") {
                return Err(format!("this is no answer: {answer}"));
            }
            // The first ones fill caches and open connections.
            if call_idx >= 100 {
                times.push(ms);
            }
        }
    }
    let spent = gateway.cpu_ms()? - cpu_before;
    println!(
        "{N_CALLS} calls of {} bytes, in turn: elapsed ms, median (99th percentile)",
        body.len()
    );
    for (name, times) in ["directly", "through the gateway"].iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        println!("{name:<40} {:>8.3} ({:.3})", median(times), times[times.len() * 99 / 100]);
    }
    println!("{:<40} {:>8.3}", "  the gateway adds", median(&times[1]) - median(&times[0]));
    println!("{:<40} {:>8.3}", "processor time of the gateway a call", spent / N_CALLS as f64);
    Ok(())
}

fn streams(gateway: &Gateway, begun: &Arc<Begun>) -> Result<(), String> {
    let (at_rest, spent) = (gateway.memory_mib("VmRSS:")?, gateway.cpu_ms()?);
    let callers: Vec<_> = (0..N_STREAMS)
        .map(|_| {
            let (address, begun) = (gateway.address.clone(), Arc::clone(begun));
            thread::Builder::new()
                .stack_size(STACK_BYTES)
                .spawn(move || one_stream(&address, &begun))
                .map_err(|error| error.to_string())
        })
        .collect::<Result<_, _>>()?;
    let mut n_whole = 0;
    for caller in callers {
        match caller.join() {
            Ok(Ok(())) => n_whole += 1,
            Ok(Err(why)) => println!("a stream: {why}"),
            Err(_) => println!("a caller failed"),
        }
    }
    let n_at_once = *begun.n.lock().map_err(|error| error.to_string())?;
    println!(
        "\n{N_STREAMS} streams of {} pieces: {n_at_once} open at once, {n_whole} whole",
        N_PIECES + 1
    );
    println!("{:<40} {at_rest:>8.1} MiB", "memory before");
    println!("{:<40} {:>8.1} MiB", "memory, most", gateway.memory_mib("VmHWM:")?);
    println!(
        "{:<40} {:>8.1} ms",
        "processor time of the gateway a stream",
        (gateway.cpu_ms()? - spent) / N_STREAMS as f64
    );
    if n_whole == N_STREAMS {
        Ok(())
    } else {
        Err(format!("{n_whole} of {N_STREAMS} streams were whole"))
    }
}

fn one_stream(address: &str, begun: &Begun) -> Result<(), String> {
    let mut stream = connect(address)?;
    let body = r#"{"model":"auto","stream":true,"max_tokens":2000,"messages":[{"role":"user","content":"go on"}]}"#;
    post(&mut stream, body)?;
    let mut heard = String::new();
    let mut piece = [0; 4096];
    let mut is_begun = false;
    while !heard.contains("data: [DONE]") {
        let n = stream.read(&mut piece).map_err(|error| error.to_string())?;
        if n == 0 {
            return Err(format!("it ended early: {}", heard.chars().take(300).collect::<String>()));
        }
        heard += &String::from_utf8_lossy(&piece[..n]);
        if !is_begun && heard.contains("word-0") {
            is_begun = true;
            begun.one_more();
        }
    }
    let last = format!("word-{}-{}", N_PIECES, N_WORDS - 1);
    if heard.contains(&last) { Ok(()) } else { Err(format!("it lacks {last}")) }
}

/// How many callers have seen the first piece of their stream.
#[derive(Default)]
struct Begun {
    n: Mutex<usize>,
    all: Condvar,
}

impl Begun {
    fn one_more(&self) {
        let Ok(mut n) = self.n.lock() else { return };
        *n += 1;
        if *n == N_STREAMS {
            self.all.notify_all();
        }
    }

    fn wait_for_all(&self) {
        let Ok(n) = self.n.lock() else { return };
        drop(self.all.wait_timeout_while(n, PATIENCE, |n| *n < N_STREAMS));
    }
}

/// Starts a model and returns its address.
fn model(begun: Arc<Begun>) -> Result<String, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?.to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let begun = Arc::clone(&begun);
            let serve = move || drop(serve(stream, &begun));
            drop(thread::Builder::new().stack_size(STACK_BYTES).spawn(serve));
        }
    });
    Ok(address)
}

fn serve(mut stream: TcpStream, begun: &Begun) -> Result<(), String> {
    let failed = |error: std::io::Error| error.to_string();
    stream.set_nodelay(true).map_err(failed)?;
    loop {
        let request = message(&mut stream)?;
        if !request.contains("\"stream\":true") {
            let text = "It fails because the feature is off: turn it on. ".repeat(20);
            let body = format!(
                r#"{{"id":"r","object":"chat.completion","created":1,"model":"m","usage":{{"prompt_tokens":500,"completion_tokens":60,"total_tokens":560}},"choices":[{{"index":0,"finish_reason":"stop","message":{{"role":"assistant","content":"{text}"}}}}]}}"#
            );
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all((head + &body).as_bytes()).map_err(failed)?;
            continue;
        }
        let chunk = |text: &str| {
            format!(
                "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}]}}\n\n"
            )
        };
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        // A line that ended: the gateway lets it through.
        stream.write_all((head.to_owned() + &chunk("word-0\\n")).as_bytes()).map_err(failed)?;
        begun.wait_for_all();
        for piece_idx in 1..=N_PIECES {
            let words: String = (0..N_WORDS).map(|n| format!("word-{piece_idx}-{n} ")).collect();
            let end = if piece_idx % 4 == 0 { "\\n" } else { "" };
            stream.write_all(chunk(&(words + end)).as_bytes()).map_err(failed)?;
        }
        let last = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1200,\"total_tokens\":1205}}\n\ndata: [DONE]\n\n";
        return stream.write_all(last.as_bytes()).map_err(failed);
    }
}

/// The gateway, stopped when it is dropped.
struct Gateway {
    child: Child,
    address: String,
}

impl Gateway {
    fn start(carnet: &Path, dir: &Path, model: &str) -> Result<Gateway, String> {
        let repo = repository(dir, "repo", Some(carnet))?;
        let policy = format!(
            "version = '2026-11-23-001'\n[default_provider]\nprovider = 'own'\nmodel = 'm'\nmax_tokens = 2000\n[providers.own]\nbase_url = 'http://{model}/v1'\nlocal = true\n[[models]]\nprovider = 'own'\nmodel = 'm'\ntier = 'standard'\ninput_usd_per_million_tokens = 1\noutput_usd_per_million_tokens = 1\n"
        );
        fs::write(repo.join("broker.toml"), policy).map_err(|error| error.to_string())?;
        let mut child = Command::new(carnet)
            .args(["broker", "serve", "--listen", "127.0.0.1:0", "--policy", "broker.toml"])
            .current_dir(&repo)
            .env("CARNET_DAEMON", "off")
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut line = String::new();
        let said = child.stdout.take().ok_or("the gateway has no output")?;
        BufReader::new(said).read_line(&mut line).map_err(|error| error.to_string())?;
        let address = line.strip_prefix("serving http://").and_then(|rest| rest.split('/').next());
        let address = address.ok_or_else(|| format!("the gateway says: {line}"))?.to_owned();
        Ok(Gateway { child, address })
    }

    /// Processor time so far, in milliseconds; the kernel counts by hundredths of a second.
    fn cpu_ms(&self) -> Result<f64, String> {
        let path = format!("/proc/{}/stat", self.child.id());
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        let after_name = text.rsplit(')').next().unwrap_or_default();
        let ticks = after_name.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.filter_map(|it| it.parse::<u64>().ok()).sum();
        Ok(ticks as f64 * 10.0)
    }

    fn memory_mib(&self, name: &str) -> Result<f64, String> {
        let path = format!("/proc/{}/status", self.child.id());
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such line")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse().map_err(|_| "no number")?;
        Ok(kib / 1024.0)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(address: &str) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
    Ok(stream)
}

fn post(stream: &mut TcpStream, body: &str) -> Result<(), String> {
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + body).as_bytes()).map_err(|error| error.to_string())
}

fn whole_answer(stream: &mut TcpStream) -> Result<String, String> {
    let answer = message(stream)?;
    if answer.starts_with("HTTP/1.1 200 ") { Ok(answer) } else { Err(answer) }
}

/// Reads one message that says how long it is.
fn message(stream: &mut TcpStream) -> Result<String, String> {
    let mut heard = vec![];
    let mut piece = [0; 16 << 10];
    loop {
        let n = stream.read(&mut piece).map_err(|error| error.to_string())?;
        if n == 0 {
            return Err("the connection ended".to_owned());
        }
        heard.extend_from_slice(&piece[..n]);
        let Some(end) = heard.windows(4).position(|it| it == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&heard[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.and_then(|it| it.trim().parse().ok()).unwrap_or(0);
        if heard.len() >= end + 4 + length {
            return Ok(String::from_utf8_lossy(&heard).into_owned());
        }
    }
}
