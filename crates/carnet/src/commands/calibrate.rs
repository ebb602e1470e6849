//! `carnet calibrate`: what runs of a lane take, learnt from recorded runs that may teach, and why a run did or did not.
//!
//! The state is a chain of commits under `refs/carnet/calibration`, each with the state as it then was; `docs/format/calibration.md`.

use std::collections::BTreeSet;

use carnet_access::keys::PublicKey;
use carnet_core::{
    Body, Digest, ExitCode, GitOid, LaneName, ModelRecord, RepoPath, RunId,
    passport::{Passport, Statement},
};
use carnet_git::{Author, CommitSpec, EntryMode, RefUpdateError, Repo, TreeSpec};
use carnet_policy::calibration::{
    Calibration, CalibrationError, Cell, CellKey, Decision, Measures, Quantity, RunFacts,
};
use carnet_run::{
    index,
    ledger::{LedgerEntry, read_file},
    model,
};
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;

use crate::{
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::{Workspace, now},
};

const REF: &str = "refs/carnet/calibration";
const STATE_FILE: &str = "calibration.json";
const SEEN_FILE: &str = "seen";
/// Largest state, and largest list of runs that were seen, in bytes: two million runs.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Writers at once that one update gives way to.
const ATTEMPTS_MAX: usize = 20;
/// The provider of runs that asked no model.
const NO_PROVIDER: &str = "none";

/// Verbs of `calibrate`.
#[derive(Debug, Subcommand)]
pub enum CalibrateCommand {
    /// Show the priors: mean and 90 % interval of tokens, time and cost by lane and provider.
    #[command(
        after_help = "Examples:\n  carnet calibrate show\n  carnet calibrate show --lane code-impl --json\n  git log refs/carnet/calibration      how they came to be"
    )]
    Show(ShowArgs),
    /// Learn from the runs that were recorded since.
    #[command(
        after_help = "Examples:\n  carnet calibrate update --dry-run\n  carnet calibrate update\n  carnet calibrate update --min-runs 8    from now on, eight new runs before a prior moves"
    )]
    Update(UpdateArgs),
    /// Let the priors of a lane stand still until they are thawed.
    #[command(
        after_help = "Example:\n  carnet calibrate freeze code-impl/openai --reason \"the provider changed its prices\""
    )]
    Freeze(FreezeArgs),
    /// Let frozen priors move again: what was held since is how it is now.
    #[command(after_help = "Example:\n  carnet calibrate thaw code-impl/openai")]
    Thaw(ThawArgs),
    /// Say whether a run teaches, why not, and how far it lies from what was expected.
    #[command(after_help = "Example:\n  carnet calibrate explain 5f0c")]
    Explain(ExplainArgs),
}

/// Options of `calibrate show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Only this lane's.
    #[arg(long)]
    lane: Option<String>,
    /// Write JSON (`carnet/calibrate-show/1`).
    #[arg(long)]
    json: bool,
}

/// Options of `calibrate update`.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// New runs that a prior needs before it moves, from now on (5 where never said).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=200))]
    min_runs: Option<u16>,
    /// Say what would be learnt, and learn nothing.
    #[arg(long)]
    dry_run: bool,
    /// Write JSON (`carnet/calibrate-update/1`).
    #[arg(long)]
    json: bool,
}

/// Options of `calibrate freeze`.
#[derive(Debug, Args)]
pub struct FreezeArgs {
    /// Whose priors, as `LANE/PROVIDER`; the provider is `none` where no model is asked.
    #[arg(value_name = "LANE/PROVIDER")]
    cell: String,
    /// Why.
    #[arg(long)]
    reason: String,
}

/// Options of `calibrate thaw`.
#[derive(Debug, Args)]
pub struct ThawArgs {
    /// Whose priors, as `LANE/PROVIDER`.
    #[arg(value_name = "LANE/PROVIDER")]
    cell: String,
}

