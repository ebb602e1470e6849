//! Bytes that are presented as a token: nothing panics, no bytes that our key did not sign are taken, and a changed token is another.
#![no_main]

use std::{collections::BTreeMap, sync::LazyLock};

use carnet_access::{
    accounts::{Account, Accounts},
    key_set::KeySet,
    scope::Scope,
    token::{Check, RunState, TokenRequest, claims_for, sign, verify, whose},
    token_key::{KeyBits, TokenKey},
};
use carnet_core::Timestamp;
use libfuzzer_sys::fuzz_target;

fn now() -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000)
}

static WORLD: LazyLock<(Accounts, KeySet, String)> = LazyLock::new(|| {
    let made = TokenKey::generate(KeyBits::Bits2048).expect("because there is a random source");
    let key = TokenKey::from_pkcs8(&made).expect("because it was just made");
    let account = Account { scopes: [Scope::PexStart].into(), description: String::new() };
    let accounts = Accounts {
        issuer: "carnet".to_owned(),
        audience: "carnet".to_owned(),
        accounts: BTreeMap::from([("ci".to_owned(), account)]),
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
    let claims = claims_for(&request, &accounts, now()).expect("because the account is in force");
    let token = sign(&claims, &key).expect("because the key signs");
    let keys = KeySet { keys: vec![key.public(now())] };
    (accounts, keys, token)
});

fuzz_target!(|bytes: &[u8]| {
    let (accounts, keys, token) = &*WORLD;
    let run_state = |_| RunState::NotEnded;
    let check = Check { accounts, keys, now: now(), scope: None, run_state: &run_state };
    assert!(verify(token.as_bytes(), &check).is_ok());
    assert!(bytes == token.as_bytes() || verify(bytes, &check).is_err());
    let _ = whose(bytes, &check);
    // The parts of a good one, one of them exchanged.
    let parts: Vec<&str> = token.split('.').collect();
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for idx in 0..3 {
        let mut changed = parts.clone();
        changed[idx] = text;
        assert!(text == parts[idx] || verify(changed.join(".").as_bytes(), &check).is_err());
    }
});
