//! `carnet broker`: is a model broker's policy sound, what follows from it for a lane, what does a change of it change.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use carnet_core::{ExitCode, LaneName};
use carnet_git::Repo;
use carnet_guard::PolicyInForce;
use carnet_policy::{
    DocumentFault, DocumentForm,
    broker::{self, BrokerPolicy, Candidate, Catalogue, Examined, RouteRequest, Spent},
};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::{
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::Workspace,
};

/// Where the policy in force stands in the policy ref's commit: the first of them that is there.
const POLICY_FILES: [&str; 2] = ["policy/model-broker.toml", "policy/model-broker.json"];
/// Where the catalogue in force stands there.
const CATALOGUE_FILE: &str = "policy/models.toml";
/// Largest policy or catalogue, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Verbs of `broker`.
#[derive(Debug, Subcommand)]
pub enum BrokerCommand {
    /// Look for everything that is wrong with a policy, with JSON pointer, line and column.
    #[command(
        after_help = "Examples:\n  carnet broker validate policy/model-broker.toml\n  carnet broker validate            the policy in force\n  carnet broker validate --json policy/model-broker.json\n\nExit code 0 when nothing is wrong (warnings may stand), 78 when something is."
    )]
    Validate(ValidateArgs),
    /// Say which models would be asked for a lane, in what order, and why.
    #[command(
        after_help = "Examples:\n  carnet broker route --lane code-impl\n  carnet broker route --lane narrative --policy policy/model-broker.toml --tokens-in 20000\n  carnet broker route --lane code-impl --task-usd 4.9     what is left of a task's money"
    )]
    Route(RouteArgs),
    /// Say what two policies say differently, lane by lane.
    #[command(
        after_help = "Examples:\n  carnet broker diff old.toml new.toml\n  git show HEAD:policy/model-broker.toml >/tmp/old.toml && carnet broker diff /tmp/old.toml policy/model-broker.toml"
    )]
    Diff(DiffArgs),
    /// Answer programs of this machine with models, as the policy says: OpenAI's and Anthropic's forms on one address.
    #[command(
        after_help = "Examples:\n  carnet broker serve --secret ANTHROPIC_API_KEY=store --secret OPENAI_API_KEY=file:key.txt\n  OPENAI_BASE_URL=http://127.0.0.1:4141/v1 OPENAI_API_KEY=none my-agent\n  curl -H 'x-carnet-lane: narrative' -H 'x-carnet-task: T-7' -d @request.json http://127.0.0.1:4141/v1/chat/completions\n\nThe lane is that of `x-carnet-lane`, of a model named `lane:NAME`, or of `--lane`; a model named `auto` leaves the choice to\nthe policy. What calls took is kept under refs/carnet/broker/."
    )]
    Serve(super::broker_serve::ServeArgs),
    /// Print a policy to begin with: five of seven lanes overridden.
    #[command(after_help = "Example:\n  carnet broker example >policy/model-broker.toml")]
    Example(ExampleArgs),
}

/// Options of `broker validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// The policy, TOML or JSON by its name's ending; without it, the policy in force.
    file: Option<PathBuf>,
    /// Models that are known, instead of the catalogue beside the file, the one in force, or the built-in one.
    #[arg(long, value_name = "FILE")]
    catalogue: Option<PathBuf>,
    /// Write JSON (`carnet/broker-validate/1`).
    #[arg(long)]
    json: bool,
}

