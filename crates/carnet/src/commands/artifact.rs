//! `carnet artifact`: what runs put out and what was put by hand, by name and digest.

use std::path::PathBuf;

use carnet_core::{Digest, ExitCode, GitOid, RepoPath, passport::Artifact};
use carnet_git::store::Stores;
use carnet_run::{
    artifact::{self, Keeper, Kept, Place},
    index, ledger,
    shelf::{self, ShelfError},
};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::gc::{GcArgs, gc};
use crate::{
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::{TRUSTED_KEY, Workspace, now},
};

/// Verbs of `artifact`.
#[derive(Debug, Subcommand)]
pub enum ArtifactCommand {
    /// Store a file under its SHA-256 and a name, after it was scanned.
    Put(PutArgs),
    /// Write an artifact to a file, verified while it is written.
    Get(GetArgs),
    /// List artifacts, newest first: of runs, and put by hand.
    List(ListArgs),
    /// Read artifacts to their end and compare their digests; what is damaged here is mended from the other stores.
    Verify(VerifyArgs),
    /// Send contents to the shared store that it lacks (`git config carnet.store`).
    Share(ShareArgs),
    /// Remove contents that nothing points at any more (`carnet gc` without the ledger).
    Gc(GcArgs),
}

/// Options of `artifact put`.
#[derive(Debug, Args)]
pub struct PutArgs {
    /// The file.
    pub file: PathBuf,
    /// Its name (default: the file's name).
    #[arg(long)]
    pub name: Option<String>,
    /// Write JSON (`carnet/artifact/1`).
    #[arg(long)]
    pub json: bool,
}

/// Options of `artifact get`.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// RUN:NAME, a name that was put by hand, or the first 8 or more digits of a SHA-256.
    #[arg(value_name = "WHAT")]
    pub what: String,
    /// Where to write it (default: its file name, here).
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// Replace a file that is there.
    #[arg(long)]
    pub force: bool,
    /// Write JSON (`carnet/artifact/1`).
    #[arg(long)]
    pub json: bool,
}

/// Options of `artifact list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only artifacts of this run.
    #[arg(long)]
    pub run: Option<String>,
    /// Look at the newest N runs.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub limit: usize,
    /// Write JSON (`carnet/artifacts/1`).
    #[arg(long)]
    pub json: bool,
}

/// Options of `artifact verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// As for `get`; all artifacts of all runs, and all put by hand, when left out.
    #[arg(value_name = "WHAT")]
    pub what: Option<String>,
    /// Write JSON (`carnet/artifact-verify/1`).
    #[arg(long)]
    pub json: bool,
}

/// Options of `artifact share`.
#[derive(Debug, Args)]
pub struct ShareArgs {
    /// Write JSON (`carnet/artifact-share/1`).
    #[arg(long)]
    pub json: bool,
}

/// Does what was asked.
pub fn artifact(ui: &Ui, command: &ArtifactCommand) -> CommandResult {
    match command {
        ArtifactCommand::Put(args) => put(ui, args),
        ArtifactCommand::Get(args) => get(ui, args),
        ArtifactCommand::List(args) => list(ui, args),
        ArtifactCommand::Verify(args) => verify(ui, args),
        ArtifactCommand::Share(args) => share(ui, args),
        ArtifactCommand::Gc(args) => gc(ui, args, false),
    }
}

/// An artifact and the commit whose tree holds it.
struct Found {
    artifact: Artifact,
    commit: GitOid,
    /// The run that put it out.
    run: Option<String>,
    /// Why it cannot be relied on.
    problem: Option<String>,
}

/// One artifact as JSON shows it.
#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    sha256: Digest,
    size_bytes: u64,
    media_type: &'a str,
    executable: bool,
    commit: GitOid,
    run: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a str>,
}

