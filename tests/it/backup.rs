//! `carnet backup`: what a person types, with what they get for wrong input. The promises are tested in the room.

use std::fs;

use carnet_testkit::{Format, TestRepo};

use crate::support::{Walk, everyone};

fn walk_of(format: Format) -> Walk {
    let repo = TestRepo::with(format);
    repo.write("Makefile", "out:\n\tmkdir -p out && seq 1 600000 >out/large\n");
    repo.commit_all("first");
    let walk = Walk::new(repo, everyone()[0]);
    walk.carnet(&["init"]).expect_code(0);
    walk
}

#[test]
fn a_repository_of_either_hash_and_of_reftables_is_saved_and_restored() {
    for format in [Format::Plain, Format::Sha256, Format::Reftable] {
        let walk = walk_of(format);
        walk.carnet(&["run", "--output", "out/*", "--", "make", "out"]).expect_code(0);
        let run = walk.newest_run();
        let backups = walk.repo.root().join("backups").to_str().unwrap().to_owned();
        walk.git(&["config", "carnet.backupDir", &backups]).expect_code(0);
        let made = walk.json(&["backup", "create", "--json"]);
        assert_eq!(made["backup"]["kind"], "full", "{made}");
        assert_eq!(made["backup"]["n_contents"], 1);
        walk.carnet(&["backup", "verify"]).expect_code(0);
        let list = walk.json(&["backup", "list", "--json"]);
        assert_eq!(list["backups"].as_array().unwrap().len(), 1);

        let key = walk.carnet(&["passport", "key"]).expect_code(0).stdout;
        let target = walk.repo.root().join("restored");
        let target = target.to_str().unwrap();
        walk.carnet(&["backup", "restore", target, "--trust", key.trim()]).expect_code(0);
        walk.carnet(&["-C", target, "init"]).expect_code(0);
        let restored = |args: &[&str]| walk.carnet(&[&["-C", target], args].concat());
        walk.git(&["-C", target, "config", "--add", "carnet.trustedKey", key.trim()])
            .expect_code(0);
        restored(&["passport", "verify", &run]).expect_code(0);
        restored(&["artifact", "verify"]).expect_code(0);
        restored(&["replay", &run]).expect_code(0);
        walk.git(&["-C", target, "fsck", "--full"]).expect_code(0);
    }
}

#[test]
fn wrong_places_wrong_keys_and_damage_are_said() {
    let walk = walk_of(Format::Plain);
    let ran = walk.carnet(&["backup", "create"]).expect_code(2);
    assert!(ran.stderr.contains("carnet.backupDir"), "{}", ran.stderr);
    let backups = walk.repo.root().join("backups");
    let dir = backups.to_str().unwrap();
    walk.carnet(&["backup", "verify", "--in", dir]).expect_code(3);
    walk.carnet(&["backup", "create", "--to", dir]).expect_code(0);
    walk.carnet(&["backup", "verify", "20010101T000000Z", "--in", dir]).expect_code(3);
    let target = walk.repo.root().join("target");
    let target = target.to_str().unwrap();
    walk.carnet(&["backup", "restore", target, "--from", dir, "--id", "../x"]).expect_code(3);
    let other = format!("ed25519:{}=", "A".repeat(43));
    let ran = walk.carnet(&["backup", "restore", target, "--from", dir, "--trust", &other]);
    assert!(matches!(ran.code, Some(1 | 2)), "{}", ran.stderr);
    let id = walk.json(&["backup", "list", "--in", dir, "--json"])["backups"][0]["id"].clone();
    let bundle = backups.join(id.as_str().unwrap()).join("refs.bundle");
    let mut bytes = fs::read(&bundle).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&bundle, bytes).unwrap();
    let ran = walk.carnet(&["backup", "verify", "--in", dir]).expect_code(4);
    assert!(ran.stdout.contains("refs.bundle"), "{}", ran.stdout);
    walk.carnet(&["backup", "restore", target, "--from", dir]).expect_code(4);
    assert!(!walk.repo.root().join("target").exists());
}
