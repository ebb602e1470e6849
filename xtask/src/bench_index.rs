//! `cargo xtask bench index`: what the index costs and how fast it answers, beside ctags, ripgrep, ast-grep and codegraph.
//!
//! Everything is done in fresh clones, one after the other; what is printed are tables in Markdown. A peer that is not on PATH
//! is named aloud, with where it comes from.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use crate::{
    bench_daemon::{busy_s, load, member},
    shell::{Answer, Cmd},
    system,
};

/// Questions of each kind, and of those that peers answer by reading everything.
const N_QUESTIONS: usize = 40;
const N_SLOW_QUESTIONS: usize = 5;
/// Commits of ten files.
const N_COMMITS: usize = 20;
const N_COMMIT_FILES: usize = 10;
/// Files of which a branch has other content.
const N_BRANCH_FILES: usize = 1_000;
/// How long an idle daemon is watched, unless told.
const IDLE_S: u64 = 60;
const SOURCES: [&str; 15] = [
    ".py", ".pyi", ".ts", ".tsx", ".js", ".jsx", ".mjs", ".rs", ".go", ".java", ".c", ".h", ".cc",
    ".cpp", ".hpp",
];

/// A program that does part of what the index does.
struct Peer {
    program: &'static str,
    from: &'static str,
    /// What makes its index; none where it has none.
    index: &'static [&'static str],
    /// Where that lies, from the top of the repository.
    place: &'static str,
    /// What asks it for a name, which comes last; none where it is only an index.
    query: &'static [&'static str],
    /// Whether it takes a second or more for each question in a large repository.
    is_slow: bool,
    /// Whether it takes minutes for a million lines.
    is_for_small: bool,
}

const PEERS: [Peer; 5] = [
    Peer {
        program: "ctags",
        from: "apt-get install universal-ctags",
        index: &["-R", "-f", ".tags", "."],
        place: ".tags",
        query: &[],
        is_slow: false,
        is_for_small: false,
    },
    Peer {
        program: "rg",
        from: "apt-get install ripgrep",
        index: &[],
        place: "",
        query: &["--line-number", "--word-regexp", "--fixed-strings"],
        is_slow: false,
        is_for_small: false,
    },
    Peer {
        program: "ast-grep",
        from: "npm install -g @ast-grep/cli",
        index: &[],
        place: "",
        query: &["run", "--pattern"],
        is_slow: true,
        is_for_small: false,
    },
    Peer {
        program: "probe",
        from: "cargo install probe-code",
        index: &[],
        place: "",
        query: &["search"],
        is_slow: true,
        is_for_small: false,
    },
    Peer {
        program: "codegraph",
        from: "npm install -g @colbymchenry/codegraph",
        index: &["init"],
        place: ".codegraph",
        query: &["query"],
        is_slow: true,
        is_for_small: true,
    },
];

/// A clone to measure in.
struct Clone {
    title: String,
    dir: PathBuf,
    files: Vec<String>,
    n_bytes: u64,
    /// Lines of sources that are not blank.
    n_lines: usize,
    /// Put together of several.
    is_joined: bool,
}

/// The rows of the three tables.
#[derive(Default)]
struct Tables {
    cold: Vec<String>,
    queries: Vec<String>,
    fresh: Vec<String>,
}

