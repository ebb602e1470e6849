//! `carnet run`: a command in a lane, confined and recorded.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use carnet_access::keys::SigningKey;
use carnet_core::{
    ExitCode, LaneName, Outcome,
    passport::{RunKind, Statement},
};
use carnet_git::{
    Head, HeadError, Repo, WorkTreeError,
    store::{ContentError, StoreError, Stores},
};
use carnet_guard::{Guard, PolicyInForce, TOOL_LOCK_FILE};
use carnet_policy::LoadLaneError;
use carnet_run::{
    artifact::{self, ArtifactError},
    checkouts::CheckoutsError,
    event::describe,
    execute::{
        ExecutedRun, RunContext, RunError, RunPlan, RunRequest, TOOL_LOCK_RULE, UnrecordedRun,
        execute, plan,
    },
    journal,
    record::RecordError,
    scratch,
    snapshot::{self, SnapshotError},
    tools::ToolError,
};
use carnet_sandbox::{OutputStream, SandboxError, ServiceAccount};

use super::{model_address::model_at, report::count, secret_source::read_secrets};
use crate::{
    cli::RunArgs,
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::{Workspace, carnet_exe, now},
};

/// The configuration key of the user that runs become when carnet is called by root.
pub const SERVICE_USER_KEY: &str = "carnet.serviceUser";
/// Users that are tried when none is configured.
const SERVICE_USERS: [&str; 2] = ["carnet", "nobody"];

/// Bytes of git's index up to which `git status` is asked: some ten thousand files.
const INDEX_BYTES_MAX: u64 = 1 << 20;

/// Runs a command in a lane.
pub fn run(ui: &Ui, args: RunArgs) -> CommandResult {
    // Before anything is read for it.
    if let Some(message) = carnet_policy::too_long(&args.argv) {
        return Err(RunError::TooLong(message).into());
    }
    // Later a number could be one of our own descriptors.
    let secrets = read_secrets(&args.secrets)?;
    let model = args.model.as_deref().map(model_at).transpose()?;
    let workspace = Workspace::with_work_tree()?;
    let repo = &workspace.repo;
    let lane =
        LaneName::new(&args.lane).map_err(|error| CommandError::of(ExitCode::Usage, &error))?;
    let commit = commit_to_run(repo, &args.commit)?;
    let key = workspace.key()?;
    let policy = PolicyInForce::load(repo)?;
    let request = RunRequest {
        lane,
        argv: args.argv,
        outputs: args.outputs,
        classes: args.classes,
        patch: args.patch.is_some(),
        directory: None,
        model: args.model,
        commit,
        kind: if args.hotfix { RunKind::Hotfix } else { RunKind::Baseline },
        repeats: None,
        validate: args.validate,
    };
    let mut plan = plan(repo, &policy, request)?;
    let guard = workspace.guard(&key)?;
    let world = World::new(repo)?;
    close_abandoned_runs(ui, &workspace);
    if args.dirty {
        plan = with_uncommitted(ui, &workspace, plan)?;
    } else if args.commit == "HEAD" && has_uncommitted_changes(repo) {
        ui.err(
            "carnet: uncommitted changes are not part of this run; it sees the commit as it is. With `--dirty` they are\n",
        );
    }
    if plan.admission.verdict.is_allowed() {
        ui.progress(&format!(
            "carnet: running in lane {}, for {} s at most …\n",
            plan.lane.name(),
            plan.lane.quota().wall_ms / 1000
        ));
    }
    let tell = |stream: OutputStream, bytes: &[u8]| ui.tell(stream == OutputStream::Stdout, bytes);
    let mut context = world.context(repo, &key, &guard);
    context.secrets = &secrets;
    context.model = model;
    if !args.json {
        context.on_output = Some(&tell);
    }
    let executed = match execute(&context, &plan) {
        Err(RunError::Record { run, source }) => {
            return Ok(unrecorded(ui, args.json, *run, &source));
        }
        other => other?,
    };
    if let (Some(file), Some(patch)) = (&args.patch, &executed.patch) {
        write_patch(ui, file, patch, plan.lane.changes().backups)?;
    }
    if args.json {
        ui.json(&executed.recorded.statement);
    } else {
        if !matches!(executed.recorded.statement.predicate.outcome, Outcome::Refused { .. }) {
            ui.err(&summary(&executed));
        }
    }
    let outcome = &executed.recorded.statement.predicate.outcome;
    if let Outcome::Refused { message, rule } = outcome {
        let reason = plan.admission.verdict.reasons.first();
        let mut refusal = CommandError::new(ExitCode::Refused, message.clone());
        refusal.hints.extend(reason.and_then(|reason| reason.hint.clone()));
        if rule == TOOL_LOCK_RULE {
            refusal = refusal.hint(format!(
                "See what changed with `carnet tools verify`; where that was meant, `carnet tools lock {}` and commit {TOOL_LOCK_FILE} where the policy is read.",
                plan.request.argv[0]
            ));
        }
        let id = executed.recorded.statement.predicate.run.id;
        return Err(refusal.hint(format!("The refusal is recorded: `carnet show {}`.", id.short())));
    }
    Ok(outcome.exit_code())
}