/// Options of `calibrate explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The run's id, or its first digits.
    run: String,
    /// Write JSON (`carnet/calibrate-explain/1`).
    #[arg(long)]
    json: bool,
}

/// Answers one verb.
pub fn calibrate(ui: &Ui, command: &CalibrateCommand) -> CommandResult {
    match command {
        CalibrateCommand::Show(args) => show(ui, args),
        CalibrateCommand::Update(args) => update(ui, args),
        CalibrateCommand::Freeze(args) => {
            change(ui, &args.cell, "freeze", &|state, key| state.freeze(key, &args.reason, now()))
        }
        CalibrateCommand::Thaw(args) => {
            change(ui, &args.cell, "thaw", &|state, key| state.thaw(key))
        }
        CalibrateCommand::Explain(args) => explain(ui, args),
    }
}

/// What is stored, and where it was read.
struct Stored {
    state: Calibration,
    seen: BTreeSet<RunId>,
    tip: Option<GitOid>,
}

impl Stored {
    fn load(repo: &Repo) -> Result<Stored, CommandError> {
        let damaged = |error: &dyn std::error::Error| {
            CommandError::new(ExitCode::Incomplete, format!("read {REF}: {error}"))
                .hint(format!("See its history with `git log {REF}`, and go back with `git update-ref {REF} COMMIT`."))
        };
        let tip = repo.read_ref(REF).map_err(|error| damaged(&error))?;
        let Some(commit) = tip else {
            return Ok(Stored { state: Calibration::default(), seen: BTreeSet::new(), tip });
        };
        let read = |name: &str| {
            let bytes = repo.read_path(&commit, &path(name), FILE_BYTES_MAX);
            bytes.map(Option::unwrap_or_default).map_err(|error| damaged(&error))
        };
        let state = Calibration::from_json(&read(STATE_FILE)?).map_err(|error| damaged(&error))?;
        let seen = String::from_utf8(read(SEEN_FILE)?).map_err(|error| damaged(&error))?;
        let seen: Result<_, _> = seen.lines().map(RunId::from_hex).collect();
        Ok(Stored { state, seen: seen.map_err(|error| damaged(&error))?, tip })
    }

