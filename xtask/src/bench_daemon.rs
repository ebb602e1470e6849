//! `cargo xtask bench daemon`: how fresh the index is while people work, after storms, and for many who ask at once.
//!
//! - `hour` works in a clone as people do, asks `carnet status` all the time, and draws what it saw.
//! - `storms` and `clients` are the tests of those names (`tests/it`), at full size.
//!
//! A move of HEAD counts from git's exit until the end of the first `carnet status` that names its commit, or one that HEAD
//! moved to later: so a figure is never too small, and too large by up to a pause and a question.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    bench_daemon_plot::{Hour, Kind, Move, page, percentile},
    shell::{Cmd, repository_root},
    system,
};

/// Between two questions for the status.
const ASK_PAUSE: Duration = Duration::from_millis(150);
/// Longest pause of the one who works, in seconds.
const GAP_S_MAX: f64 = 40.0;
/// Shortest.
const GAP_S_MIN: f64 = 0.2;
/// Most files of one commit.
const FILES_MAX: f64 = 60.0;

struct Options<'a> {
    only: Vec<&'a str>,
    minutes: f64,
    seconds: &'a str,
    seed: u64,
    carnet: Option<PathBuf>,
    svg: PathBuf,
    repo: Option<&'a str>,
}

/// Measures.
///
/// - `args`: `--only hour|storms|clients` (repeatable), `--minutes N`, `--seconds N`, `--seed N`, `--carnet FILE`,
///   `--svg FILE`, and for the hour a repository.
pub fn bench_daemon(args: &[&str]) -> Result<(), String> {
    let options = read(args)?;
    let carnet = options.carnet.clone().map_or_else(|| system::built_carnet("release"), Ok)?;
    let carnet = carnet.canonicalize().map_err(|error| format!("{}: {error}", carnet.display()))?;
    let is_wanted = |part: &str| options.only.is_empty() || options.only.contains(&part);
    if is_wanted("storms") {
        let sizes = [("CARNET_STORM_FILES", "30000"), ("CARNET_STORM_COMMITS", "100")];
        test(&carnet, "storms::", &sizes)?;
    }
    if is_wanted("clients") {
        let sizes = [("CARNET_CLIENTS", "50"), ("CARNET_CLIENT_SECONDS", options.seconds)];
        test(&carnet, "clients::", &sizes)?;
    }
    match options.repo {
        Some(repo) if is_wanted("hour") => hour(&carnet, repo, &options),
        None if is_wanted("hour") => Err("name the repository to work in for an hour".to_owned()),
        _ => Ok(()),
    }
}

fn read<'a>(args: &[&'a str]) -> Result<Options<'a>, String> {
    let svg = repository_root().join("docs/freshness.svg");
    let mut options = Options {
        only: Vec::new(),
        minutes: 60.0,
        seconds: "60",
        seed: 1,
        carnet: None,
        svg,
        repo: None,
    };
    let mut args = args.iter().copied();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        let number = |text: &str| text.parse::<f64>().map_err(|error| format!("{text}: {error}"));
        match arg {
            "--only" => options.only.push(value()?),
            "--minutes" => options.minutes = number(value()?)?,
            "--seconds" => options.seconds = value()?,
            "--seed" => options.seed = number(value()?)? as u64,
            "--carnet" => options.carnet = Some(value()?.into()),
            "--svg" => options.svg = value()?.into(),
            repo => options.repo = Some(repo),
        }
    }
    Ok(options)
}

/// Runs tests of the binary at the sizes that are given, with what they say shown.
fn test(carnet: &Path, name: &str, sizes: &[(&str, &str)]) -> Result<(), String> {
    let mut cargo = system::cargo().args(&["test", "--locked", "-p", "carnet", "--test", "it"]);
    cargo = cargo.args(&["--", name, "--nocapture", "--test-threads", "1"]);
    for (variable, value) in sizes {
        cargo = cargo.env(variable, value);
    }
    cargo.env("CARNET_TEST_BINARY", carnet).dir(&repository_root()).run()
}

/// Someone who works in a clone.
struct Worker<'a> {
    clone: PathBuf,
    path: String,
    moves: &'a Mutex<Vec<Move>>,
    began: Instant,
    head: String,
    chance: Chance,
    sources: Vec<String>,
    n_files: u32,
}