/// Options of `broker route`.
#[derive(Debug, Args)]
pub struct RouteArgs {
    /// The lane.
    #[arg(long)]
    lane: String,
    /// A policy instead of the one in force.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Models that are known, instead of the catalogue beside the policy, the one in force, or the built-in one.
    #[arg(long, value_name = "FILE")]
    catalogue: Option<PathBuf>,
    /// The model that the caller names.
    #[arg(long)]
    model: Option<String>,
    /// Tokens of the request.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    tokens_in: u64,
    /// Most tokens of the answer that the caller asks for.
    #[arg(long, value_name = "N")]
    max_tokens: Option<u64>,
    /// As if vectors were asked for.
    #[arg(long)]
    embeddings: bool,
    /// As if the task had cost so much already.
    #[arg(long, default_value_t = 0.0, value_name = "USD")]
    task_usd: f64,
    /// As if the task had had so many tokens already.
    #[arg(long, default_value_t = 0, value_name = "N")]
    task_tokens: u64,
    /// As if so much of the budget were spent.
    #[arg(long, default_value_t = 0.0, value_name = "USD")]
    spent_usd: f64,
    /// Write JSON (`carnet/broker-route/1`).
    #[arg(long)]
    json: bool,
}

/// Options of `broker diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The policy before.
    old: PathBuf,
    /// The policy after.
    new: PathBuf,
    /// Write JSON (`carnet/broker-diff/1`).
    #[arg(long)]
    json: bool,
}

/// Options of `broker example`.
#[derive(Debug, Args)]
pub struct ExampleArgs {
    /// In JSON instead of TOML.
    #[arg(long, conflicts_with = "schema")]
    json: bool,
    /// The JSON Schema instead.
    #[arg(long)]
    schema: bool,
}

/// Answers one verb.
pub fn broker(ui: &Ui, command: &BrokerCommand) -> CommandResult {
    match command {
        BrokerCommand::Validate(args) => validate(ui, args),
        BrokerCommand::Route(args) => route(ui, args),
        BrokerCommand::Diff(args) => diff(ui, args),
        BrokerCommand::Serve(args) => super::broker_serve::serve(ui, args),
        BrokerCommand::Example(args) => {
            ui.out(match args {
                ExampleArgs { schema: true, .. } => broker::SCHEMA,
                ExampleArgs { json: true, .. } => broker::EXAMPLE_JSON,
                _ => broker::EXAMPLE_TOML,
            });
            Ok(ExitCode::Done)
        }
    }
}

/// A policy's text, what it is called, and what its names are held against.
pub struct Source {
    /// The file.
    pub name: String,
    text: String,
    /// Models that are known.
    pub catalogue: Catalogue,
    lanes: BTreeSet<String>,
}

impl Source {
    /// The policy of a file, or without one the policy in force.
    pub fn read(file: Option<&Path>, catalogue: Option<&Path>) -> Result<Source, CommandError> {
        let workspace = match Workspace::discover() {
            Ok(workspace) => Some(workspace),
            Err(error) if error.exit == ExitCode::NothingToLookAt => None,
            Err(error) => return Err(error),
        };
        let repo = workspace.as_ref().map(|workspace| &workspace.repo);
        let (name, text) = match file {
            Some(file) => (file.display().to_string(), text_of(file)?),
            None => in_force(repo)?,
        };
        let beside = file.map(|file| file.with_file_name("models.toml"));
        let beside = beside.filter(|it| it.is_file());
        let catalogue = catalogue_of(catalogue.or(beside.as_deref()), repo)?;
        let policy = match repo {
            Some(repo) => PolicyInForce::load(repo)?,
            None => PolicyInForce::built_in(),
        };
        let lanes = policy.allowlists.iter().filter_map(|(name, _)| {
            name.strip_prefix("allowlists/")?.strip_suffix(".toml").filter(|name| *name != "deny")
        });
        Ok(Source { name, text, catalogue, lanes: lanes.map(str::to_owned).collect() })
    }

    fn examine(&self) -> Examined {
        let form = DocumentForm::of_file(&self.name);
        broker::examine(&self.text, form, &self.catalogue, &self.lanes)
    }

    /// The policy, or everything that is wrong with it as one error.
    pub fn sound(&self) -> Result<BrokerPolicy, CommandError> {
        let Examined { policy, errors, .. } = self.examine();
        policy.ok_or_else(|| {
            let mut made =
                CommandError::new(ExitCode::Config, format!("the policy `{}` is wrong", self.name));
            made.causes.extend(errors.iter().map(|fault| format!("{}:{fault}", self.name)));
            made.hint(format!(
                "Mend it, and look again with `carnet broker validate {}`.",
                self.name
            ))
        })
    }
}

