//! The secret store in force: sealed files of this clone, or the Vault that the policy in force names.

use std::path::PathBuf;

use carnet_access::{
    accounts::FileProblem,
    private_file,
    secrets::{FileStore, SecretName, SecretStore, SecretStoreError},
    vault::{
        VaultError, VaultStore,
        config::{LoginMethod, SECRETS_FILE, SecretsConfig, StoreKind, VaultConfig},
        session::Credential,
    },
};
use carnet_core::ExitCode;
use carnet_guard::{AuditEvent, AuditKind, append_audit, policy_file};
use carnet_scan::KnownValue;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{
    auth::{KEYS_IN_VAULT, config_dir, identity_path, variable, wrong_file},
    presented::{self, TOKEN_VARIABLE},
};
use crate::{
    error::CommandError,
    workspace::{Workspace, now},
};

/// The variable that names the file of what proves who we are to a Vault.
const CREDENTIAL_VARIABLE: &str = "CARNET_VAULT_CREDENTIAL";
/// Largest such file, in bytes.
const CREDENTIAL_BYTES_MAX: u64 = 16 * 1024;

/// The stores of a workspace.
pub struct SecretStores {
    /// The workspace.
    pub workspace: Workspace,
    config: SecretsConfig,
}

impl SecretStores {
    /// Finds the store in force; nothing is asked of it yet.
    pub fn open(workspace: Workspace) -> Result<SecretStores, CommandError> {
        let config = match policy_file(&workspace.repo, SECRETS_FILE)? {
            None => SecretsConfig { store: StoreKind::File, vault: None },
            Some(text) => SecretsConfig::parse(&text)
                .map_err(|problems: Vec<FileProblem>| wrong_file(&problems))?,
        };
        Ok(SecretStores { workspace, config })
    }

    /// Returns the store in force.
    pub fn in_force(&self) -> Result<Box<dyn SecretStore>, CommandError> {
        self.of_kind(self.config.store)
    }

    /// Returns a store, in force or not.
    pub fn of_kind(&self, kind: StoreKind) -> Result<Box<dyn SecretStore>, CommandError> {
        match kind {
            StoreKind::File => {
                let dir = self.workspace.repo.state_dir().join("access").join("secrets");
                Ok(Box::new(FileStore::new(&dir, &identity_path(None)?)))
            }
            StoreKind::Vault => Ok(Box::new(self.vault()?)),
        }
    }

    /// Returns which store is in force.
    pub fn kind(&self) -> StoreKind {
        self.config.store
    }

    /// Returns the Vault that the policy in force names.
    pub fn vault(&self) -> Result<VaultStore, CommandError> {
        let config = self.config.vault.clone().ok_or_else(|| {
            CommandError::new(ExitCode::Config, "the policy in force names no vault")
                .hint(format!("Write a table `[vault]` into {SECRETS_FILE}, and commit it."))
                .hint("Name the ref that decides: `git config carnet.policyRef refs/heads/main`.")
        })?;
        let authority = match &config.ca {
            None => None,
            Some(path) => Some(policy_file(&self.workspace.repo, path)?.ok_or_else(|| {
                let message = format!("the policy in force has no `{path}`");
                CommandError::new(ExitCode::Config, message)
                    .hint(format!("{SECRETS_FILE} names it as `ca`; commit it there."))
            })?),
        };
        let credential = credential(&config)?;
        Ok(VaultStore::new(config, authority.as_deref(), credential)
            .map_err(SecretStoreError::from)?)
    }

    /// Tells whether the policy in force names a Vault.
    pub fn has_vault(&self) -> bool {
        self.config.vault.is_some()
    }

    /// Returns a value, once the log has that it was asked for.
    pub fn get(&self, name: &SecretName, gate: &str) -> Result<Zeroizing<Vec<u8>>, CommandError> {
        self.get_of(self.config.store, name, gate)
    }

    /// The same, of a store that may not be in force.
    pub fn get_of(
        &self,
        kind: StoreKind,
        name: &SecretName,
        gate: &str,
    ) -> Result<Zeroizing<Vec<u8>>, CommandError> {
        let store = self.of_kind(kind)?;
        let value = self.judged(gate, Some(name), store.get(name))?;
        keep_access(&self.workspace, gate, &[(name, store.path_of(name))])?;
        Ok(value)
    }

