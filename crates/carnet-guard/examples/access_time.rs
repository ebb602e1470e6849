//! What tokens and the audit log cost, in processor time: `cargo xtask bench access`.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement talks, and stops where it fails"
)]

use std::{collections::BTreeMap, path::Path, process::Command, time::SystemTime};

use carnet_access::{
    accounts::{Account, Accounts},
    key_set::KeySet,
    keys::SigningKey,
    scope::Scope,
    token::{Check, RunState, TokenRequest, claims_for, sign, verify},
    token_key::{KeyBits, TokenKey},
};
use carnet_core::Timestamp;
use carnet_git::Repo;
use carnet_guard::{
    AuditEvent, AuditKind, append_audit,
    audit::{Severity, verify_audit},
};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike as _,
};

const N_TOKENS: usize = 20_000;
const N_APPENDS: usize = 200;

fn main() {
    for bits in [KeyBits::Bits2048, KeyBits::Bits3072] {
        tokens(bits);
    }
    let dir = tempfile::tempdir().unwrap();
    for n_at_once in [1, 50] {
        appends(&dir.path().join(format!("append-{n_at_once}")), n_at_once);
    }
    for (n_entries, n_at_once) in [(100_000, 1_000), (100_000, 50), (5_000, 1)] {
        verified(&dir.path().join(format!("verify-{n_at_once}")), n_entries, n_at_once);
    }
}

fn now() -> Timestamp {
    Timestamp::from_system_time(SystemTime::now())
}

/// Processor time of this process so far, in microseconds.
fn cpu_us() -> i64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    (usage.user_time() + usage.system_time()).num_microseconds()
}

fn tokens(bits: KeyBits) {
    let begun = cpu_us();
    let key = TokenKey::from_pkcs8(&TokenKey::generate(bits).unwrap()).unwrap();
    println!("{bits:?}: key made in {} ms", (cpu_us() - begun) / 1000);
    let ci = Account { scopes: [Scope::PexStart].into(), description: String::new() };
    let accounts = Accounts {
        issuer: "carnet".to_owned(),
        audience: "carnet".to_owned(),
        accounts: BTreeMap::from([("ci".to_owned(), ci)]),
        revoked: vec![],
    };
    let request = TokenRequest {
        account: "ci",
        scopes: &[],
        lives_secs: 3600,
        run: None,
        project: None,
        jti: "j",
    };
    let token = sign(&claims_for(&request, &accounts, now()).unwrap(), &key).unwrap();
    let keys = KeySet { keys: vec![key.public(now())] };
    let run_state = |_| RunState::NotEnded;
    let scope = Some(Scope::PexStart);
    let check =
        Check { accounts: &accounts, keys: &keys, now: now(), scope, run_state: &run_state };
    let begun = cpu_us();
    for _ in 0..N_TOKENS {
        verify(token.as_bytes(), &check).unwrap();
    }
    let us = cpu_us() - begun;
    println!("{bits:?}: {} tokens verified a second of one core", N_TOKENS as i64 * 1_000_000 / us);
}

fn repository(dir: &Path) -> (Repo, SigningKey) {
    assert!(Command::new("git").args(["init", "-q"]).arg(dir).status().unwrap().success());
    (Repo::discover(dir).unwrap(), SigningKey::from_seed([7; 32]))
}

fn events(n: usize) -> Vec<AuditEvent> {
    let mut event = AuditEvent::new(AuditKind::SecretAccess, "secret get", now());
    event.account = Some("ci".to_owned());
    event.subject = Some("secret/project/database".to_owned());
    vec![event; n]
}

fn appends(dir: &Path, n_at_once: usize) {
    let (repo, key) = repository(dir);
    let events = events(n_at_once);
    let mut times: Vec<i64> = (0..N_APPENDS)
        .map(|_| {
            let begun = cpu_us();
            append_audit(&repo, &key, &events).unwrap();
            cpu_us() - begun
        })
        .collect();
    times.sort_unstable();
    let median = times[times.len() / 2] as f64;
    let each = median / n_at_once as f64;
    println!("append, {n_at_once} at once: p50 {median} us a commit, {each:.1} us an entry");
}

fn verified(dir: &Path, n_entries: usize, n_at_once: usize) {
    let (repo, key) = repository(dir);
    for _ in 0..n_entries / n_at_once {
        append_audit(&repo, &key, &events(n_at_once)).unwrap();
    }
    let gc = Command::new("git").arg("-C").arg(dir).args(["gc", "-q"]).status().unwrap();
    assert!(gc.success());
    let (repo, _) = repository(dir);
    let begun = cpu_us();
    let report = verify_audit(&repo, &[key.public()], Some(&key.public().writer())).unwrap();
    let ms = (cpu_us() - begun) / 1000;
    assert_eq!(report.n_entries, n_entries);
    assert!(
        report.problems.iter().all(|it| it.severity == Severity::Note),
        "{:?}",
        report.problems
    );
    println!("verify, {n_entries} entries, {n_at_once} a commit, packed: {ms} ms");
}
