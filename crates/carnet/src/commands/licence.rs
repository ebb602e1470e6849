//! `carnet licence`: what files are under, whether the policy agrees, and headers for those that say nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use carnet_core::{Content, ExitCode, LineIndex, Origin, RepoPath, listed_expression};
use carnet_git::{EntryMode, OpenError, Repo};
use carnet_policy::HeaderRule;
use carnet_scan::{
    Detection, HeaderError, LicenceHeader, LicenceKind, Licences, RuleSet, licences,
    with_licence_header,
};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    report::{self, count},
    scan::{list_files, path_guard, unreadable},
};
use crate::{
    cli::ScanFormat,
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::{Workspace, now},
};

/// Largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Verbs of `licence`.
#[derive(Debug, Subcommand)]
pub enum LicenceCommand {
    /// Show which licences files are under: by tag, text, header, notice or manifest.
    #[command(
        after_help = "Examples:\n  carnet licence list\n  carnet licence list vendor third_party\n  carnet licence list --json LICENSE\n\nWithout PATH the files of HEAD are read. A text with other words than the licence is called modified, with the words."
    )]
    List(ListArgs),
    /// Hold licences against the policy in force; exit code 1 when it refuses.
    #[command(
        after_help = "Examples:\n  carnet licence check\n  carnet licence check --staged\n  carnet licence check --format sarif vendor\n\nThe policy is the `licences` section of policy/content.toml; see docs/format/licence.md. Hooks check what is staged by themselves."
    )]
    Check(CheckArgs),
    /// Write the header that the policy asks for into files without one.
    #[command(
        after_help = "Examples:\n  carnet licence fix --dry-run src\n  carnet licence fix src tests\n  carnet licence fix --expression 'MIT OR Apache-2.0' --copyright '2026 Ann' src/main.rs\n\nWithout --expression the policy's `licences.header` says what is written, and into which files."
    )]
    Fix(FixArgs),
}

/// Options of `licence list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Files and directories (default: the files of HEAD).
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write JSON (`carnet/licence-list/1`).
    #[arg(long)]
    json: bool,
}

/// Options of `licence check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Files and directories (default: the files of HEAD).
    #[arg(value_name = "PATH", conflicts_with = "staged")]
    paths: Vec<PathBuf>,
    /// Look at what is staged.
    #[arg(long)]
    staged: bool,
    /// How to write the result.
    #[arg(long, value_enum, default_value_t = ScanFormat::Text)]
    format: ScanFormat,
    /// Write JSON (`carnet/scan/1`).
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// Options of `licence fix`.
#[derive(Debug, Args)]
pub struct FixArgs {
    /// Files and directories.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Say what would be written, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// The licence to write, an SPDX expression; files that the policy's rule does not name get it too.
    #[arg(long, value_name = "EXPRESSION")]
    expression: Option<String>,
    /// Who holds the copyright, as it shall stand behind `SPDX-FileCopyrightText:`.
    #[arg(long, value_name = "TEXT")]
    copyright: Option<String>,
    /// Write JSON (`carnet/licence-fix/1`).
    #[arg(long)]
    json: bool,
}

/// Does what was asked.
pub fn licence(ui: &Ui, command: &LicenceCommand) -> CommandResult {
    match command {
        LicenceCommand::List(args) => list(ui, args),
        LicenceCommand::Check(args) => check(ui, args),
        LicenceCommand::Fix(args) => fix(ui, args),
    }
}

/// `carnet licence list --json`.
#[derive(Serialize)]
struct ListReport {
    format: &'static str,
    files: Vec<FileLine>,
    /// Files that each expression was found in.
    expressions: BTreeMap<String, usize>,
}

#[derive(Serialize)]
struct FileLine {
    path: String,
    /// Every expression of the file once.
    expressions: BTreeSet<String>,
    detections: Vec<DetectionLine>,
    /// What a manifest leaves open.
    unknown: Vec<String>,
}

