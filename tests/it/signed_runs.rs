//! Runs signed by the user's own ssh key, through git's set-up: git, `ssh-keygen` and carnet say the same of them.

use std::fs;

use crate::support::{Walk, everyone, which};

/// A walk whose user signs with an ssh key; returns the key's path and public half.
fn signing_walk() -> (Walk, String, String) {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    let (path, public) = new_key(&walk, "key");
    walk.git(&["config", "gpg.format", "ssh"]).expect_code(0);
    walk.git(&["config", "user.signingKey", &path]).expect_code(0);
    walk.git(&["config", "carnet.signRuns", "true"]).expect_code(0);
    (walk, path, public)
}

fn new_key(walk: &Walk, name: &str) -> (String, String) {
    let path = walk.repo.root().join(name).to_str().unwrap().to_owned();
    let args = ["-q", "-t", "ed25519", "-N", "", "-C", "someone", "-f", &path];
    walk.runner(&which("ssh-keygen")).args(args).run().expect_code(0);
    let public = fs::read_to_string(format!("{path}.pub")).unwrap().trim().to_owned();
    (path, public)
}

fn allow(walk: &Walk, principal: &str, public: &str) {
    let path = walk.repo.root().join("allowed");
    fs::write(&path, format!("{principal} {public}\n")).unwrap();
    walk.git(&["config", "gpg.ssh.allowedSignersFile", path.to_str().unwrap()]).expect_code(0);
}

/// The run commit and the event commit of the newest run.
fn commits(walk: &Walk) -> [String; 2] {
    let run = walk.json(&["runs", "--json"])["runs"][0]["commit"].as_str().unwrap().to_owned();
    let ledger = walk.ask(&["for-each-ref", "--format=%(refname)", "refs/carnet/ledger"]);
    [run, walk.ask(&["rev-parse", &ledger])]
}

#[test]
fn git_and_carnet_verify_a_run_that_an_ssh_key_signed() {
    let (walk, _, public) = signing_walk();
    walk.carnet(&["run", "--", "true"]).expect_code(0);
    let run = walk.newest_run();
    // Nobody is allowed yet: the signature counts for nothing, and is said.
    let said = walk.carnet(&["passport", "verify", &run]).expect_code(0).stdout;
    assert!(said.contains("git signature not counted: "), "{said}");
    assert_eq!(walk.json(&["verify", "--json"])["n_signed"], 0);

    allow(&walk, "someone@example.com", &public);
    for commit in commits(&walk) {
        let said = walk.git(&["verify-commit", &commit]).expect_code(0).stderr;
        assert!(said.contains("Good \"git\" signature for someone@example.com"), "{said}");
    }
    let said = walk.carnet(&["passport", "verify", &run]).expect_code(0).stdout;
    assert!(said.contains("by someone@example.com with SHA256:"), "{said}");
    let report = walk.json(&["verify", "--json"]);
    assert_eq!((&report["verdict"], &report["n_signed"]), (&"holds".into(), &1.into()));
    walk.carnet(&["replay", &run]).expect_code(0);
    walk.assert_sound();

    // The key of someone else, or a revoked one.
    let (_, other) = new_key(&walk, "other");
    allow(&walk, "someone@example.com", &other);
    assert_eq!(walk.json(&["verify", "--json"])["n_signed"], 0);
    allow(&walk, "someone@example.com", &public);
    let revoked = walk.repo.root().join("key.pub").to_str().unwrap().to_owned();
    walk.git(&["config", "gpg.ssh.revocationFile", &revoked]).expect_code(0);
    let said = walk.carnet(&["verify"]).expect_code(1).stdout;
    assert!(said.contains("its signature: it does not fit, or its key was revoked"), "{said}");
    walk.carnet(&["passport", "verify", &run]).expect_code(1);
}

#[test]
fn a_commit_changed_under_its_signature_is_found() {
    let (walk, _, public) = signing_walk();
    allow(&walk, "someone@example.com", &public);
    walk.carnet(&["run", "--", "true"]).expect_code(0);
    let [_, event] = commits(&walk);
    let forged = walk.ask(&["cat-file", "commit", &event]).replacen("exited 0", "exited 1", 1);
    walk.repo.write("forged", format!("{forged}\n"));
    let forged = walk.ask(&["hash-object", "-t", "commit", "-w", "forged"]);
    let ledger = walk.ask(&["for-each-ref", "--format=%(refname)", "refs/carnet/ledger"]);
    let file = walk.repo.path().join(".git").join(&ledger);
    fs::write(file, format!("{forged}\n")).unwrap();
    walk.git(&["verify-commit", &forged]).expect_code(1);
    // The subject is not part of the signed event: only the signature over the whole commit tells.
    let said = walk.carnet(&["verify"]).expect_code(1).stdout;
    assert!(said.contains(&forged), "{said}");
    assert!(said.contains("its signature: it does not fit"), "{said}");
}

#[test]
fn a_writer_whose_events_an_allowed_signer_signed_is_vouched_for() {
    let (walk, _, public) = signing_walk();
    walk.carnet(&["run", "--", "true"]).expect_code(0);
    // As in another clone: the writer's key is not this clone's.
    fs::remove_file(walk.repo.path().join(".git/carnet/signing-key.pem")).unwrap();
    walk.carnet(&["init"]).expect_code(0);
    walk.carnet(&["verify"]).expect_code(4);
    allow(&walk, "someone@example.com", &public);
    walk.carnet(&["verify"]).expect_code(0);
}

#[test]
fn a_key_of_an_agent_signs_and_an_agent_that_is_away_costs_the_signature_only() {
    let (walk, path, public) = signing_walk();
    allow(&walk, "someone@example.com", &public);
    walk.git(&["config", "user.signingKey", &format!("key::{public}")]).expect_code(0);
    let socket = walk.repo.root().join("agent").to_str().unwrap().to_owned();
    let started =
        walk.runner(&which("ssh-agent")).args(["-a", &socket]).run().expect_code(0).stdout;
    let pid = started.split("SSH_AGENT_PID=").nth(1).unwrap().split(';').next().unwrap().to_owned();
    let with_agent = |program: &std::path::Path| walk.runner(program).env("SSH_AUTH_SOCK", &socket);
    with_agent(&which("ssh-add")).args(["-q", &path]).run().expect_code(0);
    fs::remove_file(&path).unwrap();
    let carnet = crate::support::carnet_path();
    with_agent(carnet).args(["run", "--", "true"]).run().expect_code(0);
    for commit in commits(&walk) {
        walk.git(&["verify-commit", &commit]).expect_code(0);
    }
    walk.runner(&which("kill")).args([&pid]).run().expect_code(0);
    let ran = walk.runner(carnet).args(["run", "--", "true"]).run().expect_code(0);
    assert!(ran.stderr.contains("your own key did not sign it"), "{}", ran.stderr);
    assert_eq!(walk.json(&["runs", "--json"])["n_runs"], 2);
    assert_eq!(walk.json(&["verify", "--json"])["n_signed"], 1);
    walk.assert_sound();
}
