//! `cargo xtask bench quota`: how exactly limits hold on this machine, for the user who asks, and what a killed part leaves.
//!
//! Shares and lateness are the kernel's and the supervisor's, not the processor's, so a development build tells the truth too;
//! a machine without a free processor tells less of large shares. Run it as root and as an ordinary user: each gets the
//! backends that they have.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{bench::repository, shell::Cmd, system};

/// The shares that are granted, in percent of all processors; what ran, and the limit of the wall clock in seconds.
const SHARES: [u64; 4] = [5, 10, 25, 80];
const BURN_SECONDS: u64 = 6;
const N_WALL_KILLS: usize = 30;
const N_MEMORY_KILLS: usize = 30;
const MEMORY_MIB: u64 = 64;
/// How long whatever is left has to go.
const LEFT_MAX: Duration = Duration::from_secs(1);

const MAKEFILE: &str = "burn:\n\t@for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do (while :; do :; done) & done; wait\n\
    slow:\n\t@sleep 100000\nhog:\n\t@python3 -u hog.py\n";
/// Takes more than is granted at once, and tells how long it lives after that, in milliseconds.
const HOG: &str = "import os, time\nbegin = time.monotonic()\nheld = bytearray(b'\\1') * (96 << 20)\n\
    while True:\n    os.write(1, b'%d\\n' % ((time.monotonic() - begin) * 1000))\n    time.sleep(0.001)\n";

struct Bench {
    carnet: PathBuf,
    repo: PathBuf,
    scratch: PathBuf,
}

/// Measures and prints.
pub fn bench_quota(args: &[&str]) -> Result<(), String> {
    let bench = Bench::read(args)?;
    bench.shares()?;
    bench.wall_clock()?;
    bench.memory()?;
    bench.kills()
}

impl Bench {
    fn read(args: &[&str]) -> Result<Bench, String> {
        let (mut dir, mut carnet) = (system::target_dir().join("bench-quota"), None);
        for pair in args.chunks(2) {
            match pair {
                ["--dir", value] => dir = PathBuf::from(value),
                ["--carnet", value] => carnet = Some(PathBuf::from(value)),
                _ => return Err("it takes `--dir DIR` and `--carnet FILE`".to_owned()),
            }
        }
        let carnet = carnet.map_or_else(|| system::built_carnet("release"), Ok)?;
        let _ = fs::remove_dir_all(&dir);
        let scratch = dir.join("scratch");
        fs::create_dir_all(&scratch).map_err(|error| format!("{}: {error}", dir.display()))?;
        let repo = repository(&dir, "repo", Some(&carnet))?;
        let write = |name: &str, text: &str| {
            let path = repo.join(name);
            fs::create_dir_all(path.parent().unwrap_or(&repo))
                .and_then(|()| fs::write(&path, text))
                .map_err(|error| format!("{}: {error}", path.display()))
        };
        write("Makefile", MAKEFILE)?;
        write("hog.py", HOG)?;
        for share in SHARES {
            write(
                &format!("allowlists/cpu{share}.toml"),
                &lane(&format!("cpu{share}"), share, 1024, BURN_SECONDS),
            )?;
        }
        write("allowlists/brief.toml", &lane("brief", 80, 1024, 1))?;
        write("allowlists/small.toml", &lane("small", 80, MEMORY_MIB, 60))?;
        write("allowlists/long.toml", &lane("long", 80, 1024, 600))?;
        write(
            "allowlists/deny.toml",
            "format = \"carnet/allowlist/1\"\nlane = \"deny\"\ndescription = \"Nothing.\"\n",
        )?;
        let git = |args: &[&str]| Cmd::new("git").args(args).dir(&repo).run();
        git(&["add", "-A"])?;
        git(&["commit", "-qnm", "lanes"])?;
        git(&["config", "carnet.policyRef", "HEAD"])?;
        Ok(Bench { carnet, repo, scratch })
    }

    fn carnet(&self, args: &[&str]) -> Cmd {
        let carnet = Cmd::new(&self.carnet).args(args).dir(&self.repo);
        carnet.env("CARNET_DAEMON", "off").env("CARNET_SCRATCH_DIR", &self.scratch)
    }

    /// Runs a target in a lane; returns its passport, and what it printed.
    fn run(&self, lane: &str, target: &str) -> Result<(String, String), String> {
        let said = self.carnet(&["run", "--lane", lane, "--", "make", target]).answer()?;
        let runs = self.carnet(&["runs", "-n", "1", "--json"]).read()?;
        let (_, rest) = runs.split_once("\"run\"").ok_or("no run was recorded")?;
        let id = rest.split('"').nth(1).ok_or("a run without an id")?;
        let passport = self.carnet(&["show", id, "--json"]).read()?;
        Ok((passport, said.stdout))
    }