impl Found {
    fn row(&self) -> Row<'_> {
        let Artifact { name, sha256, size_bytes, media_type, executable } = &self.artifact;
        Row {
            name,
            sha256: *sha256,
            size_bytes: *size_bytes,
            media_type,
            executable: *executable,
            commit: self.commit,
            run: self.run.as_deref(),
            place: None,
            problem: self.problem.as_deref(),
        }
    }

    /// An error for what was put by hand, and is not the word of a writer who is trusted here.
    fn reliable(&self) -> Result<(), CommandError> {
        let Some(problem) = &self.problem else { return Ok(()) };
        let message = format!("`{}` was put by hand, and {problem}", self.artifact.name);
        Err(CommandError::new(ExitCode::Refused, message).hint(format!(
            "Ask its writer for `carnet passport key`, and type `git config --add {TRUSTED_KEY} KEY`."
        )))
    }

    fn place(&self, workspace: &Workspace) -> Result<Place, CommandError> {
        let path = format!("artifacts/{}", self.artifact.name);
        Ok(artifact::find(&workspace.repo, self.commit, &path, self.artifact.sha256)?)
    }
}

fn put(ui: &Ui, args: &PutArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let key = workspace.key()?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => args.file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
    };
    let path = RepoPath::new(name.as_bytes()).map_err(|error| {
        CommandError::of(ExitCode::Usage, &error).hint("Give it another one: `--name NAME`.")
    })?;
    let meta = std::fs::metadata(&args.file).map_err(|error| {
        CommandError::new(ExitCode::NothingToLookAt, format!("`{}`: {error}", args.file.display()))
    })?;
    if !meta.is_file() {
        let message = format!("`{}` is not a regular file", args.file.display());
        return Err(CommandError::new(ExitCode::Usage, message));
    }
    let executable = std::os::unix::fs::MetadataExt::mode(&meta) & 0o100 != 0;
    // A link that the person named is followed; one that someone swaps in meanwhile is not.
    let file = args.file.canonicalize().unwrap_or_else(|_| args.file.clone());
    let guard = workspace.guard(&key)?;
    let stores = artifact::stores(&workspace.repo)?;
    let blob_bytes_max = artifact::blob_bytes_max(&workspace.repo)?;
    let mut keeper = Keeper::new(&workspace.repo, &stores, &guard, blob_bytes_max);
    let kept = match keeper.keep(&path, &file, executable, now())? {
        Kept::Stored(kept) => kept,
        Kept::Withheld { rule } => {
            let message = format!("`{}` holds a finding of rule {rule}", args.file.display());
            return Err(CommandError::new(ExitCode::Refused, message)
                .hint(format!("See where: `carnet scan {}`.", args.file.display())));
        }
    };
    let is_new = shelf::put(&workspace.repo, &key, &workspace.trusted_keys()?, &kept, now())?;
    let not_shared = keeper.finish();
    let Artifact { name, sha256, size_bytes, .. } = &kept.artifact;
    if args.json {
        ui.json(&serde_json::json!({
            "format": "carnet/artifact/1", "name": name, "sha256": sha256, "size_bytes": size_bytes,
            "is_new": is_new, "is_shared": stores.shared.is_some() && not_shared.is_empty(),
        }));
    } else {
        let word = if is_new { "stored" } else { "was there already:" };
        ui.out(&format!("{word} {name} ({size_bytes} bytes, sha256 {sha256})\n"));
    }
    for (_, why) in &not_shared {
        ui.err(&format!("carnet: it is kept here and not in the shared store: {why}\ncarnet: try again with `carnet artifact share`\n"));
    }
    Ok(if not_shared.is_empty() { ExitCode::Done } else { ExitCode::Incomplete })
}

fn get(ui: &Ui, args: &GetArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let stores = artifact::stores(&workspace.repo)?;
    let found = find(&workspace, &args.what)?;
    found.reliable()?;
    let place = found.place(&workspace)?;
    let file_name = found.artifact.name.rsplit('/').next().unwrap_or_default();
    let target = args.output.clone().unwrap_or_else(|| PathBuf::from(file_name));
    if target.exists() && !args.force {
        return Err(CommandError::new(ExitCode::Usage, format!("`{}` exists", target.display()))
            .hint("Name another file with `-o PATH`, or type `--force`."));
    }
    let mut source = artifact::read(&workspace.repo, &stores, &place)?;
    artifact::get(&mut *source, &target, &found.artifact, args.force)?;
    if args.json {
        let artifact = found.row();
        ui.json(&serde_json::json!({ "format": "carnet/artifact/1", "artifact": artifact, "path": target }));
    } else {
        let Artifact { sha256, size_bytes, .. } = &found.artifact;
        ui.out(&format!("{} ({size_bytes} bytes, sha256 {sha256})\n", target.display()));
    }
    Ok(ExitCode::Done)
}

