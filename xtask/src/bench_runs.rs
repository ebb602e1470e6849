//! `cargo xtask bench runs`: what recording costs, what it survives, and how its peers do.
//!
//! Every section makes its own repositories below `--dir` (default: the target directory), counts what arrived, and has git
//! itself judge what is left. A section that cannot be done here says so aloud.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use crate::{
    bench::{children_ms, median, once_ms, repository, row},
    shell::{Cmd, repository_root},
    system,
};

/// What to measure and how much of it.
struct Plan {
    only: Vec<String>,
    dir: PathBuf,
    carnet: PathBuf,
    n_parallel_runs: usize,
    n_pushes: usize,
    n_many: usize,
    n_kills: usize,
}

const SECTIONS: [&str; 6] = ["append", "parallel", "clones", "many", "kill", "peers"];
const N_WRITERS: usize = 8;

type Section = fn(&Plan) -> Result<(), String>;

/// Runs between two packings of the synthesised ledger.
const BATCH: usize = 5_000;

/// Reads the flags and measures.
pub fn bench_runs(args: &[&str]) -> Result<(), String> {
    let plan = Plan::read(args)?;
    let sections: [Section; 6] = [append, parallel, clones, many, kill, peers];
    for (name, section) in SECTIONS.into_iter().zip(sections) {
        if plan.only.is_empty() || plan.only.iter().any(|it| it == name) {
            println!("\n== {name}");
            section(&plan)?;
        }
    }
    Ok(())
}

impl Plan {
    fn read(args: &[&str]) -> Result<Plan, String> {
        let mut only = vec![];
        let (mut dir, mut carnet) = (system::target_dir().join("bench-runs"), None);
        let (mut n_parallel_runs, mut n_pushes, mut n_many, mut n_kills) = (250, 25, 100_000, 200);
        for pair in args.chunks(2) {
            let [flag, value] = pair else { return Err(format!("`{}` needs a value", pair[0])) };
            let number = || value.parse().map_err(|_| format!("`{flag}` takes a number"));
            match *flag {
                "--only" if SECTIONS.contains(value) => only.push((*value).to_owned()),
                "--only" => return Err(format!("`--only` takes one of {}", SECTIONS.join(", "))),
                "--dir" => dir = PathBuf::from(value),
                "--carnet" => carnet = Some(PathBuf::from(value)),
                "--runs" => n_parallel_runs = number()?,
                "--pushes" => n_pushes = number()?,
                "--many" => n_many = number()?,
                "--kills" => n_kills = number()?,
                _ => return Err(format!("unknown flag `{flag}`")),
            }
        }
        system::ensure_packages(system::FOR_USE)?;
        let carnet = carnet.map_or_else(|| system::built_carnet("release"), Ok)?;
        Ok(Plan { only, dir, carnet, n_parallel_runs, n_pushes, n_many, n_kills })
    }

    /// An empty directory of a section's own.
    fn scratch(&self, section: &str) -> Result<PathBuf, String> {
        let dir = self.dir.join(section);
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        Ok(dir)
    }

    fn carnet(&self, dir: &Path, args: &[&str]) -> Cmd {
        Cmd::new(&self.carnet).args(args).dir(dir).env("CARNET_DAEMON", "off")
    }

    /// How many runs a repository lists.
    fn n_runs(&self, dir: &Path) -> Result<usize, String> {
        Ok(self.carnet(dir, &["runs", "-n", "1000000"]).read()?.lines().count())
    }
}

fn git(dir: &Path, args: &[&str]) -> Cmd {
    Cmd::new("git").args(args).dir(dir)
}

