//! `carnet attest`: what other tools verify.

use std::{fs, path::Path};

use carnet_testkit::python_venv;
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

/// Reads an envelope as others do: securesystemslib verifies DSSE, in_toto_attestation validates the statement.
const READER: &str = r#"
import base64, json, sys
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.protobuf import json_format
from in_toto_attestation.v1.statement import Statement
import in_toto_attestation.v1.statement_pb2 as spb
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

data = json.load(open(sys.argv[1]))
pem = open(sys.argv[2], "rb").read()
keyid = data["signatures"][0]["keyid"]
key = SSlibKey.from_crypto(load_pem_public_key(pem), keyid=keyid)
envelope = Envelope.from_dict(json.loads(json.dumps(data)))
assert list(envelope.verify([key], 1)) == [keyid]
statement = json_format.Parse(envelope.payload, spb.Statement())
Statement.copy_from_pb(statement).validate()

changed = dict(data)
payload = bytearray(base64.b64decode(data["payload"]))
payload[40] ^= 1
changed["payload"] = base64.b64encode(bytes(payload)).decode()
try:
    Envelope.from_dict(changed).verify([key], 1)
except VerificationError:
    print("accepted", statement.predicate_type, len(statement.subject))
"#;

#[test]
fn securesystemslib_and_in_toto_attestation_accept_what_is_attested() {
    let venvs = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let packages = ["securesystemslib[crypto]", "in-toto-attestation"];
    let Some(venv) = python_venv(venvs, "attest", &packages) else { return };
    let walk = Walk::initialised(MAKEFILE, everyone()[0]);
    walk.carnet(&["run", "--output", "out", "--", "make", "out"]).expect_code(0);
    let run = walk.newest_run();
    let dir = walk.repo.root();
    let pem = walk.carnet(&["passport", "key", "--pem"]).expect_code(0).stdout;
    fs::write(dir.join("key.pem"), pem).unwrap();
    fs::write(dir.join("reader.py"), READER).unwrap();
    for (format, expected) in [
        ("in-toto", "accepted https://carnet.dev/passport/v1 2\n"),
        ("slsa", "accepted https://slsa.dev/provenance/v1 1\n"),
    ] {
        let envelope = walk.carnet(&["attest", &run, "--format", format]).expect_code(0).stdout;
        fs::write(dir.join("envelope.json"), envelope).unwrap();
        let mut python = walk.repo.command(venv.join("bin/python"));
        let ran = python.args(["reader.py", "envelope.json", "key.pem"]).current_dir(&dir).output();
        let ran = ran.unwrap();
        let stderr = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(String::from_utf8_lossy(&ran.stdout), expected, "{stderr}");
    }
}
