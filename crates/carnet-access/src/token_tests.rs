//! Every hostile token has its own refusal.

use std::{collections::BTreeMap, sync::OnceLock};

use serde_json::{Value, json};

use super::*;
use crate::{
    accounts::{Account, Revoked},
    token_key::KeyBits,
};

const NOW: i64 = 1_800_000_000;

/// One key for all tests: making it is the slow part.
fn key() -> &'static TokenKey {
    static KEY: OnceLock<TokenKey> = OnceLock::new();
    KEY.get_or_init(|| {
        TokenKey::from_pkcs8(&TokenKey::generate(KeyBits::Bits2048).unwrap()).unwrap()
    })
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_millis(secs * 1000)
}

fn keys() -> KeySet {
    KeySet { keys: vec![key().public(at(NOW - 1000))] }
}

fn accounts() -> Accounts {
    let scopes = [Scope::PexStart, Scope::ArtifactRead].into();
    let ci = Account { scopes, description: String::new() };
    Accounts {
        issuer: "https://carnet.example".to_owned(),
        audience: "carnet".to_owned(),
        accounts: BTreeMap::from([("ci".to_owned(), ci)]),
        revoked: vec![],
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://carnet.example", "sub": "service:ci", "aud": "carnet", "exp": NOW + 3600,
        "iat": NOW, "jti": "one", "scopes": ["pex.start", "artifact.read"],
    })
}

fn signed(header: &Value, claims: &Value) -> String {
    let [header, claims] =
        [header, claims].map(|it| URL_SAFE_NO_PAD.encode(serde_json::to_vec(it).unwrap()));
    let signed = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(key().sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

fn header() -> Value {
    json!({"alg": "RS256", "kid": key().kid(), "typ": "JWT"})
}

fn answer(token: &[u8], accounts: &Accounts, now: i64, scope: Option<Scope>) -> String {
    let run_state = |run: RunId| match run.as_bytes()[0] {
        0 => RunState::NotEnded,
        _ => RunState::Ended(at(NOW)),
    };
    let check = Check { accounts, keys: &keys(), now: at(now), scope, run_state: &run_state };
    match verify(token, &check) {
        Ok(presented) => presented.account,
        Err(refusal) => refusal.word().to_owned(),
    }
}

/// What becomes of a token whose claims, and then whose header, were changed.
fn check(claim_changes: &Value, header_changes: &Value, expect: &str) {
    let merged = |mut into: Value, changes: &Value| {
        for (name, value) in changes.as_object().unwrap() {
            into[name] = value.clone();
        }
        into
    };
    let token = signed(&merged(header(), header_changes), &merged(claims(), claim_changes));
    let found = answer(token.as_bytes(), &accounts(), NOW + 10, Some(Scope::PexStart));
    assert_eq!(found, expect, "{claim_changes} {header_changes}");
}

#[test]
fn a_token_of_ours_counts() {
    check(&json!({}), &json!({}), "ci");
    let jti = "two";
    let request = TokenRequest {
        account: "ci",
        scopes: &[Scope::PexStart],
        lives_secs: 60,
        run: None,
        project: Some("p"),
        jti,
    };
    let claims = claims_for(&request, &accounts(), at(NOW)).unwrap();
    assert_eq!((claims.exp, claims.scopes.len()), (NOW + 60, 1));
    let token = sign(&claims, key()).unwrap();
    assert_eq!(answer(token.as_bytes(), &accounts(), NOW, Some(Scope::PexStart)), "ci");
    let other = Some(Scope::ArtifactRead);
    assert_eq!(answer(token.as_bytes(), &accounts(), NOW, other), "scope-missing");
}

#[test]
fn what_a_header_may_not_say_is_refused_by_its_own_name() {
    let none = json!({});
    check(&none, &json!({"alg": "none"}), "algorithm");
    check(&none, &json!({"alg": "HS256"}), "algorithm");
    check(&none, &json!({"alg": "RS512"}), "algorithm");
    check(&none, &json!({"kid": "another"}), "unknown-key");
    check(&none, &json!({"kid": null}), "unknown-key");
    for member in ["jku", "x5u", "jwk", "x5c", "x5t", "x5t#S256", "crit", "b64", "zip", "cty"] {
        check(&none, &json!({member: "https://evil.example/keys"}), "header-member");
    }
    check(&none, &json!({"epk": {}}), "header");
    check(&none, &json!({"alg": 1}), "header");
}

#[test]
fn what_claims_may_not_say_is_refused_by_its_own_name() {
    let none = json!({});
    check(&json!({"iss": "https://evil.example"}), &none, "issuer");
    check(&json!({"aud": "another"}), &none, "audience");
    check(&json!({"aud": ["carnet", "another"]}), &none, "claims");
    check(&json!({"sub": "person:ada"}), &none, "subject");
    check(&json!({"sub": "service:eve"}), &none, "unknown-account");
    check(&json!({"exp": NOW + 10}), &none, "expired");
    check(&json!({"exp": NOW + 11}), &none, "ci");
    check(&json!({"exp": "never"}), &none, "claims");
    check(&json!({"exp": i64::MAX}), &none, "lifetime");
    check(&json!({"exp": NOW + LIFETIME_SECS + 1}), &none, "lifetime");
    check(&json!({"iat": i64::MIN}), &none, "lifetime");
    check(&json!({"nbf": NOW + 71}), &none, "not-yet-valid");
    check(&json!({"nbf": NOW + 70}), &none, "ci");
    check(&json!({"iat": NOW + 71}), &none, "issued-in-future");
    check(&json!({"scopes": []}), &none, "scope-missing");
    check(&json!({"scopes": ["pex.start", "root"]}), &none, "ci");
    check(&json!({"scopes": "pex.start"}), &none, "claims");
}

#[test]
fn a_token_that_was_tampered_with_is_refused() {
    let token = signed(&header(), &claims());
    let whole = |token: &str| answer(token.as_bytes(), &accounts(), NOW, None);
    assert_eq!(whole(&token), "ci");
    // With the public key as the secret, as some verifiers would take it.
    let hs256 = json!({"alg": "HS256", "kid": key().kid()});
    assert_eq!(whole(&signed(&hs256, &claims())), "algorithm");
    let (rest, _) = token.rsplit_once('.').unwrap();
    assert_eq!(whole(&format!("{rest}.")), "signature");
    assert_eq!(whole(rest), "malformed");
    assert_eq!(whole(&token[..token.len() - 1]), "malformed");
    assert_eq!(whole(&token[..token.len() - 2]), "signature");
    assert_eq!(whole(&format!("{token}=")), "malformed");
    assert_eq!(whole(&format!("{token}.x")), "malformed");
    assert_eq!(whole(&format!(" {token}")), "malformed");
    assert_eq!(whole(""), "malformed");
    assert_eq!(whole(&"a".repeat(TOKEN_BYTES_MAX + 1)), "too-long");
    let parts: Vec<_> = token.split('.').collect();
    let mut other = claims();
    other["sub"] = json!("service:root");
    let forged = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&other).unwrap());
    assert_eq!(whole(&format!("{}.{forged}.{}", parts[0], parts[2])), "signature");
    let doubled = URL_SAFE_NO_PAD
        .encode(format!("{{\"alg\":\"none\",\"alg\":\"RS256\",\"kid\":\"{}\"}}", key().kid()));
    assert_eq!(whole(&format!("{doubled}.{}.{}", parts[1], parts[2])), "header");
    for place in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        assert_ne!(answer(&bytes, &accounts(), NOW, None), "ci", "byte {place}");
    }
}