fn list(ui: &Ui, args: &ListArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let mut found = match &args.run {
        Some(run) => of_run(&workspace, run)?,
        None => put_by_hand(&workspace)?,
    };
    if args.run.is_none() {
        found.extend(of_runs(&workspace, args.limit)?);
    }
    if args.json {
        let rows = found.iter().map(|found| {
            let place = found.place(&workspace).map(|place| match place {
                Place::Blob(_) => "git",
                Place::Store(_) => "store",
            });
            Row { place: Some(place.unwrap_or("missing")), ..found.row() }
        });
        let rows: Vec<_> = rows.collect();
        ui.json(&serde_json::json!({ "format": "carnet/artifacts/1", "artifacts": rows }));
        return Ok(ExitCode::Done);
    }
    for Found { artifact: Artifact { name, sha256, size_bytes, .. }, run, .. } in &found {
        let run = run.as_ref().map_or("by hand ", |run| &run[..8]);
        ui.out(&format!("{}  {size_bytes:>12}  {run}  {name}\n", &sha256.to_string()[..16]));
    }
    if found.is_empty() {
        ui.err("carnet: no artifacts yet; name outputs with `carnet run --output GLOB`, or put a file: `carnet artifact put FILE`\n");
    }
    Ok(ExitCode::Done)
}

fn verify(ui: &Ui, args: &VerifyArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let stores = artifact::stores(&workspace.repo)?;
    let found = match &args.what {
        Some(what) => vec![find(&workspace, what)?],
        None => {
            let mut all = put_by_hand(&workspace)?;
            all.extend(of_runs(&workspace, usize::MAX)?);
            all
        }
    };
    let mut problems = vec![];
    for found in &found {
        if let Err(error) = check(&workspace, &stores, found) {
            problems.push((found, error));
        }
    }
    if args.json {
        let rows = problems.iter().map(|(found, error)| {
            serde_json::json!({ "artifact": found.row(), "problem": error.message, "causes": error.causes })
        });
        ui.json(&serde_json::json!({
            "format": "carnet/artifact-verify/1", "n_artifacts": found.len(), "problems": rows.collect::<Vec<_>>(),
        }));
    } else {
        for (found, error) in &problems {
            let run = found.run.as_ref().map_or("by hand", |run| &run[..8]);
            ui.out(&format!(
                "{} {run} {}: {}\n",
                ui.red_out("bad"),
                found.artifact.name,
                error.message
            ));
            error.causes.iter().for_each(|cause| ui.out(&format!("    {cause}\n")));
        }
        let n_sound = found.len() - problems.len();
        ui.out(&format!("{n_sound} of {} artifacts are what they were\n", found.len()));
        if !problems.is_empty() {
            ui.err("carnet: name a place that still has them: `git config carnet.store ADDRESS` or `git config carnet.backupDir DIR`\n");
        }
    }
    Ok(if problems.is_empty() { ExitCode::Done } else { ExitCode::Incomplete })
}

fn check(workspace: &Workspace, stores: &Stores, found: &Found) -> Result<(), CommandError> {
    let Artifact { name, sha256, .. } = &found.artifact;
    found.reliable()?;
    let place = found.place(workspace)?;
    Ok(artifact::check(&workspace.repo, stores, &place, name, *sha256)?)
}

fn share(ui: &Ui, args: &ShareArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let stores = artifact::stores(&workspace.repo)?;
    let Some(shared) = &stores.shared else {
        return Err(CommandError::new(ExitCode::Config, "no shared store is configured")
            .hint("Name one: `git config carnet.store s3://BUCKET/PREFIX`."));
    };
    let (mut n_contents, mut n_sent) = (0_usize, 0_usize);
    let _no_removal = stores.own.lease().map_err(artifact::ArtifactError::from)?;
    use carnet_git::store::{ObjectKind, ObjectStore as _};
    let lists = stores.own.list(ObjectKind::List).map_err(artifact::ArtifactError::from)?;
    for list in lists {
        let sent = stores.share(&list.key.digest).map_err(artifact::ArtifactError::from)?;
        (n_contents, n_sent) = (n_contents + 1, n_sent + usize::from(sent));
    }
    let place = shared.place();
    if args.json {
        ui.json(&serde_json::json!({
            "format": "carnet/artifact-share/1", "store": place, "n_contents": n_contents, "n_sent": n_sent,
        }));
    } else {
        ui.out(&format!("{n_sent} of {n_contents} contents were new to {place}\n"));
    }
    Ok(ExitCode::Done)
}

