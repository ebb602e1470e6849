//! `carnet who-calls`, `calls`, `impact-set`, `implementations`, `outline`: questions to the graph of calls.

use std::fmt::Write as _;

use carnet_core::{ExitCode, RepoPath};
use carnet_index::{CallSite, Callers, Change, Definition, Implementation, Reached, chain};
use clap::Args;
use serde::Serialize;

use super::query::{Asked, DefinitionLine, IndexLine, definition_line, is_false, list};
use crate::{
    cli::{FreshArgs, QueryArgs},
    error::{CommandError, CommandResult},
    ui::Ui,
};

/// Options of `who-calls`.
#[derive(Debug, Args)]
pub struct WhoCallsArgs {
    #[command(flatten)]
    query: QueryArgs,
    /// Callers of callers too, up to so many calls in a row; beyond 1 only resolved calls are followed.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    depth: u32,
}

/// Options of `impact-set`.
#[derive(Debug, Args)]
pub struct ImpactArgs {
    /// A file, a symbol, or a range of commits `A..B` (B is HEAD when it is left out).
    #[arg(value_name = "FILE|SYMBOL|RANGE")]
    target: String,
    /// Most calls in a row that are followed.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=64))]
    depth: u32,
    #[command(flatten)]
    fresh: FreshArgs,
    /// Write JSON.
    #[arg(long)]
    json: bool,
}

/// Options of `outline`.
#[derive(Debug, Args)]
pub struct OutlineArgs {
    /// The file, from the top of the repository or from here.
    #[arg(value_name = "FILE")]
    file: String,
    #[command(flatten)]
    fresh: FreshArgs,
    /// Write JSON.
    #[arg(long)]
    json: bool,
}

/// `carnet who-calls --json` and `carnet calls --json`.
#[derive(Serialize)]
pub(super) struct CallList {
    format: &'static str,
    name: String,
    index: IndexLine,
    resolved: Vec<CallLine>,
    candidates: Vec<CallLine>,
}

#[derive(Serialize)]
struct CallLine {
    path: String,
    line: u32,
    column: u32,
    caller: Option<String>,
    callee: String,
    evidence: &'static str,
    /// From 0 to 1.
    confidence: f64,
    target: Option<String>,
    /// Whether the place of the call is not committed.
    #[serde(skip_serializing_if = "is_false")]
    uncommitted: bool,
    /// Whether the place of the target is not.
    #[serde(skip_serializing_if = "is_false")]
    target_uncommitted: bool,
}

/// `carnet who-calls --depth N --json` and `carnet impact-set --json`.
#[derive(Serialize)]
pub(super) struct ReachedList {
    format: &'static str,
    target: String,
    index: IndexLine,
    depth: u32,
    /// Always `lower_bound`: only resolved calls are followed.
    completeness: &'static str,
    reached: Vec<ReachedLine>,
}

#[derive(Serialize)]
struct ReachedLine {
    path: String,
    line: u32,
    caller: Option<String>,
    callee: String,
    depth: u32,
    /// Position in this list of what the callee was reached by.
    via: Option<usize>,
    #[serde(skip_serializing_if = "is_false")]
    uncommitted: bool,
}

/// `carnet implementations --json`.
#[derive(Serialize)]
pub(super) struct ImplementationList {
    format: &'static str,
    name: String,
    index: IndexLine,
    implementations: Vec<ImplementationLine>,
}

#[derive(Serialize)]
struct ImplementationLine {
    path: String,
    line: u32,
    column: u32,
    subtype: String,
    /// `said`, or `method-set` where a Go type has the methods.
    evidence: &'static str,
    definition: Option<DefinitionLine>,
    #[serde(skip_serializing_if = "is_false")]
    uncommitted: bool,
}

/// `carnet outline --json`.
#[derive(Serialize)]
pub(super) struct Outline {
    format: &'static str,
    path: String,
    index: IndexLine,
    definitions: Vec<DefinitionLine>,
}

/// Prints who calls a symbol.
pub fn who_calls(ui: &Ui, args: &WhoCallsArgs) -> CommandResult {
    let asked = Asked::open(ui, args.query.fresh)?;
    let name = args.query.name.as_str();
    if args.depth > 1 {
        let reached = asked.snapshot.who_reaches(name, args.depth)?;
        let found = !reached.is_empty() || !asked.snapshot.where_defined(name)?.is_empty();
        print_reached(
            ui,
            &asked,
            ("carnet/who-reaches/1", name),
            args.depth,
            &reached,
            args.query.json,
        );
        return asked.ending(found, name);
    }
    let callers = asked.snapshot.who_calls(name)?;
    print_calls(
        ui,
        &asked,
        ("carnet/callers/1", "no call of it is in the index"),
        &args.query,
        &callers,
    )
}

