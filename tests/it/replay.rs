//! Every verdict of `carnet replay`, and what it takes to get there.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Walk, aws_key, everyone, which};

/// A repository whose lane `tests` runs the shell, under the policy that `refs/heads/policy` holds.
fn walk() -> Walk {
    walk_with("")
}

pub fn walk_with(more: &str) -> Walk {
    let script = format!(
        "mkdir allowlists
         cat >allowlists/deny.toml <<'END'
format = \"carnet/allowlist/1\"
lane = \"deny\"
description = \"Nothing.\"
END
         cat >allowlists/tests.toml <<'END'
{LANE}
END
         printf 'one\\ntwo\\n' >input
         {more}"
    );
    let walk = Walk::initialised(&script, everyone()[0]);
    walk.ask(&["branch", "policy"]);
    walk.ask(&["config", "carnet.policyRef", "refs/heads/policy"]);
    walk
}

const LANE: &str = r#"format = "carnet/allowlist/1"
lane = "tests"
description = "Runs the shell."

[limits]
max_cpu_pct = 80
max_mem_mb = 1024
max_exec_seconds = 60
max_parallel = 2
max_processes = 64
max_disk_mb = 256
max_output_mb = 4

[environment]
NO_COLOR = "1"

[[allow]]
id = "sh"
argv = ["sh", "-c", "{re:(?s).*}"]
runs_repository_code = true
match = [["sh", "-c", "true"]]
not_match = [["sh", "x"]]"#;

impl Walk {
    /// Runs a script in the lane and returns the run.
    pub fn shell(&self, options: &[&str], script: &str) -> String {
        let args = [&["run", "--lane", "tests"], options, &["--", "sh", "-c", script]].concat();
        self.carnet(&args).expect_code(0);
        self.newest_run()
    }

    pub fn replay(&self, run: &str, options: &[&str], code: i32) -> Value {
        let ran = self.carnet(&[&["replay", run, "--json"], options].concat()).expect_code(code);
        serde_json::from_str(&ran.stdout).unwrap()
    }
}

const CLOCK: &str = "date -u +%Y-%m-%dT%H:%M:%S.%NZ >out";
const RANDOM: &str = "od -An -N16 -tx1 /dev/urandom >out";

#[test]
fn what_is_declared_decides_and_what_is_not_is_exact() {
    let walk = walk();
    let verdict = |options: &[&str], script: &str, code| {
        let run = walk.shell(&[&["--output", "out"], options].concat(), script);
        let report = walk.replay(&run, &[], code);
        assert_eq!(report["format"], "carnet/replay/1");
        (report["verdict"].as_str().unwrap().to_owned(), report)
    };
    assert_eq!(verdict(&[], "cat input >out", 0).0, "MATCH_EXACT");
    assert_eq!(verdict(&["--class", "out=normalised"], "cat input >out", 0).0, "MATCH_EXACT");

    let (word, report) = verdict(&[], CLOCK, 13);
    assert_eq!(word, "DIVERGED");
    let difference = &report["differences"][0];
    assert_eq!(difference["path"], "artifacts/out");
    assert!(difference["first_byte"].is_u64());
    assert_eq!(difference["line"], 1);
    assert_eq!(difference["likely_cause"], "a date or a time of day");
    assert_eq!(difference["declare"], "--class 'out=normalised'");

    let (word, report) = verdict(&["--class", "out=normalised"], CLOCK, 0);
    assert_eq!(word, "MATCH_NORMALISED");
    assert_eq!(report["forgiven"], json!([{"path": "artifacts/out", "class": "normalised"}]));
    assert_eq!(verdict(&["--class", "*=normalised"], RANDOM, 13).0, "DIVERGED");
    assert_eq!(verdict(&["--class", "*=nondeterministic"], RANDOM, 0).0, "MATCH_NORMALISED");
    let structured =
        "printf '{\"a\":1,%*s\"b\":2}' $(( $(date +%N | sed 's/^0*//') % 97 )) '' >out";
    assert_eq!(verdict(&["--class", "out=structural"], structured, 0).0, "MATCH_NORMALISED");
}

