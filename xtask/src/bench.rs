//! Whole commands, timed: processor time of the process and all its children, the figure that holds on a shared machine.
//!
//! Each figure is the median of many runs and stands beside its peer in the same run. `docs/benchmarks.md` quotes it.

use std::path::{Path, PathBuf};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::{TimeVal, TimeValLike as _},
};

use crate::{shell::Cmd, system};

const N_RUNS: usize = 40;

/// Prints what decisions of the policy cost: the work of an example of `carnet-policy`, and then the binary's own refusal of
/// two megabytes of arguments.
///
/// - `carnet`: the binary; without it, a release build.
pub fn policy(carnet: Option<&str>) -> Result<(), String> {
    Cmd::new("cargo")
        .args(&["run", "--release", "--quiet", "-p", "carnet-policy", "--example", "decision_time"])
        .dir(&crate::shell::repository_root())
        .run()?;
    let carnet = carnet.map_or_else(|| system::built_carnet("release"), |it| Ok(it.into()))?;
    let dir = system::target_dir().join("bench-policy");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
    let repo = repository(&dir, "repo", Some(&carnet))?;
    println!(
        "\nprocessor time in ms, median (least) of {N_RUNS}: 2 MiB of arguments, shell included, and less the shell"
    );
    let with_arguments = |program: &Path, code: i32| {
        // More than the kernel passes on by default: the limit goes by the stack's.
        let script = "ulimit -s 65536; a=$(head -c 104857 /dev/zero | tr '\\0' a); n=; i=0; \
            while [ $i -lt 20 ]; do n=\"$n $a\"; i=$((i+1)); done; exec \"$0\" \"$@\" $n";
        let run = || {
            let words: &[&str] = if code == 0 { &[] } else { &["run", "--", "cat"] };
            let shell = Cmd::new("sh").args(&["-c", script]).arg(program).args(words).dir(&repo);
            let answer = shell.env("CARNET_DAEMON", "off").answer()?;
            if answer.code == code {
                Ok(())
            } else {
                Err(answer.stderr.chars().take(400).collect())
            }
        };
        cpu_ms(&mut || run())
    };
    let (refused, shell) = (with_arguments(&carnet, 1)?, with_arguments(Path::new("true"), 0)?);
    row("carnet run -- cat <2 MiB>: refused", &refused);
    row("the same arguments to `true`", &shell);
    println!("{:<40} {:>8.1}", "  the refusal", median(&refused) - median(&shell));
    Ok(())
}

/// Prints what tokens and the audit log cost. The work is done by an example of `carnet-guard`.
pub fn access() -> Result<(), String> {
    Cmd::new("cargo")
        .args(&["run", "--release", "--quiet", "-p", "carnet-guard", "--example", "access_time"])
        .dir(&crate::shell::repository_root())
        .run()
}