#[test]
fn a_token_dies_with_its_run_and_one_hour() {
    let table = [
        ("00", NOW + 3599, "ci"),
        ("01", NOW + RUN_GRACE_SECS - 1, "ci"),
        ("01", NOW + RUN_GRACE_SECS, "run-ended"),
    ];
    for (first, now, expect) in table {
        let mut claims = claims();
        claims["exp"] = json!(NOW + 7200);
        claims["run_id"] = json!(format!("{first}{}", "0".repeat(30)));
        let token = signed(&header(), &claims);
        assert_eq!(answer(token.as_bytes(), &accounts(), now, None), expect, "{first} {now}");
    }
}

#[test]
fn what_was_revoked_or_taken_away_counts_no_more() {
    let token = signed(&header(), &claims());
    let revoked = |what, at_secs| {
        let mut accounts = accounts();
        accounts.revoked.push(Revoked { what, at: at(at_secs), reason: "lost".to_owned() });
        answer(token.as_bytes(), &accounts, NOW + 1, Some(Scope::PexStart))
    };
    assert_eq!(revoked(RevokedWhat::Token("one".to_owned()), 0), "revoked");
    assert_eq!(revoked(RevokedWhat::Token("two".to_owned()), 0), "ci");
    assert_eq!(revoked(RevokedWhat::Account("ci".to_owned()), NOW), "account-revoked");
    assert_eq!(revoked(RevokedWhat::Account("ci".to_owned()), NOW - 1), "ci");
    let mut fewer = accounts();
    fewer.accounts.get_mut("ci").unwrap().scopes = [Scope::ArtifactRead].into();
    let found = answer(token.as_bytes(), &fewer, NOW, Some(Scope::PexStart));
    assert_eq!(found, "scope-not-granted");
}

#[test]
fn a_retired_key_counts_for_seven_days() {
    let token = signed(&header(), &claims());
    let mut set = keys();
    for (retired, expect) in
        [(NOW - 7 * 86_400 + 1, Ok(())), (NOW - 7 * 86_400, Err("retired-key"))]
    {
        set.keys[0].retired = Some(at(retired));
        let run_state = |_| RunState::NotEnded;
        let accounts = accounts();
        let check = Check {
            accounts: &accounts,
            keys: &set,
            now: at(NOW),
            scope: None,
            run_state: &run_state,
        };
        let found = verify(token.as_bytes(), &check).map(drop).map_err(|it| it.word());
        assert_eq!(found, expect);
    }
}

#[test]
fn what_cannot_be_issued_is_refused() {
    let table: [(&str, &[Scope], i64, &str); 5] = [
        ("eve", &[], 60, "unknown-account"),
        ("ci", &[Scope::KpiOverride], 60, "scope-not-granted"),
        ("ci", &[], 0, "lifetime"),
        ("ci", &[], LIFETIME_SECS + 1, "lifetime"),
        ("ci", &[], LIFETIME_SECS, "issued"),
    ];
    for (account, scopes, lives_secs, expect) in table {
        let request =
            TokenRequest { account, scopes, lives_secs, run: None, project: None, jti: "j" };
        let found =
            claims_for(&request, &accounts(), at(NOW)).map_or_else(|it| it.word(), |_| "issued");
        assert_eq!(found, expect);
    }
}
