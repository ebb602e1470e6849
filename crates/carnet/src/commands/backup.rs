//! `carnet backup`: make, list, verify, restore and prune backups.

use std::path::{Path, PathBuf};

use carnet_access::keys::PublicKey;
use carnet_core::{ExitCode, Timestamp};
use carnet_run::{
    artifact,
    backup::{self, BackupDir, BackupError, KEEP_DAYS, Manifest},
};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::report::count;
use crate::{
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::{Workspace, now},
};

/// The file in the state directory that says when the last backup was made, for the daemon's schedule.
const LAST_BACKUP: &str = "last-backup";

/// Verbs of `backup`.
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Save what is new since the last backup.
    Create(CreateArgs),
    /// List the backups of a directory, oldest first.
    List(DirArgs),
    /// Check every digest and signature, and restore every backup into a scratch repository.
    Verify(VerifyArgs),
    /// Make a repository from a backup, in a new or empty directory.
    Restore(RestoreArgs),
    /// Remove backups that are old and that no kept one builds on.
    Prune(PruneArgs),
}

/// Where backups lie.
#[derive(Debug, Args)]
pub struct Place {
    /// The directory of backups (default: `git config carnet.backupDir`).
    #[arg(long = "to", visible_aliases = ["from", "in"], value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Write JSON.
    #[arg(long)]
    pub json: bool,
}

/// Backups as they are read back.
#[derive(Debug, Args)]
pub struct Trusted {
    #[command(flatten)]
    pub place: Place,
    /// Refuse backups that another key signed; may be repeated.
    #[arg(long = "trust", value_name = "KEY")]
    pub trust: Vec<String>,
}

/// Options of `backup create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    #[command(flatten)]
    pub place: Place,
    /// Save everything, not only what is new.
    #[arg(long)]
    pub full: bool,
    /// Remove old backups afterwards, as `carnet backup prune` does.
    #[arg(long)]
    pub prune: bool,
}

/// Options of `backup list`.
#[derive(Debug, Args)]
pub struct DirArgs {
    #[command(flatten)]
    pub place: Place,
}

/// Options of `backup verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Only this backup and what it builds on.
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    #[command(flatten)]
    pub from: Trusted,
}

/// Options of `backup restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The new repository.
    #[arg(value_name = "TARGET")]
    pub target: PathBuf,
    /// Which backup (default: the newest).
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    #[command(flatten)]
    pub from: Trusted,
}

/// Options of `backup prune`.
#[derive(Debug, Args)]
pub struct PruneArgs {
    #[command(flatten)]
    pub place: Place,
    /// Keep backups of so many days.
    #[arg(long, value_name = "DAYS", default_value_t = KEEP_DAYS)]
    pub keep_days: u32,
    /// Show what would go and change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// Does what was asked.
pub fn backup(ui: &Ui, command: &BackupCommand) -> CommandResult {
    match command {
        BackupCommand::Create(args) => create(ui, args),
        BackupCommand::List(args) => list(ui, &args.place),
        BackupCommand::Verify(args) => verify(ui, args),
        BackupCommand::Restore(args) => restore(ui, args),
        BackupCommand::Prune(args) => prune(ui, args),
    }
}

/// The directory that was named, else the configured one.
fn directory(place: &Place) -> Result<BackupDir, CommandError> {
    if let Some(dir) = &place.dir {
        let dir = std::path::absolute(dir).map_err(|error| {
            CommandError::new(ExitCode::Usage, format!("`{}`: {error}", dir.display()))
        })?;
        return Ok(BackupDir::new(dir));
    }
    let configured =
        Workspace::discover().ok().and_then(|it| it.repo.config_get(artifact::BACKUP_DIR_KEY));
    match configured {
        Some(dir) if Path::new(&dir).is_absolute() => Ok(BackupDir::new(dir)),
        Some(dir) => Err(CommandError::new(
            ExitCode::Config,
            format!("`{}` is `{dir}`, not an absolute directory", artifact::BACKUP_DIR_KEY),
        )),
        None => Err(CommandError::new(ExitCode::Usage, "no directory of backups is named").hint(
            format!(
                "Name it with `--to DIR`, or once: `git config {} DIR`.",
                artifact::BACKUP_DIR_KEY
            ),
        )),
    }
}

/// Keys that were named, else those that this clone trusts, else none.
fn trusted(named: &[String]) -> Result<Vec<PublicKey>, CommandError> {
    if named.is_empty() {
        return Workspace::discover().map_or_else(|_| Ok(vec![]), |it| it.trusted_keys());
    }
    let parse = |text: &String| {
        PublicKey::parse(text).map_err(|error| CommandError::of(ExitCode::Usage, &error))
    };
    named.iter().map(parse).collect()
}

/// One backup as JSON shows it.
#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    kind: &'static str,
    created_at: Timestamp,
    builds_on: Option<&'a str>,
    n_refs: usize,
    n_contents: usize,
    bundle_bytes: u64,
    missing: Vec<String>,
}

