//! From a request to a recorded run: plan, execute, record.
//!
//! [`plan`] decides and touches nothing; [`execute`] does what the plan says. A command that the lane does not admit is
//! recorded as refused and never started.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use carnet_access::keys::SigningKey;
use carnet_core::{
    Digest, Enforcement, EnforcementLevel, GitOid, LaneName, ModelRecord, Outcome, OutputRule,
    RunId, Timestamp, Usage,
    passport::{
        Log, Passport, PolicyFile, PolicyRef, Request, RunIdentity, RunKind, Source, Tool, Withheld,
    },
};
use carnet_git::{ObjectError, Repo, store::Stores};
use carnet_guard::{Guard, PolicyInForce};
use carnet_policy::{Admission, Lane, LoadLaneError, PolicyProblem, ToolLock};
use carnet_sandbox::{
    Captured, Confined, Network, OutputStream, SandboxError, SandboxSpec, Secret, ServiceAccount,
    Workspace,
};

use crate::{
    artifact::{ArtifactError, Keeper, Kept, KeptOutput},
    caches::{self, Keeping, OpenCache},
    changes::PatchError,
    checkouts::{CheckoutsError, Wanted, check_out},
    collect::{Collected, GlobError, Output, Outputs, collect},
    confine, environment, handed,
    held_back::{Given, hold_back},
    journal::{self, OpenRun},
    lanes,
    model::{self, Model},
    record::{FinishedRun, RecordError, RecordedRun, kind_of, record},
    replay::Classes,
    scratch::{Scratch, ScratchError},
    slots::take_slot,
    toolchains::Toolchains,
    tools::{HeldTool, ToolError},
};

/// Who is told of output while a command runs.
pub type Listener<'a> = &'a dyn Fn(OutputStream, &[u8]);

/// The rule of a refusal because of a tool lock.
pub const TOOL_LOCK_RULE: &str = "tools-lock";

/// What a run needs of the world around it.
#[derive(Clone)]
pub struct RunContext<'a> {
    /// The repository that is run on and recorded in.
    pub repo: &'a Repo,
    /// This clone's signing key.
    pub key: &'a SigningKey,
    /// Sees every log and output before it is stored.
    pub guard: &'a Guard<'a>,
    /// Where artifacts lie that are too large for git.
    pub stores: &'a Stores,
    /// The largest artifact that becomes a git blob, in bytes.
    pub blob_bytes_max: u64,
    /// The clock.
    pub now: &'a dyn Fn() -> Timestamp,
    /// The carnet binary, re-executed as the sandbox's inner stage.
    pub carnet_exe: &'a Path,
    /// Where workspaces are made.
    pub scratch_parent: PathBuf,
    /// Whom to become when the caller is root.
    pub service_account: Option<ServiceAccount>,
    /// Set when the person asks to stop.
    pub interrupted: &'a AtomicBool,
    /// The service account that acts, if one does.
    pub account: Option<&'a str>,
    /// What the command reads as its standard input.
    pub stdin: Option<&'a File>,
    /// Secrets that it is handed by descriptor; the record has their names.
    pub secrets: &'a [Secret],
    /// Who answers where the request names a model.
    pub model: Option<Model>,
    /// Told of output while the command runs, redacted; `None` where no one listens.
    pub on_output: Option<Listener<'a>>,
    /// Called when a run has to wait for one of its lane's places, of which there are so many.
    pub on_wait: &'a dyn Fn(&LaneName, u32),
}

/// What was asked.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The lane.
    pub lane: LaneName,
    /// The argument vector, a bare tool name first.
    pub argv: Vec<String>,
    /// Globs of outputs to collect.
    pub outputs: Vec<String>,
    /// How outputs are compared in a replay; the first glob that fits decides.
    pub classes: Vec<OutputRule>,
    /// The commit to run on.
    pub commit: GitOid,
    /// Whether the workspace's changes come back as a patch.
    pub patch: bool,
    /// A directory that a copy of stands in for the commit; only where the confinement is tried.
    pub directory: Option<PathBuf>,
    /// The address of the model that the command may ask: `http://127.0.0.1:8080/v1`.
    pub model: Option<String>,
    /// Why it runs. [`RunKind::Sandbox`] tries the lane's confinement and asks not for its allowlist.
    pub kind: RunKind,
    /// Whether success shall count as validation, and lock the run.
    pub validate: bool,
    /// What is taken from an earlier run that this one repeats.
    pub repeats: Option<Repeat>,
}

