//! A clock that is set back, and forward again, between one run and the next: nothing is lost, and all of it verifies.

use std::path::PathBuf;

use carnet_testkit::Ran;

use crate::support::{Followed, Walk, carnet_path, everyone};

/// Adds `SHIFT_SECONDS`, or what the file `SHIFT_FILE` says at the moment, to the time of day of whoever loads it.
const SHIFT: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *ts) {
    int code = syscall(SYS_clock_gettime, id, ts);
    const char *shift = getenv("SHIFT_SECONDS"), *path = getenv("SHIFT_FILE");
    char text[32] = {0};
    int file = path && id == CLOCK_REALTIME ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file >= 0) {
        if (read(file, text, sizeof text - 1) > 0) shift = text;
        close(file);
    }
    if (id == CLOCK_REALTIME && shift) ts->tv_sec += atol(shift);
    return code;
}
"#;

/// Builds the library; `None` where there is no compiler.
#[expect(clippy::print_stderr, reason = "what is not checked is said aloud")]
fn library(walk: &Walk) -> Option<PathBuf> {
    let dir = walk.repo.root().join("shift");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("shift.c"), SHIFT).unwrap();
    let mut cc = walk.repo.command("cc");
    let built =
        cc.args(["-shared", "-fPIC", "-o", "shift.so", "shift.c"]).current_dir(&dir).output();
    match built {
        Ok(built) => {
            assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
            Some(dir.join("shift.so"))
        }
        Err(error) => {
            eprintln!("not checked here: no C compiler: {error}");
            None
        }
    }
}

#[test]
fn runs_checkpoints_backups_and_syncs_of_a_clock_that_jumps_are_all_there() {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    let Some(library) = library(&walk) else { return };
    walk.repo.git(&["init", "-q", "--bare", "../server.git"]);
    walk.git(&["remote", "add", "origin", "../server.git"]).expect_code(0);
    let (day, backups) = (86_400, walk.repo.root().join("backups"));
    let backups = backups.to_str().unwrap();
    let at = |shift: i64, args: &[&str]| -> Ran {
        let runner = walk.runner(carnet_path()).env("LD_PRELOAD", &library);
        runner.env("SHIFT_SECONDS", shift.to_string()).args(args).run()
    };
    let shifts = [0, -3_600, -10 * day, 10 * day, -day];
    for (idx, shift) in shifts.into_iter().enumerate() {
        at(shift, &["run", "--", "true"]).expect_code(0);
        at(shift, &["checkpoint"]).expect_code(0);
        at(shift, &["sync"]).expect_code(0);
        at(shift, &["backup", "create", "--to", backups]).expect_code(0);
        at(shift, &["gc", "--dry-run"]).expect_code(0);
        at(shift, &["verify"]).expect_code(0);
        at(shift, &["backup", "verify", "--in", backups]).expect_code(0);
        assert_eq!(walk.json(&["runs", "--json"])["n_runs"], idx + 1);
    }
    let days: std::collections::BTreeSet<String> = walk.json(&["runs", "--json"])["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["at"].as_str().unwrap()[..10].to_owned())
        .collect();
    assert!(days.len() >= 4, "the clock did not jump: {days:?}");
    walk.assert_sound();
    walk.carnet(&["verify"]).expect_code(0);

    // The backup that was made last has it all, whatever day it says it is of.
    let list = walk.json(&["backup", "list", "--in", backups, "--json"]);
    let ids: Vec<String> = list["backups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|backup| backup["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), shifts.len(), "{list}");
    for (n, id) in ids.iter().enumerate() {
        let to = walk.repo.root().join(format!("restored{n}"));
        let to = to.to_str().unwrap();
        walk.carnet(&["backup", "restore", to, "--id", id, "--from", backups]).expect_code(0);
    }
    let other = walk.repo.root().join("other");
    walk.repo.git(&["clone", "-q", "../server.git", other.to_str().unwrap()]);
    let there = |args: &[&str]| walk.carnet(&[&["-C", other.to_str().unwrap()], args].concat());
    there(&["init"]).expect_code(0);
    there(&["sync"]).expect_code(0);
    let list: serde_json::Value = serde_json::from_str(&there(&["runs", "--json"]).stdout).unwrap();
    assert_eq!(list["n_runs"], shifts.len());
}

#[test]
fn an_index_and_its_daemon_follow_whatever_the_clock_says() {
    let walk = Walk::initialised("printf 'def first():\\n    pass\\n' >first.py", everyone()[0]);
    let Some(library) = library(&walk) else { return };
    let walk = Followed(walk);
    let shift = walk.0.repo.root().join("shift/seconds");
    let carnet = |args: &[&str]| {
        let runner = walk.runner(carnet_path()).env("LD_PRELOAD", &library);
        runner.env("SHIFT_FILE", &shift).args(args).run()
    };
    let day = 86_400;
    std::fs::write(&shift, "0").unwrap();
    carnet(&["daemon", "start"]).expect_code(0);
    let mut updates = std::collections::BTreeSet::new();
    for (n, seconds) in [0, -10 * day, 10 * day, -3_600, -800 * day].into_iter().enumerate() {
        // For the daemon that runs, from one moment to the next.
        std::fs::write(&shift, seconds.to_string()).unwrap();
        let text = format!("def jump_{n}():\n    pass\n");
        walk.0.commit_round_the_hook(&[("jump.py", &text)]);
        let name = format!("jump_{n}");
        carnet(&["where-defined", &name, "--wait-fresh"]).expect_code(0);
        walk.0.write("edited.py", format!("def edited_{n}(): pass\n"));
        carnet(&["where-defined", &format!("edited_{n}"), "--dirty"]).expect_code(0);
        std::fs::remove_file(walk.0.repo.path().join("edited.py")).unwrap();
        let ran = carnet(&["status", "--json"]).expect_code(0);
        let status: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!((&status["behind_commits"], &status["behind_seconds"]), (&0.into(), &0.into()));
        assert_eq!(status["daemon"]["last_error"], serde_json::Value::Null, "{status:#}");
        updates.insert(status["index"]["last_update"].as_str().unwrap()[..10].to_owned());
    }
    assert!(updates.len() >= 4, "the clock did not jump: {updates:?}");
}
