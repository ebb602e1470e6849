//! What was hashed is what is executed, however fast the file is changed in between.
//!
//! A race is run over `CARNET_RACE_ROUNDS` rounds, 40 unless said. An attacker puts two programs in each other's place
//! all the time; a round whose digest is the good one's must never end as the other does.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use carnet_core::{Digest, EnforcementLevel, Outcome};
use carnet_sandbox::{Confined, Executable, SandboxSpec};

use crate::kit::{Bench, bench, is_root, stdout, told};

/// Ends with 0, and with 1.
const PROGRAMS: [&str; 2] = ["/usr/bin/true", "/usr/bin/false"];
/// Times that the other program may be found instead, for each round.
const ATTEMPTS_MAX: usize = 10_000;

/// Rounds of one race that end as the other program does, and those in which the good one was seen and started.
#[derive(Debug, Default)]
struct Race {
    n_won: usize,
    n_started: usize,
}

fn n_rounds() -> usize {
    std::env::var("CARNET_RACE_ROUNDS").map_or(40, |rounds| rounds.parse().unwrap())
}

fn held(bench: &Bench, path: &Path) -> SandboxSpec {
    let executable = Executable::open(path).unwrap();
    SandboxSpec { executable: Some(executable), ..bench.spec(&[path.to_str().unwrap()]) }
}

fn run(spec: &SandboxSpec) -> Confined {
    carnet_sandbox::run(spec, &AtomicBool::new(false)).unwrap()
}

/// What the receipt says of the program.
fn said(confined: &Confined) -> (EnforcementLevel, &str) {
    let held = confined.enforcement.iter().find(|held| held.mechanism == "executable").unwrap();
    (held.level, &held.detail)
}

