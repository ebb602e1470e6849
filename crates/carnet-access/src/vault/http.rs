//! How questions travel: one request, one answer, both bounded; no redirection, no proxy, no other certificate than those named.

use std::{error::Error as _, io, sync::Arc, thread, time::Duration};

use rustls::crypto::ring;
use serde_json::Value;
use ureq::{
    Agent,
    http::{Request, request::Builder},
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};
use zeroize::Zeroizing;

use super::{VaultError, config::VaultConfig};

/// Largest answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 4 << 20;
/// How often a question that changes nothing is asked, where the server is not there or overrun.
const ATTEMPTS_MAX: u32 = 3;
/// How long is waited before the second; four times as long before the third.
const PAUSE: Duration = Duration::from_millis(100);

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// An entry.
    Get,
    /// Names.
    List,
    /// To write, or to log in.
    Post,
    /// To remove.
    Delete,
}

impl Method {
    fn word(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::List => "LIST",
            Method::Post => "POST",
            Method::Delete => "DELETE",
        }
    }
}

/// A server.
pub struct Http {
    agent: Agent,
    address: String,
    namespace: Option<String>,
    timeout_secs: u64,
}

/// What came back.
pub struct Answer {
    /// HTTP's status.
    pub status: u16,
    /// The body, as it is.
    pub body: Zeroizing<Vec<u8>>,
}

impl Http {
    /// Names a server; nothing is asked of it yet.
    ///
    /// # Errors
    ///
    /// [`VaultError::Authority`].
    pub fn new(config: &VaultConfig, authority: Option<&str>) -> Result<Http, VaultError> {
        let roots = match authority {
            None => RootCerts::PlatformVerifier,
            Some(pem) => {
                let certificates: Vec<_> = parse_pem(pem.as_bytes())
                    .filter_map(|item| match item {
                        Ok(PemItem::Certificate(certificate)) => Some(certificate),
                        _ => None,
                    })
                    .collect();
                if certificates.is_empty() {
                    let file = config.ca.clone().unwrap_or_default();
                    return Err(VaultError::Authority { file });
                }
                RootCerts::new_with_certs(&certificates)
            }
        };
        let tls = TlsConfig::builder()
            .root_certs(roots)
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_secs(config.timeout_secs)))
            .build()
            .new_agent();
        Ok(Http {
            agent,
            address: config.address.clone(),
            namespace: config.namespace.clone(),
            timeout_secs: config.timeout_secs,
        })
    }

    /// Asks. What changes nothing is asked again where nobody was there, or the server was overrun.
    ///
    /// # Errors
    ///
    /// [`VaultError`]; a status is none.
    pub fn ask(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Answer, VaultError> {
        let may_repeat = matches!(method, Method::Get | Method::List);
        let mut attempt = 1;
        loop {
            let answer = self.send(self.request(method, path, token), path, body);
            let is_passing = match &answer {
                Ok(answer) => matches!(answer.status, 502 | 504),
                Err(error) => matches!(error, VaultError::Unreachable { .. }),
            };
            if !is_passing || !may_repeat || attempt == ATTEMPTS_MAX {
                return answer;
            }
            thread::sleep(PAUSE * 4_u32.pow(attempt - 1));
            attempt += 1;
        }
    }

    fn request(&self, method: Method, path: &str, token: Option<&str>) -> Builder {
        let mut request = Request::builder()
            .method(method.word())
            .uri(format!("{}/v1/{path}", self.address))
            .header("X-Vault-Request", "true");
        if let Some(namespace) = &self.namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        if let Some(token) = token {
            request = request.header("X-Vault-Token", token);
        }
        request
    }

    fn send(
        &self,
        request: Builder,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, VaultError> {
        let unsent = |error: ureq::http::Error| VaultError::Unreachable {
            address: self.address.clone(),
            message: error.to_string(),
        };
        let asked = match body {
            None => self.agent.run(request.body(()).map_err(unsent)?),
            Some(body) => {
                let bytes = Zeroizing::new(serde_json::to_vec(body).unwrap_or_default());
                let request = request.header("Content-Type", "application/json");
                self.agent.run(request.body(&bytes[..]).map_err(unsent)?)
            }
        };
        let response = asked.map_err(|error| self.failed(path, error))?;
        let status = response.status().as_u16();
        let limited = response.into_body().into_with_config().limit(ANSWER_BYTES_MAX);
        let body = limited.read_to_vec().map_err(|error| self.failed(path, error))?;
        Ok(Answer { status, body: Zeroizing::new(body) })
    }

    fn failed(&self, path: &str, error: ureq::Error) -> VaultError {
        let (address, path) = (self.address.clone(), path.to_owned());
        match error {
            ureq::Error::Timeout(_) => VaultError::TimedOut { path, secs: self.timeout_secs },
            ureq::Error::BodyExceedsLimit(_) | ureq::Error::LargeResponseHeader(..) => {
                VaultError::TooLarge { path, bytes_max: ANSWER_BYTES_MAX }
            }
            ureq::Error::Protocol(error) => {
                VaultError::Garbage { path, message: error.to_string() }
            }
            ureq::Error::Rustls(error) => certificate(address, &error),
            ureq::Error::Io(error) => match tls_error(&error) {
                Some(tls) => certificate(address, tls),
                None if error.kind() == io::ErrorKind::TimedOut => {
                    VaultError::TimedOut { path, secs: self.timeout_secs }
                }
                None => VaultError::Unreachable { address, message: error.to_string() },
            },
            other => VaultError::Unreachable { address, message: other.to_string() },
        }
    }
}

fn certificate(address: String, error: &rustls::Error) -> VaultError {
    VaultError::Certificate { address, message: error.to_string() }
}

/// The handshake's own error, below what carried it.
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    let mut source = error.get_ref().map(|it| it as &(dyn std::error::Error + 'static));
    for _ in 0..8 {
        let found = source?;
        if let Some(tls) = found.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        source = found.source();
    }
    error.source().and_then(|it| it.downcast_ref())
}
