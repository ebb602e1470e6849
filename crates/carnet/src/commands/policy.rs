//! `carnet policy`: is the policy sound, what does it say to a command, does it decide as expected.

use std::{
    collections::BTreeMap,
    io::Read as _,
    path::{Path, PathBuf},
};

use carnet_core::{ExitCode, LaneName};
use carnet_guard::PolicyInForce;
use carnet_policy::{
    Admission, ContentPolicy, Lane, LaneSet, LoadLaneError, PolicyProblem, ToolLock,
};
use carnet_run::lanes;
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use crate::{
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::Workspace,
};

/// Largest file of decisions, in bytes.
const DECISIONS_BYTES_MAX: u64 = 64 << 20;

/// What is asked of the policy.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Look for everything that is wrong with the policy in force, or with files.
    #[command(
        after_help = "Examples:\n  carnet policy check\n  carnet policy check allowlists/*.toml\n  carnet policy check allowlists/code-impl.toml"
    )]
    Check(CheckArgs),
    /// Say whether a lane allows a command, by which rule, or where it parts from the nearest one.
    #[command(
        after_help = "Examples:\n  carnet policy explain -- cargo test --release\n  carnet policy explain --lane data-schema -- psql -h localhost -d app\n  carnet policy explain --env LD_PRELOAD=x.so -- true"
    )]
    Explain(ExplainArgs),
    /// Hold the policy against its own examples, or against a file of decisions.
    #[command(
        after_help = "Examples:\n  carnet policy test\n  carnet policy test --lane code-impl decisions.jsonl\n\nA decision is one line of JSON:\n  {\"argv\": [\"git\", \"status\"], \"env\": {\"LANG\": \"C\"}, \"expect\": \"allow\"}\n`env` and `expect` may be absent; other members are passed over."
    )]
    Test(TestArgs),
}

/// Options of `policy check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Policy files, or directories of them; without one, the policy in force and the work tree's.
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Write JSON (`carnet/policy-check/1`).
    #[arg(long)]
    pub json: bool,
}

/// Options of `policy explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The lane.
    #[arg(long, default_value = "code-impl")]
    pub lane: String,
    /// A variable that the caller would hold; may be repeated.
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Write JSON (`carnet/policy-explain/1`).
    #[arg(long)]
    pub json: bool,
    /// The command and its arguments, after `--`.
    #[arg(last = true, required = true, value_name = "ARGV")]
    pub argv: Vec<String>,
}

/// Options of `policy test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// The lane that decides.
    #[arg(long, requires = "file")]
    pub lane: Option<String>,
    /// Decisions, one a line; `-` is standard input.
    #[arg(value_name = "FILE.jsonl", requires = "lane")]
    pub file: Option<PathBuf>,
    /// Write one decision a line, as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Answers about the policy.
pub fn policy(ui: &Ui, command: &PolicyCommand) -> CommandResult {
    match command {
        PolicyCommand::Check(args) => check(ui, args),
        PolicyCommand::Explain(args) => explain(ui, args),
        PolicyCommand::Test(args) => match (&args.lane, &args.file) {
            (Some(lane), Some(file)) => test_decisions(ui, lane, file, args.json),
            _ => test_examples(ui, args.json),
        },
    }
}

/// The policy in force here; outside a repository, what carnet ships with.
struct Here {
    policy: PolicyInForce,
    workspace: Option<Workspace>,
}

impl Here {
    fn look() -> Result<Here, CommandError> {
        match Workspace::discover() {
            Ok(workspace) => Ok(Here {
                policy: PolicyInForce::load(&workspace.repo)?,
                workspace: Some(workspace),
            }),
            Err(error) if error.exit == ExitCode::NothingToLookAt => {
                Ok(Here { policy: PolicyInForce::built_in(), workspace: None })
            }
            Err(error) => Err(error),
        }
    }

    fn lane(&self, name: &str) -> Result<Lane, CommandError> {
        let name =
            LaneName::new(name).map_err(|error| CommandError::of(ExitCode::Usage, &error))?;
        let state_dir = self.workspace.as_ref().map(|workspace| workspace.repo.state_dir());
        Ok(lanes::load(&self.policy, &name, state_dir)?)
    }
}

impl From<LoadLaneError> for CommandError {
    fn from(error: LoadLaneError) -> CommandError {
        match &error {
            LoadLaneError::UnknownLane { .. } => {
                CommandError::of(ExitCode::Usage, &error).hint("Name one with `--lane`.")
            }
            LoadLaneError::Closed { .. } => CommandError::of(ExitCode::Config, &error)
                .hint("Mend the file named above, and look again with `carnet policy check`."),
        }
    }
}