/// Writes the patch where the person asked for it; the record holds it too.
fn write_patch(ui: &Ui, file: &Path, patch: &[u8], backups: bool) -> Result<(), CommandError> {
    let failed = |error: std::io::Error| {
        let message = format!("cannot write the patch to `{}`: {error}", file.display());
        CommandError::new(ExitCode::Io, message)
            .hint("The run is recorded: `carnet show RUN`, artifact `changes.patch`.")
    };
    let is_same = std::fs::read(file).is_ok_and(|was| was == patch);
    if backups
        && !is_same
        && let Some(kept) = keep_as_it_was(file).map_err(failed)?
    {
        ui.err(&format!("carnet: what was in {} is in {}\n", file.display(), kept.display()));
    }
    std::fs::write(file, patch).map_err(failed)?;
    let said = match patch.is_empty() {
        true => "carnet: the run changed nothing; the patch is empty\n".to_owned(),
        false => format!("carnet: next: git apply {}\n", file.display()),
    };
    ui.err(&said);
    Ok(())
}

/// Gives a regular file that is about to be written a second place, `FILE.~N~`, where nothing is yet, and returns it.
fn keep_as_it_was(file: &Path) -> std::io::Result<Option<PathBuf>> {
    /// Copies of one file that are kept beside it.
    const KEPT_MAX: u32 = 1000;
    let file = match std::fs::canonicalize(file) {
        Ok(file) if file.is_file() && file.metadata()?.len() > 0 => file,
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => return Ok(None),
    };
    for idx in 1..=KEPT_MAX {
        let mut kept = file.as_os_str().to_owned();
        kept.push(format!(".~{idx}~"));
        let flags = rustix::fs::RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(rustix::fs::CWD, &file, rustix::fs::CWD, &kept, flags) {
            Ok(()) => return Ok(Some(kept.into())),
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(std::io::Error::other(format!("{KEPT_MAX} copies of it are kept already")))
}

/// A run that was done and not recorded: what it came to counts all the same, and its passport will be incomplete.
pub fn unrecorded(ui: &Ui, json: bool, run: UnrecordedRun, source: &RecordError) -> ExitCode {
    if json {
        ui.json(&Statement::new(run.passport.clone()));
    }
    let why = CommandError::of(ExitCode::Io, source);
    let causes: Vec<_> = std::iter::once(why.message).chain(why.causes).collect();
    ui.err(&format!(
        "carnet: warning: run {} {} and could not be recorded: {}\n\
         carnet: make room or mend the repository; the next `carnet run` records it, incomplete: logs and artifacts are lost\n",
        run.passport.run.id.short(),
        describe(&run.passport.outcome),
        causes.join(": ")
    ));
    run.passport.outcome.exit_code()
}

/// Records what was left by a carnet that was killed, and says so.
pub fn close_abandoned_runs(ui: &Ui, workspace: &Workspace) {
    let Ok(key) = workspace.key() else { return };
    let closed = journal::close_abandoned(&workspace.repo, &key, now());
    for run in &closed.runs {
        let id = run.short();
        ui.err(&format!(
            "carnet: run {id} had been left unrecorded; it is now: carnet show {id}\n"
        ));
    }
    for problem in &closed.problems {
        ui.err(&format!("carnet: a run left unrecorded still is: {problem}\n"));
    }
}

/// Takes the work tree's changes into the plan.
fn with_uncommitted(
    ui: &Ui,
    workspace: &Workspace,
    plan: RunPlan,
) -> Result<RunPlan, CommandError> {
    let gate = workspace.gate(now())?;
    let Some(taken) = snapshot::take(&workspace.repo, &gate, &plan, now())? else {
        return Ok(plan);
    };
    for path in &taken.hidden {
        ui.err(&format!("carnet: {path} is hidden from this lane and left out\n"));
    }
    let n_paths = count(taken.n_paths, "uncommitted path");
    ui.err(&format!("carnet: this run includes {n_paths}\n"));
    Ok(plan.on_uncommitted(taken.tree))
}

/// Returns the commit that a revision names; HEAD may be unborn.
pub fn commit_to_run(repo: &Repo, name: &str) -> Result<carnet_core::GitOid, CommandError> {
    if name != "HEAD" {
        return Ok(repo.resolve_commit(name)?);
    }
    match repo.head()? {
        Head::Commit { commit_id, .. } => Ok(commit_id),
        Head::Unborn { branch } => Err(unborn(&branch)),
    }
}

/// Tells whether tracked files differ from HEAD. When git cannot say, nothing is said; nor in a repository so large that
/// asking would cost more than the run.
fn has_uncommitted_changes(repo: &Repo) -> bool {
    let index = std::fs::metadata(repo.git_dir().join("index"));
    if index.is_ok_and(|index| index.len() > INDEX_BYTES_MAX) {
        return false;
    }
    let Ok(mut git) = repo.git() else { return false };
    let status = git.args(["status", "--porcelain", "--untracked-files=no"]).output();
    status.is_ok_and(|status| status.status.success() && !status.stdout.is_empty())
}

/// The error for a repository that has no commit yet.
pub fn unborn(branch: &str) -> CommandError {
    let branch = branch.strip_prefix("refs/heads/").unwrap_or(branch);
    CommandError::new(ExitCode::NothingToLookAt, format!("branch `{branch}` has no commit yet"))
        .hint("Make one: `git commit`.")
}

/// What a run needs besides the repository: the clock, the binary, a place to work, a flag to stop it.
pub struct World {
    carnet_exe: PathBuf,
    scratch_parent: PathBuf,
    service_account: Option<ServiceAccount>,
    interrupted: Arc<AtomicBool>,
    stores: Stores,
    blob_bytes_max: u64,
    now: fn() -> carnet_core::Timestamp,
}

impl World {
    /// Looks at this process and its user.
    pub fn new(repo: &Repo) -> Result<World, CommandError> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted)).map_err(|error| {
                CommandError::new(ExitCode::Io, format!("cannot watch signals: {error}"))
            })?;
        }
        Ok(World {
            carnet_exe: carnet_exe()?,
            scratch_parent: scratch::default_parent().map_err(|error| {
                CommandError::of(ExitCode::Config, &error).hint("Set HOME or CARNET_SCRATCH_DIR.")
            })?,
            service_account: service_account(repo)?,
            interrupted,
            stores: artifact::stores(repo)?,
            blob_bytes_max: artifact::blob_bytes_max(repo)?,
            now,
        })
    }

    /// Tells whether the person asked to stop.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Puts the context of a run together.
    pub fn context<'a>(
        &'a self,
        repo: &'a Repo,
        key: &'a SigningKey,
        guard: &'a Guard<'a>,
    ) -> RunContext<'a> {
        RunContext {
            repo,
            key,
            guard,
            now: &self.now,
            carnet_exe: &self.carnet_exe,
            scratch_parent: self.scratch_parent.clone(),
            service_account: self.service_account,
            interrupted: &self.interrupted,
            stores: &self.stores,
            blob_bytes_max: self.blob_bytes_max,
            account: super::presented::account(),
            stdin: None,
            secrets: &[],
            model: None,
            on_output: None,
            on_wait: &say_that_it_waits,
        }
    }
}

