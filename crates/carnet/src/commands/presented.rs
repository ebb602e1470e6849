//! Tokens that are presented to commands. Who presents one acts as that service account, within its scopes; who presents none, a
//! person at the terminal, acts as themselves.
//!
//! A token comes in a file or a descriptor, never as a value in an argument or a variable, which other processes can read.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use carnet_access::{
    scope::Scope,
    single_use::{SingleUseError, use_once},
    token::{Check, Presented, Refusal, RunState, TOKEN_BYTES_MAX, verify, whose},
};
use carnet_core::{ExitCode, RunId};
use carnet_guard::{AuditEvent, AuditKind, append_audit};

use super::{
    artifact::ArtifactCommand,
    auth::{AuthCommand, accounts_in_force, keys_in_force},
};
use crate::{
    cli::{Command, PassportCommand},
    error::CommandError,
    workspace::{Workspace, now},
};

/// The variable that names the file of a token.
pub const TOKEN_VARIABLE: &str = "CARNET_TOKEN_FILE";
/// Longest text of a refusal that the log keeps, in characters.
const REASON_CHARS_MAX: usize = 200;

/// What a command asks of a service account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// This scope.
    Scope(Scope),
    /// Nothing: it only looks at what the caller can read anyway, or git calls it.
    Nothing,
    /// No scope is enough: a person does this.
    APerson,
}

/// The one table of what a command needs. docs/format/accounts.md shows it.
fn needs(command: &Command) -> Needs {
    match command {
        Command::Run(_) | Command::Sandbox(_) | Command::Replay(_) => Needs::Scope(Scope::PexStart),
        Command::Runs(_)
        | Command::Log(_)
        | Command::Show(_)
        | Command::Status(_)
        | Command::Verify(_)
        | Command::Audit(_)
        | Command::Attest(_)
        | Command::Passport(PassportCommand::Verify(_)) => Needs::Scope(Scope::PasReadStatus),
        Command::Artifact(
            ArtifactCommand::Get(_) | ArtifactCommand::List(_) | ArtifactCommand::Verify(_),
        ) => Needs::Scope(Scope::ArtifactRead),
        Command::Artifact(ArtifactCommand::Put(_) | ArtifactCommand::Share(_)) => {
            Needs::Scope(Scope::ArtifactWrite)
        }
        Command::Doctor(_)
        | Command::Scan(_)
        | Command::Hook(_)
        | Command::Daemon(_)
        | Command::WhereDefined(_)
        | Command::WhoCalls(_)
        | Command::Completions { .. }
        | Command::Passport(_)
        | Command::Auth(AuthCommand::Verify(_) | AuthCommand::Jwks(_)) => Needs::Nothing,
        _ => Needs::APerson,
    }
}

static ACCOUNT: OnceLock<String> = OnceLock::new();
static TOKEN_PATH: OnceLock<PathBuf> = OnceLock::new();

/// Returns the service account that this process acts as.
pub fn account() -> Option<&'static str> {
    ACCOUNT.get().map(String::as_str)
}

/// Returns the file of the token that this process was given.
pub fn token_path() -> Option<PathBuf> {
    TOKEN_PATH.get().cloned()
}

/// Lets a command go on, or refuses it: where a token is presented, it must count and hold what the command needs.
pub fn admit(file: Option<&Path>, command: &Command) -> Result<(), CommandError> {
    let file = match file {
        Some(path) => path.to_owned(),
        None => match std::env::var_os(TOKEN_VARIABLE).filter(|it| !it.is_empty()) {
            Some(path) => PathBuf::from(path),
            None => return Ok(()),
        },
    };
    let scope = match needs(command) {
        Needs::Nothing => return Ok(()),
        Needs::Scope(scope) => Some(scope),
        Needs::APerson => {
            return Err(CommandError::new(
                ExitCode::ScopeMissing,
                "no scope of a service account is enough for this command",
            )
            .hint(format!("A person does this, without `--token-file` and {TOKEN_VARIABLE}.")));
        }
    };
    let token = TokenFile::new(&file).read()?;
    let workspace = Workspace::discover()?;
    let verb = format!("{command:?}").to_lowercase();
    let verb = verb.split(|it: char| !it.is_alphanumeric()).next().unwrap_or_default();
    let presented = judge(&workspace, &token, scope, false, verb)?;
    let _ = ACCOUNT.set(presented.account);
    let _ = TOKEN_PATH.set(file);
    Ok(())
}