#[test]
fn streams_are_compared_too() {
    let walk = walk();
    let run = walk.shell(&[], "date -u +%T.%N; cat input >&2");
    let report = walk.replay(&run, &["--skip-artifacts"], 13);
    assert_eq!(report["differences"][0]["path"], "logs/stdout");
    let run = walk.shell(&["--class", "stdout=normalised:dates"], "date -u +%T.%N; cat input >&2");
    assert_eq!(walk.replay(&run, &[], 0)["verdict"], "MATCH_NORMALISED");
}

#[test]
fn a_class_that_is_none_is_refused_before_anything_runs() {
    let walk = walk();
    for class in ["out", "out=same", "out=normalised:colour"] {
        walk.carnet(&["run", "--lane", "tests", "--class", class, "--", "sh"]).expect_code(2);
    }
    let ran =
        walk.carnet(&["run", "--lane", "tests", "--class", "[=exact", "--", "sh"]).expect_code(2);
    assert!(ran.stderr.contains("is not a glob"), "{}", ran.stderr);
    assert_eq!(walk.json(&["runs", "--json"])["n_runs"], 0);
}

#[test]
fn what_surrounds_a_command_is_held_still_and_recorded() {
    let walk = walk();
    let script = "env | sort >out; hostname >>out; id -u >>out; umask >>out; pwd >>out; stat -c %Y input >>out";
    let run = walk.shell(&["--output", "out"], script);
    let passport = walk.json(&["show", &run, "--json"]);
    let environment = &passport["predicate"]["environment"];
    let committed = walk.ask(&["show", "-s", "--format=%ct", "HEAD"]);
    assert_eq!(environment["variables"]["SOURCE_DATE_EPOCH"], committed);
    for (name, value) in [
        ("TZ", "UTC"),
        ("LC_ALL", "C.UTF-8"),
        ("PYTHONHASHSEED", "0"),
        ("PERL_HASH_SEED", "0"),
        ("ZERO_AR_DATE", "1"),
    ] {
        assert_eq!(environment["variables"][name], value);
    }
    let pins = json!({
        "mtimeSeconds": 1_000_000_000, "workspace": "/workspace", "hostname": "carnet", "uid": 1000, "umask": "0022",
    });
    assert_eq!(environment["pins"], pins);
    let commit = walk.json(&["runs", "--json"])["runs"][0]["commit"].as_str().unwrap().to_owned();
    let seen = walk.ask(&["show", &format!("{commit}:artifacts/out")]);
    for line in ["TZ=UTC", "carnet", "1000", "0022", "/workspace", "1000000000"] {
        assert!(seen.lines().any(|seen| seen == line), "{line}: {seen}");
    }
    assert_eq!(walk.replay(&run, &[], 0)["verdict"], "MATCH_EXACT");
    let replayed = walk.json(&["show", &walk.newest_run(), "--json"]);
    assert_eq!(replayed["predicate"]["run"]["idempotencyKey"], format!("replay-{run}"));
    assert_eq!(replayed["predicate"]["environment"]["variables"], environment["variables"]);
}

#[test]
fn a_secret_at_the_difference_is_not_shown() {
    let walk = walk();
    let key = aws_key();
    // Split, so that neither the command line nor the artifact's examination finds it; the pieces meet in no object.
    let run = walk
        .shell(&[], &format!("printf 'key {}'; printf '%s ' {}; date +%N", &key[..7], &key[7..]));
    let ran = walk.carnet(&["replay", &run]).expect_code(13);
    assert!(!ran.stdout.contains(&key) && !ran.stderr.contains(&key), "{}", ran.stdout);
}

