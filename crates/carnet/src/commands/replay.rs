//! `carnet replay`: a run again, and what differs.

use carnet_core::{Content, ExitCode, Origin, OutputClass};
use carnet_guard::{Guard, PolicyInForce};
use carnet_run::{
    execute::Repeat,
    index,
    ledger::LedgerEntry,
    replay::{
        Comparison, ContentDifference, Difference, Drift, Excerpt, How, ReplayError, ReplayOptions,
        ReplayPlan, ReplayVerdict, Replayed, plan_replay, replay as run_again,
    },
};
use serde::Serialize;

use super::{
    replay_all,
    run::{World, close_abandoned_runs, commit_to_run},
    secret_source::read_secrets,
};
use crate::{
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::{Workspace, now},
};

/// Options of `replay`.
#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// The run's id, or its first digits.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub run: Option<String>,
    /// Print the plan and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Run under the policy that was recorded with the run, or under the one in force today.
    #[arg(long, value_enum, value_name = "WHICH", default_value_t)]
    pub policy: PolicyChoice,
    /// Run on HEAD's commit instead of the recorded source: does today's code give the same?
    #[arg(long)]
    pub skip_git: bool,
    /// Take the variables of today's lane, and programs as they are without comparing them.
    #[arg(long)]
    pub skip_env: bool,
    /// Compare outcome and streams alone, not the artifacts.
    #[arg(long)]
    pub skip_artifacts: bool,
    /// Hand the command again a secret that it was handed when it was recorded. May be repeated.
    #[arg(
        long = "secret",
        value_name = "NAME=store[:PATH]|file:PATH|fd:N",
        conflicts_with = "all"
    )]
    pub secrets: Vec<String>,
    /// Replay every recorded run that can be (for cron); exits with the worst verdict's code.
    #[arg(long)]
    pub all: bool,
    /// With --all: only runs since this day (YYYY-MM-DD, UTC) or time (RFC 3339).
    #[arg(long, value_name = "WHEN", requires = "all")]
    pub since: Option<String>,
    /// With --all: at most the N newest.
    #[arg(long, value_name = "N", requires = "all")]
    pub limit: Option<usize>,
    /// Write JSON (`carnet/replay/1`, with --all `carnet/replay-all/1`).
    #[arg(long)]
    pub json: bool,
}

/// Policies to replay under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum PolicyChoice {
    /// The one recorded with the run, by its digest.
    #[default]
    Recorded,
    /// The one in force today.
    Current,
}

/// `carnet replay --json`.
#[derive(Default, Serialize)]
struct ReplayReport {
    format: &'static str,
    run: String,
    dry_run: bool,
    plan: Option<PlanReport>,
    verdict: Option<&'static str>,
    reason: Option<String>,
    hints: Vec<String>,
    replay_run: Option<String>,
    differences: Vec<DifferenceLine>,
    forgiven: Vec<ForgivenLine>,
    incomparable: Vec<IncomparableLine>,
}

#[derive(Serialize)]
struct PlanReport {
    run_commit: String,
    source_commit: String,
    source_tree: String,
    lane: String,
    lane_sha256: String,
    policy: String,
    argv: Vec<String>,
    outputs: Vec<String>,
    compare: Vec<String>,
    classes: Vec<String>,
    variables: std::collections::BTreeMap<String, String>,
    secrets: Vec<String>,
    idempotency_key: Option<String>,
    tool_drift: Vec<String>,
}

#[derive(Default, Serialize)]
struct DifferenceLine {
    path: String,
    class: OutputClass,
    detail: String,
    first_byte: Option<u64>,
    members: Vec<String>,
    line: Option<u64>,
    recorded: Option<String>,
    replayed: Option<String>,
    likely_cause: Option<&'static str>,
    declare: Option<String>,
}

#[derive(Serialize)]
struct ForgivenLine {
    path: String,
    class: OutputClass,
}

#[derive(Serialize)]
struct IncomparableLine {
    path: String,
    missing: String,
}

