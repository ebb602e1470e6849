//! Every ending gets a passport: also the one in which carnet is killed, and the one that could not be recorded.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use carnet_testkit::is_root;
use serde_json::json;

use crate::support::{Walk, aws_key, carnet_path, everyone};

const MAKEFILE: &str = "printf 'all:\\n\\techo made\\nslow:\\n\\twhile :; do :; done\\nbig:\\n\\techo made >out\\n' >Makefile";

/// Starts carnet and returns once the journal holds its run whole: the command is started next.
pub fn started(walk: &Walk, args: &[&str]) -> Child {
    let mut command = walk.repo.command(carnet_path());
    command.args(args).env("CARNET_DAEMON", "off");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let journal = walk.repo.path().join(".git/carnet/journal");
    let is_whole = |entry: fs::DirEntry| entry.metadata().is_ok_and(|meta| meta.len() > 8 * 1024);
    wait_until("the run is written down", || {
        assert!(child.try_wait().unwrap().is_none(), "carnet ended before its run");
        fs::read_dir(&journal).is_ok_and(|entries| entries.flatten().any(is_whole))
    });
    child
}

/// Looks until something is so, for a minute at most.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_run_whose_carnet_was_killed_is_recorded_as_crashed_at_the_next_start() {
    let walk = Walk::initialised(MAKEFILE, everyone()[0]);
    let mut child = started(&walk, &["run", "--", "make", "slow"]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(walk.ask(&["for-each-ref", "refs/carnet/ledger"]), "");

    // A child that was about to become the sandbox may hold the journal's lock a moment longer than its parent.
    wait_until("the killed run is recorded", || {
        let ran = walk.carnet(&["run", "--", "make"]).expect_code(0);
        ran.stderr.contains("had been left unrecorded")
    });
    let crashed = walk.json(&["runs", "--json", "--outcome", "crashed"]);
    let id = crashed["runs"][0]["run"].as_str().unwrap().to_owned();
    let passport = walk.json(&["show", &id, "--json"]);
    assert_eq!(passport["predicate"]["outcome"], json!({"status": "crashed"}));
    assert_eq!(passport["predicate"]["incomplete"], "carnet ended before the command did");
    assert_eq!(passport["predicate"]["request"]["argv"], json!(["make", "slow"]));
    walk.carnet(&["passport", "verify", &id]).expect_code(0);
    // There is nothing to compare a replay with.
    walk.carnet(&["replay", &id]).expect_code(3);
    assert_eq!(fs::read_dir(walk.repo.path().join(".git/carnet/journal")).unwrap().count(), 0);
    walk.assert_sound();
}

#[test]
fn a_run_that_still_goes_on_is_not_taken_for_a_crashed_one() {
    let walk = Walk::initialised(MAKEFILE, everyone()[0]);
    let mut child = started(&walk, &["run", "--", "make", "slow"]);
    walk.carnet(&["run", "--", "make"]).expect_code(0);
    assert_eq!(walk.json(&["runs", "--json"])["n_runs"], 1);
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    child.wait().unwrap();
    assert_eq!(walk.json(&["runs", "--json", "--outcome", "interrupted"])["n_runs"], 1);
    assert_eq!(walk.json(&["runs", "--json"])["n_runs"], 2);
}

#[test]
fn a_run_that_the_disk_had_no_room_for_counts_and_is_recorded_incomplete_later() {
    if !is_root() {
        eprintln!("not checked here: only root can mount a small file system over the ledger");
        return;
    }
    let walk = Walk::initialised(MAKEFILE, everyone()[0]);
    let git_dir = walk.repo.path().join(".git");
    // Room for the journal, none for objects: what the run leaves cannot be stored.
    let script = format!(
        "set -e; cd '{0}'; cp -a objects ../objects.kept; mkdir ../small
         mount -t tmpfs -o size=64k,mode=755 none ../small; cp -a objects/. ../small/ 2>/dev/null || true
         mount --bind ../small objects; dd if=/dev/zero of=../small/filler bs=4k 2>/dev/null || true
         cd ..; set +e; '{1}' run --output out --validate -- make big; code=$?
         umount .git/objects small; exit $code",
        git_dir.display(),
        carnet_path().display()
    );
    let mut command = walk.repo.command("unshare");
    command.args(["--mount", "sh", "-c", &script]).env("CARNET_DAEMON", "off");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "the command's own ending counts: {said}");
    assert!(said.contains("could not be recorded"), "{said}");
    assert!(said.contains("No space left"), "{said}");

    let ran = walk.carnet(&["runs"]).expect_code(0);
    assert!(ran.stderr.contains("had been left unrecorded"), "{}", ran.stderr);
    let id = walk.newest_run();
    let passport = walk.json(&["show", &id, "--json"]);
    let predicate = &passport["predicate"];
    assert_eq!(predicate["outcome"], json!({"status": "exited", "exitCode": 0}));
    assert!(predicate["incomplete"].as_str().unwrap().starts_with("recording the run failed"));
    assert!(predicate["withheld"][0]["reason"].as_str().unwrap().starts_with("could not be"));
    assert_eq!(predicate["validationPass"], false);
    assert_eq!(walk.ask(&["for-each-ref", "refs/carnet/locked"]), "");
    walk.carnet(&["passport", "verify", &id]).expect_code(0);
}

