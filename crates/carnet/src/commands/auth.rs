//! `carnet auth`: service accounts, their keys and tokens. Accounts and keys are policy: files of the repository that count as
//! the policy ref's commit has them; what is changed here is changed in the work tree, to be reviewed and committed.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use carnet_access::{
    accounts::{
        ACCOUNTS_FILE, Account, Accounts, AccountsEdit, FileProblem, Revoked, RevokedWhat, edited,
        is_account_name,
    },
    key_set::{KEY_SET_FILE, KeySet, KeyUse},
    private_file::{self, PrivateFileError},
    scope::Scope,
    sealed::{Identity, SealError},
    secrets::SecretName,
    token::{LIFETIME_SECS, RUN_GRACE_SECS, TokenRequest, claims_for, sign},
    token_key::{KeyBits, TokenKey, TokenKeyError},
    vault::config::StoreKind,
};
use carnet_core::{ExitCode, RunId};
use carnet_guard::{AuditEvent, AuditKind, PolicyInForce, append_audit, policy_file};
use carnet_policy::LaneSet;
use clap::{Args, Subcommand};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{
    findings::{failed, write},
    presented::{self, TokenFile},
    secret_store::SecretStores,
};
use crate::{
    cli::JsonArgs,
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::{Workspace, now},
};

/// What the names of private keys in a vault begin with.
pub const KEYS_IN_VAULT: &str = "carnet-keys/";
/// The variable that names the file of the identity that opens private keys.
const IDENTITY_VARIABLE: &str = "CARNET_IDENTITY";

/// Verbs of `auth`.
#[derive(Debug, Subcommand)]
pub enum AuthCommand {
    /// Add, list and remove service accounts (`policy/accounts.toml`).
    #[command(
        subcommand,
        after_help = "Examples:\n  carnet auth account add ci --scope pex.start --scope artifact.read --description 'the builder'\n  carnet auth account list\n  carnet auth account remove ci"
    )]
    Account(AccountCommand),
    /// Make the first signing key: public half in `policy/jwks.json`, private half sealed outside of git.
    #[command(
        after_help = "Examples:\n  carnet auth keygen\n  git add policy && git commit -m 'keys for tokens'"
    )]
    Keygen(KeygenArgs),
    /// Make a new signing key; the one before verifies for seven days more.
    #[command(
        after_help = "Examples:\n  carnet auth rotate --if-due   for cron: does nothing before 90 days are over"
    )]
    Rotate(RotateArgs),
    /// Issue a token for an account in force.
    #[command(
        after_help = "Examples:\n  carnet auth issue ci -o ci.token\n  carnet auth issue ci --scope artifact.read --lives 3600 -o ci.token\n  CARNET_TOKEN_FILE=ci.token carnet run -- make test"
    )]
    Issue(IssueArgs),
    /// Say whether a token counts here and now, and for what.
    #[command(
        after_help = "Examples:\n  carnet auth verify ci.token --scope pex.start\n  carnet auth verify - --once <ci.token   counts once only\n\nExit code 0 when it counts, 77 when it lacks the scope, 1 when it does not count for another reason."
    )]
    Verify(VerifyTokenArgs),
    /// Revoke one token, or all tokens of an account up to now.
    #[command(
        after_help = "Examples:\n  carnet auth revoke --token 3f0c… --reason 'printed in a log'\n  carnet auth revoke --account ci --reason 'machine lost'"
    )]
    Revoke(RevokeArgs),
    /// Print the public keys in force as a JWK Set, or serve them over HTTP.
    #[command(
        after_help = "Examples:\n  carnet auth jwks >jwks.json\n  carnet auth jwks --serve 127.0.0.1:8970   at http://127.0.0.1:8970/.well-known/jwks.json"
    )]
    Jwks(JwksArgs),
}

/// Verbs of `auth account`.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Add an account, or give it other scopes.
    Add(AddArgs),
    /// List the accounts in force.
    List(JsonArgs),
    /// Remove an account; its tokens count no more.
    Remove(RemoveArgs),
}

