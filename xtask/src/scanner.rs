//! Chores of the scanner: its score on labelled snippets, its cost beside its peers', the training of its model.
//!
//! The work is done by programs of `carnet-scan/examples`, so that this crate needs none of its dependencies.

use std::{fs::File, path::Path, process::Stdio};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::{TimeVal, TimeValLike as _},
};

use crate::{shell, shell::Cmd};

/// Scores the scanner on a file of labelled snippets: JSON lines, plain or compressed with xz.
pub fn eval(file: &str, rest: &[&str]) -> Result<(), String> {
    example("measure", &["suite"], rest)?.stdin(snippets(file)?).run()
}

/// Returns what [`eval`] prints; `measure` is the program that scores, where it is built already.
pub fn scored(file: &str, measure: Option<&Path>) -> Result<String, String> {
    let measure = match measure {
        Some(measure) => Cmd::new(measure).arg("suite"),
        None => example("measure", &["suite"], &[])?,
    };
    measure.stdin(snippets(file)?).read()
}

fn snippets(file: &str) -> Result<Stdio, String> {
    let unpacked;
    let mut snippets = Path::new(file).to_owned();
    if file.ends_with(".xz") {
        unpacked = crate::system::target_dir().join("suite.jsonl");
        let into = File::create(&unpacked).map_err(|error| error.to_string())?;
        Cmd::new("xz").args(&["-dc", file]).stdout(Stdio::from(into)).run()?;
        snippets = unpacked;
    }
    let input = File::open(&snippets).map_err(|error| format!("cannot open `{file}`: {error}"))?;
    Ok(Stdio::from(input))
}

/// Looks for planted personal data, and for false alarms in the sources of cargo's registry or in DIR….
pub fn eval_personal(dirs: &[&str]) -> Result<(), String> {
    example("personal", &["planted"], &[])?.run()?;
    over_sources("personal", &["clean"], dirs)
}

/// Measures redaction of sources in which known values are planted; see `crates/carnet-scan/examples/redaction.rs`.
pub fn bench_redact(args: &[&str]) -> Result<(), String> {
    let (dirs, options) = match args.iter().position(|arg| arg.starts_with("--")) {
        Some(at) => args.split_at(at),
        None => (args, &[][..]),
    };
    over_sources("redaction", options, dirs)
}

/// Runs an example over DIR…, or over the sources of cargo's registry.
fn over_sources(name: &str, before: &[&str], dirs: &[&str]) -> Result<(), String> {
    if !dirs.is_empty() {
        return example(name, before, dirs)?.run();
    }
    let sources = registry_sources()?;
    example(name, before, &[sources.as_str()])?.run()
}

/// Where cargo keeps the sources of every crate it has used.
fn registry_sources() -> Result<String, String> {
    let home = std::env::var_os("CARGO_HOME").map(std::path::PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let sources = home.ok_or("no home directory")?.join("registry/src");
    Ok(sources.to_str().ok_or("the registry's path is not UTF-8")?.to_owned())
}

/// Trains the model for values without a mark: `LABELLED SOURCE…`, see `docs/design/generic-model.md`.
pub fn train_generic(dirs: &[&str]) -> Result<(), String> {
    let models = shell::repository_root().join("crates/carnet-scan/models");
    let models = models.to_str().ok_or("the checkout's path is not UTF-8")?;
    example("train_generic", &[models], dirs)?.run()
}

/// Runs of each program; the least counts, since the rest is the machine's.
const N_RUNS: usize = 3;
/// What took longer, in seconds of processor time, is run once.
const LONG_S: f64 = 30.0;

/// A scanner that may be installed, and how it is asked for directories.
struct Peer {
    program: &'static str,
    /// Where it is to be had.
    from: &'static str,
    before: &'static [&'static str],
    after: &'static [&'static str],
}

const PEERS: [Peer; 6] = [
    Peer {
        program: "kingfisher",
        from: "pip install kingfisher-bin",
        before: &["scan"],
        after: &["--no-validate", "--no-update-check", "--jobs", "1"],
    },
    Peer {
        program: "gitleaks",
        from: "Debian's package, in sid",
        before: &["dir", "--no-banner", "--no-color", "--log-level", "error"],
        after: &[],
    },
    Peer { program: "ripsecrets", from: "cargo install ripsecrets", before: &[], after: &[] },
    Peer {
        program: "betterleaks",
        from: "its releases",
        before: &["dir", "--no-banner"],
        after: &[],
    },
    Peer {
        program: "trufflehog",
        from: "its releases",
        before: &["filesystem", "--no-verification"],
        after: &[],
    },
    Peer {
        program: "detect-secrets",
        from: "pip install detect-secrets",
        before: &["scan", "--all-files", "-n"],
        after: &[],
    },
];