#[test]
fn uncommitted_changes_run_when_asked_for_and_touch_neither_index_nor_work_tree() {
    for who in everyone() {
        let walk = Walk::initialised(MAKEFILE, *who);
        walk.write("Makefile", "all:\n\tcat new/file staged && test ! -e .env && test ! -e gone\n");
        walk.write("new/file", "untracked\n");
        walk.write("staged", "staged\n");
        walk.write(".gitignore", "ignored\n");
        walk.write("ignored", "ignored\n");
        walk.write(".env.local", "A=1\n");
        walk.git(&["add", "staged"]).expect_code(0);
        let before = walk.ask(&["status", "--porcelain=v2", "--untracked-files=all", "--ignored"]);
        let index = fs::read(walk.repo.path().join(".git/index")).unwrap();
        let ran = walk.carnet(&["run", "--dirty", "--", "make"]).expect_code(0);
        assert!(ran.stdout.ends_with("untracked\nstaged\n"), "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(".env.local is hidden"), "{}", ran.stderr);
        assert_eq!(fs::read(walk.repo.path().join(".git/index")).unwrap(), index);
        let after = walk.ask(&["status", "--porcelain=v2", "--untracked-files=all", "--ignored"]);
        assert_eq!(after, before);

        let run = walk.newest_run();
        let source = &walk.json(&["show", &run, "--json"])["predicate"]["source"];
        assert_eq!(source["dirty"], true);
        let tree = source["tree"].as_str().unwrap();
        assert_eq!(
            walk.ask(&["ls-tree", "-r", "--name-only", tree]),
            ".gitignore\nMakefile\nnew/file\nstaged"
        );
        assert_eq!(walk.ask(&["for-each-ref", "refs/carnet/open"]), "");
        walk.carnet(&["passport", "verify", &run]).expect_code(0);
        // The changes are gone for good, and the run is not.
        walk.git(&["reset", "-q", "--hard"]).expect_code(0);
        walk.git(&["clean", "-qfd"]).expect_code(0);
        walk.git(&["gc", "-q", "--prune=now"]).expect_code(0);
        let replayed = walk.carnet(&["replay", &run]).expect_code(0);
        assert!(replayed.stdout.starts_with("MATCH_EXACT"), "{}", replayed.stdout);
        walk.assert_sound();
    }
}

#[test]
fn deleted_files_links_and_replaced_directories_are_part_of_uncommitted_changes() {
    let walk = Walk::initialised(
        "printf 'all:\\n\\tls && readlink link && test ! -e d/inner\\n' >Makefile && mkdir d && echo x >d/inner && echo y >gone",
        everyone()[0],
    );
    walk.repo.script("rm gone && rm -r d && ln -s /etc d && ln -s ../outside link && mkfifo pipe");
    let ran = walk.carnet(&["run", "--dirty", "--", "make"]).expect_code(0);
    assert!(
        ran.stdout.ends_with("Makefile\nd\nlink\n../outside\n"),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
}

#[test]
fn an_uncommitted_secret_refuses_the_run_and_is_in_no_object() {
    let walk = Walk::initialised(MAKEFILE, everyone()[0]);
    walk.write("notes.txt", format!("key = {}\n", aws_key()));
    let ran = walk.carnet(&["run", "--dirty", "--", "make"]).expect_code(1);
    assert!(ran.stderr.contains("`notes.txt` holds a finding"), "{}", ran.stderr);
    assert!(!ran.stderr.contains(&aws_key()));
    let objects = walk.ask(&["cat-file", "--batch-all-objects", "--batch-check=%(objectname)"]);
    for id in objects.lines() {
        let bytes = walk.repo.git_bytes(&["cat-file", "-p", id]);
        assert!(!String::from_utf8_lossy(&bytes).contains(&aws_key()), "object {id}");
    }
    assert_eq!(walk.json(&["runs", "--json"])["n_runs"], 0);
}

#[test]
fn a_lock_that_a_killed_process_left_on_the_ledger_does_not_stop_it() {
    let walk = Walk::initialised(MAKEFILE, everyone()[0]);
    walk.carnet(&["run", "--", "curl"]).expect_code(1);
    let ledger = walk.ask(&["for-each-ref", "--format=%(refname)", "refs/carnet/ledger"]);
    let lock = walk.repo.path().join(".git").join(format!("{ledger}.lock"));
    fs::write(&lock, "").unwrap();
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    fs::File::options().write(true).open(&lock).unwrap().set_modified(long_ago).unwrap();
    walk.carnet(&["run", "--", "curl"]).expect_code(1);
    assert_eq!(walk.json(&["runs", "--json"])["n_runs"], 2);
    assert!(!lock.exists());
}