/// Options of `auth account add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// Its name: lowercase letters, digits and dashes.
    name: String,
    /// What it may do (repeatable).
    #[arg(long = "scope", value_name = "SCOPE", required = true, value_parser = scope)]
    scopes: Vec<Scope>,
    /// What it is for.
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    /// `iss` of tokens, where the file is begun.
    #[arg(long, value_name = "TEXT", default_value = "carnet")]
    issuer: String,
    /// `aud` of tokens, where the file is begun.
    #[arg(long, value_name = "TEXT", default_value = "carnet")]
    audience: String,
}

/// Options of `auth account remove`.
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Its name.
    name: String,
}

/// Options of `auth keygen`.
#[derive(Debug, Args)]
pub struct KeygenArgs {
    /// 2048 or 3072.
    #[arg(long, value_name = "N", default_value = "2048", value_parser = bits)]
    bits: KeyBits,
    /// Keep the private half in the vault of the policy in force (`carnet secret status`) instead of a sealed file of this clone.
    #[arg(long, conflicts_with = "identity")]
    in_vault: bool,
    #[command(flatten)]
    identity: IdentityArgs,
}

/// Options of `auth rotate`.
#[derive(Debug, Args)]
pub struct RotateArgs {
    /// Only where the newest key is 90 days old, or there is none.
    #[arg(long)]
    if_due: bool,
    /// 2048 or 3072.
    #[arg(long, value_name = "N", default_value = "2048", value_parser = bits)]
    bits: KeyBits,
    /// Keep the private half in the vault of the policy in force (`carnet secret status`) instead of a sealed file of this clone.
    #[arg(long, conflicts_with = "identity")]
    in_vault: bool,
    #[command(flatten)]
    identity: IdentityArgs,
}

/// Where the identity lies.
#[derive(Debug, Args)]
struct IdentityArgs {
    /// The age identity that opens private keys (default: $CARNET_IDENTITY, else carnet/identity.txt in the user's
    /// configuration directory).
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
}

/// Options of `auth issue`.
#[derive(Debug, Args)]
pub struct IssueArgs {
    /// The account.
    account: String,
    /// Only these of its scopes (repeatable).
    #[arg(long = "scope", value_name = "SCOPE", value_parser = scope)]
    scopes: Vec<Scope>,
    /// For how many seconds; a day is the most, and what it is without a run. With one: as long as a run of the lanes in force
    /// may last, and one hour.
    #[arg(long, value_name = "SECONDS")]
    lives: Option<i64>,
    /// The run that it belongs to, with which it dies (plus one hour): 32 hex digits.
    #[arg(long, value_name = "RUN", value_parser = run_id)]
    run: Option<RunId>,
    /// The project that it belongs to.
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    /// Write the token to a new file of mode 0600 instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    identity: IdentityArgs,
}

/// Options of `auth verify`.
#[derive(Debug, Args)]
pub struct VerifyTokenArgs {
    /// The token's file; `-` for standard input.
    file: PathBuf,
    /// What it is presented for.
    #[arg(long, value_name = "SCOPE", value_parser = scope)]
    scope: Option<Scope>,
    /// It counts once: a second time it is refused.
    #[arg(long)]
    once: bool,
    /// Write JSON (`carnet/token/1`).
    #[arg(long)]
    json: bool,
}

/// Options of `auth revoke`.
#[derive(Debug, Args)]
#[group(required = true, multiple = false, id = "what")]
struct What {
    /// One token, by its `jti`.
    #[arg(long, value_name = "JTI")]
    token: Option<String>,
    /// Every token of this account that was issued up to now.
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
}

/// Options of `auth revoke`.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    #[command(flatten)]
    what: What,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Options of `auth jwks`.
#[derive(Debug, Args)]
pub struct JwksArgs {
    /// Serve them until stopped.
    #[arg(long, value_name = "ADDRESS:PORT")]
    serve: Option<SocketAddr>,
    /// Let `--serve` listen on an address that other machines reach.
    #[arg(long, requires = "serve")]
    public: bool,
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text)
        .ok_or_else(|| format!("there is no such scope; there are {}", Scope::names()))
}

fn bits(text: &str) -> Result<KeyBits, String> {
    match text {
        "2048" => Ok(KeyBits::Bits2048),
        "3072" => Ok(KeyBits::Bits3072),
        _ => Err("2048 or 3072".to_owned()),
    }
}

fn run_id(text: &str) -> Result<RunId, String> {
    RunId::from_hex(text).map_err(|error| error.to_string())
}

