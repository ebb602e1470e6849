//! Every chore of carnet, as Rust: `cargo xtask <verb>`.
//!
//! Next to no dependencies, so that the first command a stranger types starts building carnet at once.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a chore talks to the person at the terminal"
)]

mod bench;
mod bench_broker;
mod bench_daemon;
mod bench_daemon_plot;
mod bench_index;
mod bench_quota;
mod bench_runs;
mod ci;
mod corpus;
mod demo;
mod drill;
mod embedding;
mod eval_graph;
mod eval_index;
mod eval_search;
mod licence;
mod scanner;
mod shell;
mod show_guard;
mod system;
mod transcript;
mod vm_limits;

use std::process::ExitCode;

const HELP: &str = "\
Chores of carnet. Usage: cargo xtask <verb>

  demo [REPO]     build and install carnet, then walk the whole walk on a clone of REPO
                  (a path or a URL of a local repository; default: this repository)
  ci              the whole gate: format, clippy, deny, tests, docs
  replay RUN      do a recorded run of this repository again (carnet replay RUN)
  replay --corpus [CASE...]
                  run, record and replay the ordinary commands of tests/corpus/replay; fails below 17 of 20
                  byte for byte, 19 of 20 with declared classes
  drill           lose a machine and recover it from its backups on another, replay included
  transcript      writes docs/transcript.md by running it: accounts, a Vault, the model gateway and the audit log, beside PyJWT,
                  OpenBao and OpenAI's client from PyPI; --carnet FILE
  transcript mcp  writes docs/mcp.md by running it: a session of the official MCP client with each tool of the index; --carnet FILE
  vm-limits       boots Debian's kernel under qemu and proves there limits by cgroup v2, delegation, and
                  that an old Landlock, or none, is refused; skipped aloud where qemu or the kernel is missing
  bench           whole-command figures: hook, run, start-up
  bench scan DIR… scan DIR with carnet and each peer on PATH (kingfisher, gitleaks, ripsecrets): processor time, memory
  bench access    tokens verified a second, what an audit entry costs, and verifying 100,000 of them
  bench broker    what the model gateway adds to a call, and 500 streams through it at once: time, memory; --carnet FILE
  bench redact [DIR…] [--mb N] [--every BYTES]
                  speed of redaction with 1,000 known values in eight encodings, planted every so many bytes
  bench index REPO…  cold index, disk, memory, queries and freshness after commits, beside ctags, rg, ast-grep and codegraph
                  where they are on PATH; --join REPO… (last) for one put together of several; --carnet FILE, --idle SECONDS
  bench daemon [REPO]  storms (30,000 files, 100 commits, gc), 50 clients for a minute, and an hour of work in a clone of REPO, drawn in
                  docs/freshness.svg; --only storms|clients|hour (repeatable), --minutes N, --seconds N, --seed N, --carnet FILE,
                  --svg FILE
  bench policy    how long a decision takes in a lane of 500 rules, what loading a lane costs, a refusal of 2 MiB; --carnet FILE
  bench quota     how exactly limits hold for this user, and what a killed part leaves; --dir DIR, --carnet FILE
  bench runs      what recording costs and survives, beside DataLad and DVC; --only append|parallel|clones|many|kill|peers
                  chooses (repeatable), --runs, --pushes, --many, --kills set sizes, --dir a scratch directory (100,000 runs like a
                  tmpfs), --carnet a binary that is built already
  eval graph REPO…  precision and recall of call edges, and where names are defined, against jedi, scip-python, scip-typescript,
                  go/types, rust-analyzer and ctags; --truth NAME chooses (repeatable), --list writes out each miss, --sites N
                  (jedi's calls), --carnet FILE
  eval search DIR[:COMMIT]…  how well descriptions find their functions through carnet search, in sources without comments, beside
                  weighted BM25 and MiniLM (from PyPI); --questions N, --no-minilm, --carnet FILE
  eval scan FILE  score the scanner on labelled snippets (JSON lines, plain or .xz); --list names each miss
  show-guard [--suite FILE] [--history CLONE]… [--source DIR]… [--carnet FILE] [--measure FILE]
                  prints docs/guard.md: histories, SARIF held against its schema, a prompt there and back, bad input, peers, scores
  eval licence DIR  score licence detection on checkouts of scancode-toolkit and fossology in DIR
  licence-data DIR  pack the SPDX licence list anew, from the json folder of spdx/license-list-data
  eval personal [DIR…]
                  recall on planted personal data, false alarms and speed on sources (default: cargo's registry)
  train-embedding CLONES [NAME=VALUE...]
                  train the table of word vectors on clones of the repositories that
                  crates/carnet-index/data/embedding-repositories.txt names, and measure it
  train-generic LABELLED SOURCE…
                  train the scanner's model for values without a mark; see docs/design/generic-model.md
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["demo"] => demo::walk(None),
        ["demo", repo] => demo::walk(Some(repo)),
        ["ci"] => ci::gate(),
        ["replay", "--corpus", names @ ..] => corpus::replay(names),
        ["replay", rest @ ..] if !rest.is_empty() => replay(rest),
        ["drill"] => drill::drill(),
        ["transcript"] => transcript::write(&transcript::ACCOUNTS, None),
        ["transcript", "--carnet", carnet] => {
            transcript::write(&transcript::ACCOUNTS, Some(carnet))
        }
        ["transcript", "mcp"] => transcript::write(&transcript::MCP, None),
        ["transcript", "mcp", "--carnet", carnet] => {
            transcript::write(&transcript::MCP, Some(carnet))
        }
        ["vm-limits"] => vm_limits::prove(),
        ["bench"] => bench::whole_commands(),
        ["bench", "scan", dirs @ ..] => scanner::bench(dirs),
        ["measure-one", program, args @ ..] => scanner::measure_one(program, args),
        ["bench", "redact", args @ ..] => scanner::bench_redact(args),
        ["bench", "index", args @ ..] => bench_index::bench_index(args),
        ["bench", "daemon", args @ ..] => bench_daemon::bench_daemon(args),
        ["bench", "policy"] => bench::policy(None),
        ["bench", "policy", "--carnet", carnet] => bench::policy(Some(carnet)),
        ["bench", "broker"] => bench_broker::bench_broker(None),
        ["bench", "broker", "--carnet", carnet] => bench_broker::bench_broker(Some(carnet)),
        ["bench", "access"] => bench::access(),
        ["bench", "quota", rest @ ..] => bench_quota::bench_quota(rest),
        ["bench", "runs", rest @ ..] => bench_runs::bench_runs(rest),
        ["eval", "graph", args @ ..] => eval_graph::eval_graph(args),
        ["eval", "search", args @ ..] => eval_search::eval_search(args),
        ["eval", "scan", file, rest @ ..] => scanner::eval(file, rest),
        ["show-guard", args @ ..] => show_guard::show(args),
        ["eval", "licence", dir] => licence::eval(dir),
        ["licence-data", dir] => licence::data(dir),
        ["eval", "personal", dirs @ ..] => scanner::eval_personal(dirs),
        ["train-embedding", clones, options @ ..] => embedding::train(clones, options),
        ["train-generic", dirs @ ..] if dirs.len() > 1 => scanner::train_generic(dirs),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("unknown chore: {}\n\n{HELP}", words.join(" "));
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The same as `carnet replay`, with the binary of this checkout.
fn replay(args: &[&str]) -> Result<(), String> {
    let carnet = system::built_carnet("release")?;
    shell::Cmd::new(&carnet).arg("replay").args(args).dir(&shell::repository_root()).run()
}