fn say_that_it_waits(lane: &LaneName, parallel: u32) {
    let _ = writeln!(
        std::io::stderr(),
        "carnet: lane {lane} runs {parallel} at once already; waiting for one of them to end …"
    );
}

/// Returns the user that a run becomes when the caller is root: the configured one, else `carnet`, else `nobody`.
pub fn service_account(repo: &Repo) -> Result<Option<ServiceAccount>, CommandError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd").map_err(|error| {
        CommandError::new(ExitCode::Io, format!("cannot read /etc/passwd: {error}"))
    })?;
    if let Some(name) = repo.config_get(SERVICE_USER_KEY) {
        let account = find_user(&users, &name).ok_or_else(|| {
            CommandError::new(ExitCode::Config, format!("service user `{name}` does not exist, or is root"))
                .hint(format!("Make it: `useradd --system {name}`, or choose another with `git config {SERVICE_USER_KEY}`."))
        })?;
        return Ok(Some(account));
    }
    Ok(SERVICE_USERS.iter().find_map(|name| find_user(&users, name)))
}

fn find_user(users: &str, name: &str) -> Option<ServiceAccount> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next()? == name;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (found && uid != 0 && gid != 0).then_some(ServiceAccount { uid, gid })
    })
}

/// Returns the lines that tell a person how a run ended and where it is kept.
pub fn summary(executed: &ExecutedRun) -> String {
    let passport = &executed.recorded.statement.predicate;
    let id = passport.run.id.short();
    let mut text = format!(
        "carnet: run {id} {} in {:.1} s ({} s of processor time), lane {}\n",
        describe(&passport.outcome),
        passport.usage.wall_ms as f64 / 1000.0,
        (passport.usage.user_ms + passport.usage.system_ms) as f64 / 1000.0,
        passport.lane
    );
    for artifact in &passport.artifacts {
        text += &format!(
            "carnet: artifact {} ({} bytes, sha256 {})\n",
            artifact.name,
            artifact.size_bytes,
            &artifact.sha256.to_string()[..16]
        );
    }
    for withheld in &passport.withheld {
        text += &format!("carnet: withheld {}: {}\n", withheld.name, withheld.reason);
    }
    if let Some(model) = &passport.model {
        text +=
            &format!("carnet: asked a model: {}", count(model.n_exchanges as usize, "exchange"));
        text += match model.truncated {
            true => " recorded, and more that did not fit: this run cannot be replayed\n",
            false => " recorded; a replay answers from the record\n",
        };
    }
    if executed.n_findings > 0 {
        text += &format!(
            "carnet: {} secrets were kept out of logs and artifacts\n",
            executed.n_findings
        );
    }
    if let Some(problem) = &executed.recorded.note_problem {
        text += &format!("carnet: the run is recorded, its note is not: {problem}\n");
    }
    if let Some(problem) = &executed.recorded.lock_problem {
        text += &format!("carnet: the run is recorded and NOT locked: {problem}\n");
    }
    if let Some(problem) = &executed.recorded.sign_problem {
        text += &format!(
            "carnet: the run is recorded, your own key did not sign it: {problem}\ncarnet: look at `git config user.signingKey`, `git config gpg.format` and your agent\n"
        );
    }
    for (name, why) in &executed.not_shared {
        text += &format!(
            "carnet: {name} is kept here and not in the shared store: {why}\ncarnet: try again with `carnet artifact share`\n"
        );
    }
    text += &format!("carnet: next: carnet show {id}, carnet replay {id}\n");
    text
}

