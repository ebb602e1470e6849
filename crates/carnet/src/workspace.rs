//! What every command needs of the repository it is called in: the repository, this clone's key, the guard.

use std::{path::PathBuf, sync::OnceLock, time::SystemTime};

use carnet_access::keys::{KeyError, PublicKey, SigningKey};
use carnet_core::{ExitCode, Timestamp};
use carnet_git::{OpenError, Repo};
use carnet_guard::{FINDINGS_FILE, Guard, PolicyError, SuppressionsError};
use carnet_policy::Suppressions;
use carnet_scan::{FingerprintKey, RuleSet};

use crate::{error::CommandError, ui::Ui};

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
        let repo = Repo::discover(".".as_ref())?;
        repo.heal();
        Ok(Workspace { repo })
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

    /// Returns the guard that scans and hooks ask: policy, accepted findings and fingerprint key in force.
    pub fn gate(&self, now: Timestamp) -> Result<Guard<'static>, CommandError> {
        self.gate_with(carnet_guard::suppressions_in_force(&self.repo, now)?)
    }

    /// The same, where the accepted findings in force were read already.
    pub fn gate_with(
        &self,
        suppressions: Option<Suppressions>,
    ) -> Result<Guard<'static>, CommandError> {
        let key = self.fingerprint_key(suppressions.as_ref())?;
        Ok(self.guard_under(key)?.with_suppressions(suppressions))
    }

    /// The same for what brings `mended`, a sound file of accepted findings, while the one in force is `wrong`:
    /// it is examined, and nothing is accepted.
    pub fn mending_gate(
        &self,
        wrong: &CommandError,
        mended: &Suppressions,
        ui: &Ui,
    ) -> Result<Guard<'static>, CommandError> {
        ui.err(&format!("carnet: {}\n", wrong.message));
        ui.err("carnet: this brings a sound file; it is examined without any accepted finding\n");
        self.guard_under(self.fingerprint_key(Some(mended))?)
    }

    /// Returns the key of fingerprints: the salt beside the accepted findings; else one of this clone's own, derived one-way
    /// from its signing key; else, where carnet is not set up, one for once. `docs/format/findings.md` weighs it.
    fn fingerprint_key(
        &self,
        suppressions: Option<&Suppressions>,
    ) -> Result<FingerprintKey, CommandError> {
        match (suppressions, SigningKey::load(&self.key_path())) {
            (Some(file), _) => Ok(FingerprintKey::from_bytes(file.fingerprint_key())),
            (None, Ok(key)) => Ok(FingerprintKey::from_bytes(own_salt(&key))),
            (None, Err(KeyError::Missing(_))) => key_for_once(),
            (None, Err(error)) => Err(error.into()),
        }
    }

    /// Returns the rules in force: the built-in ones, and those of the policy ref's commit.
    pub fn rules(&self) -> Result<&'static RuleSet, CommandError> {
        let files = carnet_guard::rule_files(&self.repo)?;
        if files.is_empty() {
            return Ok(RuleSet::built_in());
        }
        let extended = extended_rules(&files)?;
        Ok(EXTENDED.get_or_init(|| extended))
    }

    fn guard_under(&self, key: FingerprintKey) -> Result<Guard<'static>, CommandError> {
        let addresses: Vec<String> = self.repo.config_get("user.email").into_iter().collect();
        let guard = Guard::new(self.rules()?, key, carnet_guard::content_policy(&self.repo)?);
        Ok(guard.with_published(&addresses))
    }

    /// Returns the guard that runs ask, whose findings are accepted by no one.
    pub fn guard(&self, key: &SigningKey) -> Result<Guard<'static>, CommandError> {
        self.guard_under(FingerprintKey::from_bytes(own_salt(key)))
    }
}

/// The rules of the one repository that a process works in, when it has its own.
static EXTENDED: OnceLock<RuleSet> = OnceLock::new();

/// Returns the rules that this process examined with.
pub fn rules_read() -> &'static RuleSet {
    EXTENDED.get().unwrap_or_else(|| RuleSet::built_in())
}

/// Adds rule files to the built-in rules; one broken file, named with line and field, refuses them all.
pub fn extended_rules(files: &[(String, String)]) -> Result<RuleSet, CommandError> {
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    RuleSet::extended(&files).map_err(|problems| {
        let mut made = CommandError::new(ExitCode::Config, "a rule file is wrong");
        made.causes.extend(problems.iter().map(ToString::to_string));
        made.hint("Mend it; `carnet rules check FILE` looks at a file before it is committed.")
    })
}

/// Returns the fingerprint key of a clone whose repository has no salt yet.
pub fn own_salt(key: &SigningKey) -> [u8; 32] {
    key.derive("carnet/fingerprint/1")
}

/// Returns a key of this process's own: fingerprints under it mean nothing to anyone else.
pub fn key_for_once() -> Result<FingerprintKey, CommandError> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| {
        CommandError::new(ExitCode::Io, format!("the random source failed: {error}"))
    })?;
    Ok(FingerprintKey::from_bytes(random))
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

impl From<SuppressionsError> for CommandError {
    fn from(error: SuppressionsError) -> CommandError {
        let made = CommandError::of(ExitCode::Config, &error);
        match &error {
            SuppressionsError::Wrong(_) => made.hint(format!(
                "Mend {FINDINGS_FILE} and commit it: that commit is examined without any accepted finding. `carnet findings list` shows the file in force."
            )),
            SuppressionsError::Commit(_) => {
                made.hint("Look at the configured ref with `git config carnet.policyRef`.")
            }
            SuppressionsError::Object { .. } | SuppressionsError::Staged(_) => {
                made.hint("Ask git what it thinks: `git status`, `git fsck`.")
            }
        }
    }
}