/// Measures in each repository, then in one that is put together of several.
///
/// - `args`: directories of git repositories; `--join DIR…` for those put together, last; `--carnet FILE`; `--idle SECONDS`.
pub fn bench_index(args: &[&str]) -> Result<(), String> {
    let (mut dirs, mut joined, mut carnet, mut idle_s) = (Vec::new(), Vec::new(), None, IDLE_S);
    let mut is_joined = false;
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match *arg {
            "--carnet" => carnet = args.next().map(PathBuf::from),
            "--idle" => {
                let seconds = args.next().and_then(|it| it.parse().ok());
                idle_s = seconds.ok_or("--idle takes a number of seconds")?;
            }
            "--join" => is_joined = true,
            dir if is_joined => joined.push(dir),
            dir => dirs.push(dir),
        }
    }
    if dirs.is_empty() && joined.is_empty() {
        return Err("name the repositories to index".to_owned());
    }
    let carnet = carnet.map_or_else(|| system::built_carnet("release"), Ok)?;
    let carnet = carnet.canonicalize().map_err(|error| format!("{}: {error}", carnet.display()))?;
    let missing = PEERS.iter().filter(|peer| !system::has_program(peer.program));
    missing
        .for_each(|it| eprintln!("NOT MEASURED HERE: {} is not on PATH ({})", it.program, it.from));
    let begun = Instant::now();
    println!("Load before: {}.", load());
    let mut tables = Tables::default();
    for dir in dirs {
        measure(&carnet, &clone_of(&[dir])?, 0, &mut tables)?;
    }
    if !joined.is_empty() {
        measure(&carnet, &clone_of(&joined)?, idle_s, &mut tables)?;
    }
    println!(
        "\n| cold | CPU s | × ctags | wall s | peak MiB | disk, × text |\n|---|---|---|---|---|---|"
    );
    tables.cold.iter().for_each(|row| println!("{row}"));
    println!(
        "\n| {N_QUESTIONS} names, a process each, ms | p50 | p95 | inside carnet p50 | p95 |\n|---|---|---|---|---|"
    );
    tables.queries.iter().for_each(|row| println!("{row}"));
    println!("\n| the daemon follows | |\n|---|---|");
    tables.fresh.iter().for_each(|row| println!("{row}"));
    println!("\nTaken in {} s; load after: {}.", begun.elapsed().as_secs(), load());
    Ok(())
}

fn clone_of(dirs: &[&str]) -> Result<Clone, String> {
    let dir = system::target_dir().join("bench-index");
    let _ = fs::remove_dir_all(&dir);
    let name = |dir: &str| {
        let path = Path::new(dir.trim_end_matches('/').trim_end_matches("/.git"));
        path.file_stem().map_or_else(|| dir.to_owned(), |it| it.to_string_lossy().into_owned())
    };
    if let [only] = dirs {
        Cmd::new("git").args(&["clone", "-q"]).arg(only).arg(&dir).run()?;
    } else {
        Cmd::new("git").args(&["init", "-q"]).arg(&dir).run()?;
        for part in dirs {
            let part_dir = dir.join(name(part));
            Cmd::new("git")
                .args(&["clone", "-q", "--depth", "1"])
                .arg(url(part)?)
                .arg(&part_dir)
                .run()?;
            fs::remove_dir_all(part_dir.join(".git")).map_err(|error| error.to_string())?;
        }
        git(&dir, &["add", "--all"])?;
        git(&dir, &["commit", "-qm", "several repositories put together"])?;
    }
    let files = Cmd::new("git").args(&["ls-files", "-z"]).dir(&dir).read()?;
    let files: Vec<String> = files.split_terminator('\0').map(str::to_owned).collect();
    let (mut n_bytes, mut n_lines) = (0, 0);
    for file in &files {
        let path = dir.join(file);
        n_bytes +=
            fs::symlink_metadata(&path).map_or(0, |it| if it.is_file() { it.len() } else { 0 });
        if is_source(file) {
            let text = fs::read(&path).unwrap_or_default();
            let lines = text.split(|byte| *byte == b'\n');
            n_lines += lines.filter(|line| !line.trim_ascii().is_empty()).count();
        }
    }
    let title = dirs.iter().map(|dir| name(dir)).collect::<Vec<_>>().join(" + ");
    Ok(Clone { title, dir, files, n_bytes, n_lines, is_joined: dirs.len() > 1 })
}

/// A place to make a shallow clone of: git does not take a plain path for that.
fn url(dir: &str) -> Result<String, String> {
    let path = Path::new(dir).canonicalize().map_err(|error| format!("{dir}: {error}"))?;
    Ok(format!("file://{}", path.display()))
}

fn is_source(file: &str) -> bool {
    SOURCES.iter().any(|end| file.ends_with(end))
}

