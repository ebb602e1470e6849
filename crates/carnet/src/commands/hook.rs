//! `carnet hook`: what the shims call. Closed when in doubt.

use std::io::{self, Read as _};

use carnet_access::{dsse::Signatures, keys::PublicKey};
use carnet_core::ExitCode;
use carnet_git::{ObjectError, StagedError};
use carnet_guard::{
    AuditEvent, AuditKind, COMMIT_MSG, EVENTS, Examination, ExamineError, FINDINGS_FILE, Guard,
    HistoryError, Met, PushError, PushGate, RECEIPT_TYPE, RefChange, Refused, SHIM_VERSION,
    SuppressionsError, Verifier, append_audit, parse_transaction, pushed_suppressions,
    refused_change, staged_suppressions, suppressions_in_force,
};
use carnet_policy::Suppressions;

use super::report;
use crate::{
    cli::HookArgs,
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::{Workspace, carnet_exe, now},
};

/// The events of a server, which `carnet init` does not install: `hooks/pre-receive` and `hooks/update` are to be copied there.
const PRE_RECEIVE: &str = "pre-receive";
const UPDATE: &str = "update";
/// The configuration key that keeps runs out of a plain `git push`, when it is `false`.
const PUSH_RUNS: &str = "carnet.pushRuns";
/// The configuration key that lets receipts of `carnet.trustedKey`s count on a server, when it is `true`.
const TRUST_RECEIPTS: &str = "carnet.trustReceipts";
/// The event of every change of a ref.
const REFERENCE_TRANSACTION: &str = "reference-transaction";
/// Most bytes that git may give to a hook: about 400,000 refs, or a very long message.
const INPUT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Answers a git hook.
pub fn hook(ui: &Ui, args: &HookArgs) -> CommandResult {
    let event = args.event.as_str();
    if !EVENTS.contains(&event) && ![PRE_RECEIVE, UPDATE].contains(&event) {
        return Err(CommandError::new(
            ExitCode::Usage,
            format!("carnet does not answer the hook `{}`", args.event),
        )
        .hint("Type `carnet init` to write the hooks again."));
    }
    if args.shim != SHIM_VERSION {
        ui.err(&format!(
            "carnet: this repository's hook is of version {}; type `carnet init` to renew it\n",
            args.shim
        ));
    }
    if event == REFERENCE_TRANSACTION && args.args.first().is_none_or(|state| state != "prepared") {
        return Ok(ExitCode::Done);
    }
    let workspace = Workspace::discover()?;
    if [REFERENCE_TRANSACTION, UPDATE].contains(&event) {
        return before_refs_change(&workspace, args);
    }
    if let Some(gate) = push_gate(args) {
        return before_push(ui, &workspace, &args.event, &gate);
    }
    if args.event == COMMIT_MSG {
        return before_message(ui, &workspace, args);
    }
    let code = before_commit(ui, &workspace, &args.event)?;
    // The daemon sees the commit itself; it only has to be there. Its absence never refuses a commit.
    if let Err(error) =
        carnet_exe().and_then(|exe| super::daemon::ensure_running(&workspace.repo, &exe))
    {
        tracing::warn!(error = error.message, "the daemon could not be started");
    }
    Ok(code)
}

fn before_commit(ui: &Ui, workspace: &Workspace, event: &str) -> CommandResult {
    // A clone that is not set up is told so, before anything is examined.
    workspace.key()?;
    let staged = || staged_suppressions(&workspace.repo, now()).ok().flatten();
    let guard = gate_or_mending(ui, workspace, staged)?;
    let examination = guard.examine_staged(&workspace.repo, now())?;
    answer(ui, workspace, event, "commit", examination)
}

fn before_message(ui: &Ui, workspace: &Workspace, args: &HookArgs) -> CommandResult {
    let unreadable = |why: String| CommandError::new(ExitCode::Refused, why);
    let path = args.args.first().ok_or_else(|| unreadable("git named no message".to_owned()))?;
    let mut message = vec![];
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(INPUT_BYTES_MAX + 1).read_to_end(&mut message));
    let shown = path.display();
    read.map_err(|error| unreadable(format!("cannot read the message `{shown}`: {error}")))?;
    if message.len() as u64 > INPUT_BYTES_MAX {
        return Err(unreadable(format!("the message `{shown}` is too large to be examined")));
    }
    let staged = || staged_suppressions(&workspace.repo, now()).ok().flatten();
    let guard = gate_or_mending(ui, workspace, staged)?;
    answer(ui, workspace, COMMIT_MSG, "commit", guard.examine_message(&message, now()))
}

fn refs_on_stdin() -> Result<Vec<u8>, CommandError> {
    let mut input = vec![];
    let read = io::stdin().lock().take(INPUT_BYTES_MAX + 1).read_to_end(&mut input);
    if read.is_err() || input.len() as u64 > INPUT_BYTES_MAX {
        return Err(CommandError::new(ExitCode::Refused, "the refs of this change cannot be read")
            .hint("Push fewer refs at once."));
    }
    Ok(input)
}

