//! `carnet secret`: named secrets in sealed files or a Vault, got by descriptor and never printed by mistake.
//!
//! Every access is in the audit log before a value is given out.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Read as _, Write as _},
    os::{fd::AsFd as _, unix::process::CommandExt as _},
    path::PathBuf,
};

use carnet_access::{
    secrets::{SecretName, SecretStore, SecretStoreError, VALUE_BYTES_MAX},
    vault::{answer::Health, config::StoreKind},
};
use carnet_core::ExitCode;
use carnet_sandbox::Secret;
use clap::{Args, Subcommand};
use rustix::io::{FdFlags, fcntl_setfd};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{
    findings::failed,
    report::count,
    secret_source::read_secrets,
    secret_store::{SecretStores, keep_access},
};
use crate::{
    cli::JsonArgs,
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::Workspace,
};

/// Verbs of `secret`.
#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Write a secret's value to a pipe or a file; to a terminal only with `--show`.
    #[command(
        after_help = "Examples:\n  carnet secret get DEPLOY_TOKEN | gh auth login --with-token\n  carnet secret get db#password --show"
    )]
    Get(GetArgs),
    /// List the names of the secrets that are kept.
    List(ListArgs),
    /// Keep a secret, read from standard input, a file or a descriptor.
    #[command(
        after_help = "Examples:\n  carnet secret put DEPLOY_TOKEN <token.txt\n  carnet secret put DEPLOY_TOKEN --from fd:3 3<token.txt\n\nThe value is taken as it is, but for one line end at its end (`--raw` keeps that too)."
    )]
    Put(PutArgs),
    /// Take a secret away.
    Remove(NameArgs),
    /// Run a program of your own with secrets in descriptors; never in arguments, variables or files.
    #[command(
        after_help = "Examples:\n  carnet secret run --secret DEPLOY_TOKEN=store -- sh -c 'gh auth login --with-token <&$CARNET_SECRET_FD_DEPLOY_TOKEN'\n  carnet secret run --secret PW=store:db#password -- ./migrate\n\nThe program is yours and runs as you; it finds the number of a descriptor in CARNET_SECRET_FD_<NAME>. In a lane's sandbox and\nrecorded: `carnet run --secret DEPLOY_TOKEN=store -- …`."
    )]
    Run(RunArgs),
    /// Say where secrets are kept, how the vault is, and whether it lets us in.
    Status(JsonArgs),
    /// Copy every secret from one store to the other, and read each back.
    #[command(
        after_help = "Examples:\n  carnet secret migrate --to vault --dry-run\n  carnet secret migrate --to vault --remove   then say `store = \"vault\"` in policy/secrets.toml\n  carnet secret migrate --to file             to work without the vault"
    )]
    Migrate(MigrateArgs),
}

/// Which secret.
#[derive(Debug, Args)]
pub struct NameArgs {
    /// Its name: letters, digits, `_`, `-`, `.`, `/`.
    #[arg(value_parser = SecretName::parse)]
    name: SecretName,
}

/// Options of `secret get`.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// Its name; `NAME#FIELD` where an entry has several fields.
    #[arg(value_parser = SecretName::parse)]
    name: SecretName,
    /// Write to a terminal too, where anyone may look over the shoulder.
    #[arg(long)]
    show: bool,
}

/// Options of `secret list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Write JSON (`carnet/secrets-list/1`).
    #[arg(long)]
    json: bool,
}

/// Options of `secret put`.
#[derive(Debug, Args)]
pub struct PutArgs {
    /// Its name.
    #[arg(value_parser = SecretName::parse)]
    name: SecretName,
    /// Read it from here instead of standard input.
    #[arg(long, value_name = "file:PATH|fd:N")]
    from: Option<String>,
    /// Keep a line end at its end.
    #[arg(long)]
    raw: bool,
}

/// Options of `secret run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// What the program is handed: from the store under the same name or another, a file, or a descriptor. May be repeated.
    #[arg(long = "secret", value_name = "NAME=store[:PATH]|file:PATH|fd:N", required = true)]
    secrets: Vec<String>,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    argv: Vec<std::ffi::OsString>,
}

