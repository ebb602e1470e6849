//! The public keys that tokens are verified by: `policy/jwks.json`, and which key is used for what at which time. No IO.
//!
//! The file is a JWK Set (RFC 7517) of RS256 keys; carnet adds when each was made and retired, in members that other readers
//! ignore. A key's id is its thumbprint (RFC 7638), so a key cannot be exchanged under its id.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use carnet_core::{Digest, Timestamp};
use serde::{Deserialize, Serialize};

use crate::accounts::FileProblem;

/// Where the file stands in a repository.
pub const KEY_SET_FILE: &str = "policy/jwks.json";
/// The format that this version reads and writes.
pub const KEY_SET_FORMAT: &str = "carnet/jwks/1";
/// A key older than this is due to be followed by another: 90 days, a quarter.
pub const ROTATION_MS: i64 = 90 * DAY_MS;
/// How long tokens of a retired key count still: seven days.
pub const GRACE_MS: i64 = 7 * DAY_MS;
/// Most keys of one set.
const KEYS_MAX: usize = 64;
const DAY_MS: i64 = 86_400_000;

/// The keys of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySet {
    /// In order of the file: oldest first.
    pub keys: Vec<TokenKeyPublic>,
}

/// A public RSA key for RS256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenKeyPublic {
    /// SHA-256 thumbprint in base64url, 43 characters.
    pub kid: String,
    /// Modulus, big endian.
    pub n: Vec<u8>,
    /// Exponent, big endian.
    pub e: Vec<u8>,
    /// When it was made.
    pub created: Timestamp,
    /// When another took its place.
    pub retired: Option<Timestamp>,
}