fn hour(carnet: &Path, repo: &str, options: &Options<'_>) -> Result<(), String> {
    let scratch = system::target_dir().join("bench-daemon");
    let _ = fs::remove_dir_all(&scratch);
    let (bin, clone) = (scratch.join("bin"), scratch.join("repo"));
    fs::create_dir_all(&bin).map_err(|error| error.to_string())?;
    fs::copy(carnet, bin.join("carnet")).map_err(|error| error.to_string())?;
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    Cmd::new("git").args(&["clone", "-q"]).arg(repo).arg(&clone).run()?;
    let carnet =
        |args: &[&str]| Cmd::new(bin.join("carnet")).args(args).dir(&clone).env("PATH", &path);
    for (key, value) in
        [("user.name", "bench"), ("user.email", "bench@example.com"), ("gc.auto", "0")]
    {
        Cmd::new("git").args(&["config", key, value]).dir(&clone).run()?;
    }
    Cmd::new("git").args(&["switch", "-qC", "hour"]).dir(&clone).run()?;
    carnet(&["init"]).read()?;
    carnet(&["daemon", "start"]).read()?;
    carnet(&["where-defined", "main"]).answer()?;
    let status = carnet(&["status", "--json"]).answer()?.stdout;
    let pid = member(&status, "pid").ok_or("no daemon runs")?.to_owned();
    let busy_before = busy_s(&pid);

    let (moves, is_over, began) = (Mutex::new(Vec::new()), AtomicBool::new(false), Instant::now());
    let head = member(&status, "head").unwrap_or_default().to_owned();
    let files = Cmd::new("git").args(&["ls-files", "-z"]).dir(&clone).read()?;
    let ends = [".rs", ".py", ".go", ".ts", ".js", ".java", ".c", ".md"];
    let is_source = |it: &&str| ends.iter().any(|end| it.ends_with(end));
    let sources: Vec<String> = files.split('\0').filter(is_source).map(ToOwned::to_owned).collect();
    if sources.is_empty() {
        return Err("there are no sources to change".to_owned());
    }
    let chance = Chance(options.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut worker = Worker {
        clone: clone.clone(),
        path: path.clone(),
        moves: &moves,
        began,
        head,
        chance,
        sources,
        n_files: 0,
    };
    let samples = thread::scope(|scope| {
        let asker = scope.spawn(|| ask(&is_over, began, &|| carnet(&["status", "--json"])));
        let worked = worker.work(Duration::from_secs_f64(options.minutes * 60.0));
        // What was done last may still be on its way.
        let deadline = Instant::now() + Duration::from_secs(120);
        while Instant::now() < deadline {
            let status = carnet(&["status", "--json"]).answer()?.stdout;
            if member(&status, "commit") == member(&status, "head") {
                break;
            }
            thread::sleep(ASK_PAUSE);
        }
        thread::sleep(2 * ASK_PAUSE);
        is_over.store(true, Ordering::Relaxed);
        let samples = asker.join().map_err(|_| "the one who asks panicked".to_owned())??;
        worked.map(|()| samples)
    })?;
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    let busy_s = busy_s(&pid) - busy_before;
    let peak_mib = peak_mib(&pid);
    carnet(&["daemon", "stop"]).read()?;
    let moves = moves.into_inner().unwrap_or_else(PoisonError::into_inner);
    let repo = name_of(repo);
    let hour = Hour { repo, minutes, moves: served(moves, &samples), busy_s, peak_mib };
    say(&hour, samples.len());
    fs::write(&options.svg, page(&hour)).map_err(|error| error.to_string())?;
    println!("drawn in {}", options.svg.display());
    match hour.moves.iter().find(|it| it.behind_s.is_none()) {
        Some(lost) => Err(format!("the index never came to {} of {}", lost.commit, lost.at_s)),
        None => Ok(()),
    }
}

/// What a repository is called, by the path of its clone or mirror.
fn name_of(repo: &str) -> String {
    let mut parts = repo.rsplit('/').filter(|it| !matches!(*it, "" | "." | "repo" | ".git"));
    let name = parts.next().unwrap_or(repo);
    name.rsplit('+').next().unwrap_or(name).to_owned()
}

/// The commit of the index at a time, in seconds.
struct Sample {
    at_s: f64,
    indexed: String,
}

fn ask(
    is_over: &AtomicBool,
    began: Instant,
    status: &(dyn Fn() -> Cmd + Sync),
) -> Result<Vec<Sample>, String> {
    let mut samples = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let answer = status().answer()?;
        let at_s = began.elapsed().as_secs_f64();
        if answer.code != 0 && answer.code != 4 {
            return Err(format!("carnet status exited with {}:\n{}", answer.code, answer.stderr));
        }
        if let Some(indexed) = member(&answer.stdout, "commit") {
            samples.push(Sample { at_s, indexed: indexed.to_owned() });
        }
        thread::sleep(ASK_PAUSE);
    }
    Ok(samples)
}