#[derive(Serialize)]
struct AccountsReport {
    format: &'static str,
    issuer: String,
    audience: String,
    accounts: Vec<AccountLine>,
    keys: Vec<KeyLine>,
}

#[derive(Serialize)]
struct AccountLine {
    name: String,
    scopes: Vec<&'static str>,
    description: String,
}

#[derive(Serialize)]
struct KeyLine {
    kid: String,
    created: String,
    /// `signs`, `grace` or `over`.
    good_for: &'static str,
}

#[derive(Serialize)]
struct TokenReport {
    format: &'static str,
    account: String,
    scopes: Vec<&'static str>,
    jti: String,
    expires: String,
    kid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<String>,
}

/// Does what was asked.
pub fn auth(ui: &Ui, command: &AuthCommand) -> CommandResult {
    match command {
        AuthCommand::Account(AccountCommand::Add(args)) => add(ui, args),
        AuthCommand::Account(AccountCommand::List(args)) => list(ui, args),
        AuthCommand::Account(AccountCommand::Remove(args)) => remove(ui, args),
        AuthCommand::Keygen(args) => keygen(ui, args),
        AuthCommand::Rotate(args) => rotate(ui, args),
        AuthCommand::Issue(args) => issue(ui, args),
        AuthCommand::Verify(args) => verify(ui, args),
        AuthCommand::Revoke(args) => revoke(ui, args),
        AuthCommand::Jwks(args) => jwks(ui, args),
    }
}

/// Keeps an event before what it records is acknowledged: where it cannot be kept, nothing is done.
fn audit_first(workspace: &Workspace, event: AuditEvent) -> Result<(), CommandError> {
    let key = workspace.key()?;
    append_audit(&workspace.repo, &key, &[event]).map_err(|error| {
        CommandError::of(ExitCode::Io, &error).hint("Nothing was done. See `carnet audit verify`.")
    })
}

fn event(kind: AuditKind, gate: &str, account: Option<&str>, subject: Option<&str>) -> AuditEvent {
    let mut event = AuditEvent::new(kind, gate, now());
    event.account = account.map(str::to_owned);
    event.subject = subject.map(str::to_owned);
    event
}

/// Reads accounts of the policy in force; without a policy ref there are none, because whoever writes a branch could add one.
pub fn accounts_in_force(workspace: &Workspace) -> Result<Accounts, CommandError> {
    let text = in_force(workspace, ACCOUNTS_FILE, "carnet auth account add NAME --scope SCOPE")?;
    Accounts::parse(ACCOUNTS_FILE, &text).map_err(|problems| wrong_file(&problems))
}

/// Reads the keys of the policy in force.
pub fn keys_in_force(workspace: &Workspace) -> Result<KeySet, CommandError> {
    let text = in_force(workspace, KEY_SET_FILE, "carnet auth keygen")?;
    KeySet::parse(KEY_SET_FILE, &text).map_err(|problem| wrong_file(&[problem]))
}

fn in_force(workspace: &Workspace, path: &str, begin: &str) -> Result<String, CommandError> {
    policy_file(&workspace.repo, path)?.ok_or_else(|| {
        let message = format!("the policy in force has no {path}");
        CommandError::new(ExitCode::Config, message)
            .hint(format!("Begin one with `{begin}`, and commit it."))
            .hint("Name the ref that decides: `git config carnet.policyRef refs/heads/main`.")
    })
}

/// Says what is wrong with a file of the policy.
pub fn wrong_file(problems: &[FileProblem]) -> CommandError {
    let file = problems.first().map_or("the file", |problem| &problem.file);
    let mut error = CommandError::new(ExitCode::Config, format!("{file} is wrong"));
    error.causes = problems.iter().map(ToString::to_string).collect();
    error.hint("Mend what is named above, and commit it where the policy is read.")
}

/// Changes the accounts in the work tree.
fn change(ui: &Ui, edit: &AccountsEdit, begin: (&str, &str), event: AuditEvent) -> CommandResult {
    let workspace = Workspace::with_work_tree()?;
    let path = workspace.repo.require_work_tree()?.join(ACCOUNTS_FILE);
    let text = read_if_there(&path)?;
    let made = edited(text.as_deref(), begin, edit).map_err(|problems| wrong_file(&problems))?;
    audit_first(&workspace, event)?;
    write(&path, &made)?;
    say_commit(ui, ACCOUNTS_FILE);
    Ok(ExitCode::Done)
}