/// Scans directories, or the sources of cargo's registry, with carnet and with every peer that is installed, in turn, and prints
/// what each took, each with one thread where it can be told so.
pub fn bench(dirs: &[&str]) -> Result<(), String> {
    let sources = registry_sources()?;
    let dirs = if dirs.is_empty() { &[sources.as_str()] } else { dirs };
    bench_of(&crate::system::built_carnet("release")?, dirs)
}

/// The same with a binary that is built already.
pub fn bench_of(carnet: &Path, dirs: &[&str]) -> Result<(), String> {
    let n_bytes: u64 = dirs.iter().map(|dir| size_of(Path::new(dir))).sum();
    println!(
        "{} MB in {}; least of {N_RUNS} runs, or the one of more than {LONG_S} s\n",
        n_bytes / 1_000_000,
        dirs.join(" ")
    );
    println!("{:<28} {:>10} {:>8} {:>10}", "", "CPU s", "MB/s", "peak MiB");
    let carnet = carnet.to_str().ok_or("the path of carnet is not UTF-8")?;
    let ours: Vec<&str> = ["scan", "--json"].iter().chain(dirs).copied().collect();
    row("carnet scan", n_bytes, measured(carnet, &ours)?);
    for Peer { program, from, before, after } in &PEERS {
        if !crate::system::has_program(program) {
            println!("{program:<28} skipped: not on PATH ({from})");
            continue;
        }
        let args: Vec<&str> = before.iter().chain(dirs).chain(*after).copied().collect();
        row(program, n_bytes, measured(program, &args)?);
    }
    Ok(())
}

fn row(name: &str, n_bytes: u64, (cpu_s, peak_kib): (f64, u64)) {
    let rate = n_bytes as f64 / 1e6 / cpu_s;
    println!("{name:<28} {cpu_s:>10.2} {rate:>8.0} {:>10}", peak_kib / 1024);
}

fn size_of(path: &Path) -> u64 {
    let Ok(meta) = std::fs::symlink_metadata(path) else { return 0 };
    if !meta.is_dir() {
        return if meta.is_file() { meta.len() } else { 0 };
    }
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    entries.filter_map(Result::ok).map(|entry| size_of(&entry.path())).sum()
}

/// Runs a program several times, each in a process of its own that asks the kernel what it took.
fn measured(program: &str, args: &[&str]) -> Result<(f64, u64), String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut least: Option<(f64, u64)> = None;
    for _ in 0..N_RUNS {
        let answer = Cmd::new(&own).arg("measure-one").arg(program).args(args).read()?;
        let mut fields = answer.split_ascii_whitespace();
        let taken = fields.next().and_then(|field| field.parse().ok());
        let peak = fields.next().and_then(|field| field.parse().ok());
        let (Some(cpu_s), Some(peak_kib)) = (taken, peak) else {
            return Err(format!("`{program}` could not be measured: {answer}"));
        };
        if least.is_none_or(|(before, _)| cpu_s < before) {
            least = Some((cpu_s, peak_kib));
        }
        if cpu_s > LONG_S {
            break;
        }
    }
    least.ok_or_else(|| format!("`{program}` was not run"))
}

/// Runs one program, and prints its processor time in seconds and its peak memory in KiB.
///
/// A scanner that finds something exits with a code of its own; that is no failure here.
pub fn measure_one(program: &str, args: &[&str]) -> Result<(), String> {
    let answer = Cmd::new(program).args(args).answer()?;
    if answer.code < 0 {
        return Err(format!("`{program}` was ended by a signal"));
    }
    let cpu_s = children_cpu_s()?;
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| error.to_string())?;
    println!("{cpu_s:.3} {}", usage.max_rss());
    Ok(())
}

/// Processor time of every child so far and of their children, in seconds.
pub fn children_cpu_s() -> Result<f64, String> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| error.to_string())?;
    let seconds = |time: TimeVal| time.num_microseconds() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// A program of the scanner's crate, built for speed.
fn example(name: &str, first: &[&str], rest: &[&str]) -> Result<Cmd, String> {
    Cmd::new("cargo")
        .args(&["build", "--release", "--quiet", "-p", "carnet-scan", "--example", name])
        .dir(&shell::repository_root())
        .run()?;
    let program = crate::system::target_dir().join("release/examples").join(name);
    Ok(Cmd::new(program).args(first).args(rest))
}