fn put(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Swaps the program in `dir` while `round` hashes it and starts what it was told to start.
fn race(dir: &Path, round: &dyn Fn(&Path) -> (Digest, SandboxSpec)) -> Race {
    let [good, other] = PROGRAMS.map(|program| fs::read(program).unwrap());
    let good_digest = Digest::of(&good);
    let path = dir.join("tool");
    let stored = [dir.join("good"), dir.join("other")];
    stored.iter().zip([&good, &other]).for_each(|(path, bytes)| put(path, bytes));
    fs::hard_link(&stored[0], &path).unwrap();
    let is_over = AtomicBool::new(false);
    let swap = |with: &Path| {
        let link = dir.join("link");
        fs::hard_link(with, &link).and_then(|()| fs::rename(&link, &path)).unwrap();
        // Renaming a link over another of the same file leaves both.
        let _ = fs::remove_file(&link);
    };
    let mut race = Race::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                stored.iter().for_each(|with| swap(with));
            }
        });
        for _ in 0..ATTEMPTS_MAX * n_rounds() {
            let (digest, spec) = round(&path);
            if digest != good_digest {
                std::thread::yield_now();
                continue;
            }
            if race.n_started == n_rounds() {
                break;
            }
            race.n_started += 1;
            match carnet_sandbox::run(&spec, &AtomicBool::new(false)).map(|it| it.outcome) {
                Ok(Outcome::Exited { exit_code: 0 }) => {}
                Ok(Outcome::Exited { exit_code: 1 }) => race.n_won += 1,
                ended => panic!("{ended:?}"),
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    eprintln!("{race:?} of {}", n_rounds());
    race
}

fn round_of(bench: &Bench, path: &Path) -> (Digest, SandboxSpec) {
    let spec = held(bench, path);
    (spec.executable.as_ref().unwrap().sha256(), spec)
}

#[test]
fn the_race_is_won_against_a_program_that_is_hashed_and_then_started_by_its_path() {
    let Some(bench) = bench() else { return };
    let race = race(bench.workspace.path(), &|path| {
        (Digest::of(&fs::read(path).unwrap()), bench.spec(&["/workspace/tool"]))
    });
    assert!(race.n_won > 0, "the attacker does not attack: {race:?}");
}

#[test]
fn the_race_is_never_won_against_a_copy_in_sealed_memory() {
    let Some(bench) = bench() else { return };
    let dir = tempfile::tempdir().unwrap();
    let race = race(dir.path(), &|path| round_of(&bench, path));
    assert!(race.n_won == 0 && race.n_started == n_rounds(), "{race:?}");
}

#[test]
fn the_race_is_never_won_against_a_descriptor() {
    let Some(bench) = bench() else { return };
    let Some(dir) = place_of_root() else { return };
    let race = race(dir.path(), &|path| round_of(&bench, path));
    assert!(race.n_won == 0 && race.n_started == n_rounds(), "{race:?}");
}

/// A directory that the sandbox shows and root alone can change.
fn place_of_root() -> Option<tempfile::TempDir> {
    if !is_root() {
        eprintln!("not tried here: root alone can put a program under /usr");
        return None;
    }
    let dir = tempfile::tempdir_in("/usr/local/lib").unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    Some(dir)
}

#[test]
fn programs_of_the_system_are_executed_by_their_descriptors() {
    let Some(bench) = bench() else { return };
    let mut spec = bench.spec(&["cat", "/proc/self/cmdline"]);
    spec.executable = Some(Executable::open(Path::new("/usr/bin/cat")).unwrap());
    // Nothing lies there: the path is not asked.
    spec.tool = PathBuf::from("/usr/bin/no-such-program");
    let ran = run(&spec);
    assert_eq!(stdout(&ran), "cat\0/proc/self/cmdline\0", "{}", told(&ran));
    let (level, detail) = said(&ran);
    let digest = Digest::of(&fs::read("/usr/bin/cat").unwrap());
    assert_eq!(level, EnforcementLevel::Full);
    assert!(detail.starts_with("by the descriptor") && detail.contains(&digest.to_string()));
}

#[test]
fn a_program_finds_itself_and_gets_no_descriptor_of_its_own() {
    let Some(bench) = bench() else { return };
    let mut spec = bench.spec(&["/usr/bin/python3", "-c", "import os, sys
print(sys.version_info[0], os.path.basename(sys.executable)[:7], sorted(os.listdir('/proc/self/fd')))"]);
    spec.executable = Some(Executable::open(&spec.tool).unwrap());
    let ran = run(&spec);
    // The fourth is that of the directory that is listed.
    assert_eq!(stdout(&ran), "3 python3 ['0', '1', '2', '3']\n", "{}", told(&ran));
}

#[test]
fn a_script_of_anyone_is_read_from_sealed_memory_and_one_of_roots_from_its_path() {
    let Some(bench) = bench() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("script");
    put(&path, b"#!/bin/sh\necho \"$1\" from \"$0\"\n");
    let mut spec = held(&bench, &path);
    spec.argv.push("said".to_owned());
    let ran = run(&spec);
    assert!(stdout(&ran).starts_with("said from /proc/self/fd/"), "{}", told(&ran));
    assert!(said(&ran).1.starts_with("a copy in sealed memory"));
    let Some(dir) = place_of_root() else { return };
    let path = dir.path().join("script");
    put(&path, b"#!/bin/sh\necho from \"$0\"\n");
    let ran = run(&held(&bench, &path));
    assert_eq!(stdout(&ran), format!("from {}\n", path.display()), "{}", told(&ran));
}

#[test]
fn secrets_and_standard_input_keep_their_places_beside_a_program() {
    let Some(bench) = bench() else { return };
    let dir = tempfile::tempdir().unwrap();
    for script in [false, true] {
        let path = dir.path().join("tool");
        let (bytes, argv): (_, &[&str]) = if script {
            (b"#!/bin/sh\ncat /proc/self/fd/$CARNET_SECRET_FD_A -\n".to_vec(), &["tool"])
        } else {
            (fs::read("/usr/bin/cat").unwrap(), &["cat", "/proc/self/fd/3", "-"])
        };
        put(&path, &bytes);
        fs::write(dir.path().join("input"), "input").unwrap();
        let secret = carnet_sandbox::Secret::new("A", b"hidden ".to_vec().into()).unwrap();
        let spec = SandboxSpec {
            executable: Some(Executable::open(&path).unwrap()),
            secrets: vec![secret],
            stdin: Some(File::open(dir.path().join("input")).unwrap()),
            ..bench.spec(argv)
        };
        // A bare name is no path, and none is needed.
        let spec = SandboxSpec { tool: path.clone(), ..spec };
        let ran = run(&spec);
        assert_eq!(stdout(&ran), "hidden input", "{}", told(&ran));
        fs::remove_file(&path).unwrap();
    }
}
