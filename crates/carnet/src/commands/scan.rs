//! `carnet scan`: staged files, commits, trees, the whole history, paths, standard input.

use std::{
    collections::BTreeSet,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use carnet_access::dsse::Signatures;
use carnet_core::{Content, ExitCode, Origin};
use carnet_git::{Author, OpenError, Repo};
use carnet_guard::{
    AuditKind, Examination, Guard, GuardReceipt, KnownHistory, LookedOver, Met, Newcomers,
    RECEIPT_TYPE, Revisions, write_receipts,
};
use carnet_policy::ContentPolicy;
use carnet_scan::RuleSet;

use super::{progress::ProgressLine, report};
use crate::{
    cli::{ScanArgs, ScanFormat},
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::{Workspace, key_for_once, now, rules_read},
};

/// Scans and reports; exit code 1 when the policy refuses what was found.
pub fn scan(ui: &Ui, args: &ScanArgs) -> CommandResult {
    let examination = match (&args.commits, &args.tree) {
        (Some(range), _) => scan_commits(ui, range)?,
        (None, Some(revision)) => scan_tree(revision)?,
        (None, None) if args.history => scan_history(ui)?,
        (None, None) if args.unexamined => scan_unexamined(ui)?,
        (None, None) if args.staged => scan_staged()?,
        (None, None) if args.stdin => scan_paths(&[PathBuf::from("-")])?,
        (None, None) => scan_paths(&args.paths)?,
    };
    let format = if args.json { ScanFormat::Json } else { args.format };
    report::write(ui, rules_read(), &examination, format);
    Ok(if examination.verdict.is_allowed() { ExitCode::Done } else { ExitCode::Refused })
}

fn scan_commits(ui: &Ui, range: &str) -> Result<Examination, CommandError> {
    let workspace = Workspace::discover()?;
    if range.starts_with('-') || range.contains('\n') {
        return Err(CommandError::new(
            ExitCode::Usage,
            format!("`{range}` is no range of commits"),
        )
        .hint("Give one as git does: `carnet scan --commits main..HEAD`."));
    }
    let revisions = Revisions { options: vec![], revisions: vec![range.to_owned()] };
    let gate = workspace.gate(now())?;
    let mut line = ProgressLine::new(ui);
    Ok(gate.examine_commits(&workspace.repo, &revisions, &[], now(), &mut |at| line.show(at))?)
}

fn scan_tree(revision: &str) -> Result<Examination, CommandError> {
    let workspace = Workspace::discover()?;
    let commit_id = workspace.repo.resolve_commit(revision)?;
    Ok(workspace.gate(now())?.examine_tree(&workspace.repo, &commit_id, now())?)
}

fn scan_history(ui: &Ui) -> Result<Examination, CommandError> {
    let workspace = Workspace::discover()?;
    let gate = workspace.gate(now())?;
    examine_history(ui, &workspace, &gate)
}

/// Examines the whole history, with what is known of it. What was found clean before an error is kept, so that a second
/// try is shorter.
pub fn examine_history(
    ui: &Ui,
    workspace: &Workspace,
    gate: &Guard<'_>,
) -> Result<Examination, CommandError> {
    let mut known = KnownHistory::load(&workspace.repo, gate.kept_verdicts_digest(now()));
    let mut line = ProgressLine::new(ui);
    let examined =
        gate.examine_history(&workspace.repo, &mut known, now(), &mut |at| line.show(at));
    drop(line);
    if let Err(error) = known.save() {
        ui.err(&format!("carnet: what is known of the history could not be kept: {error}\n"));
    }
    Ok(examined?)
}

/// Looks over what came round the hooks, keeps what is flagged, and tells the audit log of what is flagged for the first time.
fn scan_unexamined(ui: &Ui) -> Result<Examination, CommandError> {
    let workspace = Workspace::discover()?;
    let gate = workspace.gate(now())?;
    let mut looked_over = LookedOver::load(&workspace.repo);
    let mut line = ProgressLine::new(ui);
    let newcomers =
        gate.examine_newcomers(&workspace.repo, &mut looked_over, now(), &mut |at| {
            line.show(at);
        })?;
    drop(line);
    let Newcomers { examination, newly_flagged, receipts } = newcomers;
    let is_new = |met: &&Met| met.commit_id.is_some_and(|id| newly_flagged.contains(&id));
    let of_new: Vec<&Met> = examination.findings.iter().filter(is_new).collect();
    if !of_new.is_empty() {
        super::hook::audit(ui, &workspace, AuditKind::Flag, "refs", &of_new);
    }
    give_receipts(ui, &workspace, receipts);
    looked_over.save().map_err(|error| {
        CommandError::new(ExitCode::Io, format!("cannot keep what was looked at: {error}"))
            .hint("Nothing is lost: the next `carnet scan --unexamined` looks at it again.")
    })?;
    Ok(examination)
}

/// Signs and keeps receipts, where there is a key; without them a server only examines more.
fn give_receipts(ui: &Ui, workspace: &Workspace, receipts: Vec<GuardReceipt>) {
    let Ok(key) = workspace.key() else { return };
    if receipts.is_empty() {
        return;
    }
    let sign = |receipt: GuardReceipt| {
        let signatures = Signatures::sign(RECEIPT_TYPE, &receipt.payload(), &key);
        Some((receipt, serde_json::from_slice(&signatures.to_json()).ok()?))
    };
    let signed = receipts.into_iter().filter_map(sign).collect();
    let email = format!("{}@carnet.invalid", key.public().writer());
    let author = Author { name: "carnet".to_owned(), email };
    if let Err(error) = write_receipts(&workspace.repo, signed, &author, now()) {
        ui.err(&format!("carnet: receipts could not be kept: {error}\n"));
    }
}

fn scan_staged() -> Result<Examination, CommandError> {
    let workspace = Workspace::discover()?;
    Ok(workspace.gate(now())?.examine_staged(&workspace.repo, now())?)
}

fn scan_paths(paths: &[PathBuf]) -> Result<Examination, CommandError> {
    let guard = path_guard()?;
    let mut files = BTreeSet::new();
    let mut stdin = None;
    for path in paths {
        if path == Path::new("-") {
            let mut bytes = vec![];
            io::stdin().lock().read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
            stdin = Some(Content { origin: Origin::Stdin, bytes });
        } else {
            list_files(path, &mut files)?;
        }
    }
    let mut failure = None;
    let contents = files.iter().map_while(|path| match std::fs::read(path) {
        Ok(bytes) => {
            // Services match `src/a.py` with the lines of a change, and `./src/a.py` with nothing.
            let shown = path.strip_prefix(".").unwrap_or(path);
            Some(Content { origin: Origin::File(shown.display().to_string()), bytes })
        }
        Err(error) => {
            failure = Some(unreadable(path, &error));
            None
        }
    });
    let examination = guard.examine(stdin.into_iter().chain(contents), now());
    failure.map_or(Ok(examination), Err)
}

/// Inside a repository its policy, its accepted findings and its fingerprint key count; outside, the built-in policy
/// and a key for once.
pub fn path_guard() -> Result<Guard<'static>, CommandError> {
    match Repo::discover(".".as_ref()) {
        Ok(repo) => Workspace { repo }.gate(now()),
        Err(OpenError::NotARepository { .. }) => {
            Ok(Guard::new(RuleSet::built_in(), key_for_once()?, ContentPolicy::built_in()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Adds the files below a path. Links are not followed, and `.git` is not entered.
pub fn list_files(path: &Path, files: &mut BTreeSet<PathBuf>) -> Result<(), CommandError> {
    let meta = std::fs::symlink_metadata(path).map_err(|error| unreadable(path, &error))?;
    if meta.is_file() {
        files.insert(path.to_owned());
    } else if meta.is_dir() {
        for entry in std::fs::read_dir(path).map_err(|error| unreadable(path, &error))? {
            let entry = entry.map_err(|error| unreadable(path, &error))?;
            if entry.file_name() != ".git" {
                list_files(&entry.path(), files)?;
            }
        }
    }
    Ok(())
}

pub fn unreadable(path: &Path, error: &io::Error) -> CommandError {
    CommandError::new(ExitCode::Incomplete, format!("cannot read `{}`: {error}", path.display()))
        .hint("What could not be examined counts as refused; make it readable or leave it out.")
}
