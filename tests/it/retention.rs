//! `carnet gc`: days expire, what is locked or pointed at stays, and git's own collection agrees.

use std::{fs, path::PathBuf, time::SystemTime};

use crate::support::{Walk, everyone};

fn chunks(walk: &Walk) -> Vec<PathBuf> {
    let dir = walk.repo.path().join(".git/carnet/store/chunks");
    let fans = fs::read_dir(dir).map_or(vec![], |fans| fans.map(|it| it.unwrap().path()).collect());
    let files = fans.iter().flat_map(|fan| fs::read_dir(fan).unwrap());
    files.map(|file| file.unwrap().path()).collect()
}

fn make_old(walk: &Walk) {
    let store = walk.repo.path().join(".git/carnet/store");
    for dir in ["chunks", "lists"] {
        for fan in fs::read_dir(store.join(dir)).unwrap() {
            for file in fs::read_dir(fan.unwrap().path()).unwrap() {
                let file = fs::File::open(file.unwrap().path()).unwrap();
                file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
            }
        }
    }
}

#[test]
fn a_day_expires_with_its_contents_and_a_locked_run_keeps_its_own() {
    let script = "printf 'a:\\n\\tmkdir -p out && seq 1 400000 >out/a\\nb:\\n\\tmkdir -p out && seq 7 400007 >out/b\\n' >Makefile";
    let walk = Walk::initialised(script, everyone()[0]);
    walk.carnet(&["run", "--output", "out/*", "--", "make", "a"]).expect_code(0);
    walk.carnet(&["run", "--output", "out/*", "--", "make", "b"]).expect_code(0);
    let day = walk.ask(&["for-each-ref", "--format=%(refname)", "refs/carnet/ledger"]);
    let (writer, _) = day.rsplit_once('/').unwrap();
    let commit_of = |name: &str| {
        let list = walk.json(&["artifact", "list", "--json"]);
        let found = list["artifacts"].as_array().unwrap().iter().find(|it| it["name"] == name);
        found.unwrap()["commit"].as_str().unwrap().to_owned()
    };
    // The day is over long ago, and one of its runs is locked.
    let (locked, tip) = (commit_of("out/a"), walk.ask(&["rev-parse", &day]));
    walk.git(&["update-ref", &format!("{writer}/2020-01-01"), &tip]).expect_code(0);
    walk.git(&["update-ref", "-d", &day]).expect_code(0);
    walk.git(&["update-ref", "refs/carnet/locked/w/2020-01", &locked]).expect_code(0);
    let n_before = chunks(&walk).len();
    let dry = walk.json(&["gc", "--dry-run", "--json"]);
    assert_eq!(dry["expired_refs"].as_array().unwrap().len(), 1, "{dry}");
    // Young contents stay, whoever points at them.
    assert_eq!(dry["removed_contents"].as_array().unwrap().len(), 0, "{dry}");
    make_old(&walk);
    let dry = walk.json(&["gc", "--dry-run", "--json"]);
    assert_eq!(dry["removed_contents"].as_array().unwrap().len(), 1, "{dry}");
    assert_eq!(chunks(&walk).len(), n_before, "a dry run changed something");
    walk.carnet(&["gc"]).expect_code(0);
    assert!(chunks(&walk).len() < n_before);
    walk.git(&["gc", "--quiet", "--prune=now"]).expect_code(0);
    walk.assert_sound();
    let sha256 = walk.ask(&["show", &format!("{locked}:artifacts/out/a")]);
    let sha256 = sha256.lines().nth(1).unwrap().trim_start_matches("oid sha256:").to_owned();
    let list = walk.repo.path().join(".git/carnet/store/lists").join(&sha256[..2]).join(&sha256);
    assert!(list.exists(), "the locked run lost its content");
    assert_eq!(walk.json(&["gc", "--json"])["n_removed_chunks"], 0);
}

#[test]
fn runs_beside_a_collection_lose_nothing() {
    let script = "printf 'a:\\n\\tmkdir -p out && seq 1 400000 >out/a && cat /proc/sys/kernel/random/uuid >>out/a\\n' >Makefile";
    let walk = Walk::initialised(script, everyone()[0]);
    walk.git(&["config", "carnet.graceDays", "0"]).expect_code(0);
    std::thread::scope(|scope| {
        let runs = scope.spawn(|| {
            for _ in 0..3 {
                walk.carnet(&["run", "--output", "out/*", "--", "make", "a"]).expect_code(0);
            }
        });
        while !runs.is_finished() {
            walk.carnet(&["gc"]).expect_code(0);
        }
        runs.join().unwrap();
    });
    walk.carnet(&["artifact", "verify"]).expect_code(0);
    walk.git(&["config", "carnet.graceDays", "soon"]).expect_code(0);
    walk.carnet(&["gc"]).expect_code(78);
}

#[test]
fn runs_beside_gits_own_collection_lose_nothing() {
    let walk = Walk::initialised(
        "printf 'a:\\n\\tcat /proc/sys/kernel/random/uuid >out\\n' >Makefile",
        everyone()[0],
    );
    let (n_threads, n_each) = (2, 4);
    std::thread::scope(|scope| {
        let run = || {
            for _ in 0..n_each {
                walk.carnet(&["run", "--output", "out", "--", "make", "a"]).expect_code(0);
            }
        };
        let threads: Vec<_> = (0..n_threads).map(|_| scope.spawn(run)).collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            // A collection that gives up because of a ref that moved meanwhile is none of ours.
            drop(walk.git(&["gc", "--quiet", "--prune=now"]));
        }
    });
    assert_eq!(walk.json(&["runs", "--json"])["n_runs"], n_threads * n_each);
    walk.assert_sound();
    walk.git(&["gc", "--quiet", "--prune=now"]).expect_code(0);
    walk.carnet(&["verify"]).expect_code(0);
    let held = fs::read_dir(walk.repo.path().join(".git/carnet/held")).unwrap();
    assert_eq!(held.count(), 0, "what was held is let go");
}