/// Options of `secret migrate`.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Where to: from the other of the two.
    #[arg(long, value_name = "file|vault", value_parser = store_kind)]
    to: StoreKind,
    /// Put our value in the place of another one that is there.
    #[arg(long)]
    replace: bool,
    /// Take each secret away where it came from, once it was read back.
    #[arg(long)]
    remove: bool,
    /// Show what would be done and change nothing.
    #[arg(long)]
    dry_run: bool,
}

fn store_kind(text: &str) -> Result<StoreKind, String> {
    match text {
        "file" => Ok(StoreKind::File),
        "vault" => Ok(StoreKind::Vault),
        _ => Err("`file` or `vault`".to_owned()),
    }
}

#[derive(Serialize)]
struct StatusReport {
    format: &'static str,
    store: &'static str,
    place: String,
    /// Of a vault: `active`, `standby`, `sealed` or `uninitialised`.
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<String>,
    /// Whether a login succeeded; none is tried where the vault is not active.
    #[serde(skip_serializing_if = "Option::is_none")]
    logged_in: Option<bool>,
    /// How long the token of that login counts, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_secs: Option<u64>,
}

#[derive(Serialize)]
struct ListReport {
    format: &'static str,
    place: String,
    secrets: Vec<String>,
}

/// Does what was asked.
pub fn secret(ui: &Ui, command: &SecretCommand) -> CommandResult {
    match command {
        SecretCommand::Get(args) => get(args),
        SecretCommand::List(args) => list(ui, args),
        SecretCommand::Put(args) => put(ui, args),
        SecretCommand::Remove(args) => remove(ui, &args.name),
        SecretCommand::Run(args) => run(args),
        SecretCommand::Status(args) => status(ui, args),
        SecretCommand::Migrate(args) => migrate(ui, args),
    }
}

fn get(args: &GetArgs) -> CommandResult {
    let mut out = io::stdout();
    if out.is_terminal() && !args.show {
        return Err(CommandError::new(
            ExitCode::Usage,
            "a secret is not written to a terminal by mistake",
        )
        .hint(format!("Send it to a pipe: `carnet secret get {} | …`.", args.name))
        .hint("If it shall be seen, add `--show`."));
    }
    let stores = SecretStores::open(Workspace::discover()?)?;
    let value = stores.get(&args.name, "secret get")?;
    let written = out.write_all(&value).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CommandError::new(ExitCode::Io, format!("cannot write the secret: {error}")))
        }
        _ => Ok(ExitCode::Done),
    }
}

fn list(ui: &Ui, args: &ListArgs) -> CommandResult {
    let stores = SecretStores::open(Workspace::discover()?)?;
    let store = stores.in_force()?;
    let names = stores.judged("secret list", None, store.list())?;
    let secrets: Vec<String> = names.iter().map(ToString::to_string).collect();
    if args.json {
        ui.json(&ListReport { format: "carnet/secrets-list/1", place: store.place(), secrets });
        return Ok(ExitCode::Done);
    }
    ui.out(&secrets.iter().map(|name| format!("{name}\n")).collect::<String>());
    ui.err(&format!("carnet: {} in {}\n", count(secrets.len(), "secret"), store.place()));
    Ok(ExitCode::Done)
}

fn put(ui: &Ui, args: &PutArgs) -> CommandResult {
    let value = read_value(args)?;
    let stores = SecretStores::open(Workspace::discover()?)?;
    let store = stores.in_force()?;
    keep_access(&stores.workspace, "secret put", &[(&args.name, store.path_of(&args.name))])?;
    stores.judged("secret put", Some(&args.name), store.put(&args.name, &value))?;
    ui.err(&format!("carnet: `{}` is kept in {}\n", args.name, store.place()));
    Ok(ExitCode::Done)
}