/// `carnet policy check --json`.
#[derive(Serialize)]
struct CheckReport {
    format: &'static str,
    /// `built-in`, a commit id, or `files`.
    origin: String,
    files: Vec<String>,
    n_rules: usize,
    problems: Vec<ProblemLine>,
}

#[derive(Serialize)]
struct ProblemLine {
    file: String,
    line: u32,
    field: String,
    message: String,
}

fn check(ui: &Ui, args: &CheckArgs) -> CommandResult {
    let here = Here::look()?;
    let mut found = Checked::default();
    let origin = if args.files.is_empty() {
        found.policy_in_force(&here)?;
        here.policy.origin.clone()
    } else {
        for path in expanded(&args.files)? {
            found.file(&path, &here.policy)?;
        }
        "files".to_owned()
    };
    let is_sound = found.problems.is_empty();
    if args.json {
        let line = |it: PolicyProblem| ProblemLine {
            file: it.file,
            line: it.line,
            field: it.field,
            message: it.message,
        };
        ui.json(&CheckReport {
            format: "carnet/policy-check/1",
            origin,
            files: found.files,
            n_rules: found.n_rules,
            problems: found.problems.into_iter().map(line).collect(),
        });
    } else if is_sound {
        ui.out(&format!(
            "sound: {} files, {} rules, policy {origin}\n",
            found.files.len(),
            found.n_rules
        ));
    } else {
        for problem in &found.problems {
            ui.out(&format!("{problem}\n"));
        }
        ui.err(&format!(
            "carnet: {} things are wrong; each closes its lane until it is mended\n",
            found.problems.len()
        ));
    }
    Ok(if is_sound { ExitCode::Done } else { ExitCode::Config })
}

/// What was looked at, and all that is wrong with it.
#[derive(Default)]
struct Checked {
    files: Vec<String>,
    n_rules: usize,
    problems: Vec<PolicyProblem>,
}

impl Checked {
    fn policy_in_force(&mut self, here: &Here) -> Result<(), CommandError> {
        self.lanes(&here.policy.allowlists);
        let base = |name: &str| name.rsplit('/').next().map(str::to_owned);
        for (name, text) in &here.policy.work_tree {
            let is_same =
                |(in_force, it): &(String, String)| base(in_force) == base(name) && it == text;
            // What the work tree says again was looked at.
            if !here.policy.allowlists.iter().any(is_same) {
                self.text(name, text, &here.policy);
            }
        }
        for (name, text) in &here.policy.tool_locks {
            self.text(name, text, &here.policy);
        }
        if let Some(workspace) = &here.workspace {
            carnet_guard::content_policy(&workspace.repo)?;
        }
        Ok(())
    }

    fn lanes(&mut self, files: &[(String, String)]) {
        let borrowed: Vec<_> =
            files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        self.files.extend(files.iter().map(|(name, _)| name.clone()));
        match LaneSet::parse(&borrowed) {
            Err(problems) => self.problems.extend(problems),
            Ok(set) => {
                let lanes = set.lane_names().filter_map(|name| set.lane(name));
                self.n_rules += lanes.map(|lane| lane.rules().len()).sum::<usize>();
            }
        }
    }

    fn file(&mut self, path: &Path, policy: &PolicyInForce) -> Result<(), CommandError> {
        let text = read_text(path, DECISIONS_BYTES_MAX)?;
        self.text(&path.display().to_string(), &text, policy);
        Ok(())
    }

    /// Looks at one file by its name: lanes beside the `deny.toml` that lies next to them, else the one in force.
    fn text(&mut self, name: &str, text: &str, policy: &PolicyInForce) {
        let base = name.rsplit('/').next().unwrap_or(name);
        let found = match base {
            "content.toml" => ContentPolicy::parse(name, text).map(|_| 0),
            "findings.toml" => {
                carnet_policy::Suppressions::parse(name, text, crate::workspace::now()).map(|_| 0)
            }
            "tools.lock" => ToolLock::parse(name, text).map(|_| 0),
            "deny.toml" => LaneSet::parse(&[(name, text)]).map(|_| 0),
            _ => {
                let beside = Path::new(name).with_file_name("deny.toml");
                let own = policy.work_tree.iter().find(|(file, _)| Path::new(file) == beside);
                let own = own.map(|(_, text)| text.clone());
                let own = own.or_else(|| std::fs::read_to_string(&beside).ok());
                let in_force =
                    policy.allowlists.iter().find(|(file, _)| file.ends_with("/deny.toml"));
                let deny =
                    own.or_else(|| in_force.map(|(_, text)| text.clone())).unwrap_or_default();
                let beside = beside.display().to_string();
                Lane::parse((name, text), (&beside, &deny)).map(|lane| lane.rules().len())
            }
        };
        self.files.push(name.to_owned());
        match found {
            Ok(n_rules) => self.n_rules += n_rules,
            Err(problems) => {
                self.problems.extend(problems);
                self.problems.dedup();
            }
        }
    }
}