/// Prints what a symbol calls.
pub fn calls(ui: &Ui, args: &QueryArgs) -> CommandResult {
    let asked = Asked::open(ui, args.fresh)?;
    let calls = asked.snapshot.calls(&args.name)?;
    print_calls(ui, &asked, ("carnet/calls/1", "it calls nothing"), args, &calls)
}

fn print_calls(
    ui: &Ui,
    asked: &Asked,
    (format, nothing): (&'static str, &str),
    args: &QueryArgs,
    calls: &Callers,
) -> CommandResult {
    let is_empty = calls.resolved.is_empty() && calls.candidates.is_empty();
    let found = !is_empty || !asked.snapshot.where_defined(&args.name)?.is_empty();
    if args.json {
        ui.json(&call_list(asked, format, &args.name, calls));
        return asked.ending(found, &args.name);
    }
    let is_outgoing = format == "carnet/calls/1";
    for (title, calls) in [("resolved", &calls.resolved), ("candidates", &calls.candidates)] {
        if !calls.is_empty() {
            ui.out(&format!("{} ({})\n", ui.bold_out(title), calls.len()));
            ui.out(&list(calls.iter().map(|call| call_row(ui, asked, call, is_outgoing))));
        }
    }
    if found && is_empty {
        ui.err(&format!("{nothing}\n"));
    }
    ui.err(&asked.footer());
    asked.ending(found, &args.name)
}

/// Prints what reaches what a file, a symbol or a range of commits stands for.
pub fn impact_set(ui: &Ui, args: &ImpactArgs) -> CommandResult {
    let asked = Asked::open(ui, args.fresh)?;
    let target = args.target.as_str();
    let (reached, found) = impact_of(&asked, target, args.depth)?;
    print_reached(ui, &asked, ("carnet/impact-set/1", target), args.depth, &reached, args.json);
    asked.ending(found, target)
}

/// Returns what reaches a target, and whether there is such a target.
pub(super) fn impact_of(
    asked: &Asked,
    target: &str,
    depth: u32,
) -> Result<(Vec<Reached>, bool), CommandError> {
    if let Some(changes) = changes(asked, target)? {
        return Ok((asked.snapshot.impact(&changes, depth)?, true));
    }
    let found = !asked.snapshot.where_defined(target)?.is_empty();
    Ok((asked.snapshot.who_reaches(target, depth)?, found))
}

/// Returns the path and the definitions of an indexed file.
pub(super) fn outlined(
    asked: &Asked,
    file: &str,
) -> Result<(RepoPath, Vec<Definition>), CommandError> {
    let Some(path) = indexed_path(asked, file)? else {
        let message = format!("`{file}` is not in the index");
        return Err(CommandError::new(ExitCode::NothingToLookAt, message)
            .hint("Only committed files in a known language are: see `carnet status`."));
    };
    let definitions = asked.snapshot.outline(&path)?.unwrap_or_default();
    Ok((path, definitions))
}

/// Returns a type's name without what stands before it.
pub(super) fn own_name(name: &str) -> &str {
    name.rsplit(['.', ':']).next().unwrap_or(name)
}

/// What `who-calls --json` and `calls --json` print.
pub(super) fn call_list(
    asked: &Asked,
    format: &'static str,
    name: &str,
    calls: &Callers,
) -> CallList {
    CallList {
        format,
        name: name.to_owned(),
        index: asked.line(),
        resolved: calls.resolved.iter().map(|it| call_line(asked, it)).collect(),
        candidates: calls.candidates.iter().map(|it| call_line(asked, it)).collect(),
    }
}

/// What `who-calls --depth --json` and `impact-set --json` print.
pub(super) fn reached_list(
    asked: &Asked,
    format: &'static str,
    target: &str,
    depth: u32,
    reached: &[Reached],
) -> ReachedList {
    ReachedList {
        format,
        target: target.to_owned(),
        index: asked.line(),
        depth,
        completeness: "lower_bound",
        reached: reached.iter().map(|it| reached_line(asked, it)).collect(),
    }
}

/// What `implementations --json` prints.
pub(super) fn implementation_list(
    asked: &Asked,
    name: &str,
    found: &[Implementation],
) -> ImplementationList {
    ImplementationList {
        format: "carnet/implementations/1",
        name: name.to_owned(),
        index: asked.line(),
        implementations: found.iter().map(|it| implementation_line(asked, it)).collect(),
    }
}

/// What `outline --json` prints.
pub(super) fn outline_list(asked: &Asked, path: &RepoPath, definitions: &[Definition]) -> Outline {
    Outline {
        format: "carnet/outline/1",
        path: path.to_text(),
        index: asked.line(),
        definitions: definitions.iter().map(|it| definition_line(asked, it)).collect(),
    }
}

/// Returns what a file or a range of commits changes; `None` where the target is neither.
fn changes(asked: &Asked, target: &str) -> Result<Option<Vec<Change>>, CommandError> {
    if let Some((old, new)) = target.split_once("..") {
        let (old, new) = (old, new.trim_start_matches('.'));
        let commit =
            |name: &str| asked.repo.resolve_commit(if name.is_empty() { "HEAD" } else { name });
        let (old, new) = (commit(old)?, commit(new)?);
        if new != asked.snapshot.commit() {
            let message = format!(
                "the range ends at commit {}, and the index is at {}",
                new.short(),
                asked.snapshot.commit().short()
            );
            return Err(CommandError::new(ExitCode::Usage, message).hint(
                "End the range at HEAD: the lines of another commit are not those of the index.",
            ));
        }
        let changed = asked.repo.changed_lines(&old, &new);
        let changed = changed.map_err(|error| CommandError::of(ExitCode::Io, &error))?;
        return Ok(Some(
            changed.into_iter().map(|(path, lines)| Change { path, lines: Some(lines) }).collect(),
        ));
    }
    let Some(path) = indexed_path(asked, target)? else { return Ok(None) };
    Ok(Some(vec![Change { path, lines: None }]))
}

/// Returns the path of an indexed file that is named from the top of the repository or from here.
pub(super) fn indexed_path(asked: &Asked, name: &str) -> Result<Option<RepoPath>, CommandError> {
    let from_here = asked.repo.work_tree().and_then(|top| {
        let absolute = std::path::absolute(name).ok()?;
        let relative = absolute.strip_prefix(top).ok()?;
        Some(relative.as_os_str().as_encoded_bytes().to_vec())
    });
    for bytes in [Some(name.as_bytes().to_vec()), from_here].into_iter().flatten() {
        let Ok(path) = RepoPath::new(bytes) else { continue };
        if asked.snapshot.has_file(&path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Prints which types extend or implement a type.
pub fn implementations(ui: &Ui, args: &QueryArgs) -> CommandResult {
    let asked = Asked::open(ui, args.fresh)?;
    let found = asked.snapshot.implementations(own_name(&args.name))?;
    let is_known = !found.is_empty() || !asked.snapshot.where_defined(&args.name)?.is_empty();
    if args.json {
        ui.json(&implementation_list(&asked, &args.name, &found));
        return asked.ending(is_known, &args.name);
    }
    ui.out(&list(found.iter().map(|it| implementation_row(ui, &asked, it))));
    if is_known && found.is_empty() {
        ui.err("no type of the index extends or implements it\n");
    }
    ui.err(&asked.footer());
    asked.ending(is_known, &args.name)
}

/// Prints what a file defines.
pub fn outline(ui: &Ui, args: &OutlineArgs) -> CommandResult {
    let asked = Asked::open(ui, args.fresh)?;
    let (path, definitions) = outlined(&asked, &args.file)?;
    if args.json {
        ui.json(&outline_list(&asked, &path, &definitions));
        return asked.ending(true, &args.file);
    }
    for definition in &definitions {
        ui.out(&outline_row(ui, &asked, definition));
    }
    ui.err(&asked.footer());
    asked.ending(true, &args.file)
}

fn print_reached(
    ui: &Ui,
    asked: &Asked,
    (format, target): (&'static str, &str),
    depth: u32,
    reached: &[Reached],
    json: bool,
) {
    if json {
        return ui.json(&reached_list(asked, format, target, depth, reached));
    }
    ui.out(&list(reached.iter().map(|it| reached_row(ui, asked, reached, it))));
    if reached.is_empty() {
        ui.err("no resolved call reaches it\n");
    } else {
        let mut paths: Vec<_> = reached.iter().map(|it| &it.path).collect();
        paths.sort();
        paths.dedup();
        let places = super::report::count(reached.len(), "place");
        let files = super::report::count(paths.len(), "file");
        ui.err(&format!("{places} in {files}, through resolved calls alone: a lower bound\n"));
    }
    ui.err(&asked.footer());
}

fn reached_line(asked: &Asked, reached: &Reached) -> ReachedLine {
    ReachedLine {
        path: reached.path.to_text(),
        line: reached.line,
        caller: reached.caller.as_ref().map(|place| place.qualified_name.clone()),
        callee: reached.callee.qualified_name.clone(),
        depth: reached.depth,
        via: reached.via,
        uncommitted: asked.is_uncommitted(&reached.path),
    }
}

/// `2  src/main.rs:17  main → load → parse_config`
fn reached_row(ui: &Ui, asked: &Asked, all: &[Reached], reached: &Reached) -> String {
    let mut way = String::new();
    for step in chain(all, reached) {
        let caller =
            step.caller.as_ref().map_or("(top of the file)", |place| &place.qualified_name);
        let _ = write!(way, "{caller} → ");
    }
    let last = chain(all, reached).last().map_or("", |step| &step.callee.qualified_name).to_owned();
    let place = format!("{}:{}", reached.path, reached.line);
    let mark = asked.mark(ui, &reached.path);
    format!("{}  {}  {way}{last}{mark}\n", reached.depth, ui.bold_out(&place))
}

fn call_line(asked: &Asked, call: &CallSite) -> CallLine {
    CallLine {
        path: call.path.to_text(),
        line: call.region.start_line,
        column: call.region.start_column,
        caller: call.enclosing.as_ref().map(|place| place.qualified_name.clone()),
        callee: call.callee.clone(),
        evidence: call.evidence.name(),
        confidence: call.evidence.confidence(),
        target: call.target.as_ref().map(|place| format!("{}:{}", place.path, place.line)),
        uncommitted: asked.is_uncommitted(&call.path),
        target_uncommitted: call.target.as_ref().is_some_and(|it| asked.is_uncommitted(&it.path)),
    }
}

fn call_row(ui: &Ui, asked: &Asked, call: &CallSite, is_outgoing: bool) -> String {
    let place = format!("{}:{}:{}", call.path, call.region.start_line, call.region.start_column);
    let caller = call.enclosing.as_ref().map_or("(top of the file)", |place| &place.qualified_name);
    let about = match (is_outgoing, &call.receiver) {
        (false, _) => format!("in {caller}"),
        (true, Some(receiver)) => format!("{receiver} . {}", call.callee),
        (true, None) => call.callee.clone(),
    };
    let target = call.target.as_ref().map_or(String::new(), |it| {
        format!(" → {}:{}{}", it.path, it.line, asked.mark(ui, &it.path))
    });
    let (evidence, mark) = (ui.dim_out(call.evidence.name()), asked.mark(ui, &call.path));
    format!("  {}  {about}{target}  {evidence}{mark}\n", ui.bold_out(&place))
}

fn implementation_line(asked: &Asked, found: &Implementation) -> ImplementationLine {
    ImplementationLine {
        path: found.path.to_text(),
        line: found.line,
        column: found.column,
        subtype: found.subtype.clone(),
        evidence: evidence(found),
        definition: found.definition.as_ref().map(|it| definition_line(asked, it)),
        uncommitted: asked.is_uncommitted(&found.path),
    }
}

fn evidence(found: &Implementation) -> &'static str {
    if found.is_said { "said" } else { "method-set" }
}

fn implementation_row(ui: &Ui, asked: &Asked, found: &Implementation) -> String {
    let place = format!("{}:{}:{}", found.path, found.line, found.column);
    let (evidence, mark) = (ui.dim_out(evidence(found)), asked.mark(ui, &found.path));
    format!("{}  {}  {evidence}{mark}\n", ui.bold_out(&place), found.subtype)
}

/// One definition, indented by the scopes around it.
fn outline_row(ui: &Ui, asked: &Asked, definition: &Definition) -> String {
    let symbol = &definition.symbol;
    let depth = match symbol.container.as_str() {
        "" => 0,
        container => container.split('.').count(),
    };
    let line = format!("{:>5}", symbol.name_region.start_line);
    let doc = symbol.doc.lines().next().unwrap_or_default();
    let doc = if doc.is_empty() { String::new() } else { format!("  {}", ui.dim_out(doc)) };
    let indent = "  ".repeat(depth);
    format!(
        "{}  {indent}{} {}{doc}{}\n",
        ui.bold_out(&line),
        symbol.kind.name(),
        symbol.signature.trim(),
        asked.mark(ui, &definition.path)
    )
}