fn read_value(args: &PutArgs) -> Result<Zeroizing<Vec<u8>>, CommandError> {
    let mut value = match &args.from {
        // The name is for messages alone; the store's own may be any.
        Some(source) => {
            let secrets = read_secrets(&[format!("VALUE={source}")])?;
            Zeroizing::new(secrets.first().map(|it| it.bytes().to_vec()).unwrap_or_default())
        }
        None if io::stdin().is_terminal() => {
            return Err(CommandError::new(
                ExitCode::Usage,
                "a secret is not typed where it stays on the screen",
            )
            .hint(format!("Give it a file or a pipe: `carnet secret put {} <FILE`.", args.name)));
        }
        None => {
            let mut bytes = Zeroizing::new(Vec::with_capacity(VALUE_BYTES_MAX + 64));
            let stdin = io::stdin().as_fd().try_clone_to_owned().map(File::from);
            stdin
                .and_then(|it| it.take(VALUE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes))
                .map_err(|error| failed("read", &PathBuf::from("standard input"), &error))?;
            bytes
        }
    };
    if !args.raw && value.last() == Some(&b'\n') {
        value.pop();
        if value.last() == Some(&b'\r') {
            value.pop();
        }
    }
    Ok(value)
}

fn remove(ui: &Ui, name: &SecretName) -> CommandResult {
    let stores = SecretStores::open(Workspace::discover()?)?;
    let store = stores.in_force()?;
    keep_access(&stores.workspace, "secret remove", &[(name, store.path_of(name))])?;
    stores.judged("secret remove", Some(name), store.remove(name))?;
    ui.err(&format!("carnet: `{name}` is gone from {}\n", store.place()));
    Ok(ExitCode::Done)
}

/// Becomes the program: what it exits with is what is seen.
fn run(args: &RunArgs) -> CommandResult {
    let secrets = read_secrets(&args.secrets)?;
    let mut command = std::process::Command::new(&args.argv[0]);
    command.args(&args.argv[1..]);
    let mut handed = vec![];
    for secret in &secrets {
        let descriptor = hand_over(secret).map_err(|error| {
            let message = format!("cannot hand over secret `{}`: {error}", secret.name());
            CommandError::new(ExitCode::Io, message)
        })?;
        command.env(secret.variable(), descriptor.0.to_string());
        handed.push(descriptor.1);
    }
    // Only comes back when the program could not be started.
    let error = command.exec();
    let program = args.argv[0].to_string_lossy();
    Err(CommandError::new(ExitCode::Usage, format!("cannot start `{program}`: {error}"))
        .hint("Name a program that is on PATH, behind `--`."))
}

/// Puts a secret into sealed memory whose descriptor the program inherits.
fn hand_over(secret: &Secret) -> io::Result<(i32, std::os::fd::OwnedFd)> {
    let descriptor = secret.sealed()?;
    fcntl_setfd(&descriptor, FdFlags::empty())?;
    Ok((std::os::fd::AsRawFd::as_raw_fd(&descriptor), descriptor))
}

fn status(ui: &Ui, args: &JsonArgs) -> CommandResult {
    let stores = SecretStores::open(Workspace::discover()?)?;
    let format = "carnet/secrets-status/1";
    let mut report = match stores.kind() {
        StoreKind::File => StatusReport {
            format,
            store: "file",
            place: stores.in_force()?.place(),
            health: None,
            logged_in: None,
            token_secs: None,
        },
        StoreKind::Vault => {
            let vault = stores.vault()?;
            let health = vault.health().map_err(SecretStoreError::from)?;
            let login = (health == Health::Active).then(|| vault.log_in());
            StatusReport {
                format,
                store: "vault",
                place: vault.place(),
                health: Some(health.to_string()),
                logged_in: login.as_ref().map(Result::is_ok),
                token_secs: login.and_then(Result::ok).flatten(),
            }
        }
    };
    let is_well =
        report.health.as_deref().is_none_or(|it| it == "active") && report.logged_in != Some(false);
    let exit = if is_well { ExitCode::Done } else { ExitCode::Io };
    if args.json {
        ui.json(&report);
        return Ok(exit);
    }
    let health = report.health.take().map(|it| format!("  {it}")).unwrap_or_default();
    let login = match (report.logged_in, report.token_secs) {
        (Some(true), Some(secs)) => format!(", logged in for {secs} s"),
        (Some(true), None) => ", a token is at hand".to_owned(),
        (Some(false), _) => ", the login is refused".to_owned(),
        (None, _) => String::new(),
    };
    ui.out(&format!("{}{health}{login}\n", report.place));
    Ok(exit)
}

