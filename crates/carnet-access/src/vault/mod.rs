//! Secrets in a Vault server (HashiCorp Vault, OpenBao and those that speak as they do): the key–value engine, versions 1 and 2.
//!
//! Every path that is asked for begins with the mount and the project of the policy in force; nothing here takes a whole path.
//! Nothing is cached and no redirection is followed. Errors name path and status, never a value or a token.
//!
//! [`config`] says where, [`session`] who we are, [`answer`] what came back, [`http`] how it travels.

pub mod answer;
pub mod config;
pub mod http;
pub mod session;

use serde_json::json;
use zeroize::Zeroizing;

use self::{
    answer::{Entry, Health},
    config::VaultConfig,
    http::{Http, Method},
    session::{Credential, Session},
};
use crate::secrets::{
    NAMES_MAX, SecretName, SecretStore, SecretStoreError, base64_or_text, check_value,
};

/// How deep listings go, in parts.
const DEPTH_MAX: usize = 8;

/// Why the Vault gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Nobody answers there.
    #[error("the vault at `{address}` cannot be reached: {message}")]
    Unreachable {
        /// Where.
        address: String,
        /// What the system said.
        message: String,
    },
    /// Its certificate does not count.
    #[error("the vault at `{address}` shows a certificate that does not count: {message}")]
    Certificate {
        /// Where.
        address: String,
        /// What is wrong with it.
        message: String,
    },
    /// It did not answer in time.
    #[error("the vault did not answer `{path}` within {secs} s")]
    TimedOut {
        /// What was asked.
        path: String,
        /// For how long it was waited.
        secs: u64,
    },
    /// It is sealed.
    #[error("the vault is sealed ({status} at `{path}`)")]
    Sealed {
        /// What was asked.
        path: String,
        /// HTTP's.
        status: u16,
    },
    /// It was never initialised.
    #[error("the vault is not initialised ({status} at `{path}`)")]
    Uninitialised {
        /// What was asked.
        path: String,
        /// HTTP's.
        status: u16,
    },
    /// It says no.
    #[error("the vault denies `{path}` ({status})")]
    Denied {
        /// What was asked.
        path: String,
        /// HTTP's.
        status: u16,
    },
    /// The token counts no more.
    #[error("the vault's token has expired or was revoked ({status} at `{path}`)")]
    Expired {
        /// What was asked.
        path: String,
        /// HTTP's.
        status: u16,
    },
    /// It does not let us in.
    #[error("the vault refuses the login by {method} ({status} at `{path}`)")]
    Login {
        /// How.
        method: &'static str,
        /// What was asked.
        path: String,
        /// HTTP's.
        status: u16,
    },
    /// It has no such place.
    #[error("the vault has no engine or namespace for `{path}` ({status})")]
    Nowhere {
        /// What was asked.
        path: String,
        /// HTTP's.
        status: u16,
    },
    /// It sends us elsewhere.
    #[error("the vault sends `{path}` to another address ({status}); it is not followed")]
    Redirected {
        /// What was asked.
        path: String,
        /// HTTP's.
        status: u16,
    },
    /// It answers with another status.
    #[error("the vault answers `{path}` with {status}")]
    Status {
        /// What was asked.
        path: String,
        /// HTTP's.
        status: u16,
    },
    /// It answers with something that is no answer.
    #[error("the vault's answer to `{path}` is not understood: {message}")]
    Garbage {
        /// What was asked.
        path: String,
        /// What is wrong with it; no byte of it.
        message: String,
    },
    /// It answers with too much.
    #[error("the vault's answer to `{path}` has more than {bytes_max} bytes")]
    TooLarge {
        /// What was asked.
        path: String,
        /// The bound.
        bytes_max: u64,
    },
    /// The policy in force lets no one write.
    #[error("the vault is for reading alone: `{path}`")]
    ReadOnly {
        /// What was to be written.
        path: String,
    },
    /// The certificates of the policy cannot be read.
    #[error("`{file}` holds no certificate in PEM")]
    Authority {
        /// The file.
        file: String,
    },
}

/// A Vault as a store.
pub struct VaultStore {
    config: VaultConfig,
    session: Session,
}

impl VaultStore {
    /// Names a Vault; nothing is asked of it yet.
    ///
    /// - `authority`: certificates to trust, in PEM, where `config.ca` names some.
    ///
    /// # Errors
    ///
    /// [`VaultError::Authority`].
    pub fn new(
        config: VaultConfig,
        authority: Option<&str>,
        credential: Credential,
    ) -> Result<VaultStore, VaultError> {
        let http = Http::new(&config, authority)?;
        let session = Session::new(http, &config, credential);
        Ok(VaultStore { config, session })
    }

