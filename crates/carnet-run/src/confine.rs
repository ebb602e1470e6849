//! One command in its workspace: what is executed, what the workspace is laid over, who hears the output, what changed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use carnet_core::{Decision, RepoPath, Required, Verdict, passport::RunKind};
use carnet_policy::{Admission, Lane};
use carnet_sandbox::{Attendance, Confined, OutputStream, SandboxError, SandboxSpec, Workspace};

use crate::{
    changes::{Changes, PATCH_NAME},
    checkouts::{CheckoutsError, Wanted, write_out},
    collect::{Collected, Output, withheld},
    copied,
    execute::{RunContext, RunError, RunPlan},
    live::LiveLog,
    tools::{self, HeldTool, ToolError},
};

/// The admission of a command whose lane was not asked.
pub(crate) fn unasked(lane: &Lane) -> Admission {
    let verdict =
        Verdict { decision: Decision::Allow, reasons: vec![], policy_digest: lane.digest() };
    Admission { verdict, rule: None, nearest: None, by_work_tree: false }
}

/// Finds what to execute, and holds it where it lies on the host. A lane admits bare names alone; where it was not
/// asked, a path is one inside the sandbox, from the workspace where it is relative.
pub(crate) fn find_tool(plan: &RunPlan) -> Result<(PathBuf, Option<HeldTool>), ToolError> {
    let name = &plan.request.argv[0];
    if plan.request.kind != RunKind::Sandbox || !name.contains('/') {
        let held = tools::hold(name, &plan.tool_locks, &plan.toolchains)?;
        return Ok((PathBuf::from(&held.tool.path), Some(held)));
    }
    let path = Path::new(carnet_sandbox::WORKSPACE).join(name.trim_start_matches("./"));
    let on_host = tools::TOOL_DIRS.iter().any(|dir| path.starts_with(dir))
        || plan.toolchains.on_host(&path).is_some();
    let place = tools::Place::of(&path, &plan.toolchains);
    let held = if on_host { Some(tools::hold_at(name, &place)?) } else { None };
    Ok((path, held))
}

/// Returns a copy of `directory`, below `scratch`, that a layer can be laid over.
pub(crate) fn copy_directory(
    directory: &Path,
    scratch: &Path,
    wanted: &Wanted<'_>,
) -> Result<PathBuf, RunError> {
    let io = |doing| move |source| RunError::Io { doing, source };
    let copy = scratch.join("copy");
    fs::create_dir(&copy).map_err(io("make a directory for the copy"))?;
    copied::copy(directory, &copy, wanted.hidden).map_err(io("copy the workspace"))?;
    if let Some(account) = wanted.account {
        carnet_sandbox::prepare_workspace_owner(&copy, account).map_err(CheckoutsError::from)?;
    }
    Ok(copy)
}

/// Runs the command over its layer, or where this machine cannot lay one, in a copy; returns also where the workspace is
/// found afterwards, as long as the first lives.
pub(crate) fn run(
    ctx: &RunContext<'_>,
    mut spec: SandboxSpec,
    required: &[Required],
    wanted: &Wanted<'_>,
    copy: Option<PathBuf>,
    workspace: PathBuf,
) -> Result<(Confined, PathBuf), RunError> {
    let (step, source) = match run_told(ctx, &spec, required) {
        Err(SandboxError::Overlay { step, source }) => (step, source),
        ended => {
            let confined = ended?;
            let left = confined.overlay.as_ref().map_or(workspace, |overlay| overlay.merged());
            return Ok((confined, left));
        }
    };
    let instead = match copy {
        Some(copy) => copy,
        None => {
            write_out(wanted, &workspace)?;
            workspace
        }
    };
    spec.workspace = Workspace::Directory(instead.clone());
    let mut confined = run_told(ctx, &spec, required)?;
    for held in confined.enforcement.iter_mut().filter(|it| it.mechanism == "overlay") {
        held.detail = format!("a copy instead: this machine cannot {step}: {source}");
    }
    Ok((confined, instead))
}

/// Runs the command and tells whoever listens what it writes.
fn run_told(
    ctx: &RunContext<'_>,
    spec: &SandboxSpec,
    required: &[Required],
) -> Result<Confined, SandboxError> {
    let tell = ctx.on_output.unwrap_or(&|_, _| {});
    let mut stdout = LiveLog::new(ctx.guard, ctx.secrets);
    let mut stderr = LiveLog::new(ctx.guard, ctx.secrets);
    let mut on_output = |stream: OutputStream, bytes: &[u8]| {
        let log = if stream == OutputStream::Stdout { &mut stdout } else { &mut stderr };
        if ctx.on_output.is_none() {
            return;
        }
        let ready = log.push(bytes);
        if !ready.is_empty() {
            tell(stream, &ready);
        }
    };
    let attendance = Attendance { required, interrupt: ctx.interrupted, on_output: &mut on_output };
    let ended = carnet_sandbox::run_attended(spec, attendance);
    for (stream, log) in [(OutputStream::Stdout, &mut stdout), (OutputStream::Stderr, &mut stderr)]
    {
        let rest = log.finish();
        if !rest.is_empty() {
            tell(stream, &rest);
        }
    }
    ended
}

/// Makes the patch that was asked for, and adds it to what is collected; returns it as well.
pub(crate) fn add_patch(
    ctx: &RunContext<'_>,
    plan: &RunPlan,
    confined: &Confined,
    scratch: &Path,
    collected: &mut Collected,
) -> Result<Option<Vec<u8>>, RunError> {
    if !plan.request.patch {
        return Ok(None);
    }
    let Some(overlay) = &confined.overlay else {
        let reason = "there was no layer that holds what the run changed";
        collected.withheld.push(withheld(PATCH_NAME, reason));
        return Ok(None);
    };
    let io = |doing| move |source| RunError::Io { doing, source };
    let hidden = plan.lane.hidden();
    let (repo, guard, now) = (ctx.repo, ctx.guard, (ctx.now)());
    let writable = plan.lane.changes().allowed();
    let writable = &writable;
    let changes = Changes { repo, tree: plan.tree, overlay, hidden, writable, guard, now };
    let dir = scratch.join("patch");
    fs::create_dir(&dir).map_err(io("make a directory for the patch"))?;
    let patch = changes.patch(&dir)?;
    collected.withheld.extend(patch.withheld);
    if !patch.bytes.is_empty() {
        let file = scratch.join(PATCH_NAME);
        fs::write(&file, &patch.bytes).map_err(io("write the patch"))?;
        let path = RepoPath::new(PATCH_NAME.as_bytes()).expect("because the name is a plain one");
        // The run's own file of that name, if there is one, gives way.
        collected.outputs.retain(|output| output.path != path);
        collected.outputs.push(Output { path, file, executable: false });
        collected.outputs.sort_by(|a, b| a.path.cmp(&b.path));
    }
    Ok(Some(patch.bytes))
}