/// Says of each move of HEAD how long it took until the index was there, or further.
fn served(mut moves: Vec<Move>, samples: &[Sample]) -> Vec<Move> {
    let reached = |idx: usize, sample: &Sample| {
        moves[idx..]
            .iter()
            .take_while(|it| it.at_s <= sample.at_s)
            .any(|it| it.commit == sample.indexed)
    };
    let behind: Vec<Option<f64>> = (0..moves.len())
        .map(|idx| {
            let at_s = moves[idx].at_s;
            let after = samples.iter().skip_while(|it| it.at_s < at_s);
            after.into_iter().find(|sample| reached(idx, sample)).map(|it| it.at_s - at_s)
        })
        .collect();
    for (moved, behind_s) in moves.iter_mut().zip(behind) {
        moved.behind_s = behind_s;
    }
    moves
}

impl Worker<'_> {
    fn work(&mut self, during: Duration) -> Result<(), String> {
        while self.began.elapsed() < during {
            match self.chance.below(100) {
                0..64 => self.commit()?,
                64..73 => self.amend()?,
                73..80 => self.merge()?,
                80..86 => self.rebase()?,
                86..97 => self.switch()?,
                _ => self.git(Kind::Reset, &["reset", "-q", "--hard", "HEAD~1"])?,
            }
            let gap_s = GAP_S_MIN * (GAP_S_MAX / GAP_S_MIN).powf(self.chance.part());
            thread::sleep(Duration::from_secs_f64(gap_s));
        }
        Ok(())
    }

    /// One to sixty files, half of the times one or two; every third time round the hooks.
    fn commit(&mut self) -> Result<(), String> {
        let n_files = FILES_MAX.powf(self.chance.part().powf(2.5)) as usize;
        for _ in 0..n_files {
            self.edit()?;
        }
        if self.chance.below(5) == 0 {
            self.add("")?;
        }
        self.git(Kind::Commit, &["commit", "-qam", "work"])
    }

    fn amend(&mut self) -> Result<(), String> {
        self.edit()?;
        self.git(Kind::Amend, &["commit", "-qa", "--amend", "--no-edit"])
    }

    fn merge(&mut self) -> Result<(), String> {
        self.git(Kind::Switch, &["switch", "-qC", "side", "HEAD~1"])?;
        for _ in 0..=self.chance.below(3) {
            self.add("side")?;
            self.git(Kind::Commit, &["commit", "-qm", "side"])?;
        }
        self.git(Kind::Switch, &["switch", "-q", "hour"])?;
        self.git(Kind::Merge, &["merge", "-q", "--no-ff", "-m", "merge", "side"])
    }

    fn rebase(&mut self) -> Result<(), String> {
        self.git(Kind::Switch, &["switch", "-qC", "topic", "HEAD~2"])?;
        for _ in 0..3 + self.chance.below(10) {
            self.add("topic")?;
            self.git(Kind::Commit, &["commit", "-qm", "topic"])?;
        }
        self.git(Kind::Rebase, &["rebase", "-q", "hour"])?;
        self.git(Kind::Switch, &["switch", "-q", "hour"])?;
        self.git(Kind::Merge, &["merge", "-q", "--ff-only", "topic"])
    }

    /// Back in time and, after a while, forth again.
    fn switch(&mut self) -> Result<(), String> {
        let back = format!("HEAD~{}", 5 + self.chance.below(300));
        self.git(Kind::Switch, &["switch", "-q", "--detach", &back])?;
        thread::sleep(Duration::from_secs_f64(10.0 * self.chance.part()));
        self.git(Kind::Switch, &["switch", "-q", "hour"])
    }

    /// Adds a definition to a file that is there.
    fn edit(&mut self) -> Result<(), String> {
        let n = self.chance.below(self.sources.len() as u64) as usize;
        let file = self.clone.join(&self.sources[n]);
        let Ok(mut text) = fs::read(&file) else { return Ok(()) };
        self.n_files += 1;
        text.extend_from_slice(definition(&self.sources[n], self.n_files).as_bytes());
        fs::write(&file, text).map_err(|error| error.to_string())
    }

    /// Adds a file in a fresh directory.
    fn add(&mut self, below: &str) -> Result<(), String> {
        self.n_files += 1;
        let dir = self.clone.join(format!("hour/{below}/{}", self.n_files));
        fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
        let file = dir.join("fresh.rs");
        fs::write(&file, definition("fresh.rs", self.n_files)).map_err(|err| err.to_string())?;
        Cmd::new("git").args(&["add", "hour"]).dir(&self.clone).run()
    }

    /// Runs git, with the hooks or without, and notes where HEAD is when it has ended.
    fn git(&mut self, kind: Kind, args: &[&str]) -> Result<(), String> {
        let is_hooked = self.chance.below(3) != 0;
        let hooks: &[&str] = if is_hooked { &[] } else { &["-c", "core.hooksPath=/dev/null"] };
        let git = |args: &[&str]| {
            let git = Cmd::new("git").args(hooks).args(args).dir(&self.clone);
            git.env("PATH", &self.path).env("GIT_EDITOR", "true")
        };
        git(args).read()?;
        let at_s = self.began.elapsed().as_secs_f64();
        let head = git(&["rev-parse", "HEAD"]).read()?.trim().to_owned();
        if head != self.head {
            self.head.clone_from(&head);
            let load = load();
            let moved = Move { at_s, commit: head, kind, is_hooked, load, behind_s: None };
            self.moves.lock().unwrap_or_else(PoisonError::into_inner).push(moved);
        }
        Ok(())
    }
}