/// Name and text of the policy of the policy ref's commit. The work tree's does not count: who edits it could have the keys
/// sent anywhere.
fn in_force(repo: Option<&Repo>) -> Result<(String, String), CommandError> {
    for name in POLICY_FILES {
        if let Some(text) =
            repo.map(|repo| carnet_guard::policy_file(repo, name)).transpose()?.flatten()
        {
            return Ok((name.to_owned(), text));
        }
    }
    Err(CommandError::new(ExitCode::NothingToLookAt, "no policy of a model broker is in force")
        .hint("Write one: `carnet broker example >policy/model-broker.toml`; commit it and name the commit's ref: `git config carnet.policyRef refs/heads/main`.")
        .hint("Or name a file: `carnet broker validate FILE`, `carnet broker route --policy FILE`."))
}

fn catalogue_of(file: Option<&Path>, repo: Option<&Repo>) -> Result<Catalogue, CommandError> {
    let (name, text) = match (file, repo) {
        (Some(file), _) => (file.display().to_string(), text_of(file)?),
        (None, Some(repo)) => match carnet_guard::policy_file(repo, CATALOGUE_FILE)? {
            Some(text) => (CATALOGUE_FILE.to_owned(), text),
            None => return Ok(Catalogue::built_in()),
        },
        (None, None) => return Ok(Catalogue::built_in()),
    };
    Catalogue::parse(&text, DocumentForm::of_file(&name)).map_err(|faults| {
        let mut made =
            CommandError::new(ExitCode::Config, format!("the catalogue `{name}` is wrong"));
        made.causes.extend(faults.iter().map(|fault| format!("{name}:{fault}")));
        made.hint("Mend it, or name another with `--catalogue FILE`.")
    })
}

fn text_of(path: &Path) -> Result<String, CommandError> {
    let named = |message: String| CommandError::new(ExitCode::NothingToLookAt, message);
    let shown = path.display();
    let meta =
        std::fs::metadata(path).map_err(|error| named(format!("read `{shown}`: {error}")))?;
    if !meta.is_file() {
        return Err(named(format!("`{shown}` is no file")));
    }
    if meta.len() > FILE_BYTES_MAX {
        let message = format!("`{shown}` has more than {FILE_BYTES_MAX} bytes");
        return Err(CommandError::new(ExitCode::Config, message));
    }
    let bytes = std::fs::read(path).map_err(|error| named(format!("read `{shown}`: {error}")))?;
    String::from_utf8(bytes)
        .map_err(|_| CommandError::new(ExitCode::Config, format!("`{shown}` is not UTF-8")))
}

#[derive(Serialize)]
struct ValidateReport {
    format: &'static str,
    file: String,
    /// Whether nothing is wrong; warnings may stand.
    valid: bool,
    version: Option<String>,
    errors: Vec<FaultLine>,
    warnings: Vec<FaultLine>,
}

#[derive(Serialize)]
struct FaultLine {
    /// JSON pointer (RFC 6901).
    pointer: String,
    line: u32,
    /// In bytes, from 1.
    column: u32,
    message: String,
}

impl FaultLine {
    fn all(faults: Vec<DocumentFault>) -> Vec<FaultLine> {
        let line = |DocumentFault { line, column, pointer, message }| FaultLine {
            pointer,
            line,
            column,
            message,
        };
        faults.into_iter().map(line).collect()
    }
}

