//! `carnet init` and `carnet uninstall`.

use carnet_access::keys::SigningKey;
use carnet_core::ExitCode;
use carnet_guard::{
    HookFile, HookStyle, InstallError, LookedOver, apply_install, plan_install, plan_uninstall,
};
use serde::Serialize;

use crate::{
    cli::{InitArgs, UninstallArgs},
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::{Workspace, carnet_exe},
};

/// `carnet init --json` and `carnet uninstall --json`.
#[derive(Serialize)]
struct Changes {
    format: &'static str,
    dry_run: bool,
    hooks: Vec<HookLine>,
    config: Vec<ConfigLine>,
}

#[derive(Serialize)]
struct HookLine {
    event: String,
    path: String,
    chained: Option<String>,
}

#[derive(Serialize)]
struct ConfigLine {
    key: String,
    value: String,
}

/// Installs hooks, configuration and this clone's key.
pub fn init(ui: &Ui, args: &InitArgs) -> CommandResult {
    let workspace = Workspace::with_work_tree()?;
    let repo = &workspace.repo;
    let style = if args.shims { HookStyle::Shims } else { HookStyle::ByGitVersion };
    let plan = plan_install(repo, &carnet_exe()?, style)?;
    let key_is_new = !workspace.key_path().exists();
    if !args.dry_run {
        std::fs::create_dir_all(repo.state_dir()).map_err(|error| {
            CommandError::new(
                ExitCode::Io,
                format!("cannot make `{}`: {error}", repo.state_dir().display()),
            )
        })?;
        SigningKey::load_or_create(&workspace.key_path())?;
        apply_install(repo, &plan)?;
        let mut looked_over = LookedOver::load(repo);
        looked_over.begin(repo)?;
        looked_over.save().map_err(|error| {
            CommandError::new(ExitCode::Io, format!("cannot note what refs name now: {error}"))
        })?;
    }
    let config: Vec<_> =
        plan.config.iter().map(|line| (line.key.as_str(), line.value.as_str())).collect();
    if args.json {
        ui.json(&changes("carnet/init/1", args.dry_run, &plan.hooks, &config));
        return Ok(ExitCode::Done);
    }
    let mut text = String::new();
    if plan.is_empty() && !key_is_new {
        text += "Everything is in place already.\n";
    }
    let (wrote, added, made) = if args.dry_run {
        ("would write", "would add  ", "would make")
    } else {
        ("wrote", "added", "made ")
    };
    for hook in &plan.hooks {
        text += &format!("{wrote} hook {} ({})\n", hook.event, hook.path.display());
        if hook.chained.is_some() {
            text += "      the hook that stood there is kept and runs first\n";
        }
    }
    for (key, value) in &config {
        text += &format!("{added} {key} = {value}\n");
    }
    if key_is_new {
        text += &format!("{made} signing key {}\n", workspace.key_path().display());
    }
    if !args.dry_run {
        text += "Commits are now examined before they are made. Next: `carnet doctor`, `carnet status`.\n";
    }
    ui.out(&text);
    Ok(ExitCode::Done)
}

/// Takes out what `init` installed. The key and the recorded runs stay.
pub fn uninstall(ui: &Ui, args: &UninstallArgs) -> CommandResult {
    let workspace = Workspace::with_work_tree()?;
    let Some(report) = plan_uninstall(&workspace.repo)? else {
        return Err(CommandError::new(
            ExitCode::NothingToLookAt,
            "carnet is not installed in this repository",
        ));
    };
    if !args.dry_run {
        carnet_guard::uninstall(&workspace.repo, &report)?;
    }
    let config: Vec<_> =
        report.config.iter().map(|line| (line.key.as_str(), line.value.as_str())).collect();
    if args.json {
        ui.json(&changes("carnet/uninstall/1", args.dry_run, &report.hooks, &config));
        return Ok(ExitCode::Done);
    }
    let (restored, removed) =
        if args.dry_run { ("would restore", "would remove") } else { ("restored", "removed ") };
    let mut text = String::new();
    for hook in &report.hooks {
        let word = if hook.chained.is_some() { restored } else { removed };
        text += &format!("{word} hook {} ({})\n", hook.event, hook.path.display());
    }
    for (key, value) in &config {
        text += &format!("{removed} {key} = {value}\n");
    }
    text += "Recorded runs and this clone's key stay; `carnet init` installs again.\n";
    ui.out(&text);
    Ok(ExitCode::Done)
}

fn changes(
    format: &'static str,
    dry_run: bool,
    hooks: &[HookFile],
    config: &[(&str, &str)],
) -> Changes {
    let hooks = hooks.iter().map(|hook| HookLine {
        event: hook.event.clone(),
        path: hook.path.display().to_string(),
        chained: hook.chained.as_ref().map(|path| path.display().to_string()),
    });
    let config = config
        .iter()
        .map(|(key, value)| ConfigLine { key: (*key).to_owned(), value: (*value).to_owned() });
    Changes { format, dry_run, hooks: hooks.collect(), config: config.collect() }
}

impl From<InstallError> for CommandError {
    fn from(error: InstallError) -> CommandError {
        match &error {
            InstallError::SharedHooks(_) => CommandError::of(ExitCode::Refused, &error).hint(
                "Give this repository a hooks directory of its own: `git config core.hooksPath .git/hooks`, then `carnet init`.",
            ),
            InstallError::TrackedHook(path) => CommandError::of(ExitCode::Refused, &error).hint(format!(
                "Add the line `exec carnet hook pre-commit --shim 1 -- \"$@\"` to `{}` by hand.",
                path.display()
            )),
            InstallError::ShimChanged(path) => CommandError::of(ExitCode::Refused, &error)
                .hint(format!("Save your change, remove `{}`, and type `carnet init` again.", path.display())),
            InstallError::NotAFile(_) | InstallError::NotUtf8(_) => CommandError::of(ExitCode::Refused, &error),
            InstallError::Record(path) => CommandError::of(ExitCode::Config, &error)
                .hint(format!("Look at `{}`; without it hooks must be removed by hand.", path.display())),
            InstallError::Io { .. } => CommandError::of(ExitCode::Io, &error),
            InstallError::Git(_) => CommandError::of(ExitCode::Config, &error).hint("Install git."),
            InstallError::Config(_) => CommandError::of(ExitCode::Io, &error),
        }
    }
}
