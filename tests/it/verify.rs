//! `carnet verify` and the locks: what was recorded stands, and what was changed is named.

use serde_json::Value;

use crate::support::{Walk, carnet_path, everyone};

const MAKEFILE: &str = "printf 'out:\\n\\techo made >out\\n' >Makefile";

/// A walk with one validated run and two others, of which one was refused.
fn recorded() -> Walk {
    let walk = Walk::initialised(MAKEFILE, everyone()[0]);
    walk.carnet(&["run", "--validate", "--output", "out", "--", "make", "out"]).expect_code(0);
    walk.carnet(&["run", "--", "true"]).expect_code(0);
    walk.carnet(&["run", "--", "curl"]).expect_code(1);
    walk
}

fn the_ref(walk: &Walk, prefix: &str) -> String {
    let refs = walk.ask(&["for-each-ref", "--format=%(refname)", prefix]);
    assert_eq!(refs.lines().count(), 1, "{refs}");
    refs
}

/// Runs verify, expects something wrong, and returns the problems as lines.
fn wrong(walk: &Walk) -> String {
    let ran = walk.carnet(&["verify", "--json"]).expect_code(1);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["verdict"], "wrong");
    let problems = report["problems"].as_array().unwrap().iter();
    let line = |it: &Value| format!("{} {}: {}\n", it["severity"], it["subject"], it["message"]);
    problems.map(line).collect()
}

#[test]
fn a_ledger_as_it_was_recorded_verifies_and_only_the_validated_run_is_locked() {
    for who in everyone() {
        let walk = Walk::initialised(MAKEFILE, *who);
        walk.carnet(&["verify"]).expect_code(0);
        walk.carnet(&["checkpoint"]).expect_code(3);
        walk.carnet(&["run", "--validate", "--output", "out", "--", "make", "out"]).expect_code(0);
        walk.carnet(&["run", "--", "true"]).expect_code(0);
        walk.carnet(&["run", "--validate", "--", "false"]).expect_code(10);
        walk.carnet(&["checkpoint"]).expect_code(0);
        walk.carnet(&["run", "--", "true"]).expect_code(0);
        let report = walk.json(&["verify", "--json"]);
        assert_eq!(report["verdict"], "holds");
        assert_eq!(report["n_runs"], 4);
        assert_eq!(report["n_locked"], 1);
        assert_eq!(report["n_checkpoints"], 1);
        assert_eq!(report["problems"], serde_json::json!([]));
        walk.assert_sound();
    }
}

#[test]
fn a_locked_run_cannot_be_deleted_or_rewritten_here_or_on_a_server() {
    let walk = recorded();
    walk.carnet(&["checkpoint"]).expect_code(0);
    // Packing takes loose copies away, and is no deletion.
    for tidying in [&["for-each-ref"][..], &["pack-refs", "--all"], &["gc", "--quiet"]] {
        walk.git(tidying).expect_code(0);
        for prefix in ["refs/carnet/locked", "refs/carnet/checkpoint"] {
            let name = the_ref(&walk, prefix);
            for change in [&["update-ref", "-d", &name][..], &["update-ref", &name, "HEAD"]] {
                let ran = walk.git(change);
                assert_ne!(ran.code, Some(0), "{change:?}");
                assert!(ran.stderr.contains("refused"), "{change:?}: {}", ran.stderr);
            }
        }
    }
    let ledger = the_ref(&walk, "refs/carnet/ledger");
    assert_ne!(walk.git(&["update-ref", &ledger, "HEAD"]).code, Some(0));
    walk.carnet(&["unlock"]).expect_code(2);
    // Everything else goes on as before.
    walk.git(&["branch", "other"]).expect_code(0);
    walk.git(&["branch", "-D", "other"]).expect_code(0);

    walk.repo.git(&["init", "-q", "--bare", "../server.git"]);
    let bin = carnet_path().parent().unwrap().display().to_string();
    for hook in ["pre-receive", "update"] {
        let hooks = walk.repo.root().join("server.git/hooks");
        let _ = std::fs::remove_file(hooks.join("pre-receive"));
        let script =
            std::fs::read_to_string(crate::support::root().join("hooks").join(hook)).unwrap();
        let script = script.replacen('\n', &format!("\nPATH='{bin}':$PATH\n"), 1);
        std::fs::write(hooks.join(hook), script).unwrap();
        walk.repo.script(&format!("chmod 755 '{}'", hooks.join(hook).display()));
        let locked = the_ref(&walk, "refs/carnet/locked");
        walk.git(&["push", "-q", "--no-verify", "../server.git", &locked, &ledger]).expect_code(0);
        for refspec in [format!(":{locked}"), format!("+HEAD:{locked}"), format!("+HEAD:{ledger}")]
        {
            let ran = walk.git(&["push", "-q", "--no-verify", "../server.git", &refspec]);
            assert_eq!(ran.code, Some(1), "{hook} {refspec}: {}", ran.stderr);
            assert!(ran.stderr.contains("refused"), "{hook} {refspec}: {}", ran.stderr);
        }
        walk.git(&["push", "-q", "--no-verify", "../server.git", &format!(":{ledger}")])
            .expect_code(0);
    }
}

