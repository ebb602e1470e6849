//! Tokens: what they say, and whether one counts here and now. No IO; the time is an argument.
//!
//! A token is a compact JWS (RFC 7515) of RS256 alone. The header may hold `alg`, `kid` and `typ`, nothing else: a token that brings
//! its own key, or says where one lies, is refused before anything is computed. Nothing of a token is believed before its
//! signature held.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use carnet_core::{ExitCode, RunId, Timestamp};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde::{Deserialize, Serialize, de::IgnoredAny};

use crate::{
    accounts::{Accounts, RevokedWhat},
    key_set::{KeySet, KeyUse, TokenKeyPublic},
    scope::Scope,
    token_key::{TokenKey, TokenKeyError},
};

/// Longest token that is looked at, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// How long a token lives: 24 hours.
pub const LIFETIME_SECS: i64 = 24 * 3600;
/// How long a run's token outlives it: one hour.
pub const RUN_GRACE_SECS: i64 = 3600;
/// How far the issuer's clock may be ahead of ours.
pub const SKEW_SECS: i64 = 60;
const SUBJECT: &str = "service:";

/// What a token says (RFC 7519). Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// `service:<account>`.
    pub sub: String,
    /// For whom.
    pub aud: String,
    /// When it ends.
    pub exp: i64,
    /// When it was issued.
    pub iat: i64,
    /// When it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// Its own name.
    pub jti: String,
    /// What it is for, a part of what the account may do.
    pub scopes: Vec<String>,
    /// The run it belongs to: it dies with the run plus one hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// The project it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
}

/// What is known of the run that a token belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// It has not ended, as far as is known here.
    NotEnded,
    /// It ended.
    Ended(Timestamp),
}

/// What a token is held against.
pub struct Check<'a> {
    /// The accounts in force.
    pub accounts: &'a Accounts,
    /// The keys in force.
    pub keys: &'a KeySet,
    /// Now.
    pub now: Timestamp,
    /// What it is presented for.
    pub scope: Option<Scope>,
    /// Answers what is known of a run.
    pub run_state: &'a dyn Fn(RunId) -> RunState,
}

/// A token that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// The account.
    pub account: String,
    /// What both the token and the account in force hold.
    pub scopes: BTreeSet<Scope>,
    /// What the token says.
    pub claims: Claims,
    /// The key that signed it.
    pub kid: String,
}