fn say_commit(ui: &Ui, file: &str) {
    ui.out(&format!(
        "changed {file}; it counts once it is committed where the policy is read:\n  git add {file} && git commit -m 'accounts' -- {file}\n"
    ));
}

fn read_if_there(path: &Path) -> Result<Option<String>, CommandError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path, &error)),
    }
}

fn add(ui: &Ui, args: &AddArgs) -> CommandResult {
    if !is_account_name(&args.name) {
        let message = format!("`{}` cannot name an account", args.name);
        return Err(CommandError::new(ExitCode::Usage, message)
            .hint("Use lowercase letters, digits and dashes, a letter first, 64 at most."));
    }
    let account = Account {
        scopes: args.scopes.iter().copied().collect(),
        description: args.description.clone(),
    };
    let kept = event(AuditKind::AccountChange, "auth account add", None, Some(&args.name));
    let edit = AccountsEdit::Add { name: args.name.clone(), account };
    change(ui, &edit, (&args.issuer, &args.audience), kept)
}

fn remove(ui: &Ui, args: &RemoveArgs) -> CommandResult {
    let workspace = Workspace::with_work_tree()?;
    let path = workspace.repo.require_work_tree()?.join(ACCOUNTS_FILE);
    let accounts = read_if_there(&path)?.map(|text| Accounts::parse(ACCOUNTS_FILE, &text));
    let accounts = accounts.transpose().map_err(|problems| wrong_file(&problems))?;
    if accounts.is_none_or(|accounts| !accounts.accounts.contains_key(&args.name)) {
        let message = format!("{ACCOUNTS_FILE} has no account `{}`", args.name);
        return Err(CommandError::new(ExitCode::NothingToLookAt, message)
            .hint("See which there are: `carnet auth account list`."));
    }
    let kept = event(AuditKind::AccountChange, "auth account remove", None, Some(&args.name));
    change(ui, &AccountsEdit::Remove { name: args.name.clone() }, ("", ""), kept)
}

fn revoke(ui: &Ui, args: &RevokeArgs) -> CommandResult {
    let (what, subject) = match (&args.what.token, &args.what.account) {
        (Some(jti), _) => (RevokedWhat::Token(jti.clone()), jti),
        (_, Some(name)) => (RevokedWhat::Account(name.clone()), name),
        (None, None) => {
            return Err(CommandError::new(ExitCode::Usage, "name a token or an account"));
        }
    };
    let mut kept = event(AuditKind::Revocation, "auth revoke", None, Some(subject));
    kept.reason = Some(args.reason.clone());
    let revoked = Revoked { what, at: now(), reason: args.reason.clone() };
    change(ui, &AccountsEdit::Revoke(revoked), ("carnet", "carnet"), kept)
}

fn list(ui: &Ui, args: &JsonArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let accounts = accounts_in_force(&workspace)?;
    let keys = policy_file(&workspace.repo, KEY_SET_FILE)?
        .map(|text| KeySet::parse(KEY_SET_FILE, &text))
        .transpose()
        .map_err(|problem| wrong_file(&[problem]))?
        .unwrap_or_default();
    let now = now();
    let lines: Vec<_> = accounts
        .accounts
        .iter()
        .map(|(name, account)| AccountLine {
            name: name.clone(),
            scopes: account.scopes.iter().map(|scope| scope.name()).collect(),
            description: account.description.clone(),
        })
        .collect();
    let key_line = |key: &carnet_access::key_set::TokenKeyPublic| KeyLine {
        kid: key.kid.clone(),
        created: key.created.to_string(),
        good_for: match key.use_at(now) {
            KeyUse::Signs => "signs",
            KeyUse::Grace(_) => "grace",
            KeyUse::Over => "over",
        },
    };
    let keys_lines: Vec<_> = keys.keys.iter().map(key_line).collect();
    if args.json {
        let Accounts { issuer, audience, .. } = accounts;
        let format = "carnet/accounts-list/1";
        ui.json(&AccountsReport { format, issuer, audience, accounts: lines, keys: keys_lines });
        return Ok(ExitCode::Done);
    }
    let mut text = String::new();
    for line in &lines {
        let scopes = line.scopes.join(" ");
        text += &format!("{}  {scopes}  {}\n", ui.bold_out(&line.name), line.description);
    }
    for key in &keys_lines {
        text += &format!("key {}  {} since {}\n", key.kid, key.good_for, key.created);
    }
    if keys.rotation_due(now) {
        text += &format!("{}: `carnet auth rotate`\n", ui.yellow_out("a new key is due"));
    }
    ui.out(&text);
    Ok(ExitCode::Done)
}