fn put_by_hand(workspace: &Workspace) -> Result<Vec<Found>, CommandError> {
    let put = shelf::list(&workspace.repo, &workspace.trusted_keys()?)?.into_iter();
    let found = put.map(|put| {
        let shelf::Put { artifact, commit, problem, .. } = put;
        Found { artifact, commit, run: None, problem }
    });
    Ok(found.collect())
}

fn of_run(workspace: &Workspace, run: &str) -> Result<Vec<Found>, CommandError> {
    let entry = index::open(&workspace.repo)?.find(&workspace.repo, run)?;
    let commit = entry.event().commit;
    Ok(of_commit(workspace, commit, entry.event().run.to_string())?)
}

fn of_runs(workspace: &Workspace, limit: usize) -> Result<Vec<Found>, CommandError> {
    let index = index::open(&workspace.repo)?;
    let mut found = vec![];
    for event in index.runs().filter_map(|run| run.event()).take(limit) {
        found.extend(of_commit(workspace, event.commit, event.run.to_string())?);
    }
    Ok(found)
}

fn of_commit(
    workspace: &Workspace,
    commit: GitOid,
    run: String,
) -> Result<Vec<Found>, ledger::LoadError> {
    let passport = ledger::read_passport(&workspace.repo, commit)?.predicate;
    let found = |artifact| Found { artifact, commit, run: Some(run.clone()), problem: None };
    Ok(passport.artifacts.into_iter().map(found).collect())
}

/// Finds by RUN:NAME, else by the name or digest of what was put by hand, else by the digest of a run's output.
fn find(workspace: &Workspace, what: &str) -> Result<Found, CommandError> {
    let unknown = || {
        CommandError::new(ExitCode::NothingToLookAt, format!("there is no artifact `{what}`"))
            .hint("List them: `carnet artifact list`.")
    };
    let by_hand = put_by_hand(workspace)?;
    let named = |sound| {
        by_hand.iter().position(|it| it.artifact.name == what && it.problem.is_none() == sound)
    };
    if let Some(found) = named(true).or_else(|| named(false)) {
        return by_hand.into_iter().nth(found).ok_or_else(unknown);
    }
    if let Some((run, name)) = what.split_once(':') {
        let found = of_run(workspace, run)?.into_iter();
        return found.into_iter().find(|found| found.artifact.name == name).ok_or_else(unknown);
    }
    let is_digest = what.len() >= 8 && what.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !is_digest {
        return Err(unknown());
    }
    let mut fitting: Vec<Found> = by_hand;
    fitting.extend(of_runs(workspace, usize::MAX)?);
    fitting.retain(|found| found.artifact.sha256.to_string().starts_with(what));
    let first = fitting.first().ok_or_else(unknown)?.artifact.sha256;
    if let Some(other) = fitting.iter().find(|found| found.artifact.sha256 != first) {
        let other = other.artifact.sha256;
        let message = format!("`{what}` is ambiguous: it fits {first} and {other}");
        return Err(CommandError::new(ExitCode::Usage, message).hint("Type more digits."));
    }
    Ok(fitting.swap_remove(0))
}

impl From<ShelfError> for CommandError {
    fn from(error: ShelfError) -> CommandError {
        match &error {
            ShelfError::Taken { .. } => CommandError::of(ExitCode::Refused, &error)
                .hint("An artifact never changes; give the new one another name: `--name NAME`."),
            ShelfError::Chain(_) => CommandError::of(ExitCode::Io, &error),
            _ => CommandError::of(ExitCode::Incomplete, &error)
                .hint("Ask git what it thinks: `git fsck`."),
        }
    }
}