/// A change of refs, here or on a server: what only grows is not rewritten, what is locked stays.
fn before_refs_change(workspace: &Workspace, args: &HookArgs) -> CommandResult {
    let lines = if args.event == UPDATE {
        let words: Vec<_> = args.args.iter().map(|word| word.to_string_lossy()).collect();
        match &words[..] {
            [name, old, new] => format!("{old} {new} {name}\n").into_bytes(),
            _ => {
                return Err(CommandError::new(ExitCode::Usage, "`update` takes a ref and two ids"));
            }
        }
    } else {
        refs_on_stdin()?
    };
    let changes = parse_transaction(&lines)?;
    refuse_if_protected(workspace, &changes)?;
    Ok(ExitCode::Done)
}

fn refuse_if_protected(workspace: &Workspace, changes: &[RefChange]) -> Result<(), CommandError> {
    let refused = refused_change(&workspace.repo, changes).map_err(|error| {
        CommandError::of(ExitCode::Refused, &error).hint("Ask git what it thinks: `git fsck`.")
    })?;
    match refused {
        None => Ok(()),
        Some(Refused { name, why }) => {
            Err(CommandError::new(ExitCode::Refused, format!("`{name}`: {why}"))
                .hint("There is no way to unlock a run; `carnet verify` says what stands."))
        }
    }
}

/// Whether the event is a push, and from which side it is seen.
fn push_gate(args: &HookArgs) -> Option<PushGate> {
    match args.event.as_str() {
        PRE_RECEIVE => Some(PushGate::Arriving),
        "pre-push" => {
            let remote = args.args.first().map(|name| name.to_string_lossy().into_owned());
            Some(PushGate::Leaving { remote: remote.unwrap_or_default() })
        }
        _ => None,
    }
}

fn before_push(ui: &Ui, workspace: &Workspace, event: &str, gate: &PushGate) -> CommandResult {
    let changes = gate.parse(&refs_on_stdin()?)?;
    if *gate == PushGate::Arriving {
        refuse_if_protected(workspace, &changes)?;
    }
    if changes.iter().all(|change| change.new.is_none()) {
        return Ok(ExitCode::Done);
    }
    let pushed = || pushed_suppressions(&workspace.repo, &changes, now()).ok().flatten();
    let guard = gate_or_mending(ui, workspace, pushed)?;
    let trusted = trusted_for_receipts(workspace, gate)?;
    let verifier = |payload: &[u8], signatures: &[u8]| {
        Signatures::from_json(signatures)
            .is_ok_and(|signatures| signatures.verify(RECEIPT_TYPE, payload, &trusted).is_ok())
    };
    let trusts: Option<Verifier<'_>> = if trusted.is_empty() { None } else { Some(&verifier) };
    let examination = guard.examine_push(&workspace.repo, gate, &changes, trusts, now())?;
    let code = answer(ui, workspace, event, "push", examination)?;
    // Who pushes carnet's refs by name is not helped: git would find them there already.
    let by_hand = changes.iter().any(|change| change.name.starts_with("refs/carnet/"));
    if let PushGate::Leaving { remote } = gate
        && !by_hand
    {
        push_runs_too(ui, workspace, remote);
    }
    Ok(code)
}

/// The keys whose receipts count: none, but on a server that says so and names keys.
fn trusted_for_receipts(
    workspace: &Workspace,
    gate: &PushGate,
) -> Result<Vec<PublicKey>, CommandError> {
    let says_so = workspace.repo.config_get(TRUST_RECEIPTS).is_some_and(|value| value == "true");
    if says_so && *gate == PushGate::Arriving { workspace.trusted_keys() } else { Ok(vec![]) }
}

/// A plain `git push` takes this clone's runs along. What stands in the way of that never stops the push itself.
fn push_runs_too(ui: &Ui, workspace: &Workspace, remote: &str) {
    let repo = &workspace.repo;
    let is_off = repo.config_get(PUSH_RUNS).is_some_and(|value| value == "false");
    let is_configured = repo.remote_names().is_ok_and(|names| names.iter().any(|it| it == remote));
    let Ok(key) = workspace.key() else { return };
    if is_off || !is_configured {
        return;
    }
    if let Err(error) = carnet_run::sync::push_own(repo, remote, &key.public().writer()) {
        let error = CommandError::from(error);
        ui.err(&format!(
            "carnet: the push goes on; recorded runs stay here for now ({}). Later: carnet sync {remote}\n",
            error.causes.last().unwrap_or(&error.message)
        ));
    }
}