/// Why a token does not count. Each way has its own word, which the audit log holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Longer than any token of ours.
    #[error("it has more than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    /// Not three parts of base64url.
    #[error("it is not a compact JWS: {0}")]
    Malformed(&'static str),
    /// The header is no JSON of its form.
    #[error("its header is malformed: {0}")]
    Header(String),
    /// The header holds what would choose the key, or what we do not understand.
    #[error("its header holds `{0}`, which no token of ours does")]
    HeaderMember(&'static str),
    /// Another algorithm.
    #[error("its algorithm is `{0}`; only RS256 counts")]
    Algorithm(String),
    /// No key of that id.
    #[error("its key `{0}` is not in the key set")]
    UnknownKey(String),
    /// The key's time is over.
    #[error("its key `{0}` was retired, and its grace is over")]
    RetiredKey(String),
    /// The signature is not by the key.
    #[error("its signature does not fit")]
    Signature,
    /// The claims are no JSON of their form.
    #[error("its claims are malformed: {0}")]
    Claims(String),
    /// Another issuer.
    #[error("it is of issuer `{0}`")]
    Issuer(String),
    /// For another audience.
    #[error("it is for audience `{0}`")]
    Audience(String),
    /// Not for a service account.
    #[error("its subject `{0}` is no service account")]
    Subject(String),
    /// Over.
    #[error("it ended at {0}")]
    Expired(Timestamp),
    /// Not begun.
    #[error("it begins at {0}")]
    NotYetValid(Timestamp),
    /// Issued in the future: a clock is wrong.
    #[error("it was issued at {0}, which is in the future: look at the clocks")]
    IssuedInFuture(Timestamp),
    /// Longer than any of ours.
    #[error("it lives for {0} s; {LIFETIME_SECS} s is the longest")]
    Lifetime(i64),
    /// Its run is over.
    #[error("its run ended at {0}, more than one hour ago")]
    RunEnded(Timestamp),
    /// The account is not in force.
    #[error("account `{0}` is not in the accounts in force")]
    UnknownAccount(String),
    /// It was revoked.
    #[error("it was revoked: {0}")]
    Revoked(String),
    /// Its account's tokens were revoked.
    #[error("the tokens of account `{account}` up to {at} were revoked: {reason}")]
    AccountRevoked {
        /// The account.
        account: String,
        /// Up to when.
        at: Timestamp,
        /// Why.
        reason: String,
    },
    /// It lacks the scope.
    #[error("it does not hold scope `{0}`")]
    ScopeMissing(Scope),
    /// The account lost the scope, or never had it.
    #[error("account `{account}` does not hold scope `{scope}`")]
    ScopeNotGranted {
        /// The account.
        account: String,
        /// The scope.
        scope: Scope,
    },
    /// It was presented before, and only once counts.
    #[error("it was presented before")]
    Replayed,
}

impl Refusal {
    /// Returns the word for the audit log and for machines.
    pub fn word(&self) -> &'static str {
        match self {
            Refusal::TooLong => "too-long",
            Refusal::Malformed(_) => "malformed",
            Refusal::Header(_) => "header",
            Refusal::HeaderMember(_) => "header-member",
            Refusal::Algorithm(_) => "algorithm",
            Refusal::UnknownKey(_) => "unknown-key",
            Refusal::RetiredKey(_) => "retired-key",
            Refusal::Signature => "signature",
            Refusal::Claims(_) => "claims",
            Refusal::Issuer(_) => "issuer",
            Refusal::Audience(_) => "audience",
            Refusal::Subject(_) => "subject",
            Refusal::Expired(_) => "expired",
            Refusal::NotYetValid(_) => "not-yet-valid",
            Refusal::IssuedInFuture(_) => "issued-in-future",
            Refusal::Lifetime(_) => "lifetime",
            Refusal::RunEnded(_) => "run-ended",
            Refusal::UnknownAccount(_) => "unknown-account",
            Refusal::Revoked(_) => "revoked",
            Refusal::AccountRevoked { .. } => "account-revoked",
            Refusal::ScopeMissing(_) => "scope-missing",
            Refusal::ScopeNotGranted { .. } => "scope-not-granted",
            Refusal::Replayed => "replayed",
        }
    }

    /// Returns how carnet ends over it.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Refusal::ScopeMissing(_) | Refusal::ScopeNotGranted { .. } => ExitCode::ScopeMissing,
            _ => ExitCode::Refused,
        }
    }
}

/// The header's members: those we know, and those that are refused by name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    kid: Option<String>,
    #[serde(rename = "typ")]
    _typ: Option<String>,
    jku: Option<IgnoredAny>,
    jwk: Option<IgnoredAny>,
    x5u: Option<IgnoredAny>,
    x5c: Option<IgnoredAny>,
    x5t: Option<IgnoredAny>,
    #[serde(rename = "x5t#S256")]
    x5t_s256: Option<IgnoredAny>,
    crit: Option<IgnoredAny>,
    b64: Option<IgnoredAny>,
    zip: Option<IgnoredAny>,
    cty: Option<IgnoredAny>,
}

impl Header {
    fn refused_member(&self) -> Option<&'static str> {
        let members = [
            ("jku", &self.jku),
            ("jwk", &self.jwk),
            ("x5u", &self.x5u),
            ("x5c", &self.x5c),
            ("x5t", &self.x5t),
            ("x5t#S256", &self.x5t_s256),
            ("crit", &self.crit),
            ("b64", &self.b64),
            ("zip", &self.zip),
            ("cty", &self.cty),
        ];
        members.iter().find(|(_, found)| found.is_some()).map(|(name, _)| *name)
    }
}