/// What a key is good for at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyUse {
    /// It signs, and verifies.
    Signs,
    /// It verifies until the time, and signs no more.
    Grace(Timestamp),
    /// Nothing.
    Over,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SetForm {
    carnet_format: String,
    keys: Vec<KeyForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyForm {
    kty: String,
    #[serde(rename = "use")]
    key_use: String,
    alg: String,
    kid: String,
    n: String,
    e: String,
    carnet_created: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    carnet_retired: Option<Timestamp>,
}

impl TokenKeyPublic {
    /// Makes a key of its numbers.
    pub fn new(n: Vec<u8>, e: Vec<u8>, created: Timestamp) -> TokenKeyPublic {
        TokenKeyPublic { kid: thumbprint(&n, &e), n, e, created, retired: None }
    }

    /// Returns what the key is good for.
    pub fn use_at(&self, now: Timestamp) -> KeyUse {
        match self.retired {
            None => KeyUse::Signs,
            Some(retired) => {
                let ends = retired.as_millis().saturating_add(GRACE_MS);
                if now.as_millis() < ends {
                    KeyUse::Grace(Timestamp::from_millis(ends))
                } else {
                    KeyUse::Over
                }
            }
        }
    }

    fn form(&self) -> KeyForm {
        KeyForm {
            kty: "RSA".to_owned(),
            key_use: "sig".to_owned(),
            alg: "RS256".to_owned(),
            kid: self.kid.clone(),
            n: URL_SAFE_NO_PAD.encode(&self.n),
            e: URL_SAFE_NO_PAD.encode(&self.e),
            carnet_created: self.created,
            carnet_retired: self.retired,
        }
    }
}

/// Returns the thumbprint of an RSA key (RFC 7638 §3: its required members in order of their names).
fn thumbprint(n: &[u8], e: &[u8]) -> String {
    let [e, n] = [e, n].map(|it| URL_SAFE_NO_PAD.encode(it));
    let canonical = format!("{{\"e\":\"{e}\",\"kty\":\"RSA\",\"n\":\"{n}\"}}");
    URL_SAFE_NO_PAD.encode(Digest::of(canonical.as_bytes()).as_bytes())
}

impl KeySet {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// The first [`FileProblem`].
    pub fn parse(file: &str, text: &str) -> Result<KeySet, FileProblem> {
        let problem = |line: usize, field: String, message: String| FileProblem {
            file: file.to_owned(),
            line,
            field,
            message,
        };
        let form: SetForm = serde_json::from_str(text)
            .map_err(|error| problem(error.line().max(1), String::new(), error.to_string()))?;
        if form.carnet_format != KEY_SET_FORMAT {
            let found = form.carnet_format;
            let message =
                format!("`{found}` is not read by this version; it reads `{KEY_SET_FORMAT}`");
            return Err(problem(
                line_of(text, "\"carnet_format\""),
                "carnet_format".to_owned(),
                message,
            ));
        }
        if form.keys.len() > KEYS_MAX {
            let message = format!("more than {KEYS_MAX} keys are not read");
            return Err(problem(1, "keys".to_owned(), message));
        }
        let mut seen = BTreeSet::new();
        let mut keys = vec![];
        for (key_idx, key) in form.keys.into_iter().enumerate() {
            let line = line_of(text, &format!("\"{}\"", key.kid));
            let at = |name: &str| format!("keys[{key_idx}].{name}");
            for (name, found, expected) in
                [("kty", &key.kty, "RSA"), ("use", &key.key_use, "sig"), ("alg", &key.alg, "RS256")]
            {
                if found != expected {
                    let message = format!("it must be `{expected}`, not `{found}`");
                    return Err(problem(line, at(name), message));
                }
            }
            let decoded = |name: &str, text: &str| {
                URL_SAFE_NO_PAD
                    .decode(text)
                    .map_err(|_| problem(line, at(name), "it is not base64url".to_owned()))
            };
            let (n, e) = (decoded("n", &key.n)?, decoded("e", &key.e)?);
            if !(256..=1024).contains(&n.len()) {
                let message = format!("it has {} bits; 2048 to 8192 count", n.len() * 8);
                return Err(problem(line, at("n"), message));
            }
            if thumbprint(&n, &e) != key.kid {
                let message = "it is not the thumbprint of this key (RFC 7638)".to_owned();
                return Err(problem(line, at("kid"), message));
            }
            if !seen.insert(key.kid.clone()) {
                return Err(problem(line, at("kid"), "it stands there twice".to_owned()));
            }
            let (created, retired) = (key.carnet_created, key.carnet_retired);
            keys.push(TokenKeyPublic { kid: key.kid, n, e, created, retired });
        }
        Ok(KeySet { keys })
    }

    /// Returns the file's text.
    pub fn to_text(&self) -> String {
        let keys = self.keys.iter().map(TokenKeyPublic::form).collect();
        let form = SetForm { carnet_format: KEY_SET_FORMAT.to_owned(), keys };
        let text = serde_json::to_string_pretty(&form);
        format!("{}\n", text.expect("because a key set has string keys"))
    }

    /// Returns what is published to other verifiers at a time: keys whose tokens count.
    pub fn published(&self, now: Timestamp) -> KeySet {
        let counts = |key: &&TokenKeyPublic| key.use_at(now) != KeyUse::Over;
        KeySet { keys: self.keys.iter().filter(counts).cloned().collect() }
    }

    /// Returns a key by its id.
    pub fn find(&self, kid: &str) -> Option<&TokenKeyPublic> {
        self.keys.iter().find(|key| key.kid == kid)
    }

    /// Returns the key that signs: the newest that is not retired.
    pub fn signing(&self) -> Option<&TokenKeyPublic> {
        self.keys.iter().filter(|key| key.retired.is_none()).max_by_key(|key| key.created)
    }

    /// Returns since when a new key is due: never while the newest is younger than [`ROTATION_MS`], at once where none signs.
    pub fn rotation_due(&self, now: Timestamp) -> bool {
        self.signing().is_none_or(|key| {
            now.as_millis() >= key.created.as_millis().saturating_add(ROTATION_MS)
        })
    }

    /// Takes a new key in: all others are retired, and those whose grace is over are left out.
    #[must_use]
    pub fn rotated(&self, new: TokenKeyPublic, now: Timestamp) -> KeySet {
        let mut keys = self.published(now).keys;
        for key in &mut keys {
            key.retired.get_or_insert(now);
        }
        keys.retain(|key| key.kid != new.kid);
        keys.push(new);
        KeySet { keys }
    }
}

fn line_of(text: &str, needle: &str) -> usize {
    let before = text.find(needle).map_or("", |at| &text[..at]);
    1 + before.matches('\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8, created_ms: i64) -> TokenKeyPublic {
        TokenKeyPublic::new(vec![byte; 256], vec![1, 0, 1], Timestamp::from_millis(created_ms))
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn the_thumbprint_is_the_one_of_rfc_7638() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let n = URL_SAFE_NO_PAD.decode(n).unwrap();
        assert_eq!(thumbprint(&n, &[1, 0, 1]), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn a_key_signs_for_a_quarter_and_verifies_seven_days_longer() {
        let set = KeySet { keys: vec![key(200, 0)] };
        for (now, due) in [(0, false), (ROTATION_MS - 1, false), (ROTATION_MS, true)] {
            assert_eq!(set.rotation_due(at(now)), due, "{now}");
        }
        assert!(KeySet::default().rotation_due(at(0)));
        let rotated = set.rotated(key(201, ROTATION_MS), at(ROTATION_MS));
        assert_eq!(rotated.signing().unwrap().n[0], 201);
        let old = &rotated.keys[0];
        let ends = ROTATION_MS + GRACE_MS;
        assert_eq!(old.use_at(at(ROTATION_MS)), KeyUse::Grace(at(ends)));
        assert_eq!(old.use_at(at(ends - 1)), KeyUse::Grace(at(ends)));
        assert_eq!(old.use_at(at(ends)), KeyUse::Over);
        assert_eq!(rotated.published(at(ends - 1)).keys.len(), 2);
        assert_eq!(rotated.published(at(ends)).keys.len(), 1);
        assert_eq!(rotated.rotated(key(202, ends), at(ends)).keys.len(), 2);
    }

    #[test]
    fn a_set_comes_back_and_what_is_wrong_is_named() {
        let set = KeySet { keys: vec![key(200, 0)] }.rotated(key(201, 5), at(5));
        let text = set.to_text();
        assert_eq!(KeySet::parse("f", &text).unwrap(), set);
        for (from, to, expect) in [
            ("carnet/jwks/1", "carnet/jwks/2", "f:2: `carnet_format`"),
            ("\"RSA\"", "\"EC\"", "`keys[0].kty`: it must be `RSA`, not `EC`"),
            ("RS256", "HS256", "`keys[0].alg`"),
            ("AQAB", "AQAC", "`keys[0].kid`: it is not the thumbprint"),
            ("\"use\"", "\"d\": \"x\", \"use\"", "unknown field `d`"),
            ("\"use\": \"sig\"", "\"use\": \"sig\", \"use\": \"sig\"", "duplicate field `use`"),
            ("{", "", "f:"),
        ] {
            let error = KeySet::parse("f", &text.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        }
        let twice = KeySet { keys: vec![key(200, 0), key(200, 0)] };
        assert!(KeySet::parse("f", &twice.to_text()).unwrap_err().message.contains("twice"));
        let small =
            KeySet { keys: vec![TokenKeyPublic::new(vec![200; 128], vec![1, 0, 1], at(0))] };
        assert!(KeySet::parse("f", &small.to_text()).unwrap_err().message.contains("1024 bits"));
    }
}