#[derive(Serialize)]
struct DetectionLine {
    expression: String,
    /// `tag`, `text`, `header`, `notice`, `manifest` or `mention`.
    kind: &'static str,
    start_line: u32,
    end_line: u32,
    start: usize,
    end: usize,
    coverage: f64,
    modified: bool,
    deviations: Vec<DeviationLine>,
}

#[derive(Serialize)]
struct DeviationLine {
    at: usize,
    added: String,
    missing: String,
}

fn list(ui: &Ui, args: &ListArgs) -> CommandResult {
    let mut report =
        ListReport { format: "carnet/licence-list/1", files: vec![], expressions: BTreeMap::new() };
    for_each_content(&args.paths, &mut |content| {
        let line = file_line(&content);
        for expression in &line.expressions {
            *report.expressions.entry(expression.clone()).or_default() += 1;
        }
        if !line.detections.is_empty() || !line.unknown.is_empty() {
            report.files.push(line);
        }
    })?;
    if args.json {
        ui.json(&report);
    } else {
        ui.out(&list_text(ui, &report));
    }
    Ok(ExitCode::Done)
}

fn file_line(content: &Content) -> FileLine {
    let path = content.origin.name();
    let Licences { detections, unknown } = licences(path.as_bytes(), &content.bytes);
    let expressions = detections.iter().map(|met| met.expression.clone()).collect();
    let lines = LineIndex::new(&content.bytes);
    FileLine {
        path,
        expressions,
        detections: detections.into_iter().map(|met| detection_line(met, &lines)).collect(),
        unknown: unknown.into_iter().map(|open| open.what).collect(),
    }
}

fn detection_line(met: Detection, lines: &LineIndex) -> DetectionLine {
    let region = lines.region(met.span.start, met.span.end);
    DetectionLine {
        kind: kind(met.kind),
        start_line: region.start_line,
        end_line: region.end_line,
        start: met.span.start,
        end: met.span.end,
        coverage: met.coverage,
        modified: met.is_modified(),
        expression: met.expression,
        deviations: met
            .deviations
            .into_iter()
            .map(|it| DeviationLine { at: it.at, added: it.added, missing: it.missing })
            .collect(),
    }
}

fn kind(kind: LicenceKind) -> &'static str {
    match kind {
        LicenceKind::Tag => "tag",
        LicenceKind::Text => "text",
        LicenceKind::Header => "header",
        LicenceKind::Notice => "notice",
        LicenceKind::Manifest => "manifest",
        LicenceKind::Mention => "mention",
    }
}

fn list_text(ui: &Ui, report: &ListReport) -> String {
    let mut text = String::new();
    for file in &report.files {
        let path = file.path.escape_debug();
        let mut said = BTreeSet::new();
        for met in &file.detections {
            if !said.insert((&met.expression, met.kind, met.modified)) {
                continue;
            }
            let modified = if met.modified { ui.yellow_out(", modified") } else { String::new() };
            text += &format!(
                "{path}:{}: {}  ({}{modified})\n",
                met.start_line,
                ui.bold_out(&met.expression),
                met.kind
            );
            for it in met.deviations.iter().filter(|_| met.modified).take(3) {
                let (added, missing) = (it.added.escape_debug(), it.missing.escape_debug());
                text += &match (it.added.is_empty(), it.missing.is_empty()) {
                    (true, _) => format!("    without: {missing}\n"),
                    (_, true) => format!("    with: {added}\n"),
                    _ => format!("    with: {added}\n    for: {missing}\n"),
                };
            }
        }
        for open in &file.unknown {
            text += &format!("{path}: unknown: {}\n", open.escape_debug());
        }
    }
    if report.files.is_empty() {
        text += "No licence was found.\n";
    } else {
        text += "\n";
    }
    for (expression, n_files) in &report.expressions {
        text += &format!("{:>6}  {expression}\n", n_files);
    }
    text
}