#[test]
fn what_goes_round_the_hooks_is_named() {
    // `core.hooksPath` turns every hook off, as an attacker would.
    let off = ["-c", "core.hooksPath=/dev/null"];
    let git = |walk: &Walk, args: &[&str]| walk.git(&[&off[..], args].concat()).expect_code(0);

    let walk = recorded();
    let locked = the_ref(&walk, "refs/carnet/locked");
    git(&walk, &["update-ref", "-d", &locked]);
    assert!(wrong(&walk).contains("no locked ref keeps it"));

    let walk = recorded();
    walk.carnet(&["checkpoint"]).expect_code(0);
    let ledger = the_ref(&walk, "refs/carnet/ledger");
    git(&walk, &["update-ref", &ledger, &format!("{ledger}~1")]);
    let said = wrong(&walk);
    assert!(said.contains("3 events up to") && said.contains("was rewritten since"), "{said}");
    git(&walk, &["update-ref", "-d", &ledger]);
    git(&walk, &["update-ref", "-d", &the_ref(&walk, "refs/carnet/locked")]);
    let said = wrong(&walk);
    assert!(said.contains("is gone since"), "{said}");
    assert!(said.contains("is gone: expired, or deleted since"), "{said}");

    let walk = recorded();
    let ledger = the_ref(&walk, "refs/carnet/ledger");
    walk.repo.script(&format!(
        "git cat-file commit {ledger} | sed 's/\"wallMs\":[0-9]*/\"wallMs\":7/' >event
         git -c core.hooksPath=/dev/null update-ref {ledger} $(git hash-object -t commit -w event)"
    ));
    assert!(wrong(&walk).contains("the payload was changed after signing"));
}

#[test]
fn what_no_checkpoint_names_is_missed_against_a_backup() {
    let off = ["-c", "core.hooksPath=/dev/null"];
    let git = |walk: &Walk, args: &[&str]| walk.git(&[&off[..], args].concat()).expect_code(0);
    for kind in ["locked", "ledger"] {
        let walk = recorded();
        walk.carnet(&["checkpoint"]).expect_code(0);
        let backups = walk.repo.root().join("backups").to_str().unwrap().to_owned();
        walk.git(&["config", "carnet.backupDir", &backups]).expect_code(0);
        walk.carnet(&["backup", "create"]).expect_code(0);
        let report = walk.json(&["verify", "--json"]);
        assert_eq!((&report["verdict"], &report["n_backups"]), (&"holds".into(), &1.into()));
        // More may follow, and hides nothing.
        walk.carnet(&["run", "--", "true"]).expect_code(0);
        walk.carnet(&["checkpoint"]).expect_code(0);
        walk.carnet(&["verify"]).expect_code(0);
        let names: Vec<String> = ["locked", "checkpoint", "ledger"]
            .map(|prefix| the_ref(&walk, &format!("refs/carnet/{prefix}")))
            .to_vec();
        let since = |name: &str, what: &str| {
            format!("\"{}\": \"{what} since backup", name.trim_start_matches("refs/carnet/"))
        };
        match kind {
            "ledger" => {
                git(&walk, &["update-ref", &names[2], &format!("{}~2", names[2])]);
                git(&walk, &["update-ref", "-d", &names[1]]);
                let said = wrong(&walk);
                let expected = since(&names[2], "it was rewritten");
                assert!(said.contains(&expected), "{said}");
            }
            _ => {
                // Who takes a lock away takes the checkpoint that knows of it too.
                git(&walk, &["update-ref", "-d", &names[0]]);
                git(&walk, &["update-ref", "-d", &names[1]]);
                let said = wrong(&walk);
                for name in &names[..2] {
                    let expected = since(name, "it is gone");
                    assert!(said.contains(&expected), "{name}: {said}");
                }
            }
        }
    }
    // A backup that someone else signed says nothing, and one that is damaged neither.
    let walk = recorded();
    let backups = walk.repo.root().join("backups");
    walk.git(&["config", "carnet.backupDir", backups.to_str().unwrap()]).expect_code(0);
    walk.carnet(&["backup", "create"]).expect_code(0);
    for entry in std::fs::read_dir(&backups).unwrap() {
        let signature = entry.unwrap().path().join("manifest.sig");
        if signature.exists() {
            std::fs::write(signature, "{}").unwrap();
        }
    }
    let report = walk.json(&["verify", "--json"]);
    assert_eq!((&report["verdict"], &report["n_backups"]), (&"holds".into(), &0.into()));
    let problems = report["problems"].to_string();
    assert!(problems.contains("not counted") && problems.contains("manifest.sig"), "{problems}");
}