    fn shares(&self) -> Result<(), String> {
        let n_cpus = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        println!(
            "\n== processor share: 16 loops for {BURN_SECONDS} s, share of {n_cpus} processors"
        );
        for share in SHARES {
            let (passport, _) = self.run(&format!("cpu{share}"), "burn")?;
            let cpu_ms = (used(&passport, "userMs")? + used(&passport, "systemMs")?) as f64;
            let wall = used(&passport, "wallMs")? as f64;
            let got = cpu_ms / wall / n_cpus * 100.0;
            let by = held(&passport, "cpu");
            println!(
                "granted {share:>3} %, got {got:>5.1} % ({:+.1} points), by {by}",
                got - share as f64
            );
        }
        Ok(())
    }

    fn wall_clock(&self) -> Result<(), String> {
        println!("\n== wall clock of 1 s: {N_WALL_KILLS} runs that never end");
        let mut late = vec![];
        for _ in 0..N_WALL_KILLS {
            let (passport, _) = self.run("brief", "slow")?;
            late.push(used(&passport, "wallMs")?.saturating_sub(1000));
        }
        tell("late by ms until nothing was left", late);
        Ok(())
    }

    fn memory(&self) -> Result<(), String> {
        println!("\n== memory of {MEMORY_MIB} MiB: {N_MEMORY_KILLS} runs that take 96 MiB at once");
        let (mut lived, mut by) = (vec![], String::new());
        for _ in 0..N_MEMORY_KILLS {
            let (passport, said) = self.run("small", "hog")?;
            if !passport.contains("out-of-quota") {
                return Err(format!("a hog was not stopped:\n{passport}"));
            }
            lived.push(said.lines().last().and_then(|last| last.parse().ok()).unwrap_or(0));
            by = held(&passport, "memory");
        }
        println!("by {by}");
        tell("lived ms after it began to take too much", lived);
        Ok(())
    }

    fn kills(&self) -> Result<(), String> {
        println!("\n== kill -9 of each part of a run; what is left after {} s", LEFT_MAX.as_secs());
        for (part_idx, part) in ["carnet", "bwrap", "the first process inside"].iter().enumerate() {
            let (mut child, pids) = self.endless()?;
            // An ordinary user's run has one more process before it, which keeps the namespace of its layer.
            let bwrap = pids.iter().position(|pid| name_of(*pid) == "bwrap");
            let bwrap = bwrap.ok_or("a run without bwrap")?;
            let victim = if part_idx == 0 { child.id() } else { pids[bwrap + part_idx - 1] };
            kill(victim)?;
            let begin = Instant::now();
            // Whoever started carnet reaps it; the others are reaped by whom they fall to.
            child.wait().map_err(|error| error.to_string())?;
            println!("{part}: {}", self.left(begin, child.id(), &pids));
        }
        let started = self.carnet(&["daemon", "start"]).env("CARNET_DAEMON", "on").answer()?;
        let status = self.carnet(&["daemon", "status", "--json"]).answer()?;
        let pid = number(&status.stdout, "pid").ok().and_then(|pid| u32::try_from(pid).ok());
        let Some(pid) = pid else {
            println!("the daemon: not started here: {}", started.stderr.trim());
            return Ok(());
        };
        let pids: Vec<u32> = std::iter::once(pid).chain(descendants(pid)).collect();
        kill(pid)?;
        println!("the daemon: {}", self.left(Instant::now(), pid, &pids));
        Ok(())
    }

    /// Starts a run that does not end, and returns when its innermost process is there, with all pids below it.
    fn endless(&self) -> Result<(Child, Vec<u32>), String> {
        let mut command = Command::new(&self.carnet);
        command.args(["run", "--lane", "long", "--", "make", "slow"]).current_dir(&self.repo);
        command.env("CARNET_DAEMON", "off").env("CARNET_SCRATCH_DIR", &self.scratch);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        loop {
            let pids = descendants(child.id());
            if pids.iter().any(|pid| name_of(*pid) == "sleep") {
                return Ok((child, pids));
            }
            if child.try_wait().is_ok_and(|status| status.is_some()) {
                return Err("carnet ended before its run".to_owned());
            }
            std::thread::yield_now();
        }
    }

