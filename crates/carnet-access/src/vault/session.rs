//! Who we are to a Vault: a login when the first question is asked, renewal before the token ends, and its revocation after the last.
//!
//! A token that a login gave is renewed once two thirds of its time are over, and got anew when it counts no more. A token that
//! came from outside is used as it is: it belongs to who gave it.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    VaultError, answer,
    config::{LoginMethod, VaultConfig},
    http::{Http, Method},
};

/// What proves who we are; read from outside of the repository, never printed.
pub enum Credential {
    /// A token.
    Token(Zeroizing<String>),
    /// A role.
    AppRole {
        /// Which.
        role_id: Zeroizing<String>,
        /// Its secret.
        secret_id: Zeroizing<String>,
    },
    /// A token of a service account.
    Jwt(Zeroizing<String>),
}

/// Talks to a server under one token.
pub struct Session {
    http: Http,
    credential: Credential,
    login_path: String,
    role: Option<String>,
    token: RefCell<Option<Token>>,
}

struct Token {
    text: Zeroizing<String>,
    until: Option<(Instant, Duration)>,
    renewable: bool,
}

/// What is to be done before a token is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Use,
    Renew,
    LogIn,
}

/// Decides that: `left` of a time to live of `ttl`, where it has one.
fn step(left: Option<Duration>, ttl: Duration, renewable: bool) -> Step {
    match left {
        None => Step::Use,
        Some(left) if left.is_zero() => Step::LogIn,
        Some(left) if left * 3 <= ttl => {
            if renewable {
                Step::Renew
            } else {
                Step::Use
            }
        }
        Some(_) => Step::Use,
    }
}

impl Session {
    /// Begins; nothing is asked yet.
    pub fn new(http: Http, config: &VaultConfig, credential: Credential) -> Session {
        let login_path = format!("auth/{}/login", config.login_mount());
        Session {
            http,
            credential,
            login_path,
            role: config.role.clone(),
            token: RefCell::new(None),
        }
    }

    /// Returns the server.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// Logs in where that is to be done, and returns for how many seconds the token counts, where the server said so.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub fn log_in(&self) -> Result<Option<u64>, VaultError> {
        self.ready()?;
        let held = self.token.borrow();
        let until = held.as_ref().and_then(|token| token.until);
        Ok(until.map(|(until, _)| until.saturating_duration_since(Instant::now()).as_secs()))
    }

    /// Asks under the token; `None` where there is nothing.
    ///
    /// # Errors
    ///
    /// [`VaultError`]. A token from a login that counts no more is got anew, once.
    pub fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Option<Value>, VaultError> {
        let once = || {
            let token = self.ready()?;
            let answer = self.http.ask(method, path, Some(&token), body)?;
            match answer::judged(path, answer)? {
                None => Ok(None),
                Some(answer) => answer::json(path, &answer.body).map(Some),
            }
        };
        let first = once();
        let Err(VaultError::Denied { path: at, status }) = first else { return first };
        if self.token_counts()? {
            return Err(VaultError::Denied { path: at, status });
        }
        *self.token.borrow_mut() = None;
        if matches!(self.credential, Credential::Token(_)) {
            return Err(VaultError::Expired { path: at, status });
        }
        once()
    }

    /// Whether the token is one that the server knows: else a denial says nothing of what was asked.
    fn token_counts(&self) -> Result<bool, VaultError> {
        let token = self.ready()?;
        let answer = self.http.ask(Method::Get, "auth/token/lookup-self", Some(&token), None)?;
        Ok(answer.status == 200)
    }

    /// Returns a token that counts now.
    fn ready(&self) -> Result<Zeroizing<String>, VaultError> {
        let next = match &*self.token.borrow() {
            None => Step::LogIn,
            Some(token) => {
                let left = token.until.map(|(it, _)| it.saturating_duration_since(Instant::now()));
                step(left, token.until.map(|it| it.1).unwrap_or_default(), token.renewable)
            }
        };
        if next == Step::Renew && self.renew().is_none() || next == Step::LogIn {
            *self.token.borrow_mut() = Some(self.new_token()?);
        }
        let held = self.token.borrow();
        Ok(held.as_ref().map(|token| token.text.clone()).unwrap_or_default())
    }

    /// Renews the token; `None` where the server does not: then it is got anew.
    fn renew(&self) -> Option<()> {
        let text = self.token.borrow().as_ref()?.text.clone();
        let path = "auth/token/renew-self";
        let answer = self.http.ask(Method::Post, path, Some(&text), Some(&json!({}))).ok()?;
        let answer = answer::judged(path, answer).ok()??;
        let mut read = answer::json(path, &answer.body).ok()?;
        let renewed = token_of(path, &mut read).ok()?;
        *self.token.borrow_mut() = Some(renewed);
        Some(())
    }

    fn new_token(&self) -> Result<Token, VaultError> {
        let (method, mut body) = match &self.credential {
            Credential::Token(text) => {
                return Ok(Token { text: text.clone(), until: None, renewable: false });
            }
            Credential::AppRole { role_id, secret_id } => {
                let body = json!({"role_id": role_id.as_str(), "secret_id": secret_id.as_str()});
                (LoginMethod::Approle, body)
            }
            Credential::Jwt(jwt) => {
                (LoginMethod::Jwt, json!({"role": self.role, "jwt": jwt.as_str()}))
            }
        };
        let path = self.login_path.as_str();
        let answer = self.http.ask(Method::Post, path, None, Some(&body));
        answer::wipe(&mut body);
        let answer = answer?;
        if matches!(answer.status, 400 | 401 | 403 | 404 | 500) {
            let (method, path) = (method.word(), path.to_owned());
            return Err(VaultError::Login { method, path, status: answer.status });
        }
        let body = answer::judged(path, answer)?.map(|it| it.body).unwrap_or_default();
        token_of(path, &mut answer::json(path, &body)?)
    }
}