fn keygen(ui: &Ui, args: &KeygenArgs) -> CommandResult {
    let workspace = Workspace::with_work_tree()?;
    let keys = work_tree_keys(&workspace)?;
    if let Some(key) = keys.signing() {
        let message = format!("key `{}` signs already", key.kid);
        return Err(CommandError::new(ExitCode::Usage, message)
            .hint("Put another in its place with `carnet auth rotate`."));
    }
    make_key(ui, &workspace, &keys, args.bits, &home(args.in_vault, &args.identity)?, "auth keygen")
}

fn rotate(ui: &Ui, args: &RotateArgs) -> CommandResult {
    let workspace = Workspace::with_work_tree()?;
    let keys = work_tree_keys(&workspace)?;
    if args.if_due && !keys.rotation_due(now()) {
        ui.out("no new key is due\n");
        return Ok(ExitCode::Done);
    }
    make_key(ui, &workspace, &keys, args.bits, &home(args.in_vault, &args.identity)?, "auth rotate")
}

fn work_tree_keys(workspace: &Workspace) -> Result<KeySet, CommandError> {
    let path = workspace.repo.require_work_tree()?.join(KEY_SET_FILE);
    match read_if_there(&path)? {
        None => Ok(KeySet::default()),
        Some(text) => KeySet::parse(KEY_SET_FILE, &text).map_err(|problem| wrong_file(&[problem])),
    }
}

fn make_key(
    ui: &Ui,
    workspace: &Workspace,
    keys: &KeySet,
    bits: KeyBits,
    home: &KeyHome,
    gate: &str,
) -> CommandResult {
    let is_new = matches!(home, KeyHome::File(path) if !path.exists());
    let identity = match home {
        KeyHome::File(path) => Some(Identity::load_or_create(path)?),
        KeyHome::Vault(_) => None,
    };
    ui.progress("carnet: making a key …\n");
    let pkcs8 = TokenKey::generate(bits)?;
    let public = TokenKey::from_pkcs8(&pkcs8)?.public(now());
    let kid = public.kid.clone();
    audit_first(workspace, event(AuditKind::KeyChange, gate, None, Some(&kid)))?;
    match (home, &identity) {
        (KeyHome::Vault(stores), _) => {
            let (store, name) = (stores.of_kind(StoreKind::Vault)?, key_name(&kid)?);
            stores.judged(gate, Some(&name), store.put(&name, &pkcs8))?;
        }
        (KeyHome::File(_), Some(identity)) => identity.seal(&key_path(workspace, &kid), &pkcs8)?,
        (KeyHome::File(_), None) => {}
    }
    let path = workspace.repo.require_work_tree()?.join(KEY_SET_FILE);
    write(&path, &keys.rotated(public, now()).to_text())?;
    if let (KeyHome::File(path), true) = (home, is_new) {
        ui.err(&format!(
            "carnet: made {}, which opens private keys: keep a copy where you keep yours\n",
            path.display()
        ));
    }
    ui.out(&format!("made key {kid}\n"));
    say_commit(ui, KEY_SET_FILE);
    Ok(ExitCode::Done)
}

/// Where a private key is kept.
enum KeyHome {
    /// Sealed to the identity in this file.
    File(PathBuf),
    /// In the vault of the policy in force.
    Vault(Box<SecretStores>),
}

fn home(in_vault: bool, identity: &IdentityArgs) -> Result<KeyHome, CommandError> {
    if in_vault {
        return Ok(KeyHome::Vault(Box::new(SecretStores::open(Workspace::discover()?)?)));
    }
    Ok(KeyHome::File(identity_path(identity.identity.as_deref())?))
}