fn check(ui: &Ui, args: &CheckArgs) -> CommandResult {
    let guard = path_guard()?;
    let policy = guard.policy().licences();
    let expired = policy.expired_waivers(now());
    if !expired.is_empty() {
        let mut wrong =
            CommandError::new(ExitCode::Config, "waivers of policy/content.toml ran out");
        wrong.causes = expired;
        return Err(wrong.hint("Take them out, or have them renewed with a new reason and day."));
    }
    if policy.is_empty() {
        ui.err("carnet: the policy in force says nothing of licences; docs/format/licence.md says how it can\n");
    }
    let mut contents = vec![];
    if args.staged {
        contents = staged()?;
    } else {
        for_each_content(&args.paths, &mut |content| contents.push(content))?;
    }
    let examination = guard.examine_licences(contents.into_iter(), now());
    let format = if args.json { ScanFormat::Json } else { args.format };
    report::write(ui, RuleSet::built_in(), &examination, format);
    Ok(if examination.verdict.is_allowed() { ExitCode::Done } else { ExitCode::Refused })
}

fn staged() -> Result<Vec<Content>, CommandError> {
    let repo = Workspace::discover()?.repo;
    let mut contents = vec![];
    for entry in repo.staged().map_err(carnet_guard::ExamineError::from)? {
        if entry.mode == EntryMode::Submodule {
            continue;
        }
        let bytes = repo.read_blob(&entry.blob_id, FILE_BYTES_MAX).map_err(|source| {
            carnet_guard::ExamineError::Blob { path: entry.path.clone(), source }
        })?;
        contents.push(Content { origin: Origin::Staged(entry.path), bytes });
    }
    Ok(contents)
}

/// Hands over the files of paths, or of HEAD where none are given.
fn for_each_content(paths: &[PathBuf], each: &mut dyn FnMut(Content)) -> Result<(), CommandError> {
    if paths.is_empty() {
        return for_each_of_head(each);
    }
    let top = work_tree()?;
    for path in files(paths)? {
        let bytes = fs::read(&path).map_err(|error| unreadable(&path, &error))?;
        each(Content { origin: origin(top.as_deref(), &path), bytes });
    }
    Ok(())
}

fn for_each_of_head(each: &mut dyn FnMut(Content)) -> Result<(), CommandError> {
    let repo = Workspace::discover()?.repo;
    let head = repo.resolve_commit("HEAD")?;
    let unread = |source| carnet_guard::ExamineError::Tree { id: head, source };
    for file in repo.tree_files(&head).map_err(unread)? {
        if file.mode == EntryMode::Submodule {
            continue;
        }
        let bytes = repo.read_blob(&file.id, FILE_BYTES_MAX).map_err(|source| {
            carnet_guard::ExamineError::Blob { path: file.path.clone(), source }
        })?;
        each(Content { origin: Origin::Committed(file.path), bytes });
    }
    Ok(())
}

fn files(paths: &[PathBuf]) -> Result<BTreeSet<PathBuf>, CommandError> {
    let mut files = BTreeSet::new();
    for path in paths {
        list_files(path, &mut files)?;
    }
    Ok(files)
}

