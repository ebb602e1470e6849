//! `carnet tools`: which programs the tools' names mean, written down by content, and whether they still are so.

use std::path::Path;

use carnet_core::ExitCode;
use carnet_git::Head;
use carnet_guard::{PolicyInForce, TOOL_LOCK_FILE};
use carnet_policy::{LaneSet, LockedTool, PolicyProblem, ToolLock};
use carnet_run::{
    lanes,
    toolchains::Toolchains,
    tools::{self, Place, ToolError},
};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    findings::{failed, write},
    report::count,
};
use crate::{
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::Workspace,
};

/// What is done with the tool lock.
#[derive(Debug, Subcommand)]
pub enum ToolsCommand {
    /// Write down which programs the tools' names mean, in policy/tools.lock of the work tree.
    #[command(
        after_help = "Examples:\n  carnet tools lock                    every tool of every lane that is here\n  carnet tools lock --lane code-impl\n  carnet tools lock cargo rustc        these, beside those that are locked already\n\nThe lock decides once it is committed to the ref that `carnet.policyRef` names; until then it can only refuse."
    )]
    Lock(LockArgs),
    /// Digest every locked program again, and name those that are not as they were locked.
    #[command(
        after_help = "Examples:\n  carnet tools verify\n  carnet tools verify --json\n\nExit code 0 when all are as locked, 1 when one is not, 3 when there is no lock."
    )]
    Verify(VerifyArgs),
}

/// Options of `tools lock`.
#[derive(Debug, Args)]
pub struct LockArgs {
    /// The lane whose tools are locked; without it those of every lane.
    #[arg(long, conflicts_with = "tools")]
    pub lane: Option<String>,
    /// Tools, by their bare names.
    #[arg(value_name = "TOOL")]
    pub tools: Vec<String>,
    /// Write JSON (`carnet/tools-lock-report/1`).
    #[arg(long)]
    pub json: bool,
}

/// Options of `tools verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Write JSON (`carnet/tools-verify/1`).
    #[arg(long)]
    pub json: bool,
}

/// Locks tools, or verifies them.
pub fn tools(ui: &Ui, command: &ToolsCommand) -> CommandResult {
    match command {
        ToolsCommand::Lock(args) => lock(ui, args),
        ToolsCommand::Verify(args) => verify(ui, args),
    }
}

/// `carnet tools lock --json`.
#[derive(Serialize)]
struct LockReport {
    format: &'static str,
    file: &'static str,
    n_locked: usize,
    changes: Vec<Change>,
    /// Tools that the lanes name and this machine lacks.
    absent: Vec<String>,
}

#[derive(Serialize)]
struct Change {
    name: String,
    path: String,
    sha256: String,
    /// What was locked before.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
}

fn lock(ui: &Ui, args: &LockArgs) -> CommandResult {
    let workspace = Workspace::with_work_tree()?;
    let policy = PolicyInForce::load(&workspace.repo)?;
    let path = workspace.repo.work_tree().map(|work_tree| work_tree.join(TOOL_LOCK_FILE));
    let path = path.expect("because a repository without a work tree was refused");
    let mut lock = own_lock(&path)?;
    let names = if args.tools.is_empty() {
        names_of_lanes(&policy, args.lane.as_deref())?
    } else {
        args.tools.clone()
    };
    let toolchains = toolchains_of_lanes(&workspace, &policy)?;
    let (mut changes, mut absent) = (vec![], vec![]);
    for name in names {
        let found = tools::locate(&name, &[], &toolchains);
        let found = found.and_then(|place| tools::hold_at(&name, &place));
        let tool = match found {
            Ok(held) => held.tool,
            Err(ToolError::Missing { .. }) if args.tools.is_empty() => {
                absent.push(name);
                continue;
            }
            Err(error) => return Err(not_lockable(&error)),
        };
        let locked = LockedTool::new(&tool.path, tool.sha256).ok_or_else(|| {
            CommandError::new(ExitCode::Refused, format!("`{}` is no plain path", tool.path))
        })?;
        let before = lock.insert(&name, locked.clone());
        if before.as_ref() != Some(&locked) {
            let before = before.map(|it| it.sha256.to_string());
            changes.push(Change { name, path: tool.path, sha256: tool.sha256.to_string(), before });
        }
    }
    write(&path, &lock.to_text())?;
    let n_locked = lock.tools().count();
    if args.json {
        let (format, file) = ("carnet/tools-lock-report/1", TOOL_LOCK_FILE);
        ui.json(&LockReport { format, file, n_locked, changes, absent });
        return Ok(ExitCode::Done);
    }
    for Change { name, path, sha256, before } in &changes {
        let was = before.as_ref().map_or("new".to_owned(), |it| format!("was {}…", &it[..16]));
        ui.out(&format!("{name} {path} sha256 {}… ({was})\n", &sha256[..16]));
    }
    ui.err(&format!("carnet: {} locked in {TOOL_LOCK_FILE}\n", count(n_locked, "tool")));
    if !absent.is_empty() {
        ui.err(&format!("carnet: not on this machine: {}\n", absent.join(" ")));
    }
    ui.err("carnet: next: commit it to the ref that `git config carnet.policyRef` names; look again with `carnet tools verify`\n");
    Ok(ExitCode::Done)
}

/// Reads the work tree's own lock; an empty one where there is none.
fn own_lock(path: &Path) -> Result<ToolLock, CommandError> {
    match std::fs::read_to_string(path) {
        Ok(text) => ToolLock::parse(TOOL_LOCK_FILE, &text).map_err(|found| wrong(&found)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok(ToolLock::empty(TOOL_LOCK_FILE))
        }
        Err(error) => Err(failed("read", path, &error)),
    }
}