/// What a run takes from the one that it repeats.
#[derive(Debug, Clone)]
pub struct Repeat {
    /// That run.
    pub run: RunId,
    /// Its run commit: the parent of the new one where the commit that ran is not here (a shallow clone).
    pub run_commit: GitOid,
    /// What it ran on; the checkout must have its digest.
    pub source: Option<Source>,
    /// The variables it saw.
    pub variables: Option<BTreeMap<String, String>>,
}

impl Repeat {
    /// Returns the key under which a run is repeated once at a time.
    pub fn idempotency_key(&self) -> String {
        format!("replay-{}", self.run)
    }
}

/// What will be done, decided and not yet done.
#[derive(Debug)]
pub struct RunPlan {
    /// The request.
    pub request: RunRequest,
    /// The tree that will run: the commit's, unless [`RunPlan::on_uncommitted`] named another.
    pub tree: GitOid,
    /// Whether that tree holds uncommitted changes.
    pub dirty: bool,
    /// The variables that the command will see.
    pub variables: BTreeMap<String, String>,
    /// The lane as the policy in force defines it.
    pub lane: Lane,
    /// What the lane says to the command.
    pub admission: Admission,
    /// What the programs' names mean; where there is none, the fixed directories say.
    pub tool_locks: Vec<ToolLock>,
    /// The programs that are shown besides the system's.
    pub toolchains: Toolchains,
    /// Where the policy came from.
    pub policy_origin: String,
    /// The policy files that decide.
    pub policy_files: Vec<(String, String)>,
    /// Those of them that are the work tree's own.
    pub tightened_by: Vec<PolicyFile>,
    outputs: Outputs,
}