#[test]
fn a_clone_verifies_what_it_fetched_once_it_trusts_the_writer_and_sees_a_rewound_origin() {
    let walk = recorded();
    walk.repo.git(&["init", "-q", "--bare", "../server.git"]);
    walk.git(&["remote", "add", "origin", "../server.git"]).expect_code(0);
    walk.carnet(&["init"]).expect_code(0);
    // A plain push takes the runs along; the notes come with a sync.
    walk.git(&["push", "-q", "origin", "HEAD:refs/heads/main"]).expect_code(0);
    let server = walk.repo.root().join("server.git");
    let there = walk.repo.git_in(&server, &["for-each-ref", "--format=%(refname)"]);
    assert!(
        there.contains("refs/carnet/ledger/") && there.contains("refs/carnet/locked/"),
        "{there}"
    );
    walk.carnet(&["sync"]).expect_code(0);

    walk.repo.git(&["clone", "-q", "../server.git", "../other"]);
    let other = walk.repo.root().join("other");
    let carnet = |args: &[&str]| walk.runner(carnet_path()).in_dir(&other).args(args).run();
    carnet(&["init"]).expect_code(0);
    walk.repo.git_in(&other, &["fetch", "-q"]);
    let ran = carnet(&["verify"]).expect_code(4);
    assert!(ran.stderr.contains("git config --add carnet.trustedKey ed25519:"), "{}", ran.stderr);
    let key = walk.carnet(&["passport", "key"]).expect_code(0).stdout;
    walk.repo.git_in(&other, &["config", "--add", "carnet.trustedKey", key.trim()]);
    let report: Value =
        serde_json::from_str(&carnet(&["verify", "--json"]).expect_code(0).stdout).unwrap();
    assert_eq!(
        (&report["n_runs"], &report["n_locked"], &report["n_checkpoints"]),
        (&3.into(), &1.into(), &1.into())
    );

    // Someone rewinds the first clone's ledger behind its back: the server's copy tells.
    let ledger = the_ref(&walk, "refs/carnet/ledger");
    walk.git(&["-c", "core.hooksPath=/dev/null", "update-ref", &ledger, &format!("{ledger}~1")])
        .expect_code(0);
    assert!(wrong(&walk).contains("it lacks 1 events that refs/carnet/remotes/origin"));
}

#[test]
fn a_checkpoint_that_someone_else_signed_is_named() {
    let walk = recorded();
    walk.carnet(&["checkpoint"]).expect_code(0);
    let name = the_ref(&walk, "refs/carnet/checkpoint");
    walk.repo.script(&format!(
        "git cat-file commit {name} | sed 's/\"nEvents\":[0-9]*/\"nEvents\":1/g' >forged
         git -c core.hooksPath=/dev/null update-ref {name} $(git hash-object -t commit -w forged)"
    ));
    let said = wrong(&walk);
    assert!(said.contains("the payload was changed after signing"), "{said}");
}