/// Signs claims.
///
/// # Errors
///
/// [`TokenKeyError`] when the random source fails.
pub fn sign(claims: &Claims, key: &TokenKey) -> Result<String, TokenKeyError> {
    let header = format!("{{\"alg\":\"RS256\",\"kid\":\"{}\",\"typ\":\"JWT\"}}", key.kid());
    let claims = serde_json::to_vec(claims).expect("because claims have string keys");
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = key.sign(signed.as_bytes())?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// Says whether a token counts.
///
/// # Errors
///
/// The first [`Refusal`], in the order: form, header, key, signature, claims, issuer and audience, time, account, revocation,
/// scope.
pub fn verify(token: &[u8], check: &Check<'_>) -> Result<Presented, Refusal> {
    let (claims, kid) = signed_claims(token, check)?;
    let Accounts { issuer, audience, .. } = check.accounts;
    if claims.iss != *issuer {
        return Err(Refusal::Issuer(claims.iss));
    }
    if claims.aud != *audience {
        return Err(Refusal::Audience(claims.aud));
    }
    in_time(&claims, check)?;
    let account = account_in_force(&claims, check.accounts)?.to_owned();
    let granted = &check.accounts.accounts[&account].scopes;
    let asked: BTreeSet<Scope> =
        claims.scopes.iter().filter_map(|name| Scope::parse(name)).collect();
    if let Some(scope) = check.scope {
        if !asked.contains(&scope) {
            return Err(Refusal::ScopeMissing(scope));
        }
        if !granted.contains(&scope) {
            return Err(Refusal::ScopeNotGranted { account, scope });
        }
    }
    let scopes = asked.intersection(granted).copied().collect();
    Ok(Presented { account, scopes, claims, kid })
}

/// Returns the account and the `jti` that a token names, where its signature holds: whom a refusal is about.
pub fn whose(token: &[u8], check: &Check<'_>) -> Option<(String, String)> {
    let (claims, _) = signed_claims(token, check).ok()?;
    Some((claims.sub.strip_prefix(SUBJECT)?.to_owned(), claims.jti))
}

/// Returns what a key of ours has signed, and that key's id.
fn signed_claims(token: &[u8], check: &Check<'_>) -> Result<(Claims, String), Refusal> {
    let (header, claims_text, signature, signed) = parts(token)?;
    let header: Header =
        serde_json::from_slice(&header).map_err(|error| Refusal::Header(error.to_string()))?;
    if header.alg != "RS256" {
        return Err(Refusal::Algorithm(header.alg));
    }
    if let Some(name) = header.refused_member() {
        return Err(Refusal::HeaderMember(name));
    }
    let kid = header.kid.unwrap_or_default();
    let key = check.keys.find(&kid).ok_or_else(|| Refusal::UnknownKey(kid.clone()))?;
    if key.use_at(check.now) == KeyUse::Over {
        return Err(Refusal::RetiredKey(kid));
    }
    signature_fits(key, signed, &signature)?;
    let claims: Claims =
        serde_json::from_slice(&claims_text).map_err(|error| Refusal::Claims(error.to_string()))?;
    Ok((claims, kid))
}

type Parts<'t> = (Vec<u8>, Vec<u8>, Vec<u8>, &'t [u8]);

/// Takes a token apart: header, claims, signature, and the bytes that are signed.
fn parts(token: &[u8]) -> Result<Parts<'_>, Refusal> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Refusal::TooLong);
    }
    let mut parts = token.split(|byte| *byte == b'.');
    let (Some(header), Some(claims), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::Malformed("it has not three parts"));
    };
    let decoded =
        |part: &[u8], what| URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed(what));
    let signed = &token[..header.len() + 1 + claims.len()];
    Ok((
        decoded(header, "its header is not base64url")?,
        decoded(claims, "its claims are not base64url")?,
        decoded(signature, "its signature is not base64url")?,
        signed,
    ))
}

fn signature_fits(key: &TokenKeyPublic, signed: &[u8], signature: &[u8]) -> Result<(), Refusal> {
    let key = RsaPublicKeyComponents { n: &key.n, e: &key.e };
    let verified = key.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature);
    verified.map_err(|_| Refusal::Signature)
}

