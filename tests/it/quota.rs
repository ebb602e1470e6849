//! Quotas through the binary: places of lanes across processes, limits by name, and what a killed carnet leaves behind.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use carnet_testkit::TestRepo;
use serde_json::json;

use crate::support::{Walk, carnet_path, everyone, root};

/// `count` prints the machine's clock at its beginning and at its end; `slow` never ends.
const MAKEFILE: &str = r#"cat >Makefile <<'END'
count:
	@read begin rest </proc/uptime; i=0; while [ $$i -lt 20000 ]; do i=$$((i+1)); done; read end rest </proc/uptime; echo $$begin $$end
slow:
	@sleep 100000
hog:
	@held=$$(head -c 48000000 /dev/zero | tr '\0' a); sleep 100000
files:
	@i=0; while [ $$i -lt 40 ]; do head -c 1000000 /dev/zero >f$$i; i=$$((i+1)); done; sleep 100000
END"#;

/// The lanes of the shipped policy, each with the number of places that it gets here.
const PLACES: [(&str, usize); 7] = [
    ("code-api-design", 1),
    ("code-impl", 2),
    ("data-loader", 1),
    ("data-schema", 2),
    ("graph-ops", 3),
    ("narrative", 1),
    ("vector-ops", 2),
];

/// A repository whose committed policy lets every lane run `make`, within small limits.
fn walk_with_places() -> Walk {
    let walk = Walk::new(TestRepo::init(), everyone()[0]);
    walk.repo.script(MAKEFILE);
    let shipped = root().join("allowlists/deny.toml");
    walk.write("allowlists/deny.toml", fs::read(shipped).unwrap());
    for (lane, places) in PLACES {
        let text = format!(
            "format = \"carnet/allowlist/1\"\nlane = \"{lane}\"\ndescription = \"Counts.\"\n\n\
            [limits]\nmax_cpu_pct = 80\nmax_mem_mb = 32\nmax_exec_seconds = 600\nmax_parallel = {places}\n\
            max_processes = 64\nmax_disk_mb = 16\nmax_output_mb = 1\n\n[files]\nhidden = []\n\n[environment]\n\n\
            [[allow]]\nid = \"make\"\nargv = [\"make\", \"{{one-of:count|slow|hog|files}}\"]\nruns_repository_code = true\n\
            match = [[\"make\", \"count\"]]\nnot_match = [[\"make\", \"x\"]]\n"
        );
        walk.write(&format!("allowlists/{lane}.toml"), text);
    }
    walk.repo.commit_all("a policy");
    walk.git(&["config", "carnet.policyRef", "HEAD"]).expect_code(0);
    walk.carnet(&["init"]).expect_code(0);
    walk
}

/// Returns how many of the intervals overlap at most. One that ends when another begins does not overlap it.
fn most_at_once(intervals: &[(f64, f64)]) -> usize {
    let at = |begin: f64| intervals.iter().filter(|it| it.0 <= begin && begin < it.1).count();
    intervals.iter().map(|it| at(it.0)).max().unwrap_or(0)
}

#[test]
fn overlaps_are_counted() {
    assert_eq!(most_at_once(&[]), 0);
    assert_eq!(most_at_once(&[(0.0, 1.0), (1.0, 2.0)]), 1);
    assert_eq!(most_at_once(&[(0.0, 3.0), (1.0, 2.0), (1.5, 4.0), (3.0, 5.0)]), 3);
}

/// Two hundred with `RUN_SLOW_TESTS=1`, else enough that every lane is asked for more than it has.
#[test]
fn runs_of_seven_lanes_at_once_never_pass_their_places() {
    let walk = walk_with_places();
    let n_runs = if std::env::var_os("RUN_SLOW_TESTS").is_some() { 200 } else { 42 };
    let next = AtomicUsize::new(0);
    let mut told: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    std::thread::scope(|scope| {
        let worker = || {
            let mut told = Vec::new();
            loop {
                let run_idx = next.fetch_add(1, Ordering::Relaxed);
                if run_idx >= n_runs {
                    return told;
                }
                let lane = PLACES[run_idx % PLACES.len()].0;
                let ran =
                    walk.carnet(&["run", "--lane", lane, "--", "make", "count"]).expect_code(0);
                let mut times = ran.stdout.split_ascii_whitespace().map(|it| it.parse().unwrap());
                told.push((lane, (times.next().unwrap(), times.next().unwrap())));
            }
        };
        let workers: Vec<_> = (0..14).map(|_| scope.spawn(worker)).collect();
        for (lane, interval) in workers.into_iter().flat_map(|worker| worker.join().unwrap()) {
            told.entry(lane).or_default().push(interval);
        }
    });
    for (lane, places) in PLACES {
        let at_once = most_at_once(&told[lane]);
        assert!(at_once <= places, "{lane}: {at_once} of {places}");
    }
    let all: Vec<(f64, f64)> = told.into_values().flatten().collect();
    assert_eq!(all.len(), n_runs);
    assert!(most_at_once(&all) >= 2, "the control: runs of different lanes do go on at once");
    assert_eq!(walk.json(&["runs", "-n", "1000", "--json"])["n_runs"], n_runs);
    walk.assert_sound();
}