/// The top of the work tree, where there is one.
fn work_tree() -> Result<Option<PathBuf>, CommandError> {
    match Repo::discover(".".as_ref()) {
        Ok(repo) => Ok(repo.require_work_tree().ok().and_then(|top| top.canonicalize().ok())),
        Err(OpenError::NotARepository { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A file of the work tree goes by its path there, as the policy's globs do.
fn origin(top: Option<&Path>, path: &Path) -> Origin {
    let inside = top.zip(path.canonicalize().ok()).and_then(|(top, full)| {
        let inside = full.strip_prefix(top).ok()?.to_str()?.as_bytes().to_vec();
        RepoPath::new(inside).ok()
    });
    inside.map_or_else(|| Origin::File(path.display().to_string()), Origin::Committed)
}

/// `carnet licence fix --json`.
#[derive(Serialize)]
struct FixReport {
    format: &'static str,
    dry_run: bool,
    fixed: Vec<String>,
    /// Files that got no header, and why.
    left: BTreeMap<String, String>,
}

fn fix(ui: &Ui, args: &FixArgs) -> CommandResult {
    let guard = path_guard()?;
    let rule = guard.policy().licences().header();
    let header = header(args, rule)?;
    let top = work_tree()?;
    let mut report = FixReport {
        format: "carnet/licence-fix/1",
        dry_run: args.dry_run,
        fixed: vec![],
        left: BTreeMap::new(),
    };
    for path in files(&args.paths)? {
        let name = origin(top.as_deref(), &path).name();
        let is_meant = args.expression.is_some() || rule.is_some_and(|rule| rule.applies(&name));
        if !is_meant {
            continue;
        }
        let bytes = fs::read(&path).map_err(|error| unreadable(&path, &error))?;
        match with_licence_header(&name, &bytes, &header) {
            Ok(fixed) => {
                if !args.dry_run {
                    write(&path, &fixed)?;
                }
                report.fixed.push(name);
            }
            Err(HeaderError::Tagged) => {}
            Err(error) => drop(report.left.insert(name, error.to_string())),
        }
    }
    if args.json {
        ui.json(&report);
    } else {
        ui.out(&fix_text(&report, &header));
    }
    Ok(if report.left.is_empty() { ExitCode::Done } else { ExitCode::Incomplete })
}

fn header(args: &FixArgs, rule: Option<&HeaderRule>) -> Result<LicenceHeader, CommandError> {
    let copyright = args.copyright.clone().or_else(|| rule.and_then(|rule| rule.copyright.clone()));
    if copyright.as_ref().is_some_and(|text| {
        text.contains(['\n', '\r']) || text.contains("*/") || text.contains("-->")
    }) {
        return Err(CommandError::new(
            ExitCode::Usage,
            "the copyright must be one line, without the end of a comment",
        ));
    }
    let expression = match (&args.expression, rule) {
        (Some(text), _) => {
            listed_expression(text).map(|expression| expression.to_string()).ok_or_else(|| {
                CommandError::new(
                    ExitCode::Usage,
                    format!("`{text}` is no licence expression of the SPDX list"),
                )
                .hint("Write ids as https://spdx.org/licenses/ does: `MIT OR Apache-2.0`.")
            })?
        }
        (None, Some(rule)) => rule.expression.clone(),
        (None, None) => {
            return Err(CommandError::new(ExitCode::Usage, "nothing says which licence to write")
                .hint("Say it with `--expression MIT`, or in policy/content.toml under `[licences.header]`."));
        }
    };
    Ok(LicenceHeader { expression, copyright })
}

fn fix_text(report: &FixReport, header: &LicenceHeader) -> String {
    let verb = if report.dry_run { "would get" } else { "got" };
    let mut text = String::new();
    for path in &report.fixed {
        text += &format!("{} {verb} a header of {}\n", path.escape_debug(), header.expression);
    }
    for (path, why) in &report.left {
        text += &format!("{} was left alone: {why}\n", path.escape_debug());
    }
    if report.fixed.is_empty() && report.left.is_empty() {
        text += "Every file that needs a header has one.\n";
    } else {
        text += &format!("{} {verb} a header.\n", count(report.fixed.len(), "file"));
    }
    text
}

/// Writes the file beside its place and renames it there, with its permissions.
fn write(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    let failed = |error: std::io::Error| {
        CommandError::new(ExitCode::Io, format!("cannot write `{}`: {error}", path.display()))
    };
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = path.with_file_name(format!(".{name}.carnet-{}", std::process::id()));
    let permissions = fs::metadata(path).map_err(failed)?.permissions();
    let written = fs::write(&beside, bytes)
        .and_then(|()| fs::set_permissions(&beside, permissions))
        .and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&beside);
        failed(error)
    })
}