    /// Returns every single value under its name, once the log has that they were asked for. A store that cannot be had is an
    /// error, but for one that nothing was ever put into.
    pub fn all(&self, gate: &str) -> Result<Vec<KnownValue>, CommandError> {
        let store = self.in_force()?;
        let mut names = self.judged(gate, None, store.list())?;
        // What signs tokens stays where it is.
        names.retain(|name| !name.path().starts_with(KEYS_IN_VAULT));
        if names.is_empty() {
            return Ok(vec![]);
        }
        let mut event = event(AuditKind::SecretAccess, gate, None);
        event.subject = Some("*".to_owned());
        event.reason = Some(format!("{} of {}", names.len(), store.place()));
        keep(&self.workspace, &[event])?;
        let mut values = vec![];
        for name in names {
            match store.get(&name) {
                // Marked as deleted, or removed since: there is no value to know.
                Err(SecretStoreError::Missing { .. }) => {}
                // An entry of several fields: each is a secret of its own name.
                Err(SecretStoreError::Field { .. }) => {
                    for field in store.fields(&name).map_err(CommandError::from)? {
                        let value = self.judged(gate, Some(&field), store.get(&field))?;
                        values.push(KnownValue { name: field.to_string(), value });
                    }
                }
                other => {
                    let value = self.judged(gate, Some(&name), other)?;
                    values.push(KnownValue { name: name.to_string(), value });
                }
            }
        }
        Ok(values)
    }