/// Reads what a login or a renewal gave.
fn token_of(path: &str, answer: &mut Value) -> Result<Token, VaultError> {
    let garbage =
        |message: &str| VaultError::Garbage { path: path.to_owned(), message: message.to_owned() };
    let Some(auth) = answer.get_mut("auth") else { return Err(garbage("it holds no token")) };
    let ttl = auth.get("lease_duration").and_then(Value::as_u64).unwrap_or(0);
    let renewable = auth.get("renewable").and_then(Value::as_bool).unwrap_or(false);
    let Some(Value::String(text)) = auth.get_mut("client_token").map(Value::take) else {
        return Err(garbage("it holds no token"));
    };
    let text = Zeroizing::new(text);
    // It becomes a header.
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(garbage("its token is no token"));
    }
    let ttl = Duration::from_secs(ttl.min(u64::from(u32::MAX)));
    let until = (!ttl.is_zero()).then(|| (Instant::now() + ttl, ttl));
    Ok(Token { text, until, renewable })
}

impl Drop for Session {
    /// A token that a login gave ends with its use. Where the server does not hear it, its time ends it.
    fn drop(&mut self) {
        if matches!(self.credential, Credential::Token(_)) {
            return;
        }
        if let Some(token) = self.token.take() {
            let path = "auth/token/revoke-self";
            let _ = self.http.ask(Method::Post, path, Some(&token.text), Some(&json!({})));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Read as _, Write as _},
        net::{TcpListener, TcpStream},
        thread,
    };

    use super::*;
    use crate::vault::config::SecretsConfig;

    #[test]
    fn a_token_is_renewed_in_its_last_third_and_got_anew_when_it_is_over() {
        let secs = Duration::from_secs;
        for (left, renewable, expect) in [
            (None, true, Step::Use),
            (Some(90), true, Step::Use),
            (Some(31), true, Step::Use),
            (Some(30), true, Step::Renew),
            (Some(30), false, Step::Use),
            (Some(1), true, Step::Renew),
            (Some(0), true, Step::LogIn),
            (Some(0), false, Step::LogIn),
        ] {
            assert_eq!(step(left.map(secs), secs(90), renewable), expect, "{left:?} {renewable}");
        }
    }

