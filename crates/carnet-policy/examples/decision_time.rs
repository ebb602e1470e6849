//! How long a decision takes in a lane of 500 rules, a refusal of two megabytes, and the loading of a lane: `cargo xtask bench policy`.
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::time::Instant;

use carnet_core::LaneName;
use carnet_policy::{Lane, ToolLock, built_in_files, load_lane};

const N_RULES: usize = 500;
const N_DECISIONS: usize = 100_000;
const N_LOADS: usize = 200;

fn main() -> Result<(), String> {
    let lane = lane_of(N_RULES)?;
    println!("{} rules of its own and the shared denials\n", N_RULES);
    println!("{:<52} {:>9} {:>9} {:>9}", "microseconds, wall", "median", "p99", "most");
    for (name, argv) in commands() {
        let is_allowed = lane.admit(&argv).verdict.is_allowed();
        let word = if is_allowed { "allowed" } else { "denied" };
        let n_decisions = if argv.len() > 100 { N_DECISIONS / 100 } else { N_DECISIONS };
        let times = timed(n_decisions, || drop(lane.admit(&argv)));
        row(&format!("{word}: {name}"), times);
    }
    let one = vec!["tool0".to_owned(), "a".repeat(2 << 20)];
    let many: Vec<_> = std::iter::repeat_n("aaaaaaa".to_owned(), (2 << 20) / 8).collect();
    row("denied: 2 MiB in one argument", timed(1_000, || drop(lane.admit(&one))));
    row("denied: 2 MiB in 262,144 arguments", timed(1_000, || drop(lane.admit(&many))));
    let name = LaneName::new("code-impl").map_err(|error| error.to_string())?;
    row("load code-impl, shipped or known to be sound", timed(N_LOADS, || load(&name, "")));
    row(
        "load code-impl, changed: every example is held",
        timed(N_LOADS, || load(&name, "# mine\n")),
    );
    let lock = lock_of(N_RULES);
    row("load a tool lock of 500 tools", timed(N_LOADS, || drop(ToolLock::parse("lock", &lock))));
    Ok(())
}

/// A lane of rules over as many tools, each with options, a path and examples.
fn lane_of(n_rules: usize) -> Result<Lane, String> {
    let mut text = String::from(
        "format = \"carnet/allowlist/1\"\nlane = \"many\"\ndescription = \"Measured.\"\n\n[limits]\nmax_cpu_pct = 80\nmax_mem_mb = 64\n\
         max_exec_seconds = 1\nmax_parallel = 1\nmax_processes = 1\nmax_disk_mb = 1\nmax_output_mb = 1\n",
    );
    for idx in 0..n_rules {
        // Every tenth tool has ten rules, as git and cargo do.
        let (tool, verb) = (idx / 10 * 10, idx % 10);
        text.push_str(&format!(
            "\n[[allow]]\nid = \"rule-{idx}\"\nargv = [\"tool{tool}\", \"verb{verb}\", \"[{{path}}...]\"]\n\
             options = [\"--quiet\", \"--jobs={{int:1..64}}\", \"--name {{re:[a-z]{{1,20}}}}\"]\nruns_repository_code = true\n\
             match = [[\"tool{tool}\", \"verb{verb}\", \"--quiet\", \"src/lib.rs\"]]\nnot_match = [[\"tool{tool}\", \"verb{verb}\", \"/etc\"]]\n"
        ));
    }
    let deny = built_in_files().iter().find(|(name, _)| name.ends_with("/deny.toml"));
    let deny = *deny.ok_or("no shared denials")?;
    Lane::parse(("allowlists/many.toml", &text), deny)
        .map_err(|problems| problems.first().map_or(String::new(), ToString::to_string))
}

fn lock_of(n_tools: usize) -> String {
    let digest = "0".repeat(64);
    let tools = (0..n_tools).map(|idx| {
        format!(
            "[[tool]]\nname = \"tool{idx}\"\npath = \"/usr/bin/tool{idx}\"\nsha256 = \"{digest}\"\n"
        )
    });
    format!("format = \"carnet/tools-lock/1\"\n{}", tools.collect::<String>())
}

fn commands() -> Vec<(&'static str, Vec<String>)> {
    let argv = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let mut long = argv("tool490 verb9 --quiet");
    long.extend((0..1_000).map(|idx| format!("src/module_{idx}/lib.rs")));
    vec![
        ("the first rule", argv("tool0 verb0 --quiet src/lib.rs")),
        ("the last rule", argv("tool490 verb9 --jobs=8 --name abc src/lib.rs tests/it.rs")),
        ("the last rule, 1,000 paths", long),
        ("the last rule, at its last argument", argv("tool490 verb9 --jobs=8 src/lib.rs ../x")),
        ("a tool that no rule has", argv("tool499 verb9")),
        ("a raw shell", argv("bash -c true")),
    ]
}

fn load(name: &LaneName, added: &str) {
    let texts: Vec<_> =
        built_in_files().iter().map(|(name, text)| (*name, format!("{text}{added}"))).collect();
    let files: Vec<_> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    drop(load_lane(&files, name, &|_| false));
}

/// Returns how long each call took, in microseconds, sorted.
fn timed(n_calls: usize, mut call: impl FnMut()) -> Vec<f64> {
    let mut times: Vec<_> = (0..n_calls)
        .map(|_| {
            let begin = Instant::now();
            call();
            begin.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

fn row(name: &str, times: Vec<f64>) {
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
    let most = times.last().copied().unwrap_or_default();
    println!("{name:<52} {:>9.1} {:>9.1} {most:>9.1}", at(50), at(99));
}