    /// Keeps in the log that the store refused.
    pub fn judged<T>(
        &self,
        gate: &str,
        name: Option<&SecretName>,
        answer: Result<T, SecretStoreError>,
    ) -> Result<T, CommandError> {
        let error = match answer {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let mut event = event(AuditKind::Refusal, gate, name);
        event.reason = Some(error.to_string());
        keep(&self.workspace, &[event])?;
        Err(error.into())
    }
}

/// Reads what proves who we are.
fn credential(config: &VaultConfig) -> Result<Credential, CommandError> {
    let path = credential_path(config.login).ok_or_else(|| {
        CommandError::new(ExitCode::Config, "there is nothing to log in to the vault with")
            .hint(format!("Name a file of mode 0600: {CREDENTIAL_VARIABLE}=FILE."))
            .hint("What it holds for each `login` is in docs/format/vault.md.")
    })?;
    let bytes = private_file::read(&path, CREDENTIAL_BYTES_MAX)?;
    let wrong = |what: &str| {
        let message = format!("`{}` holds no {what}", path.display());
        CommandError::new(ExitCode::Config, message)
            .hint("What it holds for each `login` is in docs/format/vault.md.")
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong("text"))?.trim();
    let is_token = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    let token = || Zeroizing::new(text.to_owned());
    match config.login {
        LoginMethod::Token if is_token => Ok(Credential::Token(token())),
        LoginMethod::Token => Err(wrong("token")),
        LoginMethod::Jwt if is_token => Ok(Credential::Jwt(token())),
        LoginMethod::Jwt => Err(wrong("token of a service account")),
        LoginMethod::Approle => {
            let role: Role = serde_json::from_str(text)
                .map_err(|_| wrong("`role_id` and `secret_id` in JSON"))?;
            Ok(Credential::AppRole {
                role_id: Zeroizing::new(role.role_id),
                secret_id: Zeroizing::new(role.secret_id),
            })
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Role {
    role_id: String,
    secret_id: String,
}

/// As named; else the account's own token; else in the user's configuration directory; else where Vault's own program puts a token.
fn credential_path(login: LoginMethod) -> Option<PathBuf> {
    if let Some(path) = variable(CREDENTIAL_VARIABLE) {
        return Some(path);
    }
    if login == LoginMethod::Jwt
        && let Some(path) = presented::token_path().or_else(|| variable(TOKEN_VARIABLE))
    {
        return Some(path);
    }
    let own = config_dir().map(|dir| dir.join("vault-credential")).filter(|it| it.exists());
    let theirs = || {
        let home = variable("HOME").filter(|_| login == LoginMethod::Token)?;
        Some(home.join(".vault-token")).filter(|it| it.exists())
    };
    own.or_else(theirs)
}

/// Keeps in the log that secrets were asked for; where that cannot be kept, nothing is given.
pub fn keep_access(
    workspace: &Workspace,
    gate: &str,
    accesses: &[(&SecretName, String)],
) -> Result<(), CommandError> {
    let event = |(name, path): &(&SecretName, String)| {
        let mut event = event(AuditKind::SecretAccess, gate, Some(name));
        event.reason = Some(path.clone());
        event
    };
    let events: Vec<AuditEvent> = accesses.iter().map(event).collect();
    events.chunks(carnet_guard::BATCH_MAX).try_for_each(|events| keep(workspace, events))
}

fn event(kind: AuditKind, gate: &str, name: Option<&SecretName>) -> AuditEvent {
    let mut event = AuditEvent::new(kind, gate, now());
    event.account = presented::account().map(str::to_owned);
    event.subject = name.map(ToString::to_string);
    event
}

fn keep(workspace: &Workspace, events: &[AuditEvent]) -> Result<(), CommandError> {
    let key = workspace.key()?;
    append_audit(&workspace.repo, &key, events).map_err(|error| {
        CommandError::of(ExitCode::Io, &error)
            .hint("No secret was given out. See `carnet audit verify`.")
    })
}

impl From<SecretStoreError> for CommandError {
    fn from(error: SecretStoreError) -> CommandError {
        let exit = match &error {
            SecretStoreError::Missing { .. } | SecretStoreError::Field { .. } => {
                ExitCode::NothingToLookAt
            }
            SecretStoreError::WholeEntries { .. } | SecretStoreError::ValueLength => {
                ExitCode::Usage
            }
            SecretStoreError::TooMany { .. } => ExitCode::Refused,
            SecretStoreError::Sealed(_) => ExitCode::Config,
            SecretStoreError::Vault(error) => vault_exit(error),
        };
        let hint = match &error {
            SecretStoreError::Missing { .. } => "See what there is: `carnet secret list`.",
            SecretStoreError::Field { .. } => "Name a field of it: `NAME#FIELD`.",
            SecretStoreError::Vault(error) => vault_hint(error),
            _ => "",
        };
        match error {
            SecretStoreError::Sealed(error) => error.into(),
            error if hint.is_empty() => CommandError::of(exit, &error),
            error => CommandError::of(exit, &error).hint(hint),
        }
    }
}

fn vault_exit(error: &VaultError) -> ExitCode {
    match error {
        VaultError::Denied { .. }
        | VaultError::Expired { .. }
        | VaultError::Login { .. }
        | VaultError::Certificate { .. }
        | VaultError::Redirected { .. }
        | VaultError::ReadOnly { .. } => ExitCode::Refused,
        VaultError::Authority { .. } | VaultError::Nowhere { .. } => ExitCode::Config,
        _ => ExitCode::Io,
    }
}

fn vault_hint(error: &VaultError) -> &'static str {
    match error {
        VaultError::Expired { .. } => "Log in again, and put the new token where the old one was.",
        VaultError::Denied { .. } | VaultError::Login { .. } => {
            "Ask who runs the vault for this role's policy; `carnet secret status` says who we are to it."
        }
        VaultError::Certificate { .. } => {
            "Name the authority that signed it as `ca` in policy/secrets.toml; never go round it."
        }
        VaultError::Nowhere { .. } => {
            "Name the `mount`, and the `namespace` where there is one, in policy/secrets.toml."
        }
        VaultError::Redirected { .. } => "Name the address that answers in policy/secrets.toml.",
        VaultError::ReadOnly { .. } => {
            "Say `writable = true` in policy/secrets.toml, if that is meant."
        }
        VaultError::Sealed { .. } => "Have it unsealed; `carnet secret status` says when it is.",
        _ => "See how it is: `carnet secret status`.",
    }
}