#[test]
fn a_limit_that_is_met_is_named_and_has_its_exit_code() {
    for (target, limit) in [("hog", "memory"), ("files", "disk")] {
        let walk = walk_with_places();
        let ran =
            walk.carnet(&["run", "--lane", "narrative", "--", "make", target]).expect_code(12);
        assert!(ran.stderr.contains(limit), "{}", ran.stderr);
        let passport = walk.json(&["show", &walk.newest_run(), "--json"]);
        let outcome = &passport["predicate"]["outcome"];
        assert_eq!(*outcome, json!({"status": "out-of-quota", "limit": limit}));
        // The control: the same lane, the same limits.
        walk.carnet(&["run", "--lane", "narrative", "--", "make", "count"]).expect_code(0);
    }
}

#[test]
fn a_receipt_says_what_held_each_limit_and_what_was_used() {
    let walk = walk_with_places();
    walk.carnet(&["run", "--lane", "narrative", "--", "make", "count"]).expect_code(0);
    let run = walk.newest_run();
    let passport = walk.json(&["show", &run, "--json"]);
    let held = passport["predicate"]["enforcement"].as_array().unwrap();
    for limit in ["cpu", "memory", "processes", "disk", "inodes", "output", "wall-time", "parallel"]
    {
        let line = held.iter().find(|line| line["mechanism"] == limit).unwrap();
        assert_ne!(line["level"], "none", "{line}");
        assert!(line["detail"].as_str().unwrap().contains(':'), "by what: {line}");
    }
    let usage = &passport["predicate"]["usage"];
    assert!(usage["processesPeak"].as_u64().unwrap() >= 1, "{usage}");
    assert!(usage["memoryPeakBytes"].as_u64().unwrap() > 0, "{usage}");
    for figure in ["ioReadBytes", "ioWriteBytes", "throttledMs", "userMs", "systemMs", "wallMs"] {
        assert!(usage[figure].is_u64(), "{figure}: {usage}");
    }
    let shown = walk.carnet(&["show", &run]).expect_code(0).stdout;
    assert!(shown.contains("processes at most") && shown.contains("throttled"), "{shown}");
}

/// Returns the pids below `pid`, but for the warden, which is carnet itself.
pub fn descendants(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = fs::read_to_string(path).unwrap_or_default();
    let children = children.split_ascii_whitespace().map(|child| child.parse().unwrap());
    let children = children.filter(|child| name_of(*child) != "carnet");
    children.flat_map(|child| std::iter::once(child).chain(descendants(child))).collect()
}

pub fn name_of(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

/// Starts a run that does not end, and returns when its innermost process is there, with all pids.
fn endless(walk: &Walk, scratch: &Path) -> (Child, Vec<u32>) {
    let mut command = walk.repo.command(carnet_path());
    command.args(["run", "--lane", "narrative", "--", "make", "slow"]);
    command.env("CARNET_DAEMON", "off").env("CARNET_SCRATCH_DIR", scratch);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < Duration::from_secs(120), "the run has not begun");
        let pids = descendants(child.id());
        if pids.iter().any(|pid| name_of(*pid) == "sleep") {
            return (child, pids);
        }
        assert!(child.try_wait().unwrap().is_none(), "carnet ended before its run");
        std::thread::yield_now();
    }
}

/// What of runs lies in a scratch directory.
fn left_in(scratch: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(scratch).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("run-")).collect()
}

#[test]
fn whichever_part_is_killed_nothing_is_left_and_the_next_run_has_its_place() {
    let walk = walk_with_places();
    let scratch = walk.repo.root().join("scratch");
    // carnet itself, then bwrap, then the inner stage: the first of the line from the outside in.
    for part in 0..3 {
        let (mut child, pids) = endless(&walk, &scratch);
        assert!(!left_in(&scratch).is_empty());
        let victim = if part == 0 { child.id() } else { pids[part - 1] };
        let killed = walk.repo.command("kill").args(["-9", &victim.to_string()]).status();
        assert!(killed.unwrap().success());
        child.wait().unwrap();
        let begun = Instant::now();
        while pids.iter().any(|pid| ["sleep", "make"].contains(&name_of(*pid).as_str())) {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "something of part {part}'s run is left"
            );
            std::thread::yield_now();
        }
        if part == 0 {
            // Nobody but the warden is there to clear up.
            while !left_in(&scratch).is_empty() {
                assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", left_in(&scratch));
                std::thread::yield_now();
            }
        }
        // The lane has one place: had it not been given back, this would wait for ever.
        let runner = walk.runner(carnet_path()).env("CARNET_SCRATCH_DIR", &scratch);
        runner.args(["run", "--lane", "narrative", "--", "make", "count"]).run().expect_code(0);
        assert_eq!(left_in(&scratch), Vec::<PathBuf>::new(), "part {part}");
    }
}

/// The processes that have `word` among their arguments.
fn processes_with(word: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let has_word = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(word)
    };
    pids.filter(has_word).collect()
}

#[test]
fn a_carnet_killed_while_bwrap_begins_leaves_no_bwrap_that_waits() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    let scratch = walk.repo.root().join("scratch");
    let word = scratch.display().to_string();
    for _ in 0..20 {
        let mut command = walk.repo.command(carnet_path());
        command.args(["run", "--", "true"]).env("CARNET_DAEMON", "off");
        command.env("CARNET_SCRATCH_DIR", &scratch);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // The moment that matters is between bwrap's fork and the end of its set-up.
        while !descendants(child.id()).iter().any(|pid| name_of(*pid) == "bwrap")
            && child.try_wait().unwrap().is_none()
        {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let begun = Instant::now();
    while !processes_with(&word).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", processes_with(&word));
        std::thread::yield_now();
    }
}