fn in_time(claims: &Claims, check: &Check<'_>) -> Result<(), Refusal> {
    let now = check.now.as_secs();
    let at = |secs: i64| Timestamp::from_millis(secs.saturating_mul(1000));
    if claims.iat > now + SKEW_SECS {
        return Err(Refusal::IssuedInFuture(at(claims.iat)));
    }
    if let Some(begins) = claims.nbf.filter(|begins| *begins > now + SKEW_SECS) {
        return Err(Refusal::NotYetValid(at(begins)));
    }
    if now >= claims.exp {
        return Err(Refusal::Expired(at(claims.exp)));
    }
    let lives = claims.exp.saturating_sub(claims.iat);
    if lives > LIFETIME_SECS {
        return Err(Refusal::Lifetime(lives));
    }
    if let Some(run) = claims.run_id
        && let RunState::Ended(ended) = (check.run_state)(run)
        && now >= ended.as_secs().saturating_add(RUN_GRACE_SECS)
    {
        return Err(Refusal::RunEnded(ended));
    }
    Ok(())
}

fn account_in_force<'c>(claims: &'c Claims, accounts: &Accounts) -> Result<&'c str, Refusal> {
    let account = claims.sub.strip_prefix(SUBJECT);
    let account = account.ok_or_else(|| Refusal::Subject(claims.sub.clone()))?;
    if !accounts.accounts.contains_key(account) {
        return Err(Refusal::UnknownAccount(account.to_owned()));
    }
    for revoked in &accounts.revoked {
        match &revoked.what {
            RevokedWhat::Token(jti) if *jti == claims.jti => {
                return Err(Refusal::Revoked(revoked.reason.clone()));
            }
            RevokedWhat::Account(name) if name == account && claims.iat <= revoked.at.as_secs() => {
                let (account, reason) = (name.clone(), revoked.reason.clone());
                return Err(Refusal::AccountRevoked { account, at: revoked.at, reason });
            }
            _ => {}
        }
    }
    Ok(account)
}

/// What a token shall be for.
pub struct TokenRequest<'a> {
    /// The account.
    pub account: &'a str,
    /// Which of its scopes; none: all of them.
    pub scopes: &'a [Scope],
    /// For how many seconds, at most [`LIFETIME_SECS`].
    pub lives_secs: i64,
    /// The run it belongs to.
    pub run: Option<RunId>,
    /// The project it belongs to.
    pub project: Option<&'a str>,
    /// A name that no other token has.
    pub jti: &'a str,
}

/// Returns what a new token says.
///
/// # Errors
///
/// [`Refusal`]: no such account, a scope that it does not hold, a lifetime that is too long or none.
pub fn claims_for(
    request: &TokenRequest<'_>,
    accounts: &Accounts,
    now: Timestamp,
) -> Result<Claims, Refusal> {
    let name = request.account;
    let account = accounts.accounts.get(name);
    let account = account.ok_or_else(|| Refusal::UnknownAccount(name.to_owned()))?;
    if let Some(scope) = request.scopes.iter().find(|scope| !account.scopes.contains(scope)) {
        return Err(Refusal::ScopeNotGranted { account: name.to_owned(), scope: *scope });
    }
    if !(1..=LIFETIME_SECS).contains(&request.lives_secs) {
        return Err(Refusal::Lifetime(request.lives_secs));
    }
    let all: Vec<Scope> = account.scopes.iter().copied().collect();
    let scopes = if request.scopes.is_empty() { &all } else { request.scopes };
    Ok(Claims {
        iss: accounts.issuer.clone(),
        sub: format!("{SUBJECT}{name}"),
        aud: accounts.audience.clone(),
        exp: now.as_secs() + request.lives_secs,
        iat: now.as_secs(),
        nbf: None,
        jti: request.jti.to_owned(),
        scopes: scopes.iter().map(|scope| scope.name().to_owned()).collect(),
        run_id: request.run,
        project_id: request.project.map(str::to_owned),
    })
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
