//! Questions to the snapshot, with commit and freshness; `carnet where-defined` is the first of them.

use std::time::{Duration, Instant};

use carnet_core::{ExitCode, GitOid, RepoPath};
use carnet_daemon::{Client, ClientError, Freshness, OverlayError, Waited};
use carnet_git::{Head, Repo};
use carnet_index::{Definition, IndexError, Snapshot};
use serde::Serialize;

use super::{daemon, run::unborn};
use crate::{
    cli::{FreshArgs, QueryArgs},
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::{Workspace, carnet_exe, now},
};

/// The key of git's configuration that has questions see uncommitted edits.
const OVERLAY: &str = "carnet.overlay";
/// How long a question waits for the index to reach HEAD.
const FRESH_WITHIN: Duration = Duration::from_secs(120);
/// How long a question waits before it says that it does.
const QUIET_FOR: Duration = Duration::from_millis(300);
/// How long a starting daemon is given to answer.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Most rows that people are shown of one list; machines get them all.
pub(super) const ROWS_MAX: usize = 50;

/// What every answer says of the index it came from.
#[derive(Serialize)]
pub(super) struct IndexLine {
    commit: String,
    head: String,
    behind_commits: Option<u32>,
    behind_seconds: Option<u64>,
    last_update: String,
    /// Files that are answered for as they are in the work tree.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    uncommitted: Vec<String>,
}

/// `carnet where-defined --json`.
#[derive(Serialize)]
struct Definitions {
    format: &'static str,
    name: String,
    index: IndexLine,
    definitions: Vec<DefinitionLine>,
}

#[derive(Serialize)]
pub(super) struct DefinitionLine {
    path: String,
    line: u32,
    column: u32,
    end_line: u32,
    kind: &'static str,
    name: String,
    language: &'static str,
    signature: String,
    visibility: &'static str,
    doc: String,
    blob: String,
    #[serde(skip_serializing_if = "is_false")]
    uncommitted: bool,
}

/// Most answers are about what is committed, and do not say so in every line.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands on a reference")]
pub(super) fn is_false(value: &bool) -> bool {
    !*value
}

/// Prints where a symbol is defined.
pub fn where_defined(ui: &Ui, args: &QueryArgs) -> CommandResult {
    let asked = Asked::open(ui, args.fresh)?;
    let definitions = asked.snapshot.where_defined(&args.name)?;
    let found = !definitions.is_empty();
    if args.json {
        ui.json(&definition_list(&asked, &args.name, &definitions));
    } else {
        let rows = definitions.iter().map(|definition| definition_row(ui, &asked, definition));
        ui.out(&list(rows));
        ui.err(&asked.footer());
    }
    asked.ending(found, &args.name)
}

/// What `where-defined --json` prints.
pub(super) fn definition_list(
    asked: &Asked,
    name: &str,
    definitions: &[Definition],
) -> impl Serialize + use<> {
    Definitions {
        format: "carnet/definitions/1",
        name: name.to_owned(),
        index: asked.line(),
        definitions: definitions.iter().map(|it| definition_line(asked, it)).collect(),
    }
}

/// A snapshot that is as fresh as it could be made, and how far it is behind.
pub(super) struct Asked {
    pub snapshot: Snapshot,
    pub repo: Repo,
    pub head: GitOid,
    freshness: Freshness,
    /// Files whose uncommitted content is in the snapshot, sorted.
    uncommitted: Vec<RepoPath>,
}

impl Asked {
    /// Opens what a question is about: with uncommitted edits when that is asked for, or configured.
    pub fn open(ui: &Ui, fresh: FreshArgs) -> Result<Asked, CommandError> {
        let mut asked = Asked::committed(ui, fresh)?;
        let is_wanted = fresh.dirty
            || (asked.repo.work_tree().is_some()
                && asked.repo.config_get(OVERLAY).is_some_and(|it| it == "true"));
        if is_wanted && !fresh.no_wait && asked.is_level() {
            // A daemon that runs makes the next answer of this kind ahead of the question.
            if let Ok(Some(client)) = Client::connect(&asked.repo) {
                let _ = client.follow_edits();
            }
            let (commit, tree) = (asked.snapshot.commit(), asked.snapshot.tree());
            let overlay = carnet_daemon::overlay(&asked.repo, &commit, &tree, now())?;
            if let Some(carnet_daemon::Overlay { snapshot, paths }) = overlay {
                asked.snapshot = snapshot;
                asked.uncommitted = paths;
            }
        }
        Ok(asked)
    }

