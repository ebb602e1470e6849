//! `cargo xtask bench index`: what the index costs and how fast it answers, beside ctags, ripgrep, ast-grep and codegraph.
//!
//! Everything is done in fresh clones. A peer that is not on PATH is named aloud, with where it comes from.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use crate::{
    bench::{median, once_ms},
    shell::Cmd,
    system,
};

/// Questions of each kind.
const N_QUESTIONS: usize = 40;
/// Commits of ten files.
const N_COMMITS: usize = 10;

/// A program that does part of what the index does.
struct Peer {
    program: &'static str,
    from: &'static str,
    /// What makes its index; none where it has none.
    index: &'static [&'static str],
    /// Where that lies, from the top of the repository.
    place: &'static str,
    /// What asks it for a name, which comes last.
    query: &'static [&'static str],
}

const PEERS: [Peer; 4] = [
    Peer {
        program: "ctags",
        from: "apt-get install universal-ctags",
        index: &["-R", "-f", ".tags", "."],
        place: ".tags",
        query: &[],
    },
    Peer {
        program: "rg",
        from: "apt-get install ripgrep",
        index: &[],
        place: "",
        query: &["--count", "--fixed-strings"],
    },
    Peer {
        program: "ast-grep",
        from: "npm install -g @ast-grep/cli",
        index: &[],
        place: "",
        query: &["run", "--files-with-matches", "--pattern"],
    },
    Peer {
        program: "codegraph",
        from: "npm install -g @colbymchenry/codegraph",
        index: &["init"],
        place: ".codegraph",
        query: &["query"],
    },
];

/// Measures in each repository.
///
/// - `args`: directories of git repositories; `--carnet FILE`.
pub fn bench_index(args: &[&str]) -> Result<(), String> {
    let (mut dirs, mut carnet) = (Vec::new(), None);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match *arg {
            "--carnet" => carnet = args.next().map(PathBuf::from),
            dir => dirs.push(dir),
        }
    }
    if dirs.is_empty() {
        return Err("name the repositories to index".to_owned());
    }
    let carnet = carnet.map_or_else(|| system::built_carnet("release"), Ok)?;
    let carnet = carnet.canonicalize().map_err(|error| format!("{}: {error}", carnet.display()))?;
    dirs.into_iter().try_for_each(|dir| one(&carnet, dir))
}

fn one(carnet: &Path, dir: &str) -> Result<(), String> {
    let clone = system::target_dir().join("bench-index");
    let _ = fs::remove_dir_all(&clone);
    Cmd::new("git").args(&["clone", "-q"]).arg(dir).arg(&clone).run()?;
    let files = Cmd::new("git").args(&["ls-files", "-z"]).dir(&clone).read()?;
    let files = files.trim_end_matches('\0');
    let text: u64 = files.split('\0').map(|path| bytes_of(&clone.join(path))).sum();
    println!("\n{dir}: {} files, {:.2} MB", files.split('\0').count(), mb(text));
    println!("  {:<44} {:>9} {:>9} {:>9}", "index", "CPU s", "peak MiB", "× text");
    let (cpu_s, peak_mib) = measured(carnet, &["daemon", "--once"], &clone)?;
    let disk = bytes_of(&clone.join(".git/carnet/index")) as f64 / text as f64;
    println!("  {:<44} {cpu_s:>9.2} {peak_mib:>9.0} {disk:>9.2}", "carnet, all parts, cold");
    for peer in PEERS.iter().filter(|peer| is_there(peer)) {
        if !peer.index.is_empty() {
            let (cpu_s, peak_mib) = measured(Path::new(peer.program), peer.index, &clone)?;
            let disk = bytes_of(&clone.join(peer.place)) as f64 / text as f64;
            println!("  {:<44} {cpu_s:>9.2} {peak_mib:>9.0} {disk:>9.2}", peer.program);
        }
    }
    let names = names(carnet, &clone)?;
    println!("  {:<44} {:>9} {:>9}", "query, a process each: CPU ms", "p50", "p95");
    for verb in ["where-defined", "who-calls", "search"] {
        let ask = |name: &str| Cmd::new(carnet).args(&[verb, "--no-wait", name]);
        queries(&format!("carnet {verb}"), &names, &clone, &ask)?;
    }
    for peer in PEERS.iter().filter(|peer| is_there(peer)) {
        if !peer.query.is_empty() {
            let ask = |name: &str| Cmd::new(peer.program).args(peer.query).arg(name);
            queries(peer.program, &names, &clone, &ask)?;
        }
    }
    commits(carnet, &clone, files)
}

