//! `carnet rules`: what the scanner looks for, whether rule files are sound, and what each rule costs.

use std::{path::PathBuf, time::Instant};

use carnet_core::ExitCode;
use carnet_git::{OpenError, Repo};
use carnet_scan::{BUILT_IN_FILES, ExampleFailure, Rule, RuleSet};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::{
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::{Workspace, extended_rules},
};

/// Largest file that is read as a rule file or as a text to measure with.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Rules that `rules bench` lists without `--all`.
const N_COSTLY: usize = 20;

/// Verbs of `rules`.
#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// List the rules in force.
    #[command(
        after_help = "Examples:\n  carnet rules list --family github\n  carnet rules list --json"
    )]
    List(ListRulesArgs),
    /// Show one rule: what it looks for, where the provider documents it.
    #[command(after_help = "Example:\n  carnet rules show github-personal-access-token")]
    Show(ShowRuleArgs),
    /// Run rules on their own examples: those in force, or those of files.
    #[command(
        after_help = "Examples:\n  carnet rules check\n  carnet rules check policy/rules/acme.toml\n\nA file counts once it is committed under policy/rules/ in the commit that `git config carnet.policyRef` names."
    )]
    Check(CheckRulesArgs),
    /// Show what each rule costs on texts of yours, or on the built-in rule files.
    #[command(after_help = "Example:\n  carnet rules bench src/*.py")]
    Bench(BenchRulesArgs),
}

/// Options of `rules list`.
#[derive(Debug, Args)]
pub struct ListRulesArgs {
    /// Only this provider's.
    #[arg(long)]
    family: Option<String>,
    /// Write JSON (`carnet/rules-list/1`).
    #[arg(long)]
    json: bool,
}

/// Options of `rules show`.
#[derive(Debug, Args)]
pub struct ShowRuleArgs {
    /// The rule's id.
    id: String,
    /// Write JSON (`carnet/rule/1`).
    #[arg(long)]
    json: bool,
}

/// Options of `rules check`.
#[derive(Debug, Args)]
pub struct CheckRulesArgs {
    /// Rule files; without any, the rules in force.
    files: Vec<PathBuf>,
    /// Write JSON (`carnet/rules-check/1`).
    #[arg(long)]
    json: bool,
}

/// Options of `rules bench`.
#[derive(Debug, Args)]
pub struct BenchRulesArgs {
    /// Texts to measure with.
    files: Vec<PathBuf>,
    /// List every rule that met a keyword.
    #[arg(long)]
    all: bool,
    /// Write JSON (`carnet/rules-bench/1`).
    #[arg(long)]
    json: bool,
}

/// Answers one verb.
pub fn rules(ui: &Ui, command: &RulesCommand) -> CommandResult {
    match command {
        RulesCommand::List(args) => list(ui, args),
        RulesCommand::Show(args) => show(ui, args),
        RulesCommand::Check(args) => check(ui, args),
        RulesCommand::Bench(args) => bench(ui, args),
    }
}

#[derive(Serialize)]
struct RuleLine {
    id: String,
    family: String,
    description: String,
    severity: &'static str,
    confidence: &'static str,
    /// `content` or `path`.
    looks_at: &'static str,
}

impl RuleLine {
    fn of(rule: &Rule) -> RuleLine {
        RuleLine {
            id: rule.id().to_owned(),
            family: rule.family().to_owned(),
            description: rule.description().to_owned(),
            severity: rule.severity().name(),
            confidence: rule.confidence().name(),
            looks_at: if rule.is_path_rule() { "path" } else { "content" },
        }
    }
}

#[derive(Serialize)]
struct RulesList {
    format: &'static str,
    digest: String,
    rules: Vec<RuleLine>,
}