    /// Opens the snapshot of the commit: of the one that HEAD names when the answer is given, where HEAD moves meanwhile.
    pub fn committed(ui: &Ui, fresh: FreshArgs) -> Result<Asked, CommandError> {
        let workspace = Workspace::discover()?;
        let repo = &workspace.repo;
        let mut head = head_of(repo)?;
        let began = Instant::now();
        loop {
            let was_reached = !fresh.no_wait && bring_to(ui, repo, &head)?;
            let snapshot =
                Snapshot::open_current(&carnet_daemon::index_dir(repo))?.ok_or_else(|| {
                    CommandError::new(ExitCode::Incomplete, "this repository is not indexed yet")
                        .hint("Ask again without `--no-wait`, or type `carnet daemon --once`.")
                })?;
            let before = std::mem::replace(&mut head, head_of(repo)?);
            // Another worktree, or another commit, may have taken the index further than to where this one waited for it.
            let may_come = !fresh.no_wait && (was_reached || before != head);
            if snapshot.commit() != head && may_come && began.elapsed() < FRESH_WITHIN {
                continue;
            }
            let freshness = carnet_daemon::freshness(repo, &snapshot.commit(), &head, now());
            if fresh.wait_fresh && !freshness.is_level() {
                return Err(not_there(&head, &freshness));
            }
            let repo = workspace.repo;
            return Ok(Asked { snapshot, repo, head, freshness, uncommitted: Vec::new() });
        }
    }

    pub fn line(&self) -> IndexLine {
        IndexLine {
            commit: self.snapshot.commit().to_string(),
            head: self.head.to_string(),
            behind_commits: self.freshness.behind_commits,
            behind_seconds: self.freshness.seconds,
            last_update: self.snapshot.created_at().to_string(),
            uncommitted: self.uncommitted.iter().map(RepoPath::to_text).collect(),
        }
    }

    /// Tells whether what the answer says of a file is not committed.
    pub fn is_uncommitted(&self, path: &RepoPath) -> bool {
        self.uncommitted.binary_search(path).is_ok()
    }

    /// What is added to a line of an answer that is not committed.
    pub fn mark(&self, ui: &Ui, path: &RepoPath) -> String {
        match self.is_uncommitted(path) {
            true => format!("  {}", ui.yellow_out("uncommitted")),
            false => String::new(),
        }
    }

    pub fn footer(&self) -> String {
        let with = match self.uncommitted.len() {
            0 => String::new(),
            n => format!(", with uncommitted edits of {}", super::report::count(n, "file")),
        };
        format!(
            "index at commit {}, {}{with}\n",
            self.snapshot.commit().short(),
            describe(&self.freshness)
        )
    }

    pub fn is_level(&self) -> bool {
        self.freshness.is_level()
    }

    pub fn ending(&self, found: bool, name: &str) -> CommandResult {
        if !self.is_level() {
            return Ok(ExitCode::Incomplete);
        }
        if found {
            return Ok(ExitCode::Done);
        }
        Err(CommandError::new(
            ExitCode::NothingToLookAt,
            format!("nothing in the index is named `{name}`"),
        )
        .hint(format!("Look for the text instead: `git grep -n {name}`.")))
    }
}

/// Says how far a snapshot is behind HEAD.
pub fn describe(freshness: &Freshness) -> String {
    match (freshness.behind_commits, freshness.seconds) {
        (Some(0), _) => "level with HEAD".to_owned(),
        (Some(commits), Some(seconds)) => {
            format!(
                "behind HEAD by {} ({seconds} s)",
                super::report::count(commits as usize, "commit")
            )
        }
        _ => "on another line of history than HEAD".to_owned(),
    }
}

fn head_of(repo: &Repo) -> Result<GitOid, CommandError> {
    match repo.head()? {
        Head::Commit { commit_id, .. } => Ok(commit_id),
        Head::Unborn { branch } => Err(unborn(&branch)),
    }
}