/// Says whether a token counts, and keeps the answer in the audit log before it is given.
pub fn judge(
    workspace: &Workspace,
    token: &[u8],
    scope: Option<Scope>,
    once: bool,
    gate: &str,
) -> Result<Presented, CommandError> {
    let accounts = accounts_in_force(workspace)?;
    let keys = keys_in_force(workspace)?;
    let now = now();
    let run_state = |run: RunId| run_state(workspace, run);
    let check = Check { accounts: &accounts, keys: &keys, now, scope, run_state: &run_state };
    let mut event = AuditEvent::new(AuditKind::TokenUse, gate, now);
    (event.account, event.subject) = whose(token, &check).unzip();
    let verified = match verify(token, &check) {
        Ok(presented) if once => {
            let dir = workspace.repo.state_dir().join("access").join("used");
            match use_once(&dir, &presented.claims.jti, presented.claims.exp, now) {
                Ok(()) => Ok(presented),
                Err(SingleUseError::Seen) => Err(Refusal::Replayed),
                Err(error) => return Err(CommandError::of(ExitCode::Io, &error)),
            }
        }
        other => other,
    };
    if let Err(refusal) = &verified {
        event.event = AuditKind::TokenRefusal;
        let reason: String = refusal.to_string().chars().take(REASON_CHARS_MAX).collect();
        event.reason = Some(format!("{}: {reason}", refusal.word()));
    } else if let Some(scope) = scope {
        event.reason = Some(format!("for {scope}"));
    }
    let key = workspace.key()?;
    append_audit(&workspace.repo, &key, &[event]).map_err(|error| {
        CommandError::of(ExitCode::Io, &error)
            .hint("The token was not taken. See `carnet audit verify`.")
    })?;
    verified.map_err(|refusal| {
        let message = format!("the token does not count ({}): {refusal}", refusal.word());
        let hint = match refusal.exit_code() {
            ExitCode::ScopeMissing => "See what the account may do: `carnet auth account list`.",
            _ => "Issue another: `carnet auth issue ACCOUNT -o FILE`.",
        };
        CommandError::new(refusal.exit_code(), message).hint(hint)
    })
}

/// What this clone knows of a run: one that is recorded has ended.
fn run_state(workspace: &Workspace, run: RunId) -> RunState {
    let Ok(index) = carnet_run::index::open(&workspace.repo) else { return RunState::NotEnded };
    match index.runs().find(|indexed| indexed.run == run) {
        Some(indexed) => RunState::Ended(indexed.at),
        None => RunState::NotEnded,
    }
}

/// Where a token is read from.
pub struct TokenFile {
    path: PathBuf,
}

impl TokenFile {
    /// Takes a path; `-` is standard input.
    pub fn new(path: &Path) -> TokenFile {
        TokenFile {
            path: if path == Path::new("-") { "/dev/fd/0".into() } else { path.to_owned() },
        }
    }

    /// Reads it, without the line end that editors and shells add.
    pub fn read(&self) -> Result<Vec<u8>, CommandError> {
        let mut token = vec![];
        let opened = if self.path == Path::new("/dev/fd/0") {
            io::stdin().as_fd().try_clone_to_owned().map(File::from)
        } else {
            File::open(&self.path)
        };
        opened
            .and_then(|file| file.take(TOKEN_BYTES_MAX as u64 + 2).read_to_end(&mut token))
            .map_err(|error| {
                let message = format!("cannot read the token `{}`: {error}", self.path.display());
                CommandError::new(ExitCode::Usage, message)
                    .hint(format!("Name its file with `--token-file FILE` or {TOKEN_VARIABLE}."))
            })?;
        while token.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            token.pop();
        }
        Ok(token)
    }
}