/// Why a run was neither started nor recorded.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The commit cannot be read.
    #[error("read commit `{commit}`")]
    Commit {
        /// Which one.
        commit: GitOid,
        /// Why.
        #[source]
        source: ObjectError,
    },
    /// The lane is unknown, or its file is wrong.
    #[error("load lane `{lane}`")]
    Lane {
        /// Which one.
        lane: LaneName,
        /// Why.
        #[source]
        source: LoadLaneError,
    },
    /// An output is no glob.
    #[error(transparent)]
    Output(#[from] GlobError),
    /// A tool lock is wrong, so no name means a program.
    #[error("{}", lines(.0))]
    ToolLock(Vec<PolicyProblem>),
    /// The program is not there.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The argument vector is longer than any lane admits, and than the ledger should keep.
    #[error("{0}")]
    TooLong(String),
    /// An argument holds a secret; the ledger keeps arguments, so the command is not even recorded.
    #[error("argument `{arg_idx}` holds a secret (rule `{rule}`)")]
    SecretArgument {
        /// Which argument, the tool being 0.
        arg_idx: usize,
        /// The rule that found it.
        rule: String,
    },
    /// The person asked to stop while all places of the lane were taken.
    #[error("interrupted while waiting for a place in lane `{0}`")]
    Interrupted(LaneName),
    /// There is nowhere to work.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// What was checked out is not what the run that is repeated ran on.
    #[error(
        "the source recorded with run `{run}` does not have the digest that its passport names"
    )]
    SourceDigest {
        /// The run that was to be repeated.
        run: RunId,
    },
    /// The commit could not be checked out.
    #[error("make the workspace")]
    Checkout(#[from] CheckoutsError),
    /// The confinement could not be built; nothing was started.
    #[error("confine the command")]
    Sandbox(#[from] SandboxError),
    /// The machine failed at something.
    #[error("{doing}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// What the run changed could not be told.
    #[error("make a patch of what the run changed")]
    Patch(#[from] PatchError),
    /// The run ran, and could not be recorded; the journal keeps its end.
    #[error("the command ran and could not be recorded")]
    Record {
        /// What was to be recorded.
        run: Box<UnrecordedRun>,
        /// Why it was not.
        #[source]
        source: RecordError,
    },
    /// The system's random source failed.
    #[error("the system's random source failed: {0}")]
    Random(getrandom::Error),
}

/// Decides about a request under a policy. Touches nothing.
///
/// # Errors
///
/// [`RunError`] for an unknown lane, an unreadable commit, a malformed output. A command that the lane
/// does not admit is no error: the plan says so.
pub fn plan(
    repo: &Repo,
    policy: &PolicyInForce,
    mut request: RunRequest,
) -> Result<RunPlan, RunError> {
    let (tree, dirty, variables_at) = source_of(repo, &request)?;
    let lane = lanes::load(policy, &request.lane, Some(repo.state_dir()))
        .map_err(|source| RunError::Lane { lane: request.lane.clone(), source })?;
    let recorded = request.repeats.as_ref().and_then(|it| it.variables.clone());
    let toolchains = Toolchains::find(repo, Some(&tree), lane.toolchains());
    let mut variables = recorded.unwrap_or_else(|| {
        environment::variables(variables_at, &named_variables(&lane), toolchains.search_path())
    });
    variables.extend(request.model.iter().flat_map(|address| model::variables(address)));
    let outputs = Outputs::compile(&request.outputs)?;
    // A repeat is compared as its record says.
    if request.repeats.is_none() {
        request.classes.extend_from_slice(lane.classes());
    }
    Classes::compile(&request.classes)?;
    // A try of the confinement asks neither the allowlist nor what its names mean.
    let is_asked = request.kind != RunKind::Sandbox;
    let admission = if is_asked { lane.admit(&request.argv) } else { confine::unasked(&lane) };
    let tool_lock_files: &[_] = if is_asked { &policy.tool_locks } else { &[] };
    let tool_locks = lanes::tool_locks(tool_lock_files).map_err(RunError::ToolLock)?;
    let (policy_files, tightened_by) =
        lanes::deciding_files(policy, &request.lane, tool_lock_files);
    Ok(RunPlan {
        request,
        tree,
        dirty,
        variables,
        lane,
        admission,
        tool_locks,
        toolchains,
        policy_origin: policy.origin.clone(),
        policy_files,
        tightened_by,
        outputs,
    })
}

/// The variables that a lane names: its own, and those that tell where its caches lie.
fn named_variables(lane: &Lane) -> BTreeMap<String, String> {
    let mut named = lane.environment().clone();
    for cache in lane.caches() {
        named.extend(cache.variables.iter().map(|name| (name.clone(), cache.inside())));
    }
    named
}

/// The tree that will run, whether it holds uncommitted changes, and the time that its variables speak of: the commit's, which a
/// repeat may have to do without.
fn source_of(repo: &Repo, request: &RunRequest) -> Result<(GitOid, bool, Timestamp), RunError> {
    let commit = request.commit;
    let read = repo.read_commit(&commit);
    let at = read.as_ref().map_or_else(|_| environment::pinned_mtime(), |it| it.time);
    match request.repeats.as_ref().and_then(|it| it.source.as_ref()) {
        Some(source) => Ok((source.tree, source.dirty, at)),
        None => {
            let read = read.map_err(|source| RunError::Commit { commit, source })?;
            Ok((read.tree, false, at))
        }
    }
}

fn lines(problems: &[PolicyProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl RunPlan {
    /// Runs on `tree`, what a work tree held beyond the commit.
    #[must_use]
    pub fn on_uncommitted(self, tree: GitOid) -> RunPlan {
        RunPlan { tree, dirty: true, ..self }
    }
}

/// A run that was done and could not be recorded.
#[derive(Debug)]
pub struct UnrecordedRun {
    /// The passport that it would have had.
    pub passport: Passport,
    /// Standard output and standard error as they would have been stored.
    pub logs: Vec<(&'static str, Vec<u8>)>,
}

/// A run that was recorded, with what it left for the person and for a comparison.
pub struct ExecutedRun {
    /// What the ledger holds.
    pub recorded: RecordedRun,
    /// Standard output and standard error as stored.
    pub logs: Vec<(&'static str, Vec<u8>)>,
    /// What the run changed, where that was asked for.
    pub patch: Option<Vec<u8>>,
    /// What was asked of a model, where there was one.
    pub model: Option<ModelRecord>,
    /// Findings that were redacted from logs or kept an output back.
    pub n_findings: usize,
    /// Artifacts that the shared store does not have yet: (name, why).
    pub not_shared: Vec<(String, String)>,
}

/// Does what the plan says and records how it ended.
///
/// # Errors
///
/// [`RunError`]; only [`RunError::Record`], and [`RunError::Io`] while collecting, mean that the command was started; the journal has
/// it then.
pub fn execute(ctx: &RunContext<'_>, plan: &RunPlan) -> Result<ExecutedRun, RunError> {
    if let Some(message) = carnet_policy::too_long(&plan.request.argv) {
        return Err(RunError::TooLong(message));
    }
    for (arg_idx, arg) in plan.request.argv.iter().enumerate() {
        if let Some(rule) = ctx.guard.examine_argument(arg, (ctx.now)()) {
            return Err(RunError::SecretArgument { arg_idx, rule });
        }
    }
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(RunError::Random)?;
    let id = RunId::from_random(random);
    if !plan.admission.verdict.is_allowed() {
        let reason = plan.admission.verdict.reasons.first();
        let rule = reason.map_or("no-match", |reason| reason.rule.as_str());
        let message = reason.map_or("", |reason| reason.message.as_str());
        return finish(ctx, plan, refused(ctx, plan, id, rule, message)?, None);
    }
    match confine::find_tool(plan) {
        Err(error) if error.is_refusal() => {
            let draft = refused(ctx, plan, id, TOOL_LOCK_RULE, &error.to_string())?;
            finish(ctx, plan, draft, None)
        }
        found => {
            let (draft, open) = run_confined(ctx, plan, id, found?)?;
            finish(ctx, plan, draft, Some(open))
        }
    }
}

/// What a run came to, before it is written down.
struct Draft {
    /// The passport as it stood before the command started.
    passport: Passport,
    confined: Confined,
    outputs: Vec<Output>,
    withheld: Vec<Withheld>,
    patch: Option<Vec<u8>>,
    model: Option<ModelRecord>,
    /// Holds the outputs until they are stored.
    _scratch: Option<Scratch>,
}

fn refused(
    ctx: &RunContext<'_>,
    plan: &RunPlan,
    id: RunId,
    rule: &str,
    message: &str,
) -> Result<Draft, RunError> {
    let commit = plan.request.commit;
    let tree_sha256 =
        ctx.repo.tree_digest(&plan.tree).map_err(|source| RunError::Commit { commit, source })?;
    let outcome = Outcome::Refused { rule: rule.to_owned(), message: message.to_owned() };
    let confined = Confined {
        outcome,
        usage: Usage::default(),
        enforcement: vec![],
        stdout: Captured::default(),
        stderr: Captured::default(),
        overlay: None,
    };
    let passport = passport_of_a_crash(ctx, plan, id, tree_sha256, vec![]);
    let (outputs, withheld) = (vec![], vec![]);
    Ok(Draft { passport, confined, outputs, withheld, patch: None, model: None, _scratch: None })
}

fn run_confined(
    ctx: &RunContext<'_>,
    plan: &RunPlan,
    id: RunId,
    (tool_path, held): (PathBuf, Option<HeldTool>),
) -> Result<(Draft, OpenRun), RunError> {
    let io = |doing| move |source| RunError::Io { doing, source };
    let request = &plan.request;
    // What cannot be confined is refused before anything is prepared for it.
    carnet_sandbox::can_confine()?;
    let parallel = plan.lane.quota().parallel;
    let on_wait = || (ctx.on_wait)(&request.lane, parallel);
    let _slot = take_slot(ctx.repo.state_dir(), &request.lane, parallel, ctx.interrupted, &on_wait)
        .map_err(io("take one of the lane's places"))?
        .ok_or_else(|| RunError::Interrupted(request.lane.clone()))?;
    let scratch = Scratch::create(&ctx.scratch_parent, &format!("run-{id}"))?;
    let workspace = scratch.path().join("workspace");
    std::fs::create_dir(&workspace).map_err(io("make the workspace"))?;
    let wanted = Wanted {
        repo: ctx.repo,
        tree: plan.tree,
        hidden: plan.lane.hidden(),
        account: ctx.service_account,
        mtime: environment::pinned_mtime(),
    };
    let checkout = check_out(&wanted)?;
    if let Some(Repeat { run, source: Some(source), .. }) = &request.repeats
        && source.tree_sha256 != checkout.tree_sha256
    {
        return Err(RunError::SourceDigest { run: *run });
    }
    let required = plan.lane.required_for(&plan.admission);
    let directory = request.directory.as_ref();
    let copy = directory
        .map(|directory| confine::copy_directory(directory, scratch.path(), &wanted))
        .transpose()?;
    let lower = copy.clone().unwrap_or_else(|| checkout.path());
    let state_dir = ctx.repo.state_dir();
    let opened = caches::open(state_dir, &request.lane, plan.lane.caches(), ctx.service_account)
        .map_err(io("open the lane's caches"))?;
    let stdin = ctx.stdin.map(File::try_clone).transpose();
    let (tool, executable) = held.map(|held| (held.tool, held.executable)).unzip();
    let mut spec = SandboxSpec {
        tool: tool_path,
        executable,
        argv: request.argv.clone(),
        workspace: Workspace::Overlay { lower, mount_point: workspace.clone() },
        env: plan.variables.clone(),
        quota: plan.lane.quota(),
        inner_exe: File::open(ctx.carnet_exe).map_err(io("open the carnet binary"))?,
        service_account: ctx.service_account,
        stdin: stdin.map_err(io("duplicate standard input"))?,
        secrets: ctx.secrets.to_vec(),
        network: Network::new(plan.lane.network().to_vec()),
        door: None,
        caches: opened.iter().map(OpenCache::mount).collect(),
        toolchains: plan.toolchains.mounts().to_vec(),
        leftovers: scratch.leftovers(),
    };
    let mut passport =
        passport_of_a_crash(ctx, plan, id, checkout.tree_sha256, tool.into_iter().collect());
    // No passport, no run: what a crash would leave is on the disk before the command starts.
    let open = journal::open(ctx.repo, &passport, &plan.policy_files)
        .map_err(io("write the run into the journal"))?;
    let confine = |spec| confine::run(ctx, spec, &required, &wanted, copy, workspace);
    let (ended, asked) = match ctx.model.clone().filter(|_| request.model.is_some()) {
        None => (confine(spec), None),
        Some(model) => {
            let redactor = handed::redactor(ctx.guard, ctx.secrets);
            let (ended, asked) = model::attended(model, redactor, |door| {
                spec.door = Some(door);
                confine(spec)
            });
            (ended, Some(asked))
        }
    };
    let (mut confined, left) = match ended {
        Ok(ended) => ended,
        Err(not_started) => {
            open.close(ctx.repo);
            return Err(not_started);
        }
    };
    confined.enforcement.retain(|it| it.mechanism != "parallel");
    confined.enforcement.push(Enforcement {
        mechanism: "parallel".to_owned(),
        level: EnforcementLevel::Full,
        detail: format!("file locks: {parallel} places for all processes of this repository"),
    });
    let refusal = || why_not_kept(ctx, plan, &confined.outcome);
    let (commit, account) = (request.commit, ctx.service_account);
    let keeping = Keeping { run: id, commit, account, refusal: &refusal };
    passport.caches = caches::close(opened, confined.overlay.as_ref(), &keeping);
    let mut collected = collect(&left, &plan.outputs).map_err(io("collect the outputs"))?;
    let given = Given {
        repo: ctx.repo,
        tree: &plan.tree,
        directory: request.directory.as_deref(),
        commit: request.commit,
    };
    hold_back(&given, &plan.lane, &mut collected)?;
    let patch = confine::add_patch(ctx, plan, &confined, scratch.path(), &mut collected)?;
    let Collected { outputs, withheld } = collected;
    let _scratch = Some(scratch);
    Ok((Draft { passport, confined, outputs, withheld, patch, model: asked, _scratch }, open))
}

/// Says why nothing of what this run left in caches is kept for others: one that could have been given something to plant there.
fn why_not_kept(ctx: &RunContext<'_>, plan: &RunPlan, outcome: &Outcome) -> Option<String> {
    let request = &plan.request;
    let why = match request.kind {
        RunKind::Sandbox => "it was a try of the confinement",
        RunKind::Replay => "it was a replay",
        _ if plan.dirty => "uncommitted changes ran",
        _ if request.model.is_some() => "the run could ask a model",
        _ if !ctx.secrets.is_empty() => "the run was handed secrets",
        _ if !outcome.is_success() => "the run did not succeed",
        _ if !is_reviewed(ctx.repo, request.commit, &plan.policy_origin) => {
            "its commit is not part of the policy ref"
        }
        _ => return None,
    };
    Some(why.to_owned())
}

/// Tells whether the commit is one of those that the policy's own ref holds. Without a policy ref no commit is better than others.
fn is_reviewed(repo: &Repo, commit: GitOid, policy_origin: &str) -> bool {
    if policy_origin == PolicyInForce::BUILT_IN {
        return true;
    }
    let Ok(mut git) = repo.git() else { return false };
    git.args(["merge-base", "--is-ancestor", &commit.to_string(), policy_origin]);
    git.output().is_ok_and(|answer| answer.status.success())
}

/// The passport that is recorded when carnet does not live to say how the run ended.
fn passport_of_a_crash(
    ctx: &RunContext<'_>,
    plan: &RunPlan,
    id: RunId,
    tree_sha256: Digest,
    tools: Vec<Tool>,
) -> Passport {
    let started_at = (ctx.now)();
    let request = &plan.request;
    Passport {
        run: RunIdentity {
            id,
            kind: request.kind,
            writer: ctx.key.public().writer(),
            replay_of: request.repeats.as_ref().map(|it| it.run),
            account: ctx.account.map(str::to_owned),
            idempotency_key: request.repeats.as_ref().map(Repeat::idempotency_key),
            carnet_version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        lane: request.lane.clone(),
        request: Request {
            argv: request.argv.clone(),
            outputs: request.outputs.clone(),
            validate: request.validate,
            classes: request.classes.clone(),
            patch: request.patch,
            directory: request.directory.as_ref().map(|it| it.display().to_string()),
            secrets: ctx.secrets.iter().map(|secret| secret.name().to_owned()).collect(),
            model: request.model.clone(),
        },
        source: Source {
            commit: request.commit,
            tree: plan.tree,
            dirty: plan.dirty,
            object_format: ctx.repo.object_format(),
            tree_sha256,
        },
        environment: environment::snapshot(tools, plan.variables.clone()),
        policy: PolicyRef {
            origin: plan.policy_origin.clone(),
            lane_sha256: plan.lane.digest(),
            rule: plan.admission.rule.as_ref().map_or_else(String::new, |rule| rule.id.clone()),
            scan_rules_sha256: ctx.guard.rules_digest(),
            tightened_by: plan.tightened_by.clone(),
        },
        enforcement: vec![],
        quota: plan.lane.quota(),
        usage: Usage::default(),
        caches: vec![],
        artifacts: vec![],
        withheld: vec![],
        logs: vec![],
        model: None,
        started_at,
        finished_at: started_at,
        outcome: Outcome::Crashed,
        validation_pass: false,
        incomplete: Some("carnet ended before the command did".to_owned()),
    }
}

fn finish(
    ctx: &RunContext<'_>,
    plan: &RunPlan,
    mut draft: Draft,
    open: Option<OpenRun>,
) -> Result<ExecutedRun, RunError> {
    let finished_at = (ctx.now)();
    let logs = examined_logs(ctx, &draft.confined);
    let mut keeper = Keeper::new(ctx.repo, ctx.stores, ctx.guard, ctx.blob_bytes_max);
    let (outputs, n_kept_back) = keep_outputs(&mut keeper, &mut draft, finished_at);
    let n_redacted: usize = logs.iter().map(|(log, _)| log.n_redactions as usize).sum();
    let passport = passport_of_the_end(plan, &draft, &logs, &outputs, finished_at);
    let logs: Vec<_> = logs.into_iter().map(|(_, stored)| stored).collect();
    let run = FinishedRun {
        passport: passport.clone(),
        stands_in: plan.request.repeats.as_ref().map(|it| it.run_commit),
        logs: logs.clone(),
        model: draft.model.clone(),
        outputs,
        policy_files: plan.policy_files.clone(),
    };
    match record(ctx.repo, ctx.key, run) {
        Ok(recorded) => {
            open.into_iter().for_each(|open| open.close(ctx.repo));
            let not_shared = keeper.finish();
            let n_findings = n_redacted + n_kept_back;
            let Draft { patch, model, .. } = draft;
            Ok(ExecutedRun { recorded, logs, patch, model, n_findings, not_shared })
        }
        Err(source) => {
            if let Some(open) = open {
                // When even this fails, the journal says that the run crashed.
                drop(open.note_unrecorded(&passport, &kind_of(&source)));
            }
            Err(RunError::Record { run: Box::new(UnrecordedRun { passport, logs }), source })
        }
    }
}

/// A log as the passport names it, and as it is stored.
type ExaminedLog = (Log, (&'static str, Vec<u8>));

/// Standard output and standard error without secrets.
fn examined_logs(ctx: &RunContext<'_>, confined: &Confined) -> Vec<ExaminedLog> {
    let redactor = handed::redactor(ctx.guard, ctx.secrets);
    let examined = |(name, captured): (&'static str, &Captured)| {
        let (bytes, replaced) = redactor.redact(&captured.bytes);
        let n_redactions = replaced.n();
        let log = Log {
            name: name.to_owned(),
            sha256: Digest::of(&bytes),
            size_bytes: bytes.len() as u64,
            n_redactions: u32::try_from(n_redactions).unwrap_or(u32::MAX),
            truncated: captured.truncated,
        };
        (log, (name, bytes))
    };
    [("stdout", &confined.stdout), ("stderr", &confined.stderr)].map(examined).into()
}

/// Stores the outputs that the guard lets pass, notes the others as withheld, and returns how many held a finding.
fn keep_outputs(
    keeper: &mut Keeper<'_>,
    draft: &mut Draft,
    now: Timestamp,
) -> (Vec<KeptOutput>, usize) {
    let (mut kept, mut n_kept_back) = (vec![], 0);
    for output in std::mem::take(&mut draft.outputs) {
        let reason = match keeper.keep(&output.path, &output.file, output.executable, now) {
            Ok(Kept::Stored(stored)) => {
                kept.push(stored);
                continue;
            }
            Ok(Kept::Withheld { rule }) => {
                n_kept_back += 1;
                format!("holds a finding of rule {rule}")
            }
            Err(error @ ArtifactError::Name { .. }) => error.to_string(),
            Err(other) => format!("could not be stored: {}", kind_of(&other)),
        };
        draft.withheld.push(Withheld { name: output.path.to_text(), reason });
    }
    draft.withheld.sort_by(|a, b| a.name.cmp(&b.name));
    (kept, n_kept_back)
}

/// The passport of a crash, with what came of the run instead.
fn passport_of_the_end(
    plan: &RunPlan,
    draft: &Draft,
    logs: &[ExaminedLog],
    outputs: &[KeptOutput],
    finished_at: Timestamp,
) -> Passport {
    let confined = &draft.confined;
    let succeeded = confined.outcome.is_success() && draft.withheld.is_empty();
    Passport {
        enforcement: confined.enforcement.clone(),
        usage: confined.usage,
        artifacts: outputs.iter().map(|output| output.artifact.clone()).collect(),
        withheld: draft.withheld.clone(),
        logs: logs.iter().map(|(log, _)| log.clone()).collect(),
        model: draft.model.as_ref().map(model::model_use),
        // The clock may have gone backwards meanwhile.
        finished_at: finished_at.max(draft.passport.started_at),
        outcome: confined.outcome.clone(),
        validation_pass: plan.request.validate && succeeded,
        incomplete: None,
        ..draft.passport.clone()
    }
}