/// Replays one run, or with `--all` every one.
pub fn replay(ui: &Ui, args: &ReplayArgs) -> CommandResult {
    let secrets = read_secrets(&args.secrets)?;
    let workspace = Workspace::with_work_tree()?;
    let Some(run) = &args.run else { return replay_all::replay_all(ui, &workspace, args) };
    let entry = &index::open(&workspace.repo)?.find(&workspace.repo, run)?;
    fetch_promised(ui, &workspace, entry, args);
    let planned = plan(&workspace, entry, args)?;
    let mut report = ReplayReport {
        format: "carnet/replay/1",
        run: entry.event().run.to_string(),
        dry_run: args.dry_run,
        plan: planned.as_ref().ok().map(plan_report),
        ..ReplayReport::default()
    };
    if args.dry_run && planned.is_ok() {
        if args.json {
            ui.json(&report)
        } else {
            ui.out(&plan_text(&report, args))
        }
        return Ok(ExitCode::Done);
    }
    let done = planned.and_then(|plan| {
        let key = workspace.key()?;
        close_abandoned_runs(ui, &workspace);
        let guard = workspace.guard(&key)?;
        let world = World::new(&workspace.repo)?;
        let mut context = world.context(&workspace.repo, &key, &guard);
        context.secrets = &secrets;
        let replayed = run_again(&context, &plan, &|| {
            ui.err("carnet: another replay of this run is going on; waiting for it to end …\n");
        });
        Ok(replayed.map(|replayed| {
            report.fill(&replayed, &guard);
            replayed.verdict
        })?)
    });
    let verdict = match done {
        Ok(verdict) => verdict,
        Err(Failure { verdict: Some(verdict), error }) => {
            let reason = std::iter::once(&error.message).chain(&error.causes);
            report.reason = Some(reason.cloned().collect::<Vec<_>>().join(": "));
            report.hints = error.hints;
            verdict
        }
        Err(Failure { verdict: None, error }) => return Err(error),
    };
    report.verdict = Some(verdict.name());
    if args.json {
        ui.json(&report);
    } else {
        ui.out(&verdict_text(ui, &report, verdict));
        report.hints.iter().for_each(|hint| ui.err(&format!("{} {hint}\n", ui.cyan("hint:"))));
    }
    Ok(verdict.exit_code())
}

/// Why there is no comparison: a verdict by itself, or a failure of the machine.
pub struct Failure {
    /// What it says of the run.
    pub verdict: Option<ReplayVerdict>,
    /// What to print.
    pub error: CommandError,
}