fn git(dir: &Path, args: &[&str]) -> Result<(), String> {
    let who = ["-c", "user.name=bench", "-c", "user.email=bench@example.com"];
    Cmd::new("git").args(&who).args(args).dir(dir).run()
}

fn measure(carnet: &Path, clone: &Clone, idle_s: u64, tables: &mut Tables) -> Result<(), String> {
    let title = format!(
        "{}: {} files, {:.0} KLOC, {:.1} MB",
        clone.title,
        clone.files.len(),
        clone.n_lines as f64 / 1e3,
        clone.n_bytes as f64 / 1e6
    );
    eprintln!("{title}");
    for rows in [&mut tables.cold, &mut tables.queries, &mut tables.fresh] {
        rows.push(format!("| **{title}** |"));
    }
    cold(carnet, clone, tables)?;
    queries(carnet, clone, tables)?;
    follow(carnet, clone, idle_s, tables)
}

fn peers(clone: &Clone) -> impl Iterator<Item = &'static Peer> {
    let is_joined = clone.is_joined;
    PEERS
        .iter()
        .filter(move |peer| system::has_program(peer.program) && !(is_joined && peer.is_for_small))
}

fn cold(carnet: &Path, clone: &Clone, tables: &mut Tables) -> Result<(), String> {
    let mut costs = vec![];
    let cost = Cost::of(carnet, &["daemon", "--once"], &clone.dir)?;
    costs.push(("carnet, all parts", cost, clone.dir.join(".git/carnet/index")));
    for peer in peers(clone).filter(|peer| !peer.index.is_empty()) {
        let cost = Cost::of(Path::new(peer.program), peer.index, &clone.dir)?;
        costs.push((peer.program, cost, clone.dir.join(peer.place)));
    }
    let ctags_s = costs.iter().find(|it| it.0 == "ctags").map(|it| it.1.cpu_s);
    for (name, cost, place) in costs {
        let times = ctags_s.map_or("".to_owned(), |it| format!("{:.1}", cost.cpu_s / it));
        tables.cold.push(format!(
            "| {name} | {:.2} | {times} | {:.1} | {:.0} | {:.2} |",
            cost.cpu_s,
            cost.wall_s,
            cost.peak_mib,
            bytes_on_disk(&place) as f64 / clone.n_bytes as f64
        ));
    }
    Ok(())
}

fn queries(carnet: &Path, clone: &Clone, tables: &mut Tables) -> Result<(), String> {
    let (names, paths) = names_and_paths(carnet, &clone.dir)?;
    let words: Vec<String> = names.iter().map(|name| words_of(name)).collect();
    let verbs: [(&str, &[String]); 6] = [
        ("where-defined", &names),
        ("who-calls", &names),
        ("calls", &names),
        ("outline", &paths),
        ("search", &names),
        ("search", &words),
    ];
    for (n, (verb, asked)) in verbs.into_iter().enumerate() {
        let (mut walls, mut inners) = (vec![], vec![]);
        for it in asked {
            let ask = Cmd::new(carnet).args(&[verb, "--no-wait", it]).dir(&clone.dir);
            let (wall, answer) =
                timed(ask.env("CARNET_DAEMON", "off").env("CARNET_LOG", "carnet::time=debug"))?;
            if answer.code > 4 {
                return Err(answer.stderr);
            }
            walls.push(wall);
            let inner = answer
                .stderr
                .rsplit_once("microseconds=")
                .and_then(|(_, it)| it.trim().parse::<f64>().ok());
            inners.push(inner.ok_or("carnet did not say how long it took")? / 1e3);
        }
        let kind = if n == 5 { " of several words" } else { "" };
        tables.queries.push(format!(
            "| `carnet {verb}`{kind} | {:.1} | {:.1} | {:.1} | {:.1} |",
            part(&walls, 50),
            part(&walls, 95),
            part(&inners, 50),
            part(&inners, 95)
        ));
    }
    for peer in peers(clone).filter(|peer| !peer.query.is_empty()) {
        let n = if peer.is_slow { N_SLOW_QUESTIONS } else { N_QUESTIONS };
        let walls = names.iter().take(n).map(|name| {
            let ask = Cmd::new(peer.program).args(peer.query).arg(name).dir(&clone.dir);
            timed(ask.env("CODEGRAPH_TELEMETRY", "0")).map(|it| it.0)
        });
        let walls = walls.collect::<Result<Vec<f64>, String>>()?;
        let few = if n < N_QUESTIONS { format!(" ({n} names)") } else { String::new() };
        let (p50, p95) = (part(&walls, 50), part(&walls, 95));
        tables.queries.push(format!("| `{}`{few} | {p50:.1} | {p95:.1} | | |", peer.program));
    }
    Ok(())
}