/// Returns the files, with those of each directory in its place.
fn expanded(paths: &[PathBuf]) -> Result<Vec<PathBuf>, CommandError> {
    let mut files = vec![];
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).map_err(|error| unreadable(path, &error))?;
        let mut inside: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        inside.retain(|path| path.extension().is_some_and(|it| it == "toml" || it == "lock"));
        inside.sort();
        files.extend(inside);
    }
    Ok(files)
}

fn unreadable(path: &Path, error: &std::io::Error) -> CommandError {
    let exit = match error.kind() {
        std::io::ErrorKind::NotFound => ExitCode::NothingToLookAt,
        std::io::ErrorKind::InvalidData => ExitCode::Config,
        _ => ExitCode::Io,
    };
    CommandError::new(exit, format!("cannot read `{}`: {error}", path.display()))
        .hint("Name a file that is there: `carnet policy check allowlists/code-impl.toml`.")
}

fn read_text(path: &Path, bytes_max: u64) -> Result<String, CommandError> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(bytes_max).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(bytes_max).read_to_string(&mut text))
    };
    read.map_err(|error| unreadable(path, &error))?;
    Ok(text)
}

/// A decision in a file, and as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Allow,
    Deny,
}

fn word(admission: &Admission) -> Word {
    if admission.verdict.is_allowed() { Word::Allow } else { Word::Deny }
}

/// One decision, as `--json` writes it.
#[derive(Serialize)]
struct DecisionLine<'a> {
    format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    lane: &'a str,
    argv: &'a [String],
    decision: Word,
    #[serde(skip_serializing_if = "Option::is_none")]
    expect: Option<Word>,
    #[serde(skip_serializing_if = "Option::is_none")]
    as_expected: Option<bool>,
    /// The rule that decided, or the nearest one.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<&'a str>,
    /// Which argument differed first, from 0 for the tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    argument_index: Option<usize>,
    /// `policy` or `work-tree`: whose rules decided.
    by: &'static str,
    runs_repository_code: bool,
    required: Vec<String>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    policy_sha256: String,
}

fn decision_line<'a>(
    lane: &'a Lane,
    argv: &'a [String],
    admission: &'a Admission,
) -> DecisionLine<'a> {
    let nearest = admission.nearest.as_ref();
    let rule = admission.rule.as_ref().map(|rule| (rule.id.as_str(), rule.location.as_str()));
    let rule = rule.or_else(|| nearest.map(|it| (it.rule_id.as_str(), it.location.as_str())));
    let reason = admission.verdict.reasons.first();
    DecisionLine {
        format: "carnet/policy-decision/1",
        line: None,
        lane: lane.name().as_str(),
        argv,
        decision: word(admission),
        expect: None,
        as_expected: None,
        rule: rule.map(|(id, _)| id),
        location: rule.map(|(_, location)| location),
        argument_index: nearest.map(|it| it.argument_index),
        by: if admission.by_work_tree { "work-tree" } else { "policy" },
        runs_repository_code: admission.rule.as_ref().is_some_and(|it| it.runs_repository_code),
        required: lane.required_for(admission).iter().map(ToString::to_string).collect(),
        message: reason.map_or("", |it| it.message.as_str()),
        hint: reason.and_then(|it| it.hint.as_deref()),
        policy_sha256: admission.verdict.policy_digest.to_string(),
    }
}

fn explain(ui: &Ui, args: &ExplainArgs) -> CommandResult {
    let here = Here::look()?;
    let lane = here.lane(&args.lane)?;
    let mut given = BTreeMap::new();
    for pair in &args.env {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            CommandError::new(ExitCode::Usage, format!("`--env {pair}` has no `=`"))
                .hint("Give name and value: `--env LANG=C`.")
        })?;
        given.insert(name.to_owned(), value.to_owned());
    }
    let admission = lane.admit_given(&args.argv, &given);
    let line = decision_line(&lane, &args.argv, &admission);
    if args.json {
        ui.json(&line);
    } else {
        let origin = match lane.tightening() {
            None => here.policy.origin.clone(),
            Some(_) => format!("{}, tightened by the work tree", here.policy.origin),
        };
        ui.out(&explanation(ui, &origin, &line));
    }
    Ok(if admission.verdict.is_allowed() { ExitCode::Done } else { ExitCode::Refused })
}