fn list(ui: &Ui, args: &ListRulesArgs) -> CommandResult {
    let rules = in_force()?;
    let is_asked = |rule: &&Rule| args.family.as_ref().is_none_or(|family| rule.family() == family);
    let lines: Vec<RuleLine> = rules.rules().iter().filter(is_asked).map(RuleLine::of).collect();
    if lines.is_empty() {
        let family = args.family.clone().unwrap_or_default();
        return Err(CommandError::new(
            ExitCode::NothingToLookAt,
            format!("there is no rule of the family `{family}`"),
        )
        .hint("See them all with `carnet rules list`."));
    }
    if args.json {
        let digest = rules.digest().to_string();
        ui.json(&RulesList { format: "carnet/rules-list/1", digest, rules: lines });
    } else {
        let shown = lines.iter().map(|line| {
            format!(
                "{:<44} {:<9} {:<7} {}\n",
                line.id, line.severity, line.confidence, line.description
            )
        });
        ui.out(&shown.collect::<String>());
    }
    Ok(ExitCode::Done)
}

#[derive(Serialize)]
struct RulePage {
    format: &'static str,
    #[serde(flatten)]
    rule: RuleLine,
    looks_for: String,
    keywords: Vec<String>,
    references: Vec<String>,
    n_examples: usize,
    n_negative_examples: usize,
}

fn show(ui: &Ui, args: &ShowRuleArgs) -> CommandResult {
    let rules = in_force()?.rules();
    let Some(rule) = rules.iter().find(|rule| rule.id() == args.id) else {
        return Err(CommandError::new(
            ExitCode::NothingToLookAt,
            format!("there is no rule `{}`", args.id),
        )
        .hint("See them all with `carnet rules list`."));
    };
    let page = RulePage {
        format: "carnet/rule/1",
        rule: RuleLine::of(rule),
        looks_for: rule.pattern(),
        keywords: rule.keywords().into_iter().map(str::to_owned).collect(),
        references: rule.references().to_vec(),
        n_examples: rule.examples().len(),
        n_negative_examples: rule.negative_examples().len(),
    };
    if args.json {
        ui.json(&page);
        return Ok(ExitCode::Done);
    }
    let RulePage { rule, looks_for, keywords, references, .. } = &page;
    let mut text = format!("{}  {}\n", rule.id, rule.description);
    let mut line = |name: &str, value: &str| text.push_str(&format!("  {name:<11} {value}\n"));
    line("family", &rule.family);
    line("severity", rule.severity);
    line("confidence", rule.confidence);
    line("looks at", rule.looks_at);
    line("looks for", looks_for);
    if !keywords.is_empty() {
        line("keywords", &keywords.join(", "));
    }
    references.iter().for_each(|address| line("see", address));
    ui.out(&text);
    Ok(ExitCode::Done)
}

#[derive(Serialize)]
struct RulesCheck {
    format: &'static str,
    n_rules: usize,
    n_examples: usize,
    failures: Vec<FailureLine>,
}

#[derive(Serialize)]
struct FailureLine {
    rule: String,
    message: String,
}

fn check(ui: &Ui, args: &CheckRulesArgs) -> CommandResult {
    let read;
    let (rules, n_built_in) = if args.files.is_empty() {
        (in_force()?, 0)
    } else {
        let files = args.files.iter().map(|path| {
            let text = String::from_utf8(bytes_of(path)?).map_err(|_| {
                CommandError::new(ExitCode::Config, format!("`{}` is not UTF-8", path.display()))
            })?;
            Ok((path.display().to_string(), text))
        });
        read = extended_rules(&files.collect::<Result<Vec<_>, CommandError>>()?)?;
        (&read, RuleSet::built_in().rules().len())
    };
    let failures: Vec<FailureLine> = rules
        .check_examples()
        .iter()
        .map(|failure: &ExampleFailure| FailureLine {
            rule: failure.rule_id.clone(),
            message: failure.to_string(),
        })
        .collect();
    let is_asked = |rule: &&Rule| n_built_in == 0 || !is_built_in(rule);
    let asked: Vec<&Rule> = rules.rules().iter().filter(is_asked).collect();
    let n_examples =
        asked.iter().map(|rule| rule.examples().len() + rule.negative_examples().len()).sum();
    let is_sound = failures.is_empty();
    let report = RulesCheck {
        format: "carnet/rules-check/1",
        n_rules: rules.rules().len() - n_built_in,
        n_examples,
        failures,
    };
    if args.json {
        ui.json(&report);
    } else {
        report.failures.iter().for_each(|failure| ui.out(&format!("{}\n", failure.message)));
        let RulesCheck { n_rules, n_examples, failures, .. } = &report;
        ui.out(&format!("{n_rules} rules, {n_examples} examples, {} failed\n", failures.len()));
    }
    Ok(if is_sound { ExitCode::Done } else { ExitCode::Refused })
}

