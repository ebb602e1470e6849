//! `carnet attest`: what other tools verify.

use std::{fs, path::Path};

use serde_json::Value;

use crate::support::{Walk, everyone};

const MAKEFILE: &str = "printf 'out:\\n\\techo made >out\\n' >Makefile";

/// The bytes of standard base64, decoded by the `base64` program: no code of ours decides.
fn decoded(walk: &Walk, text: &str) -> Vec<u8> {
    walk.repo.write("encoded", text);
    let script = "base64 -d encoded >decoded && rm encoded";
    walk.repo.script(script);
    let bytes = fs::read(walk.repo.path().join("decoded")).unwrap();
    fs::remove_file(walk.repo.path().join("decoded")).unwrap();
    bytes
}

/// Has OpenSSL check the envelope's signature over DSSE's pre-authentication encoding.
fn openssl_accepts(walk: &Walk, envelope: &Value, payload: &[u8]) -> bool {
    let kind = envelope["payloadType"].as_str().unwrap();
    let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
    let dir = walk.repo.root();
    let signature = decoded(walk, envelope["signatures"][0]["sig"].as_str().unwrap());
    fs::write(dir.join("signed"), [head.as_bytes(), payload].concat()).unwrap();
    fs::write(dir.join("sig"), signature).unwrap();
    fs::write(
        dir.join("key.pem"),
        walk.carnet(&["passport", "key", "--pem"]).expect_code(0).stdout,
    )
    .unwrap();
    let args = [
        "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", "signed", "-sigfile",
        "sig",
    ];
    let ran = walk.repo.command("openssl").args(args).current_dir(&dir).output().unwrap();
    ran.status.success()
}

#[test]
fn an_envelope_is_accepted_by_openssl_and_a_changed_payload_is_not() {
    if !Path::new("/usr/bin/openssl").exists() {
        eprintln!("not checked here: there is no openssl");
        return;
    }
    let walk = Walk::initialised(MAKEFILE, everyone()[0]);
    walk.carnet(&["run", "--output", "out", "--", "make", "out"]).expect_code(0);
    let run = walk.newest_run();
    for (format, kind) in
        [("in-toto", "https://carnet.dev/passport/v1"), ("slsa", "https://slsa.dev/provenance/v1")]
    {
        let envelope = walk.json(&["attest", &run, "--format", format]);
        let payload = decoded(&walk, envelope["payload"].as_str().unwrap());
        let statement: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
        assert_eq!(statement["predicateType"], kind);
        assert!(openssl_accepts(&walk, &envelope, &payload));
        let mut changed = payload.clone();
        changed[40] ^= 1;
        assert!(!openssl_accepts(&walk, &envelope, &changed));
    }
}

#[test]
fn the_stored_statement_comes_out_as_it_is() {
    let walk = Walk::initialised(MAKEFILE, everyone()[0]);
    walk.carnet(&["run", "--", "true"]).expect_code(0);
    let run = walk.newest_run();
    let commit = walk.json(&["runs", "--json"])["runs"][0]["commit"].as_str().unwrap().to_owned();
    let stored = walk.ask(&["show", &format!("{commit}:passport.json")]);
    assert_eq!(
        walk.carnet(&["attest", &run, "--format", "json"]).expect_code(0).stdout,
        format!("{stored}\n")
    );
    let ran = walk.carnet(&["attest", &run, "--format", "slsa"]).expect_code(1);
    assert!(ran.stderr.contains("built no artifact"), "{}", ran.stderr);
}