/// Ten files change in each commit; the daemon follows, and a question waits for it.
fn commits(carnet: &Path, clone: &Path, files: &str) -> Result<(), String> {
    let ends = [".rs", ".py", ".go", ".ts", ".js", ".java", ".c"];
    let sources: Vec<&str> =
        files.split('\0').filter(|it| ends.iter().any(|end| it.ends_with(end))).collect();
    let git = |args: &[&str]| {
        let who = ["-c", "user.name=bench", "-c", "user.email=bench@example.com"];
        Cmd::new("git").args(&who).args(args).dir(clone).run()
    };
    if sources.is_empty() {
        return Err("there are no sources to change".to_owned());
    }
    Cmd::new(carnet).args(&["daemon", "start"]).dir(clone).read()?;
    let mut waits = Vec::new();
    for n in 0..N_COMMITS {
        for file in sources.iter().cycle().skip(n * 10).take(10) {
            let path = clone.join(file);
            let mut text = fs::read(&path).map_err(|error| format!("{file}: {error}"))?;
            text.push(b'\n');
            fs::write(&path, text).map_err(|error| format!("{file}: {error}"))?;
        }
        git(&["commit", "-qam", "ten files", "--no-verify"])?;
        let began = Instant::now();
        let asked = Cmd::new(carnet).args(&["where-defined", "main"]).dir(clone).answer()?;
        if asked.code == 4 {
            return Err(asked.stderr);
        }
        waits.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    let status = Cmd::new(carnet).args(&["status"]).dir(clone).answer()?.stdout;
    Cmd::new(carnet).args(&["daemon", "stop"]).dir(clone).read()?;
    println!(
        "  fresh after a commit of ten files, wall ms from git's exit: p50 {:.0}, most {:.0} of {N_COMMITS}",
        median(&waits),
        waits.iter().copied().fold(0.0, f64::max)
    );
    status.lines().filter(|line| line.starts_with("history")).for_each(|it| println!("  {it}"));
    Ok(())
}

fn queries(
    title: &str,
    names: &[String],
    clone: &Path,
    ask: &dyn Fn(&str) -> Cmd,
) -> Result<(), String> {
    let mut times = Vec::new();
    for name in names {
        times.push(once_ms(|| {
            ask(name).dir(clone).env("CODEGRAPH_TELEMETRY", "0").answer().map(drop)
        })?);
    }
    times.sort_by(f64::total_cmp);
    let p95 = times[(times.len() * 95).div_ceil(100) - 1];
    println!("  {title:<44} {:>9.1} {p95:>9.1}", median(&times));
    Ok(())
}

/// Names of definitions, spread over the repository.
fn names(carnet: &Path, clone: &Path) -> Result<Vec<String>, String> {
    let graph = Cmd::new(carnet).args(&["graph", "export", "--format", "cypher", "--no-wait"]);
    let graph = graph.dir(clone).read()?;
    let found = graph.split("kind:'function',name:'").skip(1);
    let found: Vec<&str> = found.filter_map(|it| it.split('\'').next()).collect();
    let step = (found.len() / N_QUESTIONS).max(1);
    let own = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
    let names: Vec<String> = found.into_iter().step_by(step).take(N_QUESTIONS).map(own).collect();
    if names.is_empty() { Err("no function is in the index".to_owned()) } else { Ok(names) }
}

/// Runs a program in a process that counts it alone: its processor time in seconds, its peak in MiB.
fn measured(program: &Path, args: &[&str], dir: &Path) -> Result<(f64, f64), String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let answer = Cmd::new(this).arg("measure-one").arg(program).args(args);
    let answer =
        answer.dir(dir).env("CARNET_DAEMON", "off").env("CODEGRAPH_TELEMETRY", "0").read()?;
    let mut numbers = answer.split_whitespace().filter_map(|it| it.parse::<f64>().ok());
    let both = numbers.next().zip(numbers.next());
    both.map(|(cpu_s, kib)| (cpu_s, kib / 1024.0)).ok_or_else(|| format!("`{answer}`"))
}

fn is_there(peer: &Peer) -> bool {
    let is_there = system::has_program(peer.program);
    if !is_there {
        eprintln!("NOT MEASURED HERE: {} is not on PATH ({})", peer.program, peer.from);
    }
    is_there
}

fn bytes_of(path: &Path) -> u64 {
    match fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|entry| bytes_of(&entry.path())).sum(),
        Err(_) => {
            fs::symlink_metadata(path).map_or(0, |it| if it.is_file() { it.len() } else { 0 })
        }
    }
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