fn is_built_in(rule: &Rule) -> bool {
    let built_in = RuleSet::built_in().rules();
    built_in.binary_search_by(|other| other.id().cmp(rule.id())).is_ok()
}

#[derive(Serialize)]
struct RulesBench {
    format: &'static str,
    n_bytes: usize,
    /// Of the rules that met a keyword, the costliest first.
    rules: Vec<CostLine>,
}

#[derive(Serialize)]
struct CostLine {
    id: String,
    n_keywords: usize,
    n_bytes_looked_at: usize,
    n_met: usize,
    /// Wall time of one look, the pattern being compiled already.
    microseconds: u128,
}

fn bench(ui: &Ui, args: &BenchRulesArgs) -> CommandResult {
    let mut text = vec![];
    for path in &args.files {
        text.extend(bytes_of(path)?);
        text.push(b'\n');
    }
    if args.files.is_empty() {
        BUILT_IN_FILES.iter().for_each(|(_, file)| text.extend_from_slice(file.as_bytes()));
    }
    let mut lines = vec![];
    in_force()?.each_cost(&text, &mut |cost| {
        (cost.look)();
        let started = Instant::now();
        let n_met = (cost.look)();
        lines.push(CostLine {
            id: cost.rule.id().to_owned(),
            n_keywords: cost.n_keywords,
            n_bytes_looked_at: cost.n_bytes,
            n_met,
            microseconds: started.elapsed().as_micros(),
        });
    });
    lines.sort_by_key(|line| std::cmp::Reverse(line.microseconds));
    if args.json {
        let (format, n_bytes) = ("carnet/rules-bench/1", text.len());
        ui.json(&RulesBench { format, n_bytes, rules: lines });
        return Ok(ExitCode::Done);
    }
    let n_shown = if args.all { lines.len() } else { N_COSTLY };
    let mut shown =
        format!("{:<44} {:>9} {:>12} {:>6} {:>10}\n", "rule", "keywords", "bytes", "met", "us");
    for line in lines.iter().take(n_shown) {
        let CostLine { id, n_keywords, n_bytes_looked_at, n_met, microseconds } = line;
        shown.push_str(&format!(
            "{id:<44} {n_keywords:>9} {n_bytes_looked_at:>12} {n_met:>6} {microseconds:>10}\n"
        ));
    }
    ui.out(&shown);
    ui.out(&format!(
        "{} of {} rules met a keyword in {} bytes\n",
        lines.len(),
        in_force()?.rules().len(),
        text.len()
    ));
    Ok(ExitCode::Done)
}

/// The rules of the repository that this is called in; outside of any, the built-in ones.
fn in_force() -> Result<&'static RuleSet, CommandError> {
    match Repo::discover(".".as_ref()) {
        Ok(repo) => Workspace { repo }.rules(),
        Err(OpenError::NotARepository { .. }) => Ok(RuleSet::built_in()),
        Err(error) => Err(error.into()),
    }
}

fn bytes_of(path: &PathBuf) -> Result<Vec<u8>, CommandError> {
    let failed = |error: &std::io::Error| {
        CommandError::new(
            ExitCode::NothingToLookAt,
            format!("cannot read `{}`: {error}", path.display()),
        )
    };
    let meta = std::fs::metadata(path).map_err(|error| failed(&error))?;
    if meta.len() > FILE_BYTES_MAX {
        let message = format!("`{}` has more than {FILE_BYTES_MAX} bytes", path.display());
        return Err(CommandError::new(ExitCode::Usage, message));
    }
    std::fs::read(path).map_err(|error| failed(&error))
}