/// Git's judgement of a repository, before and after it threw away all it may.
fn judged(plan: &Plan, dir: &Path, expected: usize) -> Result<(), String> {
    git(dir, &["fsck", "--full", "--strict", "--no-dangling"]).read()?;
    git(dir, &["gc", "--quiet", "--prune=now"]).read()?;
    git(dir, &["fsck", "--full", "--strict", "--no-dangling"]).read()?;
    let n_runs = plan.n_runs(dir)?;
    println!(
        "git fsck --full, git gc --prune=now, git fsck --full: clean; {n_runs} of {expected} runs readable"
    );
    let packed = git(dir, &["count-objects", "-v"]).read()?;
    let kib = packed.lines().find_map(|line| line.strip_prefix("size-pack: ")).unwrap_or("0");
    let kib: f64 = kib.parse().map_err(|_| "git count-objects has another form".to_owned())?;
    println!("packed: {:.2} kB a run", kib * 1.024 / expected.max(1) as f64);
    if n_runs == expected { Ok(()) } else { Err("runs were lost".to_owned()) }
}

fn append(plan: &Plan) -> Result<(), String> {
    let dir = repository(&plan.scratch("append")?, "one", Some(&plan.carnet))?;
    let mut times = vec![];
    for _ in 0..40 {
        times.push(once_ms(|| plan.carnet(&dir, &["run", "--", "true"]).read().map(drop))?);
    }
    row("carnet run -- true, ms", &times);
    let n_runs = 1_000;
    let ms = synthesise(&dir, 0, n_runs, n_runs)?;
    println!("{:<40} {:>8.2}", "run recorded (objects, event, notes), ms", ms / n_runs as f64);
    Ok(())
}

/// Records runs through the ledger's writer, without running commands; returns processor time in ms.
fn synthesise(dir: &Path, first: usize, count: usize, total: usize) -> Result<f64, String> {
    let program = system::target_dir().join("release/examples/many_runs");
    // Nothing is done where it is as new as its sources.
    let args =
        ["build", "-q", "--release", "--locked", "-p", "carnet-run", "--example", "many_runs"];
    system::cargo().args(&args).dir(&repository_root()).run()?;
    let words = [first, count, total].map(|number| number.to_string());
    once_ms(|| {
        let cmd = Cmd::new(&program).arg(dir).args(&words.each_ref().map(String::as_str));
        cmd.read().map(drop)
    })
}

fn parallel(plan: &Plan) -> Result<(), String> {
    let dir = repository(&plan.scratch("parallel")?, "one", Some(&plan.carnet))?;
    let n_each = plan.n_parallel_runs;
    let (begun, before) = (Instant::now(), children_ms()?);
    let failed = side_by_side(&|_| {
        (0..n_each).filter(|_| plan.carnet(&dir, &["run", "--", "true"]).read().is_err()).count()
    });
    let ms = children_ms()? - before;
    let expected = N_WRITERS * n_each;
    println!(
        "{N_WRITERS} processes × {n_each} runs: {failed} failed, {} of {expected} recorded, {:.1} s wall, {:.1} s of processor time",
        plan.n_runs(&dir)?,
        begun.elapsed().as_secs_f64(),
        ms / 1000.0
    );
    judged(plan, &dir, expected)?;
    let ms = once_ms(|| plan.carnet(&dir, &["verify"]).read().map(drop))?;
    println!("carnet verify: holds, {:.1} s of processor time", ms / 1000.0);
    Ok(())
}

/// Does something from eight threads at once, and adds up what they return.
fn side_by_side(deed: &(dyn Fn(usize) -> usize + Sync)) -> usize {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..N_WRITERS).map(|idx| scope.spawn(move || deed(idx))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(usize::MAX)).sum()
    })
}

fn clones(plan: &Plan) -> Result<(), String> {
    let scratch = plan.scratch("clones")?;
    let base = repository(&scratch, "base", None)?;
    git(&base, &["clone", "-q", "--bare", ".", "../origin.git"]).run()?;
    let dirs: Vec<PathBuf> =
        (0..N_WRITERS).map(|idx| scratch.join(format!("clone{idx}"))).collect();
    for dir in &dirs {
        git(&scratch, &["clone", "-q", "origin.git"]).arg(dir).run()?;
        plan.carnet(dir, &["init"]).read()?;
    }
    let n_pushes = plan.n_pushes;
    let begun = Instant::now();
    let failed = side_by_side(&|idx| {
        let round = || {
            plan.carnet(&dirs[idx], &["run", "--", "true"]).read()?;
            plan.carnet(&dirs[idx], &["sync"]).read()
        };
        (0..n_pushes).filter(|_| round().is_err()).count()
    });
    let expected = N_WRITERS * n_pushes;
    println!(
        "{N_WRITERS} clones × {n_pushes} runs and syncs, all at once: {failed} failed, {:.1} s wall",
        begun.elapsed().as_secs_f64()
    );
    plan.carnet(&dirs[0], &["sync"]).read()?;
    println!("in one clone after one more sync: {} of {expected}", plan.n_runs(&dirs[0])?);
    judged(plan, &dirs[0], expected)
}