    /// Answers each question by the next of these bodies and statuses; returns the first lines and the tokens that were sent.
    fn asked(
        answers: Vec<(u16, Value)>,
        credential: Credential,
        held: Option<Token>,
    ) -> Vec<String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut answers, mut asked) = (answers.into_iter(), vec![]);
            loop {
                let (mut stream, _) = listener.accept().unwrap();
                let (mut first, mut token, mut length) = (String::new(), String::new(), 0);
                let mut reader = BufReader::new(&mut stream);
                // A connection without a word ends it.
                if reader.read_line(&mut first).unwrap() == 0 {
                    return asked;
                }
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    let line = line.trim_end().to_lowercase();
                    if line.is_empty() {
                        break;
                    }
                    if let Some(sent) = line.strip_prefix("x-vault-token: ") {
                        token = sent.to_owned();
                    }
                    if let Some(bytes) = line.strip_prefix("content-length: ") {
                        length = bytes.parse().unwrap();
                    }
                }
                reader.read_exact(&mut vec![0; length]).unwrap();
                let (status, body) = answers.next().unwrap_or((500, Value::Null));
                let body = body.to_string();
                let length = body.len();
                write!(stream, "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
                let first = first.trim_end().trim_end_matches(" HTTP/1.1");
                asked.push(format!("{first} {token}"));
            }
        });
        let text = format!(
            "format = 'carnet/secrets/1'\nstore = 'vault'\n[vault]\naddress = 'http://{address}'\nproject = 'p'\nlogin = 'approle'\ntimeout_secs = 60\n"
        );
        let config = SecretsConfig::parse(&text).unwrap().vault.unwrap();
        let session = Session::new(Http::new(&config, None).unwrap(), &config, credential);
        *session.token.borrow_mut() = held;
        let _ = session.ask(Method::Get, "secret/data/p/A", None);
        drop(session);
        drop(TcpStream::connect(address).unwrap());
        server.join().unwrap()
    }

    fn role() -> Credential {
        let text = |text: &str| Zeroizing::new(text.to_owned());
        Credential::AppRole { role_id: text("r"), secret_id: text("s") }
    }

    fn held(left_secs: u64, ttl_secs: u64) -> Option<Token> {
        let until = Instant::now() + Duration::from_secs(left_secs);
        let until = Some((until, Duration::from_secs(ttl_secs)));
        Some(Token { text: Zeroizing::new("old".to_owned()), until, renewable: true })
    }

    #[test]
    fn a_token_near_its_end_is_renewed_used_and_revoked() {
        let auth =
            json!({"auth": {"client_token": "new", "lease_duration": 9000, "renewable": true}});
        let kept = json!({"data": {"data": {"value": "v"}}});
        let answers = vec![(200, auth.clone()), (200, kept.clone()), (204, Value::Null)];
        assert_eq!(
            asked(answers, role(), held(3_000, 10_000)),
            [
                "POST /v1/auth/token/renew-self old",
                "GET /v1/secret/data/p/A new",
                "POST /v1/auth/token/revoke-self new",
            ]
        );
        // A server that renews no more is logged in to anew.
        let answers = vec![(403, json!({})), (200, auth), (200, kept), (204, Value::Null)];
        assert_eq!(
            asked(answers, role(), held(3_000, 10_000))[..3],
            [
                "POST /v1/auth/token/renew-self old",
                "POST /v1/auth/approle/login ",
                "GET /v1/secret/data/p/A new",
            ]
        );
    }

    #[test]
    fn a_token_from_outside_is_neither_renewed_nor_revoked() {
        let outside = Credential::Token(Zeroizing::new("theirs".to_owned()));
        let kept = json!({"data": {"data": {"value": "v"}}});
        assert_eq!(asked(vec![(200, kept)], outside, None), ["GET /v1/secret/data/p/A theirs"]);
    }

    #[test]
    fn tokens_that_could_not_be_a_header_are_no_tokens() {
        let token = |text: &str| {
            let mut answer = json!({"auth": {"client_token": text, "lease_duration": 60}});
            token_of("p", &mut answer).map(|it| it.until.is_some()).map_err(|it| it.to_string())
        };
        assert_eq!(token("hvs.x"), Ok(true));
        for bad in ["", "a b", "a\r\nX: y", "ä"] {
            assert!(token(bad).unwrap_err().contains("no token"), "{bad}");
        }
        for answer in [json!(null), json!({"auth": null}), json!({"auth": {"client_token": 1}})] {
            assert!(token_of("p", &mut answer.clone()).is_err());
        }
    }
}