impl From<ReplayError> for Failure {
    fn from(error: ReplayError) -> Failure {
        Failure { verdict: error.verdict(), error: error.into() }
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Failure {
        Failure { verdict: None, error }
    }
}

/// Fetches what a partial clone lacks of a run. Where that fails, the verdict says what is missing.
pub fn fetch_promised(ui: &Ui, workspace: &Workspace, entry: &LedgerEntry, args: &ReplayArgs) {
    if !args.dry_run
        && let Err(error) = workspace.repo.fetch_promised(&entry.event().commit)
    {
        ui.err(&format!("carnet: what this partial clone lacks could not be fetched: {error}\n"));
    }
}

/// Plans the replay of one run as the person asked for it.
pub fn plan(
    workspace: &Workspace,
    entry: &LedgerEntry,
    args: &ReplayArgs,
) -> Result<Result<ReplayPlan, Failure>, CommandError> {
    let repo = &workspace.repo;
    let policy = match args.policy {
        PolicyChoice::Recorded => None,
        PolicyChoice::Current => Some(PolicyInForce::load(repo)?),
    };
    let commit = if args.skip_git { Some(commit_to_run(repo, "HEAD")?) } else { None };
    let options = ReplayOptions {
        policy,
        commit,
        skip_env: args.skip_env,
        skip_artifacts: args.skip_artifacts,
    };
    let trusted = workspace.trusted_keys()?;
    Ok(plan_replay(repo, entry, &trusted, &options).map_err(Failure::from))
}

fn plan_report(plan: &ReplayPlan) -> PlanReport {
    let passport = &plan.passport;
    let request = &plan.run_plan.request;
    PlanReport {
        run_commit: plan.run_commit.to_string(),
        source_commit: request.commit.to_string(),
        source_tree: plan.run_plan.tree.to_string(),
        lane: request.lane.to_string(),
        lane_sha256: plan.run_plan.lane.digest().to_string(),
        policy: plan.run_plan.policy_origin.clone(),
        argv: request.argv.clone(),
        outputs: request.outputs.clone(),
        compare: std::iter::once("outcome".to_owned()).chain(plan.compared()).collect(),
        classes: passport.request.classes.iter().map(ToString::to_string).collect(),
        variables: plan.run_plan.variables.clone(),
        secrets: passport.request.secrets.clone(),
        idempotency_key: request.repeats.as_ref().map(Repeat::idempotency_key),
        tool_drift: plan.tool_drift.iter().map(Drift::words).collect(),
    }
}

fn plan_text(report: &ReplayReport, args: &ReplayArgs) -> String {
    let Some(plan) = &report.plan else { return String::new() };
    let run = &report.run[..8];
    let which = |skipped: bool| if skipped { "as of today" } else { "as recorded" };
    let mut text = format!("plan of a replay of run {run}\n");
    text += &format!(
        "  1. check out tree {} of commit {} into a fresh workspace\n",
        &plan.source_tree[..12],
        &plan.source_commit[..12]
    );
    text += &format!(
        "  2. take lane {} {} (sha256 {})\n",
        plan.lane,
        which(args.policy == PolicyChoice::Current),
        &plan.lane_sha256[..16]
    );
    text += &format!("  3. set {} variables {}\n", plan.variables.len(), which(args.skip_env));
    text += &format!("  4. run in the same confinement: {}\n", plan.argv.join(" "));
    text += &format!("  5. compare: {}\n", plan.compare.join(", "));
    if !plan.classes.is_empty() {
        text += &format!("     not byte for byte: {}\n", plan.classes.join(", "));
    }
    for drift in &plan.tool_drift {
        text += &format!("  changed since: {drift}\n");
    }
    if !plan.secrets.is_empty() {
        text += &format!("  to be handed again: {}\n", plan.secrets.join(", "));
    }
    let secrets = plan.secrets.iter().map(|name| format!(" --secret {name}=file:PATH"));
    let secrets: String = secrets.collect();
    text += &format!("Nothing was changed. Do it: carnet replay {run}{secrets}\n");
    text
}

impl ReplayReport {
    fn fill(&mut self, replayed: &Replayed, guard: &Guard<'_>) {
        let Comparison { differences, forgiven, incomparable } = &replayed.comparison;
        self.replay_run = Some(replayed.executed.recorded.statement.predicate.run.id.to_string());
        self.differences = differences.iter().map(|it| line(it, guard)).collect();
        self.forgiven = forgiven
            .iter()
            .map(|(path, class)| ForgivenLine { path: path.clone(), class: *class })
            .collect();
        self.incomparable = incomparable
            .iter()
            .map(|(path, missing)| IncomparableLine {
                path: path.clone(),
                missing: missing.clone(),
            })
            .collect();
    }
}

fn line(difference: &Difference, guard: &Guard<'_>) -> DifferenceLine {
    let detail = match &difference.how {
        How::Content(content) => format!(
            "differs from byte {} on ({} bytes recorded, {} now)",
            content.first_byte, content.recorded_bytes, content.replayed_bytes
        ),
        How::Unreadable { missing } => {
            format!("has another digest, and the recorded bytes are gone: {missing}")
        }
        How::Missing => "was recorded and did not come out now".to_owned(),
        How::Extra => "came out now and was not recorded".to_owned(),
        How::Other { recorded, replayed } => format!("was {recorded}, is now {replayed}"),
    };
    let mut line = DifferenceLine {
        path: difference.path.clone(),
        class: difference.class,
        detail,
        ..DifferenceLine::default()
    };
    if let How::Content(content) = &difference.how {
        line.add_content(content, guard);
    }
    line
}

impl DifferenceLine {
    fn add_content(&mut self, content: &ContentDifference, guard: &Guard<'_>) {
        self.first_byte = Some(content.first_byte);
        self.members = content.place.members.clone();
        self.line = content.place.line;
        self.recorded = Some(shown(&self.path, &content.recorded, guard));
        self.replayed = Some(shown(&self.path, &content.replayed, guard));
        let Some(cause) = &content.cause else { return };
        self.likely_cause = Some(cause.words);
        let name = self.path.strip_prefix("artifacts/").or(self.path.strip_prefix("logs/"));
        self.declare = cause
            .class
            .as_ref()
            .map(|class| format!("--class '{}={class}'", name.unwrap_or(&self.path)));
    }
}

/// Shows bytes so that a person can compare them; what the guard would keep back is masked.
fn shown(path: &str, excerpt: &Excerpt, guard: &Guard<'_>) -> String {
    let mut bytes = excerpt.context.clone();
    let content = Content { origin: Origin::Artifact(path.to_owned()), bytes: bytes.clone() };
    for met in guard.examine(std::iter::once(content), now()).findings {
        let Some(region) = met.finding.region else { continue };
        let end = region.end.min(bytes.len());
        bytes[region.start.min(end)..end].fill(b'*');
    }
    let bytes = &bytes[excerpt.shown.clone()];
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(|c: char| c.is_control() && !c.is_whitespace()) => {
            format!("{text:?}")
        }
        _ => bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "),
    }
}