fn many(plan: &Plan) -> Result<(), String> {
    let scratch = plan.scratch("many")?;
    let dir = repository(&scratch, "one", Some(&plan.carnet))?;
    let tree = git(&dir, &["rev-parse", "HEAD^{tree}"]).read()?;
    let mut tip = git(&dir, &["rev-parse", "HEAD"]).read()?;
    for idx in 0..500 {
        let words = ["commit-tree", "-p", tip.trim(), "-m", &idx.to_string(), tree.trim()];
        tip = git(&dir, &words).read()?;
    }
    git(&dir, &["update-ref", "HEAD", tip.trim()]).run()?;
    plan.carnet(&dir, &["run", "--", "true"]).read()?;
    let total = plan.n_many;
    let mut ms = 0.0;
    for first in (0..total).step_by(BATCH) {
        ms += synthesise(&dir, first, BATCH.min(total - first), total)?;
        git(&dir, &["repack", "-d", "-q"]).run()?;
        git(&dir, &["prune-packed", "-q"]).run()?;
    }
    println!("{total} runs recorded: {:.2} ms of processor time each", ms / total as f64);
    git(&dir, &["gc", "--quiet", "--prune=now"]).read()?;
    let n_refs = git(&dir, &["for-each-ref"]).read()?.lines().count();
    println!("{n_refs} refs");
    let packed = git(&dir, &["count-objects", "-v"]).read()?;
    let kib = packed.lines().find_map(|line| line.strip_prefix("size-pack: ")).unwrap_or("0");
    let kib: f64 = kib.parse().map_err(|_| "git count-objects has another form".to_owned())?;
    println!("packed: {:.2} kB a run", kib * 1.024 / total as f64);
    let index = dir.join(".git/carnet/runs.idx");
    std::fs::remove_file(&index).map_err(|error| format!("{}: {error}", index.display()))?;
    let list = || plan.carnet(&dir, &["runs"]).read().map(drop);
    println!("carnet runs, index built anew: {:.2} s of processor time", once_ms(list)? / 1000.0);
    let times: Vec<f64> = (0..10).map(|_| once_ms(list)).collect::<Result<_, _>>()?;
    row("carnet runs, ms", &times);
    git(&scratch, &["init", "-q", "--bare", "server.git"]).run()?;
    git(&dir, &["remote", "add", "origin", "../server.git"]).run()?;
    git(
        &dir,
        &[
            "push",
            "-q",
            "--no-verify",
            "origin",
            "refs/carnet/*:refs/carnet/*",
            "HEAD:refs/heads/main",
        ],
    )
    .read()?;
    let fetch = || {
        git(&dir, &["fetch", "-q", "origin", "+refs/carnet/*:refs/carnet-copy/*"]).read().map(drop)
    };
    fetch()?;
    let times: Vec<f64> = (0..10).map(|_| once_ms(fetch)).collect::<Result<_, _>>()?;
    row("git fetch with nothing new, ms", &times);
    Ok(())
}

