//! The whole gate in one command, the same here and in CI, each section timed.

use std::time::Instant;

use crate::{
    corpus,
    shell::{Cmd, repository_root},
    system, vm_limits,
};

type Section = fn() -> Result<(), String>;

/// Runs every section; all of them must pass.
pub fn gate() -> Result<(), String> {
    let sections: [(&str, Section); 9] = [
        ("system packages", system_packages),
        ("format", || cargo(&["fmt", "--all", "--check"])),
        ("clippy", || {
            cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])
        }),
        ("deny", deny),
        ("tests", || cargo(&["test", "--workspace", "--locked", "--no-fail-fast"])),
        ("replay corpus", replay_corpus),
        ("docs", docs),
        ("vm limits", vm_limits),
        ("dependencies", count_packages),
    ];
    let mut table = String::new();
    let mut failed = vec![];
    for (name, section) in sections {
        println!("\n== {name}");
        let start = Instant::now();
        let result = section();
        let verdict = if result.is_ok() { "passed" } else { "FAILED" };
        table += &format!("{name:<16} {verdict}  {:>6.1} s\n", start.elapsed().as_secs_f64());
        if let Err(error) = result {
            eprintln!("{name}: {error}");
            failed.push(name);
        }
    }
    println!("\n{table}");
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

/// Debian has what makes Python environments in a package without a program; tests that talk to programs from PyPI need it.
fn system_packages() -> Result<(), String> {
    system::ensure_packages(system::FOR_TESTS)?;
    let venv = Cmd::new("python3").args(&["-m", "ensurepip", "--version"]).answer()?;
    if venv.code != 0
        && let Err(reason) = system::ensure_packages(&[("python3-venv", "python3-venv")])
    {
        println!("tests with programs from PyPI will be skipped: {reason}");
    }
    Ok(())
}

fn cargo(args: &[&str]) -> Result<(), String> {
    system::cargo().args(args).dir(&repository_root()).run()
}

/// Licences, bans and sources need no network; advisories need their database and are said to be skipped
/// where it cannot be had.
fn deny() -> Result<(), String> {
    if !system::cargo().args(&["deny", "--version"]).answer()?.code.eq(&0) {
        println!("installing cargo-deny");
        cargo(&["install", "cargo-deny", "--locked", "--quiet"])?;
    }
    cargo(&["deny", "--locked", "check", "bans", "licenses", "sources"])?;
    let fetched =
        system::cargo().args(&["deny", "fetch", "db"]).dir(&repository_root()).answer()?;
    if fetched.code != 0 {
        println!("advisories: NOT CHECKED, their database cannot be reached from here");
        return Ok(());
    }
    cargo(&["deny", "--locked", "check", "advisories"])
}

fn docs() -> Result<(), String> {
    let doc = ["doc", "--workspace", "--no-deps", "--locked", "--document-private-items"];
    system::cargo().args(&doc).env("RUSTDOCFLAGS", "-D warnings").dir(&repository_root()).run()
}

/// What the VM needs is installed where it may be; where not, the chore says that it proved nothing.
fn vm_limits() -> Result<(), String> {
    if let Err(reason) = system::ensure_packages(vm_limits::PACKAGES) {
        println!("{reason}");
    }
    vm_limits::prove()
}

/// Cases whose programs could not be installed are skipped aloud.
fn replay_corpus() -> Result<(), String> {
    if let Err(reason) = system::ensure_packages(corpus::PACKAGES) {
        println!("{reason}");
    }
    corpus::replay(&[])
}

/// Speaks up when the number of third-party packages grows.
fn count_packages() -> Result<(), String> {
    let root = repository_root();
    let read = |name: &str| {
        std::fs::read_to_string(root.join(name)).map_err(|error| format!("{name}: {error}"))
    };
    let now = read("Cargo.lock")?.lines().filter(|line| *line == "[[package]]").count();
    let known = read("xtask/packages.txt")?;
    let known: usize =
        known.trim().parse().map_err(|error| format!("xtask/packages.txt: {error}"))?;
    println!("{now} packages in Cargo.lock, {known} agreed on");
    if now > known {
        return Err(format!(
            "Cargo.lock grew from {known} to {now} packages; if each is worth it, write {now} into xtask/packages.txt"
        ));
    }
    Ok(())
}