fn definition(file: &str, n: u32) -> String {
    match file.rsplit('.').next() {
        Some("rs") => format!("\nfn hour_{n}() {{}}\n"),
        Some("py") => format!("\n\ndef hour_{n}():\n    pass\n"),
        Some("go") => format!("\nfunc hour{n}() {{}}\n"),
        Some("ts" | "js") => format!("\nfunction hour{n}() {{}}\n"),
        Some("c") => format!("\nvoid hour_{n}(void) {{}}\n"),
        _ => format!("\nhour {n}\n"),
    }
}

fn say(hour: &Hour, n_samples: usize) {
    println!(
        "{}: {:.0} minutes, {} moves of HEAD, status asked {n_samples} times; the daemon took {:.1} s of processor time \
         ({:.2} %), its peak was {:.0} MiB",
        hour.repo,
        hour.minutes,
        hour.moves.len(),
        hour.busy_s,
        hour.busy_s / hour.minutes / 0.6,
        hour.peak_mib
    );
    println!("  {:<24} {:>6} {:>8} {:>8} {:>8}", "seconds behind", "n", "p50", "p95", "most");
    let row = |name: &str, is_meant: &dyn Fn(&Move) -> bool| {
        let moves = hour.moves.iter().filter(|it| is_meant(it));
        let mut behind: Vec<f64> = moves.filter_map(|it| it.behind_s).collect();
        behind.sort_by(f64::total_cmp);
        let [p50, p95, most] = [50, 95, 100].map(|part| percentile(&behind, part));
        println!("  {name:<24} {:>6} {p50:>8.2} {p95:>8.2} {most:>8.2}", behind.len());
    };
    row("all", &|_| true);
    for kind in Kind::ALL {
        row(kind.name(), &|it| it.kind == kind);
    }
    row("with hooks", &|it| it.is_hooked);
    row("round the hooks", &|it| !it.is_hooked);
}

/// The text of the first member of a name that is a text or a number, in JSON that carnet wrote.
pub fn member<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = json.split_once(&format!("\"{name}\":"))?;
    let value = after.trim_start();
    match value.strip_prefix('"') {
        Some(text) => text.split('"').next(),
        None => value.split([',', '}', '\n']).next().map(str::trim).filter(|it| *it != "null"),
    }
}

/// The processor time that a process has taken, in seconds.
pub fn busy_s(pid: &str) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks.filter_map(|it| it.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn peak_mib(pid: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|it| it.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

/// Processes that want to run, over the last minute.
pub fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|it| it.parse().ok()).unwrap_or(0.0)
}

/// Numbers that look random and are the same for the same seed (xorshift64*).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 33) % end
    }

    /// From 0 to 1.
    fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_is_served_by_its_own_commit_or_by_a_later_one() {
        let moved = |at_s: f64, commit: &str| Move {
            at_s,
            commit: commit.to_owned(),
            kind: Kind::Commit,
            is_hooked: true,
            load: 0.0,
            behind_s: None,
        };
        let sample = |at_s: f64, indexed: &str| Sample { at_s, indexed: indexed.to_owned() };
        // To b and back to a: while the index is still at a, from before, b is not served.
        let moves = vec![moved(1.0, "b"), moved(3.0, "a"), moved(9.0, "c")];
        let samples = [sample(0.5, "a"), sample(2.0, "a"), sample(3.5, "a"), sample(9.5, "a")];
        let behind: Vec<_> = served(moves, &samples).iter().map(|it| it.behind_s).collect();
        assert_eq!(behind, [Some(2.5), Some(0.5), None]);
    }

    #[test]
    fn members_are_read_as_carnet_writes_them() {
        let json =
            "{\n  \"head\": \"abc\",\n  \"daemon\": {\n    \"pid\": 12,\n    \"at\": null\n  }\n}";
        assert_eq!(member(json, "head"), Some("abc"));
        assert_eq!(member(json, "pid"), Some("12"));
        assert_eq!(member(json, "at"), None);
        assert_eq!(member(json, "none"), None);
    }
}