/// Says what was found, and refuses when the policy does.
fn answer(
    ui: &Ui,
    workspace: &Workspace,
    event: &str,
    what: &str,
    examination: Examination,
) -> CommandResult {
    if examination.findings.is_empty() {
        return Ok(ExitCode::Done);
    }
    ui.err(&report::text(ui, &examination.findings));
    if examination.verdict.is_allowed() {
        ui.err(&format!(
            "carnet: {} to look at; the {what} goes on\n",
            report::count(examination.findings.len(), "finding")
        ));
        return Ok(ExitCode::Done);
    }
    audit(
        ui,
        workspace,
        AuditKind::Refusal,
        event,
        &examination.findings.iter().collect::<Vec<_>>(),
    );
    let n_findings = report::count(examination.findings.len(), "finding");
    let mut refusal = CommandError::new(ExitCode::Refused, format!("the {what}, for {n_findings}"));
    let mut hints: Vec<_> =
        examination.verdict.reasons.into_iter().filter_map(|reason| reason.hint).collect();
    hints.dedup();
    refusal.hints = hints;
    Err(refusal)
}

/// Keeps what happened, where there is a key to keep it under; a server has none.
pub fn audit(ui: &Ui, workspace: &Workspace, what: AuditKind, gate: &str, findings: &[&Met]) {
    let mut event = AuditEvent::new(what, gate, now());
    event.findings = findings.iter().map(|met| audit_line(met)).collect();
    audit_event(ui, workspace, event);
}

/// The same, of any event.
pub fn audit_event(ui: &Ui, workspace: &Workspace, event: AuditEvent) {
    let Ok(key) = workspace.key() else { return };
    let what = event.event.word();
    if let Err(error) = append_audit(&workspace.repo, &key, &[event]) {
        ui.err(&format!("carnet: the {what} could not be written to the audit log: {error}\n"));
    }
}

/// The gate; or, while the file of accepted findings is wrong, the one for what brings a sound file with it.
fn gate_or_mending(
    ui: &Ui,
    workspace: &Workspace,
    brought: impl FnOnce() -> Option<Suppressions>,
) -> Result<Guard<'static>, CommandError> {
    match suppressions_in_force(&workspace.repo, now()) {
        Ok(suppressions) => workspace.gate_with(suppressions),
        Err(wrong @ SuppressionsError::Wrong(_)) => {
            let wrong = CommandError::from(wrong);
            match brought() {
                Some(mended) => workspace.mending_gate(&wrong, &mended, ui),
                None => Err(wrong),
            }
        }
        Err(error) => Err(error.into()),
    }
}

fn audit_line(met: &Met) -> String {
    let finding = &met.finding;
    let line = finding.region.map_or(0, |region| region.start_line);
    format!("{} {}:{line} {}", finding.rule_id, finding.origin.name(), finding.fingerprint)
}

impl From<ExamineError> for CommandError {
    fn from(error: ExamineError) -> CommandError {
        let exit = match &error {
            ExamineError::History(HistoryError::TooLarge { .. }) => ExitCode::Refused,
            ExamineError::History(_) | ExamineError::Tree { .. } => ExitCode::Incomplete,
            ExamineError::Staged(_) | ExamineError::Blob { .. } => ExitCode::Refused,
            ExamineError::Suppressions(_) => ExitCode::Config,
        };
        let made = CommandError::of(exit, &error);
        match &error {
            ExamineError::Staged(StagedError::Unmerged { .. }) => {
                made.hint("Resolve the conflict and `git add` the file.")
            }
            ExamineError::Staged(_) => made.hint("Ask git what it thinks: `git status`, `git fsck`."),
            ExamineError::History(HistoryError::Failed { .. }) => {
                made.hint("Ask git the same: `git log`, `git fsck`.")
            }
            ExamineError::History(HistoryError::Missing { .. }) => made.hint(
                "What is not here cannot be examined: `git fetch --refetch --no-filter`, or `git fsck`.",
            ),
            ExamineError::History(_) => made.hint("Ask git what it thinks: `git fsck`."),
            ExamineError::Tree { .. } => made.hint("Ask git what it thinks: `git fsck`."),
            ExamineError::Blob { source: ObjectError::TooLarge { .. }, path } => made.hint(format!(
                "What was not examined does not pass: take it out with `git rm --cached -- {path}`."
            )),
            ExamineError::Suppressions(_) => {
                made.hint(format!("Mend {FINDINGS_FILE} and stage it again."))
            }
            ExamineError::Blob { source: ObjectError::Promised { id }, .. } => made.hint(format!(
                "What is not here cannot be examined: have git fetch it with `git cat-file -e {id}`, then try again."
            )),
            ExamineError::Blob { path, .. } => {
                made.hint(format!("Stage the file again: `git add -- {path}`; then ask `git fsck`."))
            }
        }
    }
}

impl From<PushError> for CommandError {
    fn from(error: PushError) -> CommandError {
        match error {
            PushError::Examine(error) => error.into(),
            PushError::History(error) => ExamineError::History(error).into(),
            PushError::Suppressions(error) => error.into(),
            PushError::Line { .. } | PushError::Refs(_) => {
                CommandError::of(ExitCode::Refused, &error)
                    .hint("Ask git what it thinks: `git fsck`.")
            }
        }
    }
}