fn verdict_text(ui: &Ui, report: &ReplayReport, verdict: ReplayVerdict) -> String {
    let word = painted(ui, verdict);
    let mut text = format!("{word} run {}", &report.run[..8]);
    if let Some(replay_run) = &report.replay_run {
        text += &format!(" (replayed as run {})", &replay_run[..8]);
    }
    if let Some(reason) = &report.reason {
        text += &format!(": {reason}");
    }
    text.push('\n');
    for difference in &report.differences {
        text += &difference_text(difference);
    }
    for IncomparableLine { path, missing } in &report.incomparable {
        text += &format!("  {path}: cannot be compared: {missing}\n");
    }
    for ForgivenLine { path, class } in &report.forgiven {
        text += &format!("  {path}: other bytes, the same as {class:?}\n").to_lowercase();
    }
    let Some(plan) = &report.plan else { return text };
    for drift in &plan.tool_drift {
        let cause = if verdict.is_match() { "changed since" } else { "likely cause" };
        text += &format!("  {cause}: {drift}\n");
    }
    if verdict == ReplayVerdict::MatchExact {
        text += &format!("  {} are the same\n", plan.compare.join(", "));
    }
    text
}

fn difference_text(line: &DifferenceLine) -> String {
    let mut text = format!("  {}: {}\n", line.path, line.detail);
    let member = line.members.iter().map(|member| format!("in member {member}"));
    let place = member.chain(line.line.map(|line| format!("line {line}"))).collect::<Vec<_>>();
    if !place.is_empty() {
        text += &format!("      {}\n", place.join(", "));
    }
    if let (Some(recorded), Some(replayed)) = (&line.recorded, &line.replayed) {
        text += &format!("      recorded  {recorded}\n      now       {replayed}\n");
    }
    if let Some(cause) = line.likely_cause {
        text += &format!("      likely cause: {cause}");
        let declare = line.declare.as_ref();
        text += &declare
            .map_or_else(String::new, |it| format!("; it is no difference with carnet run {it}"));
        text.push('\n');
    }
    text
}

/// A verdict in its colour.
pub fn painted(ui: &Ui, verdict: ReplayVerdict) -> String {
    match verdict {
        ReplayVerdict::MatchExact | ReplayVerdict::MatchNormalised => ui.green_out(verdict.name()),
        ReplayVerdict::EnvDrift | ReplayVerdict::NotReplayable => ui.yellow_out(verdict.name()),
        ReplayVerdict::Refused | ReplayVerdict::Diverged => ui.red_out(verdict.name()),
    }
}

impl From<ReplayError> for CommandError {
    fn from(error: ReplayError) -> CommandError {
        let exit = error.verdict().map_or(ExitCode::Io, ReplayVerdict::exit_code);
        let made = CommandError::of(exit, &error);
        match &error {
            ReplayError::Secrets { run, names, .. } => {
                let secrets = names.iter().map(|name| format!(" --secret {name}=file:PATH"));
                let secrets: String = secrets.collect();
                made.hint(format!("Hand them over again: `carnet replay {}{secrets}`.", run.short()))
            }
            ReplayError::NothingRan { .. } => made.hint("Choose a run that ran: `carnet runs`."),
            ReplayError::Incomplete { run, .. } | ReplayError::PolicyDigest { run } => {
                made.hint(format!("See what is damaged: `carnet passport verify {}`.", run.short()))
            }
            ReplayError::NoSource { missing, .. } => made.hint(format!(
                "Fetch what the clone lacks: `git fetch --unshallow`, or `git cat-file -p {missing}` in a partial clone."
            )),
            ReplayError::Untrusted { .. } => made.hint(
                "Where the writer is known to you, ask for `carnet passport key` there and type `git config --add carnet.trustedKey KEY` here.",
            ),
            ReplayError::NotAdmitted { .. } => made.hint(
                "Replay under the policy it ran under: leave out `--policy current`.",
            ),
            ReplayError::Interrupted(_) => CommandError::of(ExitCode::Incomplete, &error),
            ReplayError::Lock { .. } => CommandError::of(ExitCode::Io, &error),
            ReplayError::Run(_) | ReplayError::Artifact(_) => match error {
                ReplayError::Run(error) => error.into(),
                ReplayError::Artifact(error) => (*error).into(),
                _ => made,
            },
        }
    }
}