/// A daemon follows commits of ten files and changes of branch, then is left alone.
fn follow(carnet: &Path, clone: &Clone, idle_s: u64, tables: &mut Tables) -> Result<(), String> {
    let dir = &clone.dir;
    let sources: Vec<&String> = clone.files.iter().filter(|it| is_source(it)).collect();
    if sources.is_empty() {
        return Err("there are no sources to change".to_owned());
    }
    let change = |first: usize, n: usize| {
        sources.iter().cycle().skip(first).take(n).try_for_each(|file| {
            let path = dir.join(file);
            let mut text = fs::read(&path).map_err(|error| format!("{file}: {error}"))?;
            text.push(b'\n');
            fs::write(&path, text).map_err(|error| format!("{file}: {error}"))
        })
    };
    Cmd::new(carnet).args(&["daemon", "start"]).dir(dir).read()?;
    let mut followed = || -> Result<(), String> {
        fresh(carnet, dir)?;
        let mut waits = vec![];
        for n in 0..N_COMMITS {
            let first = n * N_COMMIT_FILES % sources.len();
            change(first, N_COMMIT_FILES)?;
            git(dir, &["commit", "-qam", "ten files", "--no-verify"])?;
            waits.push(fresh(carnet, dir)?);
        }
        let (p50, p95) = (part(&waits, 50), part(&waits, 95));
        tables.fresh.push(format!("| fresh after a commit of {N_COMMIT_FILES} files, from git's exit, {N_COMMITS} times: p50, p95 | {p50:.0} ms, {p95:.0} ms |"));
        git(dir, &["switch", "-qc", "other"])?;
        let n_files = sources.len().min(N_BRANCH_FILES);
        change(0, n_files)?;
        git(dir, &["commit", "-qam", "many files", "--no-verify"])?;
        let new = fresh(carnet, dir)?;
        let mut switches = vec![];
        for _ in 0..2 {
            git(dir, &["switch", "-q", "-"])?;
            switches.push(fresh(carnet, dir)?);
        }
        let most = switches.iter().copied().fold(0.0, f64::max);
        tables.fresh.push(format!("| a commit of {n_files} files; switching between those branches, most of 2 | {new:.0} ms; {most:.0} ms |"));
        let status = Cmd::new(carnet).args(&["status", "--json"]).dir(dir).read()?;
        let pid = member(&status, "pid").ok_or("no daemon runs")?.to_owned();
        let (before, began) = (busy_s(&pid), Instant::now());
        thread::sleep(Duration::from_secs(idle_s));
        let share = (busy_s(&pid) - before) / began.elapsed().as_secs_f64() * 100.0;
        let idle = if idle_s > 0 {
            format!("{share:.2} % over {idle_s} s")
        } else {
            "not watched".to_owned()
        };
        tables.fresh.push(format!(
            "| memory of the daemon after that, most so far; processor while idle | {:.0} MiB, {:.0} MiB; {idle} |",
            memory_mib(&pid, "VmRSS:"), memory_mib(&pid, "VmHWM:")
        ));
        let index = bytes_on_disk(&dir.join(".git/carnet/index"));
        tables.fresh.push(format!(
            "| disk after all that, × text | {:.2} |",
            index as f64 / clone.n_bytes as f64
        ));
        Ok(())
    };
    let result = followed();
    Cmd::new(carnet).args(&["daemon", "stop"]).dir(dir).read()?;
    result
}