impl From<ArtifactError> for CommandError {
    fn from(error: ArtifactError) -> CommandError {
        let (exit, hint) = match &error {
            ArtifactError::Config { key, .. } => {
                (ExitCode::Config, format!("Look at it with `git config --get {key}`."))
            }
            ArtifactError::Name { .. } => {
                (ExitCode::Usage, "Give it another one: `--name NAME`.".to_owned())
            }
            ArtifactError::Content(ContentError::Store(StoreError::Address { .. })) => {
                (ExitCode::Config, "Look at it with `git config --get carnet.store`.".to_owned())
            }
            ArtifactError::Content(ContentError::Store(StoreError::Remote { .. })) => (
                ExitCode::Incomplete,
                "See that the store is there and AWS_* name the right credentials, then try again.".to_owned(),
            ),
            ArtifactError::Content(ContentError::Missing { .. } | ContentError::Damaged { .. })
            | ArtifactError::NotTheArtifact { .. }
            | ArtifactError::Missing { .. }
            | ArtifactError::Object(_) => (
                ExitCode::Incomplete,
                "Name a place that still has it: `git config carnet.store ADDRESS` or `git config carnet.backupDir DIR`.".to_owned(),
            ),
            ArtifactError::Content(ContentError::Changed) => {
                (ExitCode::Incomplete, "Try again when nobody writes to the file.".to_owned())
            }
            _ => (ExitCode::Io, "Make room or mend what is named above, then try again.".to_owned()),
        };
        CommandError::of(exit, &error).hint(hint)
    }
}