fn not_there(head: &GitOid, freshness: &Freshness) -> CommandError {
    let message =
        format!("the index is not at HEAD `{}`: it is {}", head.short(), describe(freshness));
    CommandError::new(ExitCode::Incomplete, message).hint(
        "See what keeps it: `carnet status`; or take the older answer, without `--wait-fresh`.",
    )
}

/// Makes the index follow to `head`: through the daemon, or here when no daemon is wanted or none will start. Tells whether
/// it came there, or to the HEAD that overtook it.
fn bring_to(ui: &Ui, repo: &Repo, head: &GitOid) -> Result<bool, CommandError> {
    let current = Snapshot::open_current(&carnet_daemon::index_dir(repo));
    if matches!(&current, Ok(Some(snapshot)) if snapshot.commit() == *head) {
        return Ok(true);
    }
    if let Err(error) = &current
        && error.is_healed_by_rebuild()
    {
        ui.err(&format!("carnet: {error}; it is made anew\n"));
    }
    if daemon::is_wanted() {
        // A daemon that dies meanwhile is replaced; one that cannot live is not tried for ever.
        for _ in 0..3 {
            daemon::ensure_running(repo, &carnet_exe()?)?;
            let Some(client) = carnet_daemon::connect_within(repo, CONNECT_WITHIN)? else { break };
            match wait_fresh(ui, client, head) {
                Err(error) if error.is_away() => {}
                other => return Ok(other?),
            }
        }
    }
    carnet_daemon::refresh_once(repo, now())?;
    Ok(true)
}

fn wait_fresh(ui: &Ui, mut client: Client, head: &GitOid) -> Result<bool, ClientError> {
    if matches!(client.wait_fresh(head, QUIET_FOR)?, Waited::Fresh { .. }) {
        return Ok(true);
    }
    ui.err(&format!("carnet: indexing commit {} …\n", head.short()));
    match client.wait_fresh(head, FRESH_WITHIN)? {
        Waited::Fresh { .. } => return Ok(true),
        Waited::Late { .. } => {
            ui.err("carnet: the index is still being made; this answer is older\n")
        }
        Waited::Failed { error } => {
            ui.err(&format!("carnet: the index could not be refreshed: {error}\n"));
        }
    }
    Ok(false)
}

pub(super) fn list(rows: impl ExactSizeIterator<Item = String>) -> String {
    let n_rows = rows.len();
    let mut text: String = rows.take(ROWS_MAX).collect();
    if n_rows > ROWS_MAX {
        text += &format!("  … and {} more; see them with --json\n", n_rows - ROWS_MAX);
    }
    text
}

pub(super) fn definition_line(asked: &Asked, definition: &Definition) -> DefinitionLine {
    let symbol = &definition.symbol;
    DefinitionLine {
        path: definition.path.to_text(),
        line: symbol.name_region.start_line,
        column: symbol.name_region.start_column,
        end_line: symbol.region.end_line,
        kind: symbol.kind.name(),
        name: symbol.qualified_name(),
        language: definition.language.name(),
        signature: symbol.signature.clone(),
        visibility: symbol.visibility.name(),
        doc: symbol.doc.clone(),
        blob: definition.blob_id.to_string(),
        uncommitted: asked.is_uncommitted(&definition.path),
    }
}

fn definition_row(ui: &Ui, asked: &Asked, definition: &Definition) -> String {
    let symbol = &definition.symbol;
    let place = format!(
        "{}:{}:{}",
        definition.path, symbol.name_region.start_line, symbol.name_region.start_column
    );
    let mark = asked.mark(ui, &definition.path);
    format!("{}  {} {}{mark}\n", ui.bold_out(&place), symbol.kind.name(), symbol.signature.trim())
}

impl From<OverlayError> for CommandError {
    fn from(error: OverlayError) -> CommandError {
        CommandError::of(ExitCode::Incomplete, &error)
            .hint("Ask without `--dirty`; `git status` says what is not committed.")
    }
}

impl From<IndexError> for CommandError {
    fn from(error: IndexError) -> CommandError {
        CommandError::of(ExitCode::Incomplete, &error)
            .hint("Make it anew: `carnet daemon stop; carnet daemon --once`.")
    }
}
