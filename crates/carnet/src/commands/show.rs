//! `carnet show`: one run with passport, logs, artifacts.

use carnet_core::{EnforcementLevel, ExitCode, passport::Passport};
use carnet_run::{
    event::describe,
    index,
    ledger::{self, LedgerEntry},
};

use crate::{cli::ShowArgs, error::CommandResult, ui::Ui, workspace::Workspace};

/// Shows one run.
pub fn show(ui: &Ui, args: &ShowArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let entry = index::open(&workspace.repo)?.find(&workspace.repo, &args.run)?;
    let statement = ledger::read_passport(&workspace.repo, entry.event().commit)?;
    if args.json {
        ui.json(&statement);
        return Ok(ExitCode::Done);
    }
    ui.out(&page(ui, &entry, &statement.predicate));
    Ok(ExitCode::Done)
}

fn page(ui: &Ui, entry: &LedgerEntry, passport: &Passport) -> String {
    let mut text =
        format!("{} {}\n", ui.bold_out("run"), ui.bold_out(&passport.run.id.to_string()));
    let ended = describe(&passport.outcome);
    let ended =
        if passport.outcome.is_success() { ui.green_out(&ended) } else { ui.red_out(&ended) };
    let mut row = |name: &str, value: String| text += &format!("  {name:<12} {value}\n");
    row("command", passport.request.argv.join(" "));
    row("outcome", ended);
    if let carnet_core::Outcome::Refused { message, .. } = &passport.outcome {
        row("", message.clone());
    }
    row("lane", format!("{} (rule {})", passport.lane, passport.policy.rule));
    for file in &passport.policy.tightened_by {
        row("tightened by", format!("{} of the work tree", file.path));
    }
    if let Some(account) = &passport.run.account {
        row("started by", format!("account {account}"));
    }
    if let Some(original) = passport.run.replay_of {
        row("replay of", original.short());
    }
    row(
        "source",
        format!("commit {} tree {}", passport.source.commit.short(), passport.source.tree.short()),
    );
    row("run commit", entry.event().commit.to_string());
    row("started", passport.started_at.to_string());
    row(
        "used",
        format!(
            "{} ms elapsed, {} ms processor, {} KiB peak memory",
            passport.usage.wall_ms,
            passport.usage.user_ms + passport.usage.system_ms,
            passport.usage.memory_peak_bytes / 1024
        ),
    );
    row(
        "",
        format!(
            "{} KiB read, {} KiB written, {} processes at most, {} ms throttled",
            passport.usage.io_read_bytes / 1024,
            passport.usage.io_write_bytes / 1024,
            passport.usage.processes_peak,
            passport.usage.throttled_ms
        ),
    );
    for cache in &passport.caches {
        let found = cache.found_of.map_or_else(
            || "found empty".to_owned(),
            |run| format!("{} KiB found, of run {}", cache.found_bytes.div_ceil(1024), run.short()),
        );
        let kept = if cache.kept { "kept" } else { "not kept" };
        row("cache", format!("{}: {found}; {kept}: {}", cache.name, cache.reason));
    }
    for tool in &passport.environment.tools {
        row("tool", format!("{} sha256 {}", tool.path, &tool.sha256.to_string()[..16]));
    }
    for log in &passport.logs {
        let cut = if log.truncated { ", cut" } else { "" };
        row(&log.name, format!("{} bytes, {} redactions{cut}", log.size_bytes, log.n_redactions));
    }
    for artifact in &passport.artifacts {
        let digest = &artifact.sha256.to_string()[..16];
        row(
            "artifact",
            format!("{} ({} bytes, sha256 {digest})", artifact.name, artifact.size_bytes),
        );
    }
    for withheld in &passport.withheld {
        row("withheld", format!("{}: {}", withheld.name, withheld.reason));
    }
    for enforcement in &passport.enforcement {
        let level = match enforcement.level {
            EnforcementLevel::Full => ui.green_out("full   "),
            EnforcementLevel::Partial => ui.yellow_out("partial"),
            EnforcementLevel::None => ui.red_out("none   "),
        };
        row("confined", format!("{level} {}: {}", enforcement.mechanism, enforcement.detail));
    }
    let commit = entry.event().commit.short();
    text += &format!(
        "\nwith git alone:\n  git show {commit}:passport.json\n  git show {commit}:logs/stdout\n  git worktree add --detach DIR {commit}\n"
    );
    text
}