/// What becomes of one secret.
enum Move {
    Copy,
    Same,
    /// An entry of several fields is no single value.
    Leave,
}

fn migrate(ui: &Ui, args: &MigrateArgs) -> CommandResult {
    let stores = SecretStores::open(Workspace::discover()?)?;
    let other = match args.to {
        StoreKind::File => StoreKind::Vault,
        StoreKind::Vault => StoreKind::File,
    };
    let (from, to) = (stores.of_kind(other)?, stores.of_kind(args.to)?);
    let gate = "secret migrate";
    let names = stores.judged(gate, None, from.list())?;
    let touched: Vec<_> = names.iter().map(|name| (name, from.path_of(name))).collect();
    keep_access(&stores.workspace, gate, &touched)?;
    let plan = plan_moves(&stores, &*from, &*to, &names, args.replace)?;
    let mut n_left = 0;
    for (name, step) in &plan {
        let word = match step {
            Move::Copy => "copy",
            Move::Same => "same",
            Move::Leave => "leave",
        };
        n_left += usize::from(matches!(step, Move::Leave));
        if !args.dry_run {
            move_one(&stores, &*from, &*to, name, step, args.remove)?;
        }
        ui.out(&format!("{word}  {name}\n"));
    }
    if args.dry_run {
        ui.err("carnet: nothing was changed\n");
    }
    if n_left == 0 {
        return Ok(ExitCode::Done);
    }
    ui.err(&format!(
        "carnet: {} with several fields stay where they are; put them one by one\n",
        count(n_left, "entry")
    ));
    Ok(ExitCode::Incomplete)
}

fn plan_moves<'a>(
    stores: &SecretStores,
    from: &dyn SecretStore,
    to: &dyn SecretStore,
    names: &'a [SecretName],
    replace: bool,
) -> Result<Vec<(&'a SecretName, Move)>, CommandError> {
    let mut plan = vec![];
    for name in names {
        let value = match from.get(name) {
            // Marked as deleted: there is nothing to move.
            Err(SecretStoreError::Missing { .. }) => continue,
            Err(SecretStoreError::Field { .. }) => {
                plan.push((name, Move::Leave));
                continue;
            }
            other => stores.judged("secret migrate", Some(name), other)?,
        };
        let step = match to.get(name) {
            Ok(there) if there == value => Move::Same,
            Err(SecretStoreError::Missing { .. }) => Move::Copy,
            Ok(_) | Err(SecretStoreError::Field { .. }) if replace => Move::Copy,
            Ok(_) | Err(SecretStoreError::Field { .. }) => {
                let message = format!("`{name}` differs in {}", to.place());
                return Err(CommandError::new(ExitCode::Refused, message)
                    .hint("Nothing was changed. To put ours in its place, add `--replace`."));
            }
            Err(error) => stores.judged("secret migrate", Some(name), Err(error))?,
        };
        plan.push((name, step));
    }
    Ok(plan)
}

fn move_one(
    stores: &SecretStores,
    from: &dyn SecretStore,
    to: &dyn SecretStore,
    name: &SecretName,
    step: &Move,
    remove: bool,
) -> Result<(), CommandError> {
    let judged = |answer| stores.judged("secret migrate", Some(name), answer);
    if matches!(step, Move::Leave) {
        return Ok(());
    }
    let value = judged(from.get(name))?;
    if matches!(step, Move::Copy) {
        stores.judged("secret migrate", Some(name), to.put(name, &value))?;
    }
    if judged(to.get(name))? != value {
        let message = format!("`{name}` came back from {} as another value", to.place());
        return Err(CommandError::new(ExitCode::Io, message)
            .hint("It stands where it was; look at both, and type it again."));
    }
    if remove {
        stores.judged("secret migrate", Some(name), from.remove(name))?;
    }
    Ok(())
}