impl Row<'_> {
    fn of(manifest: &Manifest) -> Row<'_> {
        Row {
            id: &manifest.id,
            kind: if manifest.is_full() { "full" } else { "incremental" },
            created_at: manifest.created_at,
            builds_on: manifest.previous.as_ref().map(|previous| previous.id.as_str()),
            n_refs: manifest.refs.len(),
            n_contents: manifest.contents.len(),
            bundle_bytes: manifest.bundle.as_ref().map_or(0, |bundle| bundle.size_bytes),
            missing: manifest.missing.iter().map(ToString::to_string).collect(),
        }
    }

    fn text(&self) -> String {
        let Row { id, kind, n_refs, n_contents, bundle_bytes, .. } = self;
        format!(
            "{id}  {kind:<11}  {}, {}, bundle of {bundle_bytes} bytes\n",
            count(*n_refs, "ref"),
            count(*n_contents, "content")
        )
    }
}

fn create(ui: &Ui, args: &CreateArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let repo = &workspace.repo;
    let dir = directory(&args.place)?;
    let (key, stores) = (workspace.key()?, artifact::stores(repo)?);
    ui.progress("carnet: writing the backup …\n");
    let created = backup::create(repo, &key, &stores, &dir, args.full, now())?;
    // Only the daemon's schedule reads it: without it, it asks again.
    let last = repo.state_dir().join(LAST_BACKUP);
    let _ = std::fs::write(last, created.manifest.created_at.to_string());
    let pruned = args.prune.then(|| backup::prune(&dir, KEEP_DAYS, now(), false)).transpose()?;
    let row = Row::of(&created.manifest);
    if args.place.json {
        ui.json(&serde_json::json!({
            "format": "carnet/backup-create/1", "dir": dir.root(), "backup": row,
            "added_bytes": created.added_bytes,
            "pruned": pruned.as_ref().map(|pruned| &pruned.plan.remove),
        }));
    } else {
        ui.out(&row.text());
        for id in pruned.iter().flat_map(|pruned| &pruned.plan.remove) {
            ui.out(&format!("{id}  removed\n"));
        }
        ui.err(&format!(
            "carnet: next: carnet backup verify {} --in {}\n",
            row.id,
            dir.root().display()
        ));
    }
    if created.manifest.missing.is_empty() {
        return Ok(ExitCode::Done);
    }
    for digest in &created.manifest.missing {
        ui.err(&format!("carnet: content {digest} is in no store; this backup lacks it\n"));
    }
    Ok(ExitCode::Incomplete)
}

fn list(ui: &Ui, place: &Place) -> CommandResult {
    let dir = directory(place)?;
    let listed = dir.list()?;
    if place.json {
        let rows = listed.iter().map(|it| match &it.manifest {
            Ok(manifest) => serde_json::json!(Row::of(manifest)),
            Err(error) => serde_json::json!({ "id": it.id, "damaged": error.to_string() }),
        });
        let rows: Vec<_> = rows.collect();
        ui.json(&serde_json::json!({ "format": "carnet/backup-list/1", "dir": dir.root(), "backups": rows }));
    } else {
        for it in &listed {
            match &it.manifest {
                Ok(manifest) => ui.out(&Row::of(manifest).text()),
                Err(error) => ui.out(&format!("{}  {}  {error}\n", it.id, ui.red_out("damaged"))),
            }
        }
        if listed.is_empty() {
            ui.err(&format!("carnet: no backups in {}\n", dir.root().display()));
        }
    }
    let is_sound = listed.iter().all(|it| it.manifest.is_ok());
    Ok(if is_sound { ExitCode::Done } else { ExitCode::Incomplete })
}

fn verify(ui: &Ui, args: &VerifyArgs) -> CommandResult {
    let dir = directory(&args.from.place)?;
    let trusted = trusted(&args.from.trust)?;
    let scratch = Scratch::new()?;
    ui.progress("carnet: restoring into a scratch repository …\n");
    let verified = backup::verify(&dir, args.id.as_deref(), &trusted, &scratch.0)?;
    if args.from.place.json {
        let problems = verified
            .problems
            .iter()
            .map(|(what, problem)| serde_json::json!({ "what": what, "problem": problem }));
        ui.json(&serde_json::json!({
            "format": "carnet/backup-verify/1", "dir": dir.root(), "restored": verified.restored,
            "n_store_objects": verified.n_objects, "is_trusted": verified.is_trusted,
            "problems": problems.collect::<Vec<_>>(),
        }));
    } else {
        for id in &verified.restored {
            ui.out(&format!("{id}  {}\n", ui.green_out("restored")));
        }
        for (what, problem) in &verified.problems {
            ui.out(&format!("{what}  {}  {problem}\n", ui.red_out("damaged")));
        }
    }
    if !verified.is_trusted && trusted.is_empty() {
        ui.err("carnet: no key is trusted here, so only the digests were checked, not who wrote them; name one with `--trust KEY`\n");
    }
    let is_sound = verified.problems.is_empty();
    Ok(if is_sound { ExitCode::Done } else { ExitCode::Incomplete })
}

