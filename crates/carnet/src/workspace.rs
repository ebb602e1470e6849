//! What every command needs of the repository it is called in: the repository, this clone's key, the guard.

use std::{path::PathBuf, time::SystemTime};

use carnet_access::keys::{KeyError, PublicKey, SigningKey};
use carnet_core::{ExitCode, Timestamp};
use carnet_git::{OpenError, Repo};
use carnet_guard::{Guard, PolicyError};
use carnet_scan::{FingerprintKey, RuleSet};

use crate::error::CommandError;

/// The configuration key of public keys that this clone trusts besides its own.
pub const TRUSTED_KEY: &str = "carnet.trustedKey";

/// The repository that a command was called in.
pub struct Workspace {
    /// The repository.
    pub repo: Repo,
}

/// Returns the time.
pub fn now() -> Timestamp {
    Timestamp::from_system_time(SystemTime::now())
}

/// Returns the absolute path of this binary.
pub fn carnet_exe() -> Result<PathBuf, CommandError> {
    std::env::current_exe().map_err(|error| {
        CommandError::new(ExitCode::Io, format!("cannot find the carnet binary: {error}"))
    })
}

impl Workspace {
    /// Finds the repository of the current directory, or the one that a hook's environment names.
    pub fn discover() -> Result<Workspace, CommandError> {
        Ok(Workspace { repo: Repo::discover(".".as_ref())? })
    }

    /// The same, and refuses a bare repository.
    pub fn with_work_tree() -> Result<Workspace, CommandError> {
        let workspace = Workspace::discover()?;
        workspace.repo.require_work_tree()?;
        Ok(workspace)
    }

    /// Returns where this clone's signing key lies.
    pub fn key_path(&self) -> PathBuf {
        self.repo.state_dir().join("signing-key.pem")
    }

    /// Returns this clone's key, which `carnet init` made.
    pub fn key(&self) -> Result<SigningKey, CommandError> {
        Ok(SigningKey::load(&self.key_path())?)
    }

    /// Returns the keys whose signatures count here: this clone's and the configured ones.
    pub fn trusted_keys(&self) -> Result<Vec<PublicKey>, CommandError> {
        let mut trusted = vec![];
        match SigningKey::load(&self.key_path()) {
            Ok(key) => trusted.push(key.public()),
            Err(KeyError::Missing(_)) => {}
            Err(error) => return Err(error.into()),
        }
        for text in self.repo.config_get_all(TRUSTED_KEY) {
            let key = PublicKey::parse(&text).map_err(|error| {
                CommandError::of(ExitCode::Config, &error)
                    .hint(format!("Look at it with `git config --get-all {TRUSTED_KEY}`."))
            })?;
            trusted.push(key);
        }
        Ok(trusted)
    }

    /// Returns the guard with the content policy in force.
    pub fn guard(&self, key: &SigningKey) -> Result<Guard<'static>, CommandError> {
        let policy = carnet_guard::content_policy(&self.repo)?;
        let fingerprints = FingerprintKey::from_bytes(key.derive("carnet/fingerprint/1"));
        Ok(Guard::new(RuleSet::built_in(), fingerprints, policy))
    }
}

impl From<OpenError> for CommandError {
    fn from(error: OpenError) -> CommandError {
        let exit = match &error {
            OpenError::NotARepository { .. } | OpenError::Bare { .. } => ExitCode::NothingToLookAt,
            OpenError::Unsafe { .. } => ExitCode::Refused,
            OpenError::Unsupported { .. } => ExitCode::Config,
            OpenError::Unreadable { .. } => ExitCode::Incomplete,
        };
        let made = CommandError::of(exit, &error);
        match &error {
            OpenError::NotARepository { .. } => {
                made.hint("Go into a git repository, or make one with `git init`.")
            }
            OpenError::Bare { .. } => {
                made.hint("Use a clone with a work tree: `git clone REPOSITORY DIRECTORY`.")
            }
            OpenError::Unsafe { path, detail } => {
                let mut made = made;
                made.causes.push(detail.trim_end().to_owned());
                made.hint(format!(
                    "If you trust it: `git config --global --add safe.directory {}`.",
                    path.display()
                ))
            }
            _ => made.hint("Ask git what it thinks: `git fsck`."),
        }
    }
}

impl From<KeyError> for CommandError {
    fn from(error: KeyError) -> CommandError {
        match &error {
            KeyError::Missing(_) => {
                CommandError::new(ExitCode::Config, "carnet is not set up in this repository")
                    .hint("Type `carnet init`.")
            }
            KeyError::Permissions { path, .. } => CommandError::of(ExitCode::Config, &error)
                .hint(format!("Type `chmod 600 {}`.", path.display())),
            KeyError::Malformed(path) => CommandError::of(ExitCode::Config, &error).hint(format!(
                "Restore it from a backup, or move it away and type `carnet init` for a new one: `mv {0} {0}.broken`.",
                path.display()
            )),
            KeyError::Random(_) | KeyError::Io { .. } => CommandError::of(ExitCode::Io, &error),
        }
    }
}

impl From<PolicyError> for CommandError {
    fn from(error: PolicyError) -> CommandError {
        CommandError::of(ExitCode::Config, &error)
            .hint("Look at the configured ref with `git config carnet.policyRef`.")
    }
}