/// Runs are killed at a moment of their life that differs each time; what was acknowledged must be there, and git content.
fn kill(plan: &Plan) -> Result<(), String> {
    let dir = repository(&plan.scratch("kill")?, "one", Some(&plan.carnet))?;
    let begun = Instant::now();
    plan.carnet(&dir, &["run", "--", "true"]).read()?;
    // How long a run lives is learnt while they are killed: a machine that is busy makes it longer.
    let mut life = begun.elapsed();
    let mut acknowledged = vec![];
    let mut n_killed = 0;
    for idx in 0..plan.n_kills {
        let mut command = Command::new(&plan.carnet);
        command.args(["run", "--json", "--", "true"]).current_dir(&dir).env("CARNET_DAEMON", "off");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        // Moments spread over the whole life, in an order that hits each part early and late.
        let part = (idx * 61 % plan.n_kills) as f64 / plan.n_kills as f64;
        std::thread::sleep(life.mul_f64(part));
        let killed = matches!(child.try_wait(), Ok(None));
        n_killed += usize::from(killed);
        life = life.mul_f64(if killed { 1.02 } else { 0.9 });
        let _ = child.kill();
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // `"run": {"id": "…"`: what carnet said is recorded.
        let id = text.split('"').skip_while(|it| *it != "run").nth(4);
        acknowledged.extend(id.filter(|id| id.len() == 32).map(str::to_owned));
    }
    plan.carnet(&dir, &["run", "--", "true"]).read()?;
    let listed = plan.carnet(&dir, &["runs", "--json", "-n", "1000000"]).read()?;
    let n_lost = acknowledged.iter().filter(|run| !listed.contains(run.as_str())).count();
    git(&dir, &["fsck", "--full", "--strict", "--no-dangling"]).read()?;
    plan.carnet(&dir, &["verify"]).read()?;
    println!(
        "{} runs, {n_killed} killed while they ran: {} acknowledged, {n_lost} of them lost; git fsck and carnet verify clean; {} runs listed, crashed ones included",
        plan.n_kills,
        acknowledged.len(),
        plan.n_runs(&dir)?
    );
    if acknowledged.is_empty() {
        return Err("no run was acknowledged before it was killed: nothing was shown".to_owned());
    }
    if n_lost == 0 { Ok(()) } else { Err("acknowledged runs were lost".to_owned()) }
}

/// The same deed by the peers from PyPI: one `true`, recorded.
fn peers(plan: &Plan) -> Result<(), String> {
    let scratch = plan.scratch("peers")?;
    let venv = system::target_dir().join("bench-peers");
    let bin = venv.join("bin");
    if !(bin.join("datalad").exists() && bin.join("dvc").exists()) {
        let made = Cmd::new("python3").args(&["-m", "venv"]).arg(&venv).read();
        let pip = ["install", "-q", "datalad", "dvc", "git-annex"];
        if let Err(error) = made.and_then(|_| Cmd::new(bin.join("pip")).args(&pip).read()) {
            println!("NOT COMPARED HERE: the peers could not be installed from PyPI: {error}");
            return Ok(());
        }
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", bin.display());
    let peer = |dir: &Path, words: &[&str]| {
        Cmd::new(bin.join(words[0])).args(&words[1..]).dir(dir).env("PATH", &path)
    };
    let ours = repository(&scratch, "carnet", Some(&plan.carnet))?;
    measure(5, "carnet run -- true", || {
        plan.carnet(&ours, &["run", "--", "true"]).read().map(drop)
    })?;
    let datalad = repository(&scratch, "datalad", None)?;
    peer(&datalad, &["datalad", "create", "--force"]).read()?;
    peer(&datalad, &["datalad", "save", "-m", "all"]).read()?;
    measure(5, "datalad run true", || {
        peer(&datalad, &["datalad", "run", "true"]).read().map(drop)
    })?;
    let dvc = repository(&scratch, "dvc", None)?;
    peer(&dvc, &["dvc", "init", "-q"]).read()?;
    peer(&dvc, &["dvc", "stage", "add", "-q", "-n", "one", "true"]).read()?;
    measure(5, "dvc repro --force, one stage of true", || {
        peer(&dvc, &["dvc", "repro", "-q", "--force"]).read().map(drop)
    })
}

fn measure(
    n: usize,
    name: &str,
    mut deed: impl FnMut() -> Result<(), String>,
) -> Result<(), String> {
    deed()?;
    let times: Vec<f64> = (0..n).map(|_| once_ms(&mut deed)).collect::<Result<_, _>>()?;
    println!("{name:<40} {:>8.1} ms, median of {n}", median(&times));
    Ok(())
}