    /// Says when the last of `pids` was gone, and what lies about after [`LEFT_MAX`].
    fn left(&self, begin: Instant, supervisor: u32, pids: &[u32]) -> String {
        let mut gone = None;
        while begin.elapsed() < LEFT_MAX {
            if gone.is_none() && pids.iter().all(|pid| is_gone(*pid)) {
                gone = Some(begin.elapsed().as_millis());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let processes = match gone {
            Some(ms) => format!("{} processes gone after {ms} ms", pids.len()),
            None => {
                let left: Vec<_> = pids.iter().filter(|pid| !is_gone(**pid)).collect();
                format!("LEFT: {} processes {left:?}", left.len())
            }
        };
        let scratch = fs::read_dir(&self.scratch).into_iter().flatten().flatten();
        let mut left: Vec<String> =
            scratch.map(|entry| entry.path().display().to_string()).collect();
        left.extend(groups(Path::new("/sys/fs/cgroup"), &format!("run-{supervisor}-"), 6));
        if left.is_empty() {
            format!("{processes}; no directory, no group")
        } else {
            format!("{processes}; left: {}", left.join(" "))
        }
    }
}

fn lane(name: &str, cpu_pct: u64, mem_mib: u64, seconds: u64) -> String {
    format!(
        "format = \"carnet/allowlist/1\"\nlane = \"{name}\"\ndescription = \"Measured.\"\n\n[limits]\nmax_cpu_pct = {cpu_pct}\n\
        max_mem_mb = {mem_mib}\nmax_exec_seconds = {seconds}\nmax_parallel = 1\nmax_processes = 64\nmax_disk_mb = 64\nmax_output_mb = 4\n\n\
        [[allow]]\nid = \"make\"\nargv = [\"make\", \"{{one-of:burn|slow|hog}}\"]\nruns_repository_code = true\n\
        match = [[\"make\", \"slow\"]]\nnot_match = [[\"make\", \"x\"]]\n"
    )
}

/// Reads a number of what a passport says was used, by its member's name.
fn used(passport: &str, member: &str) -> Result<u64, String> {
    let (_, usage) = passport.split_once("\"usage\"").ok_or("no `usage`")?;
    number(usage, member)
}

/// Reads the first number of that name.
fn number(json: &str, member: &str) -> Result<u64, String> {
    let (_, rest) = json.split_once(&format!("\"{member}\"")).ok_or(format!("no `{member}`"))?;
    let digits: String =
        rest.trim_start_matches([':', ' ']).chars().take_while(char::is_ascii_digit).collect();
    digits.parse().map_err(|_| format!("`{member}` is no number"))
}

/// What held a limit, by the passport.
fn held(passport: &str, mechanism: &str) -> String {
    let at = passport.find(&format!("\"mechanism\": \"{mechanism}\""));
    let at = at.or_else(|| passport.find(&format!("\"mechanism\":\"{mechanism}\"")));
    let Some(at) = at else { return "nothing".to_owned() };
    let detail = passport[at..].split_once("\"detail\"").map_or("", |(_, rest)| rest);
    detail.split('"').nth(1).unwrap_or("").split(':').next().unwrap_or("").to_owned()
}

fn tell(what: &str, mut values: Vec<u64>) {
    values.sort_unstable();
    let at = |share: usize| values.get((values.len() - 1) * share / 100).copied().unwrap_or(0);
    println!("{what}: median {}, p95 {}, most {}, of {}", at(50), at(95), at(100), values.len());
}

fn kill(pid: u32) -> Result<(), String> {
    Cmd::new("kill").args(&["-9", &pid.to_string()]).run()
}

fn descendants(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let children = children.split_ascii_whitespace().filter_map(|child| child.parse().ok());
    // The warden is carnet itself: it goes when it has cleared up.
    let children = children.filter(|child| name_of(*child) != "carnet");
    children.flat_map(|child| std::iter::once(child).chain(descendants(child))).collect()
}

fn name_of(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

/// A process that has ended and was not reaped is gone: it holds nothing any more.
fn is_gone(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
}

/// Groups of a supervisor's runs that are there.
fn groups(dir: &Path, prefix: &str, depth: usize) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let found = dirs.flat_map(|entry| {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_run = name.starts_with(prefix) && dir.ends_with("carnet");
        let own = is_run.then(|| path.display().to_string());
        let below = if depth == 0 { vec![] } else { groups(&path, prefix, depth - 1) };
        own.into_iter().chain(below).collect::<Vec<_>>()
    });
    found.collect()
}