fn explanation(ui: &Ui, origin: &str, line: &DecisionLine<'_>) -> String {
    let is_allowed = line.decision == Word::Allow;
    let word = if is_allowed { ui.green_out("allowed") } else { ui.red_out("denied") };
    let mut text = format!("{word} in lane {}: {}\n", line.lane, line.message);
    if is_allowed && line.runs_repository_code {
        text += "  it runs the repository's own code, so the strict sandbox is required\n";
    }
    if is_allowed && !line.required.is_empty() {
        text += &format!("  required of the sandbox: {}\n", line.required.join(", "));
    }
    if line.by == "work-tree" {
        text += "  the policy in force would allow it; the work tree's allowlists do not\n";
    }
    if let Some(hint) = line.hint {
        text += &format!("  hint: {hint}\n");
    }
    text + &format!("  policy: {origin}, sha256 {}…\n", &line.policy_sha256[..16])
}

/// `carnet policy test --json`, without a file.
#[derive(Serialize)]
struct ExamplesReport {
    format: &'static str,
    origin: String,
    n_lanes: usize,
    n_rules: usize,
    n_examples: usize,
}

fn test_examples(ui: &Ui, json: bool) -> CommandResult {
    let here = Here::look()?;
    let files = here.policy.allowlists.iter();
    let files: Vec<_> = files.map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let set = LaneSet::parse(&files).map_err(|problems| {
        let mut error = CommandError::new(ExitCode::Config, "the policy in force is wrong");
        error.causes = problems.iter().map(ToString::to_string).collect();
        error.hint("Mend the file, and look again with `carnet policy check`.")
    })?;
    let lanes: Vec<_> = set.lane_names().filter_map(|name| set.lane(name)).collect();
    let n_examples = lanes.iter().map(|lane| lane.n_examples()).sum();
    let n_rules = lanes.iter().map(|lane| lane.rules().len()).sum();
    let origin = here.policy.origin.clone();
    let report = ExamplesReport {
        format: "carnet/policy-examples/1",
        origin,
        n_lanes: lanes.len(),
        n_rules,
        n_examples,
    };
    if json {
        ui.json(&report);
    } else {
        ui.out(&format!(
            "{} examples of {} rules in {} lanes hold, policy {}\n",
            report.n_examples, report.n_rules, report.n_lanes, report.origin
        ));
    }
    Ok(ExitCode::Done)
}

/// One line of a file of decisions.
#[derive(Deserialize)]
struct Asked {
    argv: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    expect: Option<Word>,
}

fn test_decisions(ui: &Ui, lane: &str, file: &Path, json: bool) -> CommandResult {
    let lane = Here::look()?.lane(lane)?;
    let text = read_text(file, DECISIONS_BYTES_MAX)?;
    let (mut n_decisions, mut n_mismatches) = (0, 0);
    for (idx, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let asked: Asked = serde_json::from_str(line).map_err(|error| {
            let place = format!("{}:{}", file.display(), idx + 1);
            CommandError::new(ExitCode::Usage, format!("{place}: {error}")).hint(
                "Write a decision so: {\"argv\": [\"git\", \"status\"], \"env\": {}, \"expect\": \"allow\"}.",
            )
        })?;
        let admission = lane.admit_given(&asked.argv, &asked.env);
        let decision = word(&admission);
        let as_expected = asked.expect.map(|expect| expect == decision);
        n_decisions += 1;
        n_mismatches += usize::from(as_expected == Some(false));
        let mut said = decision_line(&lane, &asked.argv, &admission);
        (said.line, said.expect, said.as_expected) = (Some(idx + 1), asked.expect, as_expected);
        if json {
            let said = serde_json::to_string(&said).expect("because the line has string keys");
            ui.out(&format!("{said}\n"));
        } else if as_expected == Some(false) {
            let word = if decision == Word::Allow { "allowed" } else { "denied" };
            ui.out(&format!("{}:{}: {word}: {}\n", file.display(), idx + 1, said.message));
        }
    }
    let summary = format!(
        "{n_decisions} decisions, {} as expected, {n_mismatches} not\n",
        n_decisions - n_mismatches
    );
    if json {
        ui.err(&summary)
    } else {
        ui.out(&summary)
    }
    Ok(match (n_decisions, n_mismatches) {
        (0, _) => ExitCode::NothingToLookAt,
        (_, 0) => ExitCode::Done,
        _ => ExitCode::Refused,
    })
}