fn validate(ui: &Ui, args: &ValidateArgs) -> CommandResult {
    let source = Source::read(args.file.as_deref(), args.catalogue.as_deref())?;
    let Examined { policy, errors, warnings, .. } = source.examine();
    let exit = if errors.is_empty() { ExitCode::Done } else { ExitCode::Config };
    if args.json {
        ui.json(&ValidateReport {
            format: "carnet/broker-validate/1",
            file: source.name,
            valid: errors.is_empty(),
            version: policy.map(|policy| policy.version),
            errors: FaultLine::all(errors),
            warnings: FaultLine::all(warnings),
        });
        return Ok(exit);
    }
    let name = &source.name;
    let (error, warning) = (ui.red_out("error:"), ui.yellow_out("warning:"));
    for fault in &errors {
        ui.out(&format!("{error} {name}:{fault}\n"));
    }
    for fault in &warnings {
        ui.out(&format!("{warning} {name}:{fault}\n"));
    }
    match policy {
        Some(policy) => ui.out(&format!(
            "sound: {name}, version {}, {} lanes overridden, {} models in the fallback chain, {} warnings\n",
            policy.version,
            policy.overrides.len(),
            policy.fallback_chain.len(),
            warnings.len()
        )),
        None => ui.err(&format!("carnet: {} things are wrong with {name}; it does not count until they are mended\n", errors.len())),
    }
    Ok(exit)
}

#[derive(Serialize)]
struct RouteReport {
    format: &'static str,
    policy: String,
    version: String,
    lane: String,
    /// In the order in which they are asked; those that are passed over stand where they would be.
    candidates: Vec<CandidateLine>,
    temperature: Option<f64>,
    timeout_seconds: f64,
    max_cost_per_task_usd: Option<f64>,
    max_tokens_per_task: Option<u64>,
    budget_cap_usd: Option<f64>,
    budget_period: &'static str,
    caching: bool,
    prefer_local: bool,
    refused: Option<String>,
}

#[derive(Serialize)]
struct CandidateLine {
    provider: String,
    model: String,
    source: String,
    tier: Option<&'static str>,
    local: bool,
    max_tokens: u64,
    cost_usd_max: Option<f64>,
    passed_over: Option<String>,
}

impl CandidateLine {
    fn of(candidate: &Candidate) -> CandidateLine {
        let tier = candidate.card.as_ref().and_then(|card| card.tier);
        CandidateLine {
            provider: candidate.target.provider.clone(),
            model: candidate.target.model.clone(),
            source: candidate.source.to_string(),
            tier: tier.map(broker::Tier::name),
            local: candidate.provider.local,
            max_tokens: candidate.max_tokens,
            cost_usd_max: candidate.cost_usd_max,
            passed_over: candidate.passed.as_ref().map(ToString::to_string),
        }
    }
}

fn route(ui: &Ui, args: &RouteArgs) -> CommandResult {
    let lane =
        LaneName::new(&args.lane).map_err(|error| CommandError::of(ExitCode::Usage, &error))?;
    let source = Source::read(args.policy.as_deref(), args.catalogue.as_deref())?;
    let policy = source.sound()?;
    let request = RouteRequest {
        lane: lane.clone(),
        model: args.model.clone(),
        tokens_in: args.tokens_in,
        max_tokens: args.max_tokens,
        embeddings: args.embeddings,
    };
    let spent = Spent {
        period_usd: args.spent_usd,
        task_usd: args.task_usd,
        task_tokens: args.task_tokens,
    };
    let planned = broker::plan_route(&policy, &source.catalogue, &request, &spent);
    let constraints = policy.choice(&lane).0.constraints;
    let exit = if planned.asked().next().is_some() { ExitCode::Done } else { ExitCode::Refused };
    let report = RouteReport {
        format: "carnet/broker-route/1",
        policy: source.name,
        version: policy.version,
        lane: lane.to_string(),
        candidates: planned.candidates.iter().map(CandidateLine::of).collect(),
        temperature: planned.temperature,
        timeout_seconds: planned.timeout_seconds,
        max_cost_per_task_usd: constraints.max_cost_per_task_usd,
        max_tokens_per_task: constraints.max_tokens_per_task,
        budget_cap_usd: policy.cost.budget_cap_usd,
        budget_period: policy.cost.budget_period.name(),
        caching: policy.cost.enable_caching,
        prefer_local: policy.cost.prefer_local,
        refused: planned.refused,
    };
    if args.json {
        ui.json(&report);
    } else {
        ui.out(&explained(ui, &report));
    }
    if exit == ExitCode::Refused && !args.json {
        let why = report.refused.unwrap_or_else(|| "no model may be asked".to_owned());
        return Err(CommandError::new(exit, why)
            .hint("See what the policy says with `carnet broker route --lane LANE --json`."));
    }
    Ok(exit)
}