#[test]
fn today_s_policy_may_refuse_what_the_recorded_one_admits() {
    let walk = walk();
    let run = walk.shell(&["--output", "out"], "cat input >out");
    let lane = LANE.replace("{re:(?s).*}", "true");
    walk.write("allowlists/tests.toml", lane);
    walk.git(&["commit", "-qam", "tighter"]).expect_code(0);
    walk.ask(&["branch", "-f", "policy", "HEAD"]);
    assert_eq!(walk.replay(&run, &[], 0)["verdict"], "MATCH_EXACT");
    let n_runs = walk.json(&["runs", "--json"])["n_runs"].clone();
    let report = walk.replay(&run, &["--policy", "current"], 1);
    assert_eq!(report["verdict"], "REFUSED");
    assert!(report["reason"].as_str().unwrap().contains("does not admit"), "{report}");
    assert_eq!(walk.json(&["runs", "--json"])["n_runs"], n_runs, "nothing was run");

    // The lane is gone altogether, and the commit that the recorded policy came from too.
    walk.git(&["rm", "-q", "allowlists/tests.toml"]).expect_code(0);
    walk.git(&["commit", "-qm", "no such lane"]).expect_code(0);
    walk.ask(&["checkout", "-q", "--orphan", "fresh"]);
    walk.git(&["commit", "-qm", "fresh"]).expect_code(0);
    walk.ask(&["branch", "-f", "policy", "HEAD"]);
    assert_eq!(walk.replay(&run, &["--policy", "current"], 1)["verdict"], "REFUSED");
    assert_eq!(walk.replay(&run, &[], 0)["verdict"], "MATCH_EXACT");
}

#[test]
fn a_record_that_no_trusted_key_signed_is_refused_before_anything_of_it_runs() {
    let walk = walk();
    let run = walk.shell(&["--output", "out"], "cat input >out");
    let other = walk.repo.root().join("other");
    walk.git(&["clone", "-q", ".", other.to_str().unwrap()]).expect_code(0);
    let there = |args: &[&str]| {
        let args = [&["-C", other.to_str().unwrap()], args].concat();
        walk.carnet(&args)
    };
    there(&["init"]).expect_code(0);
    there(&["sync"]).expect_code(0);
    let ran = there(&["replay", &run]).expect_code(1);
    assert!(ran.stdout.starts_with("REFUSED"), "{}", ran.stdout);
    assert!(ran.stderr.contains("carnet.trustedKey"), "{}", ran.stderr);
    let key = walk.carnet(&["passport", "key"]).expect_code(0).stdout;
    let config =
        ["-C", other.to_str().unwrap(), "config", "--add", "carnet.trustedKey", key.trim()];
    walk.git(&config).expect_code(0);
    there(&["replay", &run]).expect_code(0);
}

#[test]
fn today_s_source_can_be_asked_for() {
    let walk = walk();
    let run = walk.shell(&["--output", "out"], "cat input >out");
    walk.commit_round_the_hook(&[("input", "one\nthree\n")]);
    assert_eq!(walk.replay(&run, &[], 0)["verdict"], "MATCH_EXACT");
    let report = walk.replay(&run, &["--skip-git"], 13);
    assert_eq!(report["differences"][0]["path"], "artifacts/out");
    assert_eq!(report["differences"][0]["line"], 2);
    assert_eq!(walk.replay(&run, &["--skip-git", "--skip-artifacts"], 0)["verdict"], "MATCH_EXACT");
}

#[test]
fn every_run_is_replayed_at_night_and_the_worst_verdict_is_the_answer() {
    let walk = walk();
    walk.carnet(&["replay", "--all"]).expect_code(3);
    let same = walk.shell(&["--output", "out"], "cat input >out");
    walk.carnet(&["replay", "--all"]).expect_code(0);
    let other = walk.shell(&["--output", "out"], RANDOM);
    walk.carnet(&["run", "--lane", "tests", "--", "cat"]).expect_code(1);
    let report: Value =
        serde_json::from_str(&walk.carnet(&["replay", "--all", "--json"]).expect_code(13).stdout)
            .unwrap();
    assert_eq!(report["format"], "carnet/replay-all/1");
    assert_eq!(report["verdicts"], json!({"MATCH_EXACT": 1, "DIVERGED": 1}));
    let runs: Vec<_> =
        report["runs"].as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap()).collect();
    assert_eq!(runs, [other.as_str(), &same], "newest first, neither replays nor refusals");
    let newest = walk.carnet(&["replay", "--all", "--limit", "1"]).expect_code(13);
    assert_eq!(newest.stdout.lines().count(), 1);
    walk.carnet(&["replay", "--all", "--since", "2999-01-01"]).expect_code(3);
    walk.carnet(&["replay", "--all", "--since", "yesterday"]).expect_code(2);
    let refs = walk.ask(&["for-each-ref"]);
    walk.carnet(&["replay", "--all", "--dry-run"]).expect_code(0);
    assert_eq!(walk.ask(&["for-each-ref"]), refs, "a dry run changes nothing");
    walk.carnet(&["replay"]).expect_code(2);
    walk.carnet(&["replay", &same, "--all"]).expect_code(2);
}