/// Prints the table.
pub fn whole_commands() -> Result<(), String> {
    system::ensure_packages(system::FOR_USE)?;
    let carnet = system::built_carnet("release")?;
    let scratch = system::target_dir().join("bench");
    let _ = std::fs::remove_dir_all(&scratch);
    std::fs::create_dir_all(&scratch).map_err(|error| error.to_string())?;

    let plain = repository(&scratch, "plain", None)?;
    let noop = repository(&scratch, "noop", None)?;
    let hook = noop.join(".git/hooks/pre-commit");
    std::fs::write(&hook, "#!/bin/sh\nexit 0\n").map_err(|error| error.to_string())?;
    Cmd::new("chmod").arg("755").arg(&hook).run()?;
    let guarded = repository(&scratch, "guarded", Some(&carnet))?;

    println!("processor time in ms, median (least) of {N_RUNS} runs each, in turn\n");
    let version = cpu_ms(&mut || Cmd::new(&carnet).arg("--version").answer().map(drop))?;
    row("carnet --version", &version);

    let mut commits = [vec![], vec![], vec![]];
    for run_idx in 0..N_RUNS {
        for (dir, times) in [&plain, &noop, &guarded].into_iter().zip(&mut commits) {
            let stage = || -> Result<(), String> {
                for file_idx in 0..3 {
                    let text = format!("value_{run_idx} = {file_idx}\n");
                    let path = dir.join(format!("src/file_{file_idx}.py"));
                    std::fs::write(path, text).map_err(|error| error.to_string())?;
                }
                Cmd::new("git").args(&["add", "-A"]).dir(dir).run()
            };
            stage()?;
            let commit = || {
                Cmd::new("git")
                    .args(&["commit", "-q", "-m", "next"])
                    .dir(dir)
                    .env("CARNET_DAEMON", "off")
                    .run()
            };
            times.push(once_ms(commit)?);
        }
    }
    let [plain_ms, noop_ms, guarded_ms] = &commits;
    row("git commit, 50 files, no hook", plain_ms);
    row("git commit, a hook that does nothing", noop_ms);
    row("git commit, carnet's hook", guarded_ms);
    println!("{:<40} {:>8.1}", "  carnet's hook adds", median(guarded_ms) - median(plain_ms));

    let run = cpu_ms(&mut || {
        Cmd::new(&carnet).args(&["run", "--", "true"]).dir(&guarded).answer().map(drop)
    })?;
    row("carnet run -- true", &run);
    let bwrap_args = ["--unshare-all", "--ro-bind", "/", "/", "true"];
    row(
        "  plain bwrap, true",
        &cpu_ms(&mut || Cmd::new("bwrap").args(&bwrap_args).answer().map(drop))?,
    );
    Cmd::new(&carnet).args(&["daemon", "--once"]).dir(&guarded).read()?;
    let query = ["where-defined", "--no-wait", "function_7"];
    row(
        "carnet where-defined",
        &cpu_ms(&mut || Cmd::new(&carnet).args(&query).dir(&guarded).answer().map(drop))?,
    );
    Ok(())
}

/// A repository of 50 files and one commit, with carnet set up or not.
pub fn repository(scratch: &Path, name: &str, carnet: Option<&Path>) -> Result<PathBuf, String> {
    let dir = scratch.join(name);
    let git = |args: &[&str]| Cmd::new("git").args(args).dir(&dir).run();
    Cmd::new("git").args(&["init", "-q"]).arg(&dir).run()?;
    for (key, value) in [
        ("user.name", "bench"),
        ("user.email", "bench@example.com"),
        ("gc.auto", "0"),
        ("commit.gpgSign", "false"),
    ] {
        git(&["config", key, value])?;
    }
    std::fs::create_dir(dir.join("src")).map_err(|error| error.to_string())?;
    for file_idx in 0..50 {
        let body: String =
            (0..40).map(|line| format!("    total = total + {line} * {file_idx}\n")).collect();
        let text = format!("def function_{file_idx}(total):\n{body}    return total\n");
        std::fs::write(dir.join(format!("src/file_{file_idx}.py")), text)
            .map_err(|error| error.to_string())?;
    }
    git(&["add", "-A"])?;
    git(&["commit", "-q", "-m", "first"])?;
    if let Some(carnet) = carnet {
        Cmd::new(carnet).arg("init").dir(&dir).read()?;
    }
    Ok(dir)
}

fn cpu_ms(command: &mut dyn FnMut() -> Result<(), String>) -> Result<Vec<f64>, String> {
    command()?;
    (0..N_RUNS).map(|_| once_ms(&mut *command)).collect()
}

/// Processor time that children took while `command` ran: user and system, in milliseconds.
pub fn once_ms(mut command: impl FnMut() -> Result<(), String>) -> Result<f64, String> {
    let before = children_ms()?;
    command()?;
    Ok(children_ms()? - before)
}

/// Processor time of all reaped children, in milliseconds.
pub fn children_ms() -> Result<f64, String> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| error.to_string())?;
    let ms = |time: TimeVal| time.num_microseconds() as f64 / 1000.0;
    Ok(ms(usage.user_time()) + ms(usage.system_time()))
}

pub fn row(name: &str, times: &[f64]) {
    let least = times.iter().copied().fold(f64::INFINITY, f64::min);
    println!("{name:<40} {:>8.1} ({least:.1})", median(times));
}

pub fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