fn names_of_lanes(policy: &PolicyInForce, lane: Option<&str>) -> Result<Vec<String>, CommandError> {
    let files: Vec<_> =
        policy.allowlists.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    if let Some(lane) = lane {
        let name = carnet_core::LaneName::new(lane)
            .map_err(|error| CommandError::of(ExitCode::Usage, &error))?;
        return Ok(carnet_policy::load_lane(&files, &name, &|_| false)?.tools().to_vec());
    }
    let set = lanes_of(policy)?;
    let lanes = set.lane_names().filter_map(|name| set.lane(name));
    let mut names: Vec<_> = lanes.flat_map(|lane| lane.tools().to_vec()).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// The toolchains that any lane names.
fn toolchains_of_lanes(
    workspace: &Workspace,
    policy: &PolicyInForce,
) -> Result<Toolchains, CommandError> {
    let lanes = lanes_of(policy)?;
    let lanes = lanes.lane_names().filter_map(|name| lanes.lane(name));
    let mut names: Vec<_> = lanes.flat_map(|lane| lane.toolchains().to_vec()).collect();
    names.sort();
    names.dedup();
    let head = match workspace.repo.head() {
        Ok(Head::Commit { tree_id, .. }) => Some(tree_id),
        _ => None,
    };
    Ok(Toolchains::find(&workspace.repo, head.as_ref(), &names))
}

fn lanes_of(policy: &PolicyInForce) -> Result<LaneSet, CommandError> {
    let files: Vec<_> =
        policy.allowlists.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    LaneSet::parse(&files).map_err(|found| wrong(&found))
}

fn wrong(problems: &[PolicyProblem]) -> CommandError {
    let mut error = CommandError::new(ExitCode::Config, "the policy is wrong");
    error.causes = problems.iter().map(ToString::to_string).collect();
    error.hint("Mend the file named above, and try again.")
}

fn not_lockable(error: &ToolError) -> CommandError {
    let exit = match error {
        ToolError::NotBare(_) => ExitCode::Usage,
        ToolError::Io { .. } => ExitCode::Io,
        _ => ExitCode::NothingToLookAt,
    };
    CommandError::of(exit, error)
        .hint("Name programs of /usr/local/bin, /usr/bin, /bin or of a toolchain: `carnet tools lock make`; nothing was written.")
}

/// `carnet tools verify --json`.
#[derive(Serialize)]
struct VerifyReport {
    format: &'static str,
    n_tools: usize,
    n_drifted: usize,
    tools: Vec<Verified>,
}

#[derive(Serialize)]
struct Verified {
    /// The lock's file, `work-tree:` before it where that is not the policy's own.
    lock: String,
    name: String,
    path: String,
    sha256: String,
    state: State,
    /// What the program has now.
    #[serde(skip_serializing_if = "Option::is_none")]
    found_sha256: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Same,
    Changed,
    Missing,
}

fn verify(ui: &Ui, args: &VerifyArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let policy = PolicyInForce::load(&workspace.repo)?;
    let locks = lanes::tool_locks(&policy.tool_locks).map_err(|found| wrong(&found))?;
    if locks.is_empty() {
        return Err(CommandError::new(
            ExitCode::NothingToLookAt,
            format!("there is no {TOOL_LOCK_FILE}"),
        )
        .hint("Write one: `carnet tools lock`."));
    }
    let toolchains = toolchains_of_lanes(&workspace, &policy)?;
    let mut verified = vec![];
    for lock in &locks {
        for (name, tool) in lock.tools() {
            verified.push(verify_tool(lock.file(), name, tool, &toolchains)?);
        }
    }
    let drifted: Vec<_> = verified.iter().filter(|it| it.state != State::Same).collect();
    let n_drifted = drifted.len();
    if !args.json {
        for Verified { lock, name, path, sha256, found_sha256, .. } in drifted {
            let now = match found_sha256 {
                Some(found) => {
                    format!("has sha256 {}…, is locked with {}…", &found[..16], &sha256[..16])
                }
                None => "is not there any more".to_owned(),
            };
            ui.out(&format!("{lock}: {name} ({path}) {now}\n"));
        }
        let n_tools = count(verified.len(), "locked tool");
        ui.err(&match n_drifted {
            0 => format!("carnet: {n_tools}, all as they were locked\n"),
            _ => format!(
                "carnet: {n_tools}, {n_drifted} not as locked: a run of them is refused\n\
                 carnet: where the change was meant: carnet tools lock NAME, and commit {TOOL_LOCK_FILE}\n"
            ),
        });
    } else {
        let (format, n_tools) = ("carnet/tools-verify/1", verified.len());
        ui.json(&VerifyReport { format, n_tools, n_drifted, tools: verified });
    }
    Ok(if n_drifted == 0 { ExitCode::Done } else { ExitCode::Refused })
}

fn verify_tool(
    lock: &str,
    name: &str,
    locked: &LockedTool,
    toolchains: &Toolchains,
) -> Result<Verified, CommandError> {
    let place = Place::of(Path::new(&locked.path), toolchains);
    let found = match tools::hold_at(name, &place) {
        Ok(held) => Some(held.tool.sha256),
        Err(ToolError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(CommandError::of(ExitCode::Io, &error)),
    };
    let state = match found {
        None => State::Missing,
        Some(found) if found == locked.sha256 => State::Same,
        Some(_) => State::Changed,
    };
    Ok(Verified {
        lock: lock.to_owned(),
        name: name.to_owned(),
        path: locked.path.clone(),
        sha256: locked.sha256.to_string(),
        state,
        found_sha256: found.map(|it| it.to_string()),
    })
}