/// Waits until the index is at HEAD; returns how long that took, in milliseconds.
fn fresh(carnet: &Path, dir: &Path) -> Result<f64, String> {
    let (wall, answer) =
        timed(Cmd::new(carnet).args(&["where-defined", "--wait-fresh", "main"]).dir(dir))?;
    // 3: nothing has that name.
    match answer.code {
        0 | 3 => Ok(wall),
        _ => Err(answer.stderr),
    }
}

fn timed(command: Cmd) -> Result<(f64, Answer), String> {
    let began = Instant::now();
    let answer = command.answer()?;
    Ok((began.elapsed().as_secs_f64() * 1e3, answer))
}

/// Returns the value below which so many percent of some values are.
fn part(values: &[f64], percent: usize) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
        .get(((values.len() * percent).div_ceil(100)).saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}

/// Names of functions, spread over the repository, and paths likewise.
fn names_and_paths(carnet: &Path, clone: &Path) -> Result<(Vec<String>, Vec<String>), String> {
    let graph = Cmd::new(carnet).args(&["graph", "export", "--format", "cypher", "--no-wait"]);
    let graph = graph.dir(clone).env("CARNET_DAEMON", "off").read()?;
    let own = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
    let functions = spread(&graph, "kind:'function',name:'");
    // Java has methods alone.
    let functions = match functions.len() < N_QUESTIONS {
        true => spread(&graph, "kind:'method',name:'"),
        false => functions,
    };
    let names = functions.iter().map(|it| own(it)).collect();
    let paths = spread(&graph, "path:'");
    Ok((names, paths))
}

fn spread(graph: &str, before: &str) -> Vec<String> {
    let found = graph.split(before).skip(1);
    let found: Vec<&str> = found.filter_map(|it| it.split('\'').next()).collect();
    let step = (found.len() / N_QUESTIONS).max(1);
    found.into_iter().step_by(step).take(N_QUESTIONS).map(str::to_owned).collect()
}

/// Returns a name as somebody would say it.
fn words_of(name: &str) -> String {
    let mut words = String::new();
    for c in name.chars() {
        if c == '_' || c.is_uppercase() {
            words.push(' ');
        }
        words.extend(c.to_lowercase().filter(|c| *c != '_'));
    }
    format!("where is {}", words.trim())
}

/// What running a program took.
struct Cost {
    cpu_s: f64,
    wall_s: f64,
    peak_mib: f64,
}

impl Cost {
    /// Runs a program in a process that counts it alone.
    fn of(program: &Path, args: &[&str], dir: &Path) -> Result<Cost, String> {
        let this = std::env::current_exe().map_err(|error| error.to_string())?;
        let measured = Cmd::new(this).arg("measure-one").arg(program).args(args).dir(dir);
        let began = Instant::now();
        let answer = measured.env("CARNET_DAEMON", "off").env("CODEGRAPH_TELEMETRY", "0").read()?;
        let wall_s = began.elapsed().as_secs_f64();
        let mut numbers = answer.split_whitespace().filter_map(|it| it.parse::<f64>().ok());
        let both = numbers.next().zip(numbers.next());
        let (cpu_s, kib) = both.ok_or_else(|| format!("`{answer}`"))?;
        Ok(Cost { cpu_s, wall_s, peak_mib: kib / 1024.0 })
    }
}

fn memory_mib(pid: &str, what: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap_or_default();
    let kib = line.trim().trim_end_matches("kB").trim().parse::<f64>();
    kib.map_or(f64::NAN, |kib| kib / 1024.0)
}

/// Returns what `du` says of a file or directory, in bytes.
fn bytes_on_disk(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    let inside = if metadata.is_dir() { fs::read_dir(path).ok() } else { None };
    let inside: u64 =
        inside.into_iter().flatten().flatten().map(|it| bytes_on_disk(&it.path())).sum();
    metadata.blocks() * 512 + inside
}