/// Reads a private key: from this clone where it has it, else from the vault in force.
fn private_key(
    workspace: &Workspace,
    kid: &str,
    identity: &IdentityArgs,
) -> Result<Zeroizing<Vec<u8>>, CommandError> {
    let path = key_path(workspace, kid);
    if !path.exists() {
        let stores = SecretStores::open(Workspace::discover()?)?;
        if stores.has_vault() {
            return stores.get_of(StoreKind::Vault, &key_name(kid)?, "auth issue");
        }
    }
    Ok(Identity::load(&identity_path(identity.identity.as_deref())?)?.open(&path)?)
}

/// Under which name a vault keeps a private key.
fn key_name(kid: &str) -> Result<SecretName, CommandError> {
    SecretName::parse(&format!("{KEYS_IN_VAULT}{kid}"))
        .map_err(|error| CommandError::of(ExitCode::Config, &error))
}

fn key_path(workspace: &Workspace, kid: &str) -> PathBuf {
    workspace.repo.state_dir().join("access").join("keys").join(format!("{kid}.age"))
}

/// Returns where the identity lies: as named, else by variable, else in the user's configuration directory.
pub fn identity_path(named: Option<&Path>) -> Result<PathBuf, CommandError> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    if let Some(path) = variable(IDENTITY_VARIABLE) {
        return Ok(path);
    }
    let config = config_dir().ok_or_else(|| {
        CommandError::new(ExitCode::Config, "there is no home directory to keep the identity in")
            .hint(format!("Name a file: `--identity FILE`, or {IDENTITY_VARIABLE}."))
    })?;
    Ok(config.join("identity.txt"))
}

/// Returns carnet's part of the user's configuration directory.
pub fn config_dir() -> Option<PathBuf> {
    let config = variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")))?;
    Some(config.join("carnet"))
}

/// Returns a path that a variable names.
pub fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from)
}

fn issue(ui: &Ui, args: &IssueArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let accounts = accounts_in_force(&workspace)?;
    let keys = keys_in_force(&workspace)?;
    let public = keys.signing().ok_or_else(|| {
        CommandError::new(ExitCode::Config, "no key in force signs")
            .hint("Make one: `carnet auth rotate`, and commit it.")
    })?;
    let jti = random_name()?;
    let lives_secs = match (args.lives, args.run) {
        (Some(secs), _) => secs,
        (None, None) => LIFETIME_SECS,
        (None, Some(_)) => run_lifetime(&workspace)?,
    };
    let request = TokenRequest {
        account: &args.account,
        scopes: &args.scopes,
        lives_secs,
        run: args.run,
        project: args.project.as_deref(),
        jti: &jti,
    };
    let claims = claims_for(&request, &accounts, now()).map_err(|refusal| {
        CommandError::of(refusal.exit_code(), &refusal)
            .hint("See what is in force: `carnet auth account list`.")
    })?;
    let key = TokenKey::from_pkcs8(&private_key(&workspace, &public.kid, &args.identity)?)?;
    let token = sign(&claims, &key)?;
    let mut kept = event(AuditKind::TokenIssue, "auth issue", Some(&args.account), Some(&jti));
    kept.reason = Some(format!("{} for {} s", claims.scopes.join(" "), lives_secs));
    kept.run = args.run;
    audit_first(&workspace, kept)?;
    match &args.output {
        None => ui.out(&format!("{token}\n")),
        Some(path) => {
            private_file::create(path, token.as_bytes())?;
            ui.err(&format!("carnet: token {jti} is in {}\n", path.display()));
        }
    }
    Ok(ExitCode::Done)
}

/// How long a token of a run that has not begun may be of use: the longest that a lane in force lets a run last, and the hour that
/// the token outlives it.
fn run_lifetime(workspace: &Workspace) -> Result<i64, CommandError> {
    let policy = PolicyInForce::load(&workspace.repo)?;
    let files: Vec<_> =
        policy.allowlists.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let lanes = LaneSet::parse(&files).map_err(|problems| {
        let mut error = CommandError::new(ExitCode::Config, "the policy is wrong");
        error.causes = problems.iter().map(ToString::to_string).collect();
        error.hint("Mend what is named above: `carnet policy check`.")
    })?;
    let walls = lanes.lane_names().filter_map(|name| lanes.lane(name)).map(|it| it.quota().wall_ms);
    let secs = walls.max().unwrap_or(0).div_ceil(1000);
    let secs = i64::try_from(secs).unwrap_or(LIFETIME_SECS);
    Ok(secs.saturating_add(RUN_GRACE_SECS).min(LIFETIME_SECS))
}