#[test]
fn an_artifact_that_is_lost_is_missed_only_where_its_bytes_are_needed() {
    let walk = walk();
    let exact = walk.shell(&["--output", "out"], "cat input input >out");
    let clock = walk.shell(&["--output", "out", "--class", "out=normalised"], CLOCK);
    let runs = walk.json(&["runs", "--json"]);
    for entry in runs["runs"].as_array().unwrap() {
        let commit = entry["commit"].as_str().unwrap();
        let blob = walk.ask(&["rev-parse", &format!("{commit}:artifacts/out")]);
        let path = format!(".git/objects/{}/{}", &blob[..2], &blob[2..]);
        std::fs::remove_file(walk.repo.path().join(path)).unwrap();
    }
    // The replay makes the same bytes, and git's name for them brings them back.
    assert_eq!(walk.replay(&exact, &[], 0)["verdict"], "MATCH_EXACT");
    let report = walk.replay(&clock, &[], 3);
    assert_eq!(report["verdict"], "NOT_REPLAYABLE");
    assert_eq!(report["incomparable"][0]["path"], "artifacts/out");
}

#[test]
fn a_shallow_clone_replays_from_the_recorded_source() {
    let walk = walk();
    walk.commit_round_the_hook(&[("input", "two\n")]);
    let run = walk.shell(&["--output", "out"], "cat input >out");
    let key = walk.carnet(&["passport", "key"]).expect_code(0).stdout;
    let shallow = walk.repo.root().join("shallow");
    let dir = shallow.to_str().unwrap();
    let url = format!("file://{}", walk.repo.path().display());
    walk.git(&["clone", "-q", "--depth", "1", &url, dir]).expect_code(0);
    let there = |args: &[&str]| walk.git(&[&["-C", dir], args].concat()).expect_code(0).stdout;
    let carnet = |args: &[&str]| walk.carnet(&[&["-C", dir], args].concat());
    // The source commit itself is amended away and cut off: only the run commit is fetched.
    let source = walk.ask(&["rev-parse", "HEAD"]);
    walk.git(&["commit", "-q", "--amend", "-m", "rewritten"]).expect_code(0);
    carnet(&["init"]).expect_code(0);
    there(&["config", "--add", "carnet.trustedKey", key.trim()]);
    there(&["fetch", "-q", "--depth", "2", "origin", "+refs/carnet/ledger/*:refs/carnet/ledger/*"]);
    there(&["remote", "set-head", "origin", "--delete"]);
    there(&["update-ref", "-d", "refs/heads/main"]);
    there(&["update-ref", "-d", "refs/remotes/origin/main"]);
    there(&["reflog", "expire", "--expire=now", "--all"]);
    std::fs::remove_file(shallow.join(".git/FETCH_HEAD")).unwrap();
    there(&["gc", "--quiet", "--prune=now"]);
    assert_ne!(walk.git(&["-C", dir, "cat-file", "-e", &source]).code, Some(0), "it is still here");
    let replayed = carnet(&["replay", &run]).expect_code(0);
    assert!(replayed.stdout.starts_with("MATCH_EXACT"), "{}", replayed.stdout);
    carnet(&["passport", "verify", &carnet_newest(&carnet)]).expect_code(0);
    there(&["fsck", "--full", "--no-dangling"]);
}

fn carnet_newest(carnet: &dyn Fn(&[&str]) -> carnet_testkit::Ran) -> String {
    let list: Value = serde_json::from_str(&carnet(&["runs", "--json"]).stdout).unwrap();
    list["runs"][0]["run"].as_str().unwrap().to_owned()
}

