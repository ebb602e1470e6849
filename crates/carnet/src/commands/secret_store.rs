//! The secret store in force: sealed files of this clone, or the Vault that the policy in force names.

use carnet_access::secrets::{FileStore, SecretName, SecretStore, SecretStoreError};
use carnet_core::ExitCode;
use carnet_guard::{AuditEvent, AuditKind, append_audit};
use zeroize::Zeroizing;

use super::{auth::identity_path, presented};
use crate::{
    error::CommandError,
    workspace::{Workspace, now},
};

/// The stores of a workspace.
pub struct SecretStores {
    /// The workspace.
    pub workspace: Workspace,
    store: Box<dyn SecretStore>,
}

impl SecretStores {
    /// Finds the store in force; nothing is asked of it yet.
    pub fn open(workspace: Workspace) -> Result<SecretStores, CommandError> {
        let store = Box::new(file_store(&workspace)?);
        Ok(SecretStores { workspace, store })
    }

    /// Returns the store in force.
    pub fn in_force(&self) -> Result<&dyn SecretStore, CommandError> {
        Ok(&*self.store)
    }

    /// Returns a value, once the log has that it was asked for.
    pub fn get(&self, name: &SecretName, gate: &str) -> Result<Zeroizing<Vec<u8>>, CommandError> {
        let store = self.in_force()?;
        let value = self.judged(gate, Some(name), store.get(name))?;
        keep_access(&self.workspace, gate, name, store.path_of(name))?;
        Ok(value)
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
        keep(&self.workspace, event)?;
        Err(error.into())
    }
}

fn file_store(workspace: &Workspace) -> Result<FileStore, CommandError> {
    let dir = workspace.repo.state_dir().join("access").join("secrets");
    Ok(FileStore::new(&dir, &identity_path(None)?))
}

/// Keeps in the log that a secret was asked for; where that cannot be kept, nothing is given.
pub fn keep_access(
    workspace: &Workspace,
    gate: &str,
    name: &SecretName,
    path: String,
) -> Result<(), CommandError> {
    let mut event = event(AuditKind::SecretAccess, gate, Some(name));
    event.reason = Some(path);
    keep(workspace, event)
}

fn event(kind: AuditKind, gate: &str, name: Option<&SecretName>) -> AuditEvent {
    let mut event = AuditEvent::new(kind, gate, now());
    event.account = presented::account().map(str::to_owned);
    event.subject = name.map(ToString::to_string);
    event
}

fn keep(workspace: &Workspace, event: AuditEvent) -> Result<(), CommandError> {
    let key = workspace.key()?;
    append_audit(&workspace.repo, &key, &[event]).map_err(|error| {
        CommandError::of(ExitCode::Io, &error)
            .hint("No secret was given out. See `carnet audit verify`.")
    })
}