    /// Asks how the server is; needs no token.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub fn health(&self) -> Result<Health, VaultError> {
        answer::health(self.session.http())
    }

    /// Logs in, where that is not done yet, and says for how long the token counts, in seconds, where the server says so.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub fn log_in(&self) -> Result<Option<u64>, VaultError> {
        self.session.log_in()
    }

    /// `kind`: `data` or `metadata`, which version 2 puts between mount and path.
    fn path(&self, kind: &str, below: &str) -> String {
        let VaultConfig { mount, project, .. } = &self.config;
        match self.config.kv {
            1 => format!("{mount}/{project}/{below}"),
            _ => format!("{mount}/{kind}/{project}/{below}"),
        }
    }

    fn entry(&self, name: &SecretName) -> Result<Entry, SecretStoreError> {
        let path = self.path("data", name.path());
        match self.session.ask(Method::Get, &path, None)? {
            None => Err(SecretStoreError::Missing { path }),
            Some(answer) => answer::entry(&path, self.config.kv, answer)?
                .ok_or(SecretStoreError::Missing { path }),
        }
    }

    fn must_be_writable(&self, path: &str) -> Result<(), VaultError> {
        let refused = || VaultError::ReadOnly { path: path.to_owned() };
        if self.config.writable { Ok(()) } else { Err(refused()) }
    }

    fn list_below(
        &self,
        below: &str,
        depth: usize,
        names: &mut Vec<SecretName>,
    ) -> Result<(), SecretStoreError> {
        let path = self.path("metadata", below);
        let Some(answer) = self.session.ask(Method::List, &path, None)? else { return Ok(()) };
        for key in answer::keys(&path, &answer)? {
            let whole = format!("{below}{key}");
            if key.ends_with('/') {
                if depth < DEPTH_MAX && SecretName::parse(whole.trim_end_matches('/')).is_ok() {
                    self.list_below(&whole, depth + 1, names)?;
                }
            } else {
                // What has a name that we could not ask for is not ours.
                names.extend(SecretName::parse(&whole));
            }
            if names.len() > NAMES_MAX {
                return Err(SecretStoreError::TooMany { place: self.place() });
            }
        }
        Ok(())
    }
}

impl SecretStore for VaultStore {
    fn place(&self) -> String {
        let VaultConfig { address, mount, project, .. } = &self.config;
        format!("vault {address} at {mount}/{project}")
    }

    fn path_of(&self, name: &SecretName) -> String {
        let field = name.field().map(|it| format!("#{it}")).unwrap_or_default();
        format!("vault:{}{field}", self.path("data", name.path()))
    }

    fn get(&self, name: &SecretName) -> Result<Zeroizing<Vec<u8>>, SecretStoreError> {
        let value = self.entry(name)?.value(&self.path("data", name.path()), name.field())?;
        check_value(&value)?;
        Ok(value)
    }

    fn list(&self) -> Result<Vec<SecretName>, SecretStoreError> {
        let mut names = vec![];
        self.list_below("", 1, &mut names)?;
        names.sort();
        Ok(names)
    }

    fn fields(&self, name: &SecretName) -> Result<Vec<SecretName>, SecretStoreError> {
        let entry = self.entry(name)?;
        let named = |field: &String| SecretName::parse(&format!("{}#{field}", name.path())).ok();
        Ok(entry.names().filter_map(named).collect())
    }

    fn put(&self, name: &SecretName, value: &[u8]) -> Result<(), SecretStoreError> {
        check_value(value)?;
        let path = self.path("data", name.path());
        if name.field().is_some() {
            return Err(SecretStoreError::WholeEntries { place: self.place(), name: name.clone() });
        }
        self.must_be_writable(&path)?;
        let (field, text) = base64_or_text(value);
        let mut body = match self.config.kv {
            1 => json!({ field: text.as_str() }),
            _ => json!({ "data": { field: text.as_str() } }),
        };
        let asked = self.session.ask(Method::Post, &path, Some(&body));
        answer::wipe(&mut body);
        if asked?.is_none() { Err(SecretStoreError::Missing { path }) } else { Ok(()) }
    }

    fn remove(&self, name: &SecretName) -> Result<(), SecretStoreError> {
        // Of every version: a value that was only marked as deleted can be had again.
        let path = self.path("metadata", name.path());
        self.must_be_writable(&path)?;
        match self.session.ask(Method::Get, &path, None)? {
            Some(mut answer) => answer::wipe(&mut answer),
            None => return Err(SecretStoreError::Missing { path }),
        }
        self.session.ask(Method::Delete, &path, None)?;
        Ok(())
    }
}

impl From<VaultError> for SecretStoreError {
    fn from(error: VaultError) -> SecretStoreError {
        SecretStoreError::Vault(error)
    }
}