#[test]
fn a_partial_clone_says_what_it_lacks_and_replays_once_it_has_it() {
    let walk = walk();
    let run = walk.shell(&["--output", "out"], "cat input >out");
    let key = walk.carnet(&["passport", "key"]).expect_code(0).stdout;
    walk.ask(&["config", "uploadpack.allowFilter", "true"]);
    walk.ask(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let partial = walk.repo.root().join("partial");
    let dir = partial.to_str().unwrap();
    let url = format!("file://{}", walk.repo.path().display());
    walk.git(&["clone", "-q", "--no-checkout", "--filter=blob:none", &url, dir]).expect_code(0);
    let carnet = |args: &[&str]| walk.carnet(&[&["-C", dir], args].concat());
    carnet(&["init"]).expect_code(0);
    walk.git(&["-C", dir, "config", "--add", "carnet.trustedKey", key.trim()]).expect_code(0);
    walk.git(&["-C", dir, "fetch", "-q", "origin", "+refs/carnet/ledger/*:refs/carnet/ledger/*"])
        .expect_code(0);
    let replayed = carnet(&["replay", &run]).expect_code(0);
    assert!(replayed.stdout.starts_with("MATCH_EXACT"), "{}", replayed.stdout);
}

/// A program that is another one now, by a bind mount over it in a namespace of the test's own.
#[test]
fn a_program_that_changed_is_named() {
    let walk = walk();
    let run = walk.shell(&["--output", "out"], "cat input >out");
    let random = walk.shell(&["--output", "out"], RANDOM);
    let unshare = which("unshare");
    let other = walk.repo.root().join("sh");
    let real = std::fs::read(Path::new("/usr/bin/sh").canonicalize().unwrap()).unwrap();
    std::fs::write(&other, [real, b"\n".to_vec()].concat()).unwrap();
    let real_path = Path::new("/usr/bin/sh").canonicalize().unwrap();
    let in_namespace = |args: &str| {
        let script = format!(
            "chmod 755 {other}; mount --bind {other} {real}; exec {carnet} {args}",
            other = other.display(),
            real = real_path.display(),
            carnet = crate::support::carnet_path().display(),
        );
        walk.runner(&unshare).args(["--mount", "sh", "-c", &script]).run()
    };
    if in_namespace("--version").code != Some(0) {
        eprintln!("not tried here: a file cannot be bound over another in a mount namespace");
        return;
    }
    let same = in_namespace(&format!("replay {run}")).expect_code(0);
    assert!(same.stdout.contains("changed since: sh (/usr/bin/sh) had sha256"), "{}", same.stdout);
    let drifted = in_namespace(&format!("replay {random}")).expect_code(14);
    assert!(drifted.stdout.starts_with("ENV_DRIFT"), "{}", drifted.stdout);
    let plain = in_namespace(&format!("replay {random} --skip-env")).expect_code(13);
    assert!(plain.stdout.starts_with("DIVERGED"), "{}", plain.stdout);
}

#[test]
fn a_lane_declares_classes_and_the_command_line_wins() {
    let walk = Walk::initialised("printf 'words:\\n\\t@date +%%s%%N\\n' >Makefile", everyone()[0]);
    let shipped = crate::support::root().join("allowlists");
    for name in ["deny.toml", "code-impl.toml"] {
        let text = std::fs::read_to_string(shipped.join(name)).unwrap();
        let outputs = "[outputs]\nclasses = [\"stdout=nondeterministic\"]\n\n[environment]";
        walk.write(&format!("allowlists/{name}"), text.replace("[environment]", outputs));
    }
    walk.repo.commit_all("a policy");
    walk.git(&["config", "carnet.policyRef", "HEAD"]).expect_code(0);
    walk.carnet(&["run", "--", "make", "words"]).expect_code(0);
    let replayed = walk.carnet(&["replay", &walk.newest_run()]).expect_code(0);
    assert!(replayed.stdout.starts_with("MATCH_NORMALISED"), "{}", replayed.stdout);
    walk.carnet(&["run", "--class", "stdout=exact", "--", "make", "words"]).expect_code(0);
    let replayed = walk.carnet(&["replay", &walk.newest_run()]).expect_code(13);
    assert!(replayed.stdout.starts_with("DIVERGED"), "{}", replayed.stdout);
}