fn restore(ui: &Ui, args: &RestoreArgs) -> CommandResult {
    let dir = directory(&args.from.place)?;
    let restored =
        backup::restore(&dir, args.id.as_deref(), &args.target, &trusted(&args.from.trust)?)?;
    let manifest = &restored.manifest;
    if args.from.place.json {
        ui.json(&serde_json::json!({
            "format": "carnet/backup-restore/1", "backup": Row::of(manifest), "target": args.target,
            "n_steps": restored.n_steps, "is_trusted": restored.is_trusted, "public_key": manifest.public_key,
        }));
        return Ok(ExitCode::Done);
    }
    ui.out(&format!(
        "restored {} from {} into {}: {}, {}\n",
        manifest.id,
        count(restored.n_steps, "backup"),
        args.target.display(),
        count(manifest.refs.len(), "ref"),
        count(manifest.contents.len(), "content")
    ));
    let target = args.target.display();
    ui.err(&format!("carnet: next: carnet -C {target} init, then carnet -C {target} runs\n"));
    if !restored.is_trusted {
        ui.err(&format!(
            "carnet: it is signed by {0}; if that is the lost clone's key, its runs verify after `git -C {target} config --add carnet.trustedKey {0}`\n",
            manifest.public_key
        ));
    }
    Ok(ExitCode::Done)
}

fn prune(ui: &Ui, args: &PruneArgs) -> CommandResult {
    let dir = directory(&args.place)?;
    let pruned = backup::prune(&dir, args.keep_days, now(), args.dry_run)?;
    if args.place.json {
        let keep =
            pruned.plan.keep.iter().map(|(id, why)| serde_json::json!({ "id": id, "why": why }));
        ui.json(&serde_json::json!({
            "format": "carnet/backup-prune/1", "dir": dir.root(), "dry_run": args.dry_run,
            "removed": pruned.plan.remove, "kept": keep.collect::<Vec<_>>(), "n_removed_objects": pruned.n_objects,
        }));
        return Ok(ExitCode::Done);
    }
    let verb = if args.dry_run { "would go" } else { "removed" };
    for id in &pruned.plan.remove {
        ui.out(&format!("{id}  {verb}\n"));
    }
    for (id, why) in &pruned.plan.keep {
        ui.out(&format!("{id}  kept: {why}\n"));
    }
    Ok(ExitCode::Done)
}

/// A directory for repositories that are looked at and thrown away.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Scratch, CommandError> {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = std::env::temp_dir().join(format!("carnet-verify-{}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).create(&path).map_err(|error| {
            CommandError::new(
                ExitCode::Io,
                format!("make the directory `{}`: {error}", path.display()),
            )
        })?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl From<BackupError> for CommandError {
    fn from(error: BackupError) -> CommandError {
        match error {
            error if is_full_disk(&error) => CommandError::of(ExitCode::Io, &error).hint(
                "Make room on that disk and try again; what was begun is not read as a backup.",
            ),
            BackupError::Artifact(error) => error.into(),
            BackupError::None { .. } => CommandError::of(ExitCode::NothingToLookAt, &error)
                .hint("Look what there is: `carnet backup list --in DIR`."),
            BackupError::Damaged { .. } | BackupError::Content(_) | BackupError::Git(_) => {
                CommandError::of(ExitCode::Incomplete, &error)
                    .hint("See which backups are whole: `carnet backup verify --in DIR`.")
            }
            BackupError::Exists(_) => {
                CommandError::of(ExitCode::Incomplete, &error).hint("Try again in a second.")
            }
            BackupError::NotEmpty(_) => CommandError::of(ExitCode::Usage, &error)
                .hint("Name a directory that does not exist yet."),
            BackupError::Untrusted { .. } => CommandError::of(ExitCode::Refused, &error)
                .hint("If it is yours, name its key: `--trust KEY`."),
            BackupError::Io { .. } => CommandError::of(ExitCode::Io, &error),
        }
    }
}

/// Tells whether the disk had no room, whoever wrote: git says it in words alone.
fn is_full_disk(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(|cause| cause.to_string().contains("No space left on device"))
}