fn random_name() -> Result<String, CommandError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| {
        CommandError::new(ExitCode::Io, format!("the random source failed: {error}"))
    })?;
    Ok(RunId::from_random(random).to_string())
}

fn verify(ui: &Ui, args: &VerifyTokenArgs) -> CommandResult {
    let token = TokenFile::new(&args.file).read()?;
    let workspace = Workspace::discover()?;
    let presented = presented::judge(&workspace, &token, args.scope, args.once, "auth verify")?;
    let claims = &presented.claims;
    let scopes: Vec<_> = presented.scopes.iter().map(|scope| scope.name()).collect();
    let expires = carnet_core::Timestamp::from_millis(claims.exp.saturating_mul(1000)).to_string();
    if args.json {
        ui.json(&TokenReport {
            format: "carnet/token/1",
            account: presented.account.clone(),
            scopes,
            jti: claims.jti.clone(),
            expires,
            kid: presented.kid.clone(),
            run: claims.run_id.map(|run| run.to_string()),
        });
    } else {
        ui.out(&format!("{} until {expires}: {}\n", presented.account, scopes.join(" ")));
    }
    Ok(ExitCode::Done)
}

fn jwks(ui: &Ui, args: &JwksArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let Some(address) = args.serve else {
        ui.out(&keys_in_force(&workspace)?.published(now()).to_text());
        return Ok(ExitCode::Done);
    };
    if !address.ip().is_loopback() && !args.public {
        let message = format!("`{address}` can be reached from other machines");
        return Err(CommandError::new(ExitCode::Usage, message)
            .hint("The keys are public; if that is meant, add `--public`."));
    }
    // What is wrong now is said now, not to whoever asks later.
    keys_in_force(&workspace)?;
    let dir = workspace.repo.git_dir().to_owned();
    let keys = move || {
        let repo = carnet_git::Repo::discover(&dir).ok()?;
        let keys = keys_in_force(&Workspace { repo }).ok()?;
        Some(keys.published(now()).to_text())
    };
    let on_listen = |at: SocketAddr| {
        ui.out(&format!("serving http://{at}/.well-known/jwks.json; stop with ^C\n"));
    };
    carnet_daemon::http::serve_key_set(address, keys, on_listen).map_err(|error| {
        CommandError::of(ExitCode::Io, &error).hint("Choose another port, or 0 for any.")
    })?;
    Ok(ExitCode::Done)
}

impl From<PrivateFileError> for CommandError {
    fn from(error: PrivateFileError) -> CommandError {
        match &error {
            PrivateFileError::Permissions { path, .. } => {
                CommandError::of(ExitCode::Config, &error)
                    .hint(format!("Type `chmod 600 {}`.", path.display()))
            }
            PrivateFileError::Missing(_) | PrivateFileError::TooLarge { .. } => {
                CommandError::of(ExitCode::Config, &error)
            }
            PrivateFileError::Exists(_) | PrivateFileError::Io { .. } => {
                CommandError::of(ExitCode::Io, &error)
            }
        }
    }
}

impl From<SealError> for CommandError {
    fn from(error: SealError) -> CommandError {
        match error {
            SealError::File(PrivateFileError::Missing(path)) => {
                let is_key = path.extension().is_some_and(|it| it == "age");
                let hint = if is_key {
                    "The key lies in the clone that made it; issue there, or `carnet auth rotate` here."
                } else {
                    "Name it with `--identity FILE` or CARNET_IDENTITY; `carnet auth keygen` and `carnet secret put` make the first."
                };
                CommandError::from(PrivateFileError::Missing(path)).hint(hint)
            }
            SealError::File(error) => error.into(),
            SealError::NoIdentity(_) | SealError::Sealed { .. } => {
                CommandError::of(ExitCode::Config, &error)
                    .hint("Name the right one with `--identity FILE` or CARNET_IDENTITY.")
            }
        }
    }
}

impl From<TokenKeyError> for CommandError {
    fn from(error: TokenKeyError) -> CommandError {
        let exit = match &error {
            TokenKeyError::Malformed(_) => ExitCode::Config,
            TokenKeyError::Random | TokenKeyError::Make(_) => ExitCode::Io,
        };
        CommandError::of(exit, &error).hint("Make another key: `carnet auth rotate`.")
    }
}