    /// Writes the state as the next commit; false when another process was faster.
    fn store(&self, repo: &Repo, subject: &str) -> Result<bool, CommandError> {
        let failed =
            |error: &(dyn std::error::Error + 'static)| CommandError::of(ExitCode::Io, error);
        let blob = |bytes: &[u8]| repo.write_blob(bytes).map_err(|error| failed(&error));
        let seen: String = self.seen.iter().map(|run| format!("{run}\n")).collect();
        let tree = TreeSpec::new()
            .file(path(STATE_FILE), EntryMode::File, blob(self.state.to_json().as_bytes())?)
            .file(path(SEEN_FILE), EntryMode::File, blob(seen.as_bytes())?);
        let spec = CommitSpec {
            tree: repo.write_tree(&tree).map_err(|error| failed(&error))?,
            parents: self.tip.into_iter().collect(),
            message: subject.to_owned(),
            author: Author { name: "carnet".to_owned(), email: "carnet@carnet.invalid".to_owned() },
            time: now(),
        };
        let commit = repo.write_commit(&spec).map_err(|error| failed(&error))?;
        match repo.update_ref(REF, &commit, self.tip.as_ref(), subject) {
            Ok(()) => Ok(true),
            Err(RefUpdateError::Raced { .. }) => Ok(false),
            Err(error) => Err(failed(&error)),
        }
    }
}

fn path(name: &str) -> RepoPath {
    RepoPath::new(name.as_bytes()).expect("because carnet's own paths are well formed")
}

/// What a change says, and the subject of its commit; none where nothing is to be stored.
type Changed<T> = Result<(T, Option<String>), CommandError>;

/// Loads, changes and stores, again whenever another process was faster.
fn with_state<T>(
    repo: &Repo,
    change: &mut dyn FnMut(&mut Stored) -> Changed<T>,
) -> Result<T, CommandError> {
    for _ in 0..ATTEMPTS_MAX {
        let mut stored = Stored::load(repo)?;
        let (said, subject) = change(&mut stored)?;
        match subject {
            Some(subject) if !stored.store(repo, &subject)? => {}
            _ => return Ok(said),
        }
    }
    Err(CommandError::new(ExitCode::Incomplete, "others calibrate at the same time")
        .hint("Try again: `carnet calibrate update`."))
}

#[derive(Serialize)]
struct UpdateReport {
    format: &'static str,
    dry_run: bool,
    n_runs: usize,
    /// Runs whose signature no trusted key made, or that cannot be read: they may count later.
    n_untrusted: usize,
    steps: Vec<StepLine>,
}

#[derive(Serialize)]
struct StepLine {
    run: String,
    cell: String,
    /// `excluded`, `waits`, `moved`, `froze`, `held` or `recovered`.
    decision: &'static str,
    reason: Option<String>,
}

fn update(ui: &Ui, args: &UpdateArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let trusted = workspace.trusted_keys()?;
    let repo = &workspace.repo;
    let index = index::open(repo)?;
    let report = with_state(repo, &mut |stored| {
        let before = stored.state.clone();
        if let Some(n) = args.min_runs {
            stored.state.set_runs_min(usize::from(n));
        }
        let mut unseen: Vec<RunId> =
            index.runs().map(|run| run.run).filter(|run| !stored.seen.contains(run)).collect();
        unseen.reverse();
        let mut steps = vec![];
        let mut n_untrusted = 0;
        for run in unseen {
            let entry = index.find(repo, &run.to_string())?;
            let Ok(facts) = facts(repo, &entry, &trusted) else {
                n_untrusted += 1;
                continue;
            };
            let step = stored.state.learn(&facts);
            stored.seen.insert(run);
            let (decision, reason) = said(&step.decision);
            steps.push(StepLine {
                run: run.to_string(),
                cell: step.cell.to_string(),
                decision,
                reason,
            });
        }
        let is_news = !steps.is_empty() || before != stored.state;
        let subject = (is_news && !args.dry_run).then(|| subject(&steps));
        let n_runs = steps.len();
        let (format, dry_run) = ("carnet/calibrate-update/1", args.dry_run);
        Ok((UpdateReport { format, dry_run, n_runs, n_untrusted, steps }, subject))
    })?;
    if args.json {
        ui.json(&report);
        return Ok(ExitCode::Done);
    }
    for step in &report.steps {
        let reason = step.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        ui.out(&format!("{}  {}  {}{reason}\n", &step.run[..8], step.cell, step.decision));
    }
    let would = if args.dry_run { " (nothing was stored)" } else { "" };
    ui.err(&format!("carnet: {} new runs{would}; next: carnet calibrate show\n", report.n_runs));
    if report.n_untrusted > 0 {
        ui.err(&format!(
            "carnet: {} runs do not count, for no key trusted here signed them; `git config --add carnet.trustedKey KEY` trusts one\n",
            report.n_untrusted
        ));
    }
    Ok(ExitCode::Done)
}

fn subject(steps: &[StepLine]) -> String {
    let count = |what: &str| steps.iter().filter(|step| step.decision == what).count();
    let mut subject = format!("calibrate: {} runs seen", steps.len());
    for (what, word) in [("moved", "moved"), ("froze", "froze"), ("recovered", "recovered")] {
        if count(what) > 0 {
            subject += &format!(", {} batches {word}", count(what));
        }
    }
    for step in steps.iter().filter(|step| step.decision == "froze") {
        let reason = step.reason.as_deref().unwrap_or_default();
        subject += &format!("\n\n{} froze: {reason}", step.cell);
    }
    subject
}

fn said(decision: &Decision) -> (&'static str, Option<String>) {
    match decision {
        Decision::Excluded(why) => ("excluded", Some(why.to_string())),
        Decision::Waits { n, needed } => ("waits", Some(format!("{n} of {needed} runs"))),
        Decision::Moved => ("moved", None),
        Decision::Froze(why) => ("froze", Some(why.clone())),
        Decision::Held(why) => ("held", Some(why.clone())),
        Decision::Recovered => ("recovered", None),
    }
}

/// What a run took, as its signed record says; an error where no trusted key vouches for that.
fn facts(repo: &Repo, entry: &LedgerEntry, trusted: &[PublicKey]) -> Result<RunFacts, String> {
    let event = entry.event();
    entry.signed.verify(trusted).map_err(|error| error.to_string())?;
    let bytes =
        read_file(repo, event.commit, "passport.json").map_err(|error| error.to_string())?;
    if Digest::of(&bytes) != event.passport_sha256 {
        return Err("its passport is not the one that the ledger names".to_owned());
    }
    let passport = Statement::from_json(&bytes).map_err(|error| error.to_string())?.predicate;
    let record = model::read_record(repo, event.commit, &passport).map_err(|it| it.to_string())?;
    Ok(facts_of(&passport, &record.unwrap_or_default()))
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds and tokens are far fewer than 2^53")]
fn facts_of(passport: &Passport, record: &ModelRecord) -> RunFacts {
    let mut measures = Measures::from([(Quantity::TimeMs, passport.usage.wall_ms as f64)]);
    let mut provider = None;
    let (mut tokens, mut cost) = (0_u64, None);
    for exchange in record.exchanges() {
        let Some(reply) = last_json(&exchange.reply.body) else { continue };
        let usage = &reply["usage"];
        tokens += usage["total_tokens"].as_u64().unwrap_or_else(|| {
            ["input_tokens", "output_tokens"].iter().filter_map(|it| usage[it].as_u64()).sum()
        });
        if let Some(usd) = reply["carnet"]["cost_usd"].as_f64() {
            cost = Some(cost.unwrap_or(0.0) + usd);
        }
        let named = reply["carnet"]["provider"].as_str();
        provider = provider.or_else(|| named.map(str::to_owned));
    }
    let provider = match (provider, &passport.model) {
        (Some(provider), _) => provider,
        // A model that was asked without the broker says nothing of its provider.
        (None, Some(_)) => "direct".to_owned(),
        (None, None) => NO_PROVIDER.to_owned(),
    };
    if tokens > 0 {
        measures.insert(Quantity::Tokens, tokens as f64);
    }
    if let Some(usd) = cost {
        measures.insert(Quantity::CostUsd, usd);
    }
    RunFacts {
        run: passport.run.id,
        kind: passport.run.kind,
        is_replay: passport.run.replay_of.is_some(),
        succeeded: passport.outcome.is_success(),
        validated: passport.validation_pass,
        is_incomplete: passport.incomplete.is_some(),
        at: passport.finished_at,
        lane: passport.lane.clone(),
        provider,
        measures,
    }
}

/// A reply's JSON; of a stream of events, the last one that has a `usage`.
fn last_json(body: &Body) -> Option<Value> {
    let bytes = body.to_bytes();
    if let Ok(value) = serde_json::from_slice(&bytes) {
        return Some(value);
    }
    let lines = bytes.split(|byte| *byte == b'\n').rev();
    let events = lines.filter_map(|line| line.strip_prefix(b"data:"));
    let mut values = events.filter_map(|event| serde_json::from_slice::<Value>(event).ok());
    values.find(|value| value["usage"].is_object())
}

fn change(
    ui: &Ui,
    cell: &str,
    verb: &str,
    how: &dyn Fn(&mut Calibration, &CellKey) -> Result<(), CalibrationError>,
) -> CommandResult {
    let workspace = Workspace::discover()?;
    let key = CellKey::try_from(cell.to_owned())
        .map_err(|why| CommandError::new(ExitCode::Usage, format!("`{cell}`: {why}")))?;
    with_state(&workspace.repo, &mut |stored| {
        how(&mut stored.state, &key).map_err(|error| {
            let exit = match &error {
                CalibrationError::Unknown(_) => ExitCode::NothingToLookAt,
                _ => ExitCode::Refused,
            };
            CommandError::of(exit, &error).hint("See them all with `carnet calibrate show`.")
        })?;
        let reason = stored.state.cells().get(&key).and_then(|cell| cell.frozen.as_ref());
        let reason = reason.map(|freeze| format!("\n\n{}", freeze.reason)).unwrap_or_default();
        Ok(((), Some(format!("calibrate: {verb} {key}{reason}"))))
    })?;
    ui.err(&format!("carnet: {key}: {verb} done; next: carnet calibrate show\n"));
    Ok(ExitCode::Done)
}

#[derive(Serialize)]
struct ShowReport {
    format: &'static str,
    min_runs: usize,
    cells: Vec<CellLine>,
}

#[derive(Serialize)]
struct CellLine {
    lane: LaneName,
    provider: String,
    n_runs: usize,
    n_pending: usize,
    n_odd: usize,
    frozen: Option<String>,
    n_held: usize,
    priors: Vec<PriorLine>,
}

#[derive(Serialize)]
struct PriorLine {
    quantity: &'static str,
    mean: f64,
    standard_error: f64,
    /// Nine of ten further runs lie between this and `high`.
    low: f64,
    high: f64,
    n: usize,
}

fn cell_line(key: &CellKey, cell: &Cell) -> CellLine {
    let priors = cell.priors.iter().map(|(quantity, prior)| PriorLine {
        quantity: quantity.name(),
        mean: prior.mean,
        standard_error: prior.standard_error,
        low: prior.low,
        high: prior.high,
        n: prior.n,
    });
    CellLine {
        lane: key.lane.clone(),
        provider: key.provider.clone(),
        n_runs: cell.samples.len(),
        n_pending: cell.pending.len(),
        n_odd: cell.odd.len(),
        frozen: cell.frozen.as_ref().map(|freeze| freeze.reason.clone()),
        n_held: cell.frozen.as_ref().map_or(0, |freeze| freeze.held.len()),
        priors: priors.collect(),
    }
}

fn show(ui: &Ui, args: &ShowArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let stored = Stored::load(&workspace.repo)?;
    let is_asked = |key: &CellKey| args.lane.as_ref().is_none_or(|lane| key.lane.as_str() == lane);
    let cells = stored.state.cells().iter().filter(|(key, _)| is_asked(key));
    let cells: Vec<CellLine> = cells.map(|(key, cell)| cell_line(key, cell)).collect();
    if args.json {
        let (format, min_runs) = ("carnet/calibrate-show/1", stored.state.runs_min());
        ui.json(&ShowReport { format, min_runs, cells });
        return Ok(ExitCode::Done);
    }
    for cell in &cells {
        let name = format!("{}/{}", cell.lane, cell.provider);
        ui.out(&format!(
            "{}  {} runs, {} wait, {} far out\n",
            ui.bold_out(&name),
            cell.n_runs,
            cell.n_pending,
            cell.n_odd
        ));
        if let Some(reason) = &cell.frozen {
            ui.out(&format!(
                "  {} {reason} ({} runs held)\n",
                ui.yellow_out("frozen:"),
                cell.n_held
            ));
        }
        for prior in &cell.priors {
            let unit = match prior.quantity {
                "time" => "ms",
                "cost" => "USD",
                _ => "",
            };
            ui.out(&format!(
                "  {:<7} {} {unit}, nine of ten between {} and {} ({} runs)\n",
                prior.quantity,
                short(prior.mean),
                short(prior.low),
                short(prior.high),
                prior.n
            ));
        }
    }
    if cells.is_empty() {
        ui.err("nothing is known yet; type: carnet calibrate update\n");
    }
    Ok(ExitCode::Done)
}

/// Four significant digits.
fn short(value: f64) -> String {
    if value >= 1000.0 { format!("{value:.0}") } else { format!("{value:.4}") }
}

#[derive(Serialize)]
struct ExplainReport {
    format: &'static str,
    run: String,
    cell: String,
    /// `excluded`, `untrusted`, `unseen`, `waits`, `counts`, `held`, `far-out`, or `passed` where newer ones took its place.
    state: &'static str,
    reason: Option<String>,
    measures: Vec<MeasureLine>,
}

#[derive(Serialize)]
struct MeasureLine {
    quantity: &'static str,
    value: f64,
    low: Option<f64>,
    high: Option<f64>,
    as_expected: Option<bool>,
}

fn explain(ui: &Ui, args: &ExplainArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let trusted = workspace.trusted_keys()?;
    let repo = &workspace.repo;
    let entry = index::open(repo)?.find(repo, &args.run)?;
    let stored = Stored::load(repo)?;
    let run = entry.event().run;
    let facts = match facts(repo, &entry, &trusted) {
        Ok(facts) => facts,
        Err(why) => {
            return Err(CommandError::new(
                ExitCode::Refused,
                format!("run {} does not count: {why}", run.short()),
            )
            .hint("See what is wrong with it: `carnet passport verify RUN`."));
        }
    };
    let key = CellKey { lane: facts.lane.clone(), provider: facts.provider.clone() };
    let cell = stored.state.cells().get(&key);
    let (state, reason) = match (facts.excluded(), cell) {
        (Some(why), _) => ("excluded", Some(why.to_string())),
        (None, Some(cell)) if stored.seen.contains(&run) => place_of(cell, run),
        _ => ("unseen", Some("`carnet calibrate update` was not called since".to_owned())),
    };
    let measures = facts.measures.iter().map(|(quantity, value)| {
        let prior = cell.and_then(|cell| cell.priors.get(quantity));
        MeasureLine {
            quantity: quantity.name(),
            value: *value,
            low: prior.map(|prior| prior.low),
            high: prior.map(|prior| prior.high),
            as_expected: prior.map(|prior| (prior.low..=prior.high).contains(value)),
        }
    });
    let report = ExplainReport {
        format: "carnet/calibrate-explain/1",
        run: run.to_string(),
        cell: key.to_string(),
        state,
        reason,
        measures: measures.collect(),
    };
    if args.json {
        ui.json(&report);
        return Ok(ExitCode::Done);
    }
    let reason = report.reason.map(|why| format!(": {why}")).unwrap_or_default();
    ui.out(&format!("run {} of {}: {}{reason}\n", run.short(), report.cell, report.state));
    for it in &report.measures {
        let expected = match (it.low, it.high, it.as_expected) {
            (Some(low), Some(high), Some(inside)) => format!(
                ", {} what is expected ({} to {})",
                if inside { "within" } else { "outside" },
                short(low),
                short(high)
            ),
            _ => ", nothing is expected yet".to_owned(),
        };
        ui.out(&format!("  {:<7} {}{expected}\n", it.quantity, short(it.value)));
    }
    Ok(ExitCode::Done)
}

fn place_of(cell: &Cell, run: RunId) -> (&'static str, Option<String>) {
    let has =
        |samples: &[carnet_policy::calibration::Sample]| samples.iter().any(|it| it.run == run);
    match &cell.frozen {
        _ if has(&cell.samples) => ("counts", None),
        _ if has(&cell.pending) => {
            ("waits", Some(format!("{} wait with it", cell.pending.len() - 1)))
        }
        _ if cell.odd.contains(&run) => {
            ("far-out", Some("it lies far out of what was expected, and was set aside".to_owned()))
        }
        Some(freeze) if has(&freeze.held) => ("held", Some(freeze.reason.clone())),
        _ => ("passed", Some("newer runs took its place, or a recovery let it go".to_owned())),
    }
}