fn explained(ui: &Ui, report: &RouteReport) -> String {
    let mut text = format!("lane {}, policy {} ({})\n", report.lane, report.version, report.policy);
    let mut place = 0;
    for it in &report.candidates {
        let name = ui.bold_out(&format!("{}/{}", it.provider, it.model));
        let number = if it.passed_over.is_none() {
            place += 1;
            format!("{place}.")
        } else {
            "–".to_owned()
        };
        let tier = it.tier.map(|tier| format!(", tier {tier}")).unwrap_or_default();
        text.push_str(&format!("  {number:<2} {name}  {}{tier}\n", it.source));
        let cost = it.cost_usd_max.map_or("unknown cost".to_owned(), |usd| format!("{usd:.6} USD"));
        let line = match &it.passed_over {
            None => format!("at most {} tokens in the answer, {cost}", it.max_tokens),
            Some(why) => format!("passed over: {why}"),
        };
        text.push_str(&format!("       {line}\n"));
    }
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "not set".to_owned());
    let said = [
        ("temperature", or_none(report.temperature.map(|it| it.to_string()))),
        ("one call", format!("{} s at most", report.timeout_seconds)),
        (
            "one task",
            format!(
                "cost {}, tokens {}",
                or_none(report.max_cost_per_task_usd.map(|usd| format!("{usd} USD"))),
                or_none(report.max_tokens_per_task.map(|it| it.to_string()))
            ),
        ),
        (
            "budget",
            or_none(
                report.budget_cap_usd.map(|usd| format!("{usd} USD ({})", report.budget_period)),
            ),
        ),
        ("caching", if report.caching { "on" } else { "off" }.to_owned()),
        ("local first", if report.prefer_local { "yes" } else { "no" }.to_owned()),
    ];
    said.iter().for_each(|(name, value)| text.push_str(&format!("{name:<12} {value}\n")));
    text
}

#[derive(Serialize)]
struct DiffReport {
    format: &'static str,
    old: String,
    new: String,
    changes: Vec<ChangeLine>,
}

#[derive(Serialize)]
struct ChangeLine {
    what: String,
    old: Option<String>,
    new: Option<String>,
}

fn diff(ui: &Ui, args: &DiffArgs) -> CommandResult {
    let old = Source::read(Some(&args.old), None)?;
    let new = Source::read(Some(&args.new), None)?;
    let lanes = old.lanes.iter().filter_map(|name| LaneName::new(name).ok()).collect();
    let changes = broker::diff(&old.sound()?, &new.sound()?, &lanes);
    if args.json {
        let changes = changes.into_iter();
        ui.json(&DiffReport {
            format: "carnet/broker-diff/1",
            old: old.name,
            new: new.name,
            changes: changes
                .map(|it| ChangeLine { what: it.what, old: it.old, new: it.new })
                .collect(),
        });
        return Ok(ExitCode::Done);
    }
    for change in &changes {
        ui.out(&format!("{}\n", ui.bold_out(&change.what)));
        let line = |sign: &str, value: &Option<String>| {
            if let Some(value) = value {
                ui.out(&format!("  {sign} {value}\n"));
            }
        };
        line("-", &change.old);
        line("+", &change.new);
    }
    if changes.is_empty() {
        ui.out("nothing is said differently\n");
    }
    Ok(ExitCode::Done)
}