impl From<HeadError> for CommandError {
    fn from(error: HeadError) -> CommandError {
        match &error {
            HeadError::Unknown { .. } => CommandError::of(ExitCode::NothingToLookAt, &error)
                .hint("List what there is: `git log --oneline`, `git branch`."),
            HeadError::Ambiguous { .. } => {
                CommandError::of(ExitCode::Usage, &error).hint("Type more digits of the id.")
            }
            _ => CommandError::of(ExitCode::Incomplete, &error)
                .hint("Ask git what it thinks: `git fsck`."),
        }
    }
}

impl From<RunError> for CommandError {
    fn from(error: RunError) -> CommandError {
        match &error {
            RunError::Lane { source: LoadLaneError::UnknownLane { .. }, .. } => {
                CommandError::of(ExitCode::Usage, &error).hint("Name one with `--lane`.")
            }
            RunError::Lane { .. } => CommandError::of(ExitCode::Config, &error)
                .hint("Mend the file named above, commit it, and try again."),
            RunError::Output(_) => CommandError::of(ExitCode::Usage, &error)
                .hint("Name outputs relative to the workspace: `--output 'dist/*'`."),
            RunError::TooLong(_) => CommandError::of(ExitCode::Refused, &error)
                .hint("Put what is long into a file of the repository, and name the file."),
            RunError::SecretArgument { .. } => CommandError::of(ExitCode::Refused, &error)
                .hint("Put the secret where the command reads it, never on its command line; revoke it if it was typed elsewhere."),
            RunError::ToolLock(_) => CommandError::of(ExitCode::Config, &error)
                .hint("Mend the file named above, or write it anew with `carnet tools lock`."),
            RunError::Tool(ToolError::Missing { .. }) => CommandError::of(ExitCode::Refused, &error)
                .hint("Install it for the whole system, or where rustup or nvm keep theirs; of other directories in a home a run sees those that you and its lane name: `git config --add carnet.toolchain NAME=DIRECTORY`."),
            RunError::Tool(_) => CommandError::of(ExitCode::Refused, &error),
            RunError::Interrupted(_) => CommandError::of(ExitCode::Incomplete, &error),
            RunError::Sandbox(source) => sandbox_error(&error, source),
            RunError::Commit { .. }
            | RunError::Checkout(CheckoutsError::Checkout(_))
            | RunError::SourceDigest { .. } => {
                CommandError::of(ExitCode::Incomplete, &error).hint("Ask git what it thinks: `git fsck`.")
            }
            RunError::Record { .. } => CommandError::of(ExitCode::Io, &error)
                .hint("Make room or mend the repository; the next run records this one as incomplete."),
            RunError::Scratch(_) | RunError::Checkout(_) | RunError::Patch(_) | RunError::Io { .. } | RunError::Random(_) => {
                CommandError::of(ExitCode::Io, &error)
            }
        }
    }
}

impl From<SnapshotError> for CommandError {
    fn from(error: SnapshotError) -> CommandError {
        match &error {
            SnapshotError::Finding { path, rule } => {
                CommandError::of(ExitCode::Refused, &error).hint(format!(
                    "See it with `carnet scan {path}`; take it out, add the file to .gitignore, or accept it: `carnet:allow {rule} <reason>`."
                ))
            }
            SnapshotError::WorkTree(WorkTreeError::Bare(_)) => {
                CommandError::of(ExitCode::NothingToLookAt, &error)
            }
            SnapshotError::WorkTree(WorkTreeError::TooLarge { path }) => {
                CommandError::of(ExitCode::Refused, &error)
                    .hint(format!("Add `{path}` to .gitignore, or run on the commit."))
            }
            SnapshotError::WorkTree(_) => CommandError::of(ExitCode::Incomplete, &error)
                .hint("Ask git what it thinks: `git status`, `git fsck`."),
        }
    }
}

fn sandbox_error(error: &RunError, source: &SandboxError) -> CommandError {
    let exit = match source {
        SandboxError::Io { .. } => ExitCode::Io,
        SandboxError::Interrupted => ExitCode::Incomplete,
        _ => ExitCode::Refused,
    };
    let made = CommandError::of(exit, error);
    match source.hint() {
        Some(hint) => made.hint(hint),
        None => made,
    }
}
