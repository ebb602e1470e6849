//! Installing carnet's hooks in a repository, and taking them out again.
//!
//! On git 2.54 and later the hooks are configuration (`hook.<name>.event`, `hook.<name>.command`); on earlier
//! versions they are small shims in the hooks directory. A hook that stood there before is moved to
//! `<state>/chained/` and run first. Decisions and deeds are two functions: [`plan_install`] returns a value
//! that can be printed, [`apply_install`] does it.
//!
//! Invariants: at every moment each event has either its old hook or the shim, never none; [`uninstall`] puts
//! the very inode back; nothing outside the repository is written.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use carnet_git::Repo;
use serde::{Deserialize, Serialize};

/// Version of the shim; the binary says when a repository's shim is older.
pub const SHIM_VERSION: u32 = 1;

/// The events that carnet answers.
pub const EVENTS: [&str; 5] =
    ["pre-commit", "pre-merge-commit", COMMIT_MSG, PRE_PUSH, REFERENCE_TRANSACTION];

/// The event that is given the file of a commit's message.
pub const COMMIT_MSG: &str = "commit-msg";

/// The event before a push, given refs on standard input.
const PRE_PUSH: &str = "pre-push";
/// The event of every change of a ref, given refs on standard input; most of them are none of ours.
const REFERENCE_TRANSACTION: &str = "reference-transaction";
/// The lines about refs that only grow, for `grep -E`.
const GROWING_REFS: &str = " refs/(notes/carnet|carnet/(ledger|locked|checkpoint|audit))/";

/// The first git that takes hooks from configuration.
const CONFIG_HOOKS_SINCE: (u32, u32, u32) = (2, 54, 0);

const SHIM: &str = include_str!("../../../hooks/shim.sh");
const SHIM_MARK: &str = "# Written by `carnet init`";
const RECORD_FORMAT: &str = "carnet/install/1";

/// One configuration value that carnet sets, with the reason that people are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigLine {
    /// The key, such as `notes.rewriteRef`.
    pub key: String,
    /// The value that is added.
    pub value: String,
}

/// One shim in the hooks directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookFile {
    /// The event, such as `pre-commit`.
    pub event: String,
    /// Where the shim stands.
    pub path: PathBuf,
    /// Where the hook that stood there before is kept, if there was one.
    pub chained: Option<PathBuf>,
    /// The shim's lines that run it.
    pub chain: String,
    /// The shim's text.
    pub text: String,
}

/// Which kind of hooks to install.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HookStyle {
    /// Configuration on git 2.54 and later, shims before.
    #[default]
    ByGitVersion,
    /// Shims whatever git this is: for repositories that older versions of git use too.
    Shims,
}

/// What installing would do; every line of it can be shown to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallPlan {
    /// Directories that do not exist yet.
    pub new_dirs: Vec<PathBuf>,
    /// Shims to write.
    pub hooks: Vec<HookFile>,
    /// Configuration lines to add.
    pub config: Vec<ConfigLine>,
}

impl InstallPlan {
    /// Tells whether everything stands already.
    pub fn is_empty(&self) -> bool {
        self.hooks.is_empty() && self.config.is_empty()
    }
}

/// What was installed, kept as `<state>/install.json` for uninstalling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    format: String,
    new_dirs: Vec<PathBuf>,
    hooks: Vec<HookFile>,
    config: Vec<ConfigLine>,
}

/// Why hooks cannot be installed or taken out.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// `core.hooksPath` names a place that other repositories share.
    #[error("core.hooksPath is `{0}`, outside this repository")]
    SharedHooks(PathBuf),
    /// The hook is a file that the repository tracks; a shim would show up as a change.
    #[error("hook `{0}` is a tracked file of this repository")]
    TrackedHook(PathBuf),
    /// A hook is neither a file nor a link.
    #[error("hook `{0}` is neither a file nor a link")]
    NotAFile(PathBuf),
    /// Someone changed the shim after carnet wrote it.
    #[error("hook `{0}` is no longer the shim that carnet wrote")]
    ShimChanged(PathBuf),
    /// The record of the installation is broken.
    #[error("`{0}` is not a record of an installation")]
    Record(PathBuf),
    /// The path of the binary or of a hook is not UTF-8, which a shim cannot hold.
    #[error("path `{0}` is not UTF-8")]
    NotUtf8(PathBuf),
    /// A file could not be read or written.
    #[error("access `{path}`")]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Git could not be asked.
    #[error("ask git")]
    Git(#[from] carnet_git::ProgramError),
    /// The configuration could not be written.
    #[error("write the configuration")]
    Config(#[from] carnet_git::ConfigError),
}

/// Decides what has to be written so that `carnet_exe` answers the events in `repo`.
///
/// Fetch refspecs are added for every remote.
///
/// # Errors
///
/// [`InstallError`] when a hook cannot be chained safely; nothing was written.
pub fn plan_install(
    repo: &Repo,
    carnet_exe: &Path,
    style: HookStyle,
) -> Result<InstallPlan, InstallError> {
    let mut plan = InstallPlan { new_dirs: vec![], hooks: vec![], config: vec![] };
    if style == HookStyle::ByGitVersion && carnet_git::git_version()? >= CONFIG_HOOKS_SINCE {
        plan.config.extend(config_hooks(carnet_exe)?);
    } else {
        plan_shims(repo, carnet_exe, &mut plan)?;
    }
    plan.config.extend(exchange_config(repo)?);
    let mut missing = vec![];
    for line in plan.config {
        if !repo.config_get_all(&line.key).contains(&line.value) {
            missing.push(line);
        }
    }
    plan.config = missing;
    Ok(plan)
}

fn config_hooks(carnet_exe: &Path) -> Result<Vec<ConfigLine>, InstallError> {
    let exe = shell_quoted(carnet_exe)?;
    let lines = EVENTS.iter().flat_map(|event| {
        let command = match *event {
            REFERENCE_TRANSACTION => format!(
                "carnet_refs() {{ [ \"$1\" = prepared ] || return 0; \
                 set -- \"$(grep -E '{GROWING_REFS}')\"; [ -n \"$1\" ] || return 0; \
                 printf '%s\\n' \"$1\" | {exe} hook {event} --shim {SHIM_VERSION} -- prepared; }}; carnet_refs"
            ),
            _ => format!("{exe} hook {event} --shim {SHIM_VERSION} --"),
        };
        [
            config_line(&format!("hook.carnet-{event}.event"), event),
            config_line(&format!("hook.carnet-{event}.command"), &command),
        ]
    });
    Ok(lines.collect())
}

/// Others' ledgers and notes arrive with every `git fetch`, in a namespace of their own: a `git fetch --prune` then
/// never touches what this clone wrote. Notes survive amend and rebase.
fn exchange_config(repo: &Repo) -> Result<Vec<ConfigLine>, InstallError> {
    let mut lines = vec![config_line("notes.rewriteRef", "refs/notes/carnet/passports")];
    // What others' refs look like from here, the audit log and runs under way are no one else's to fetch.
    let private = ["remotes", "audit", "open"];
    lines.extend(
        private.map(|name| config_line("transfer.hideRefs", &format!("refs/carnet/{name}"))),
    );
    for remote in repo.remote_names()? {
        let key = format!("remote.{remote}.fetch");
        lines
            .extend(carnet_git::fetch_refspecs(&remote).map(|refspec| config_line(&key, &refspec)));
    }
    Ok(lines)
}

fn is_tracked(repo: &Repo, path: &Path) -> Result<bool, InstallError> {
    let words = ["ls-files".as_ref(), "--error-unmatch".as_ref(), "--".as_ref(), path.as_os_str()];
    Ok(git_answer(repo, &words)?.status.success())
}

fn git_answer(
    repo: &Repo,
    args: &[&std::ffi::OsStr],
) -> Result<std::process::Output, InstallError> {
    let mut command = repo.git()?;
    command.args(args).output().map_err(|source| InstallError::Io { path: "git".into(), source })
}

fn config_line(key: &str, value: &str) -> ConfigLine {
    ConfigLine { key: key.to_owned(), value: value.to_owned() }
}

fn plan_shims(repo: &Repo, carnet_exe: &Path, plan: &mut InstallPlan) -> Result<(), InstallError> {
    let dir = repo.hooks_dir()?;
    let inside = |root: &Path| dir.starts_with(root);
    if !inside(repo.common_dir()) && !repo.work_tree().is_some_and(inside) {
        return Err(InstallError::SharedHooks(dir));
    }
    if !dir.exists() {
        plan.new_dirs.push(dir.clone());
    }
    let installed = read_record(repo.state_dir())?.map_or_else(Vec::new, |record| record.hooks);
    for event in EVENTS {
        let path = dir.join(event);
        let (chained, chain) = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => (None, String::new()),
            Err(source) => return Err(InstallError::Io { path, source }),
            Ok(meta) if meta.is_dir() => return Err(InstallError::NotAFile(path)),
            Ok(_) if is_shim(&path) => match installed.iter().find(|hook| hook.path == path) {
                Some(hook) => (hook.chained.clone(), hook.chain.clone()),
                None => (None, String::new()),
            },
            Ok(_) => {
                if is_tracked(repo, &path)? {
                    return Err(InstallError::TrackedHook(path));
                }
                let chained = repo.state_dir().join("chained").join(event);
                let chain = chain_text(event, &chained, &path)?;
                (Some(chained), chain)
            }
        };
        let exe = shell_quoted(carnet_exe)?;
        let before = format!("{chain}{}", only_our_refs(event));
        let text =
            SHIM.replace("@CHAIN@", &before).replace("@CARNET@", &exe).replace("@EVENT@", event);
        if !fs::read(&path).is_ok_and(|old| is_shim(&path) && old == text.as_bytes()) {
            plan.hooks.push(HookFile { event: event.to_owned(), path, chained, chain, text });
        }
    }
    Ok(())
}

/// Tells whether a shim stands here. A link is none, wherever it leads.
fn is_shim(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file())
        && fs::read_to_string(path).is_ok_and(|text| text.contains(SHIM_MARK))
}

/// Returns the lines that run the earlier hook.
///
/// A POSIX shell script is sourced in a subshell, so that its `$0` stays the hook's own path (husky and others look for
/// neighbours there); anything else is executed. A hook that git would not have run, for it is not executable,
/// is kept and not run. A link is followed now, since its target may be relative to where it stands.
///
/// Before a push or a change of refs both hooks read the refs on standard input, so that they are read once and given to each.
fn chain_text(event: &str, chained: &Path, now_at: &Path) -> Result<String, InstallError> {
    let io = |source| InstallError::Io { path: now_at.to_owned(), source };
    let meta = match fs::metadata(now_at) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        other => other.map_err(io)?,
    };
    if meta.permissions().mode() & 0o111 == 0 {
        return Ok(String::new());
    }
    let is_link = fs::symlink_metadata(now_at).map_err(io)?.is_symlink();
    let runs_at = if is_link { fs::canonicalize(now_at).map_err(io)? } else { chained.to_owned() };
    let quoted = shell_quoted(&runs_at)?;
    let script = fs::read(now_at).map_err(io)?;
    let call = if is_posix_shell(&script) {
        format!("( . {quoted} )")
    } else {
        format!("{quoted} \"$@\"")
    };
    let stop = "status=$?; [ \"$status\" -eq 0 ] || exit \"$status\"\n";
    if ![PRE_PUSH, REFERENCE_TRANSACTION].contains(&event) {
        return Ok(format!("{call}\n{stop}"));
    }
    let tell = r#"{ [ -z "$carnet_refs" ] || printf '%s\n' "$carnet_refs"; }"#;
    let hand_on = "exec <<CARNET_REFS\n$carnet_refs\nCARNET_REFS\n";
    Ok(format!("carnet_refs=$(cat)\n{tell} | {call}\n{stop}{hand_on}"))
}

/// Every change of a ref calls this hook, twice or more: what is none of ours is told by the shell, without starting carnet.
fn only_our_refs(event: &str) -> String {
    if event != REFERENCE_TRANSACTION {
        return String::new();
    }
    format!(
        "[ \"$1\" = prepared ] || exit 0\ncarnet_refs=$(grep -E '{GROWING_REFS}') || exit 0\n\
         exec <<CARNET_REFS\n$carnet_refs\nCARNET_REFS\n"
    )
}

fn is_posix_shell(script: &[u8]) -> bool {
    let first_line = script.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let interpreter = first_line.strip_prefix(b"#!").unwrap_or_default().trim_ascii();
    [&b"/bin/sh"[..], b"/usr/bin/sh", b"/usr/bin/env sh", b"/bin/dash"].contains(&interpreter)
}

fn shell_quoted(path: &Path) -> Result<String, InstallError> {
    let text = path.to_str().ok_or_else(|| InstallError::NotUtf8(path.to_owned()))?;
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}

/// Does what [`plan_install`] decided.
///
/// # Errors
///
/// [`InstallError`]; the record is written first, so [`uninstall`] undoes an installation that broke off.
pub fn apply_install(repo: &Repo, plan: &InstallPlan) -> Result<(), InstallError> {
    let state = repo.state_dir();
    create_dir(&state.join("chained"))?;
    let mut record = read_record(state)?.unwrap_or_else(|| Record {
        format: RECORD_FORMAT.to_owned(),
        new_dirs: vec![],
        hooks: vec![],
        config: vec![],
    });
    record.new_dirs.extend(plan.new_dirs.iter().cloned());
    record.hooks.retain(|old| plan.hooks.iter().all(|new| new.path != old.path));
    record.hooks.extend(plan.hooks.iter().cloned());
    record.config.extend(plan.config.iter().cloned());
    write_record(state, &record)?;
    plan.new_dirs.iter().try_for_each(|dir| create_dir(dir))?;
    plan.hooks.iter().try_for_each(write_shim)?;
    for line in &plan.config {
        repo.config_add(&line.key, &line.value)?;
    }
    Ok(())
}

fn create_dir(dir: &Path) -> Result<(), InstallError> {
    fs::create_dir_all(dir).map_err(|source| InstallError::Io { path: dir.to_owned(), source })
}

/// Links the old hook to its new place, then renames the shim over it: the event never stands without a hook.
fn write_shim(hook: &HookFile) -> Result<(), InstallError> {
    let io = |source| InstallError::Io { path: hook.path.clone(), source };
    if let Some(chained) = &hook.chained
        && !is_shim(&hook.path)
    {
        match fs::remove_file(chained) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
        fs::hard_link(&hook.path, chained).map_err(io)?;
    }
    let beside = hook.path.with_extension("carnet-new");
    fs::write(&beside, &hook.text).map_err(io)?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).map_err(io)?;
    fs::rename(&beside, &hook.path).map_err(io)
}

/// What uninstalling did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UninstallReport {
    /// Shims taken away, each with the hook that was put back, if any.
    pub hooks: Vec<HookFile>,
    /// Configuration lines removed.
    pub config: Vec<ConfigLine>,
}

/// Returns what [`uninstall`] would take out; `None` when nothing is installed.
///
/// # Errors
///
/// [`InstallError`] when the record is broken or a shim was changed by someone else.
pub fn plan_uninstall(repo: &Repo) -> Result<Option<UninstallReport>, InstallError> {
    let Some(record) = read_record(repo.state_dir())? else { return Ok(None) };
    for hook in &record.hooks {
        let now = fs::read(&hook.path).ok();
        let untouched = now.as_deref() == Some(hook.text.as_bytes());
        let not_yet_written = now.is_none() || !is_shim(&hook.path);
        let restorable = untouched
            || (not_yet_written && hook.chained.as_deref().is_none_or(|path| !path.exists()));
        if !restorable {
            return Err(InstallError::ShimChanged(hook.path.clone()));
        }
    }
    Ok(Some(UninstallReport { hooks: record.hooks, config: record.config }))
}

/// Takes out what was installed and puts back what stood there, byte for byte.
///
/// # Errors
///
/// [`InstallError`]; what was already put back stays so, and the record remains until all is done.
pub fn uninstall(repo: &Repo, report: &UninstallReport) -> Result<(), InstallError> {
    let state = repo.state_dir();
    for hook in &report.hooks {
        let io = |source| InstallError::Io { path: hook.path.clone(), source };
        match &hook.chained {
            Some(chained) if fs::symlink_metadata(chained).is_ok() => {
                fs::rename(chained, &hook.path).map_err(io)?;
            }
            None if is_shim(&hook.path) => fs::remove_file(&hook.path).map_err(io)?,
            _ => {}
        }
    }
    for line in &report.config {
        repo.config_unset(&line.key, Some(&line.value))?;
    }
    let record_path = state.join("install.json");
    if let Some(record) = read_record(state)? {
        // Only directories that carnet made and that are empty again; anything else is the user's.
        record.new_dirs.iter().for_each(|dir| drop(fs::remove_dir(dir)));
    }
    drop(fs::remove_dir(state.join("chained")));
    fs::remove_file(&record_path).map_err(|source| InstallError::Io { path: record_path, source })
}

/// Tells what of an installation is missing now: shims that someone removed or replaced, configuration lines
/// that are gone, and events that an older carnet did not answer yet.
///
/// # Errors
///
/// [`InstallError::Record`] when the record cannot be read.
pub fn missing_parts(repo: &Repo) -> Result<Option<Vec<String>>, InstallError> {
    let Some(record) = read_record(repo.state_dir())? else { return Ok(None) };
    let mut missing = vec![];
    for hook in &record.hooks {
        if fs::read(&hook.path).ok().as_deref() != Some(hook.text.as_bytes()) {
            missing.push(format!("hook `{}`", hook.path.display()));
        }
    }
    for line in &record.config {
        if !repo.config_get_all(&line.key).contains(&line.value) {
            missing.push(format!("configuration `{}`", line.key));
        }
    }
    for event in EVENTS {
        let by_config = format!("hook.carnet-{event}.event");
        let is_recorded = record.hooks.iter().any(|hook| hook.event == event)
            || record.config.iter().any(|line| line.key == by_config);
        if !is_recorded {
            missing.push(format!("hook `{event}`"));
        }
    }
    Ok(Some(missing))
}

fn read_record(state: &Path) -> Result<Option<Record>, InstallError> {
    let path = state.join("install.json");
    let text = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|source| InstallError::Io { path: path.clone(), source })?,
    };
    match serde_json::from_slice::<Record>(&text) {
        Ok(record) if record.format == RECORD_FORMAT => Ok(Some(record)),
        _ => Err(InstallError::Record(path)),
    }
}

fn write_record(state: &Path, record: &Record) -> Result<(), InstallError> {
    let path = state.join("install.json");
    let text = serde_json::to_vec_pretty(record).expect("because paths were checked to be UTF-8");
    let beside = path.with_extension("json.new");
    fs::write(&beside, text)
        .and_then(|()| fs::rename(&beside, &path))
        .map_err(|source| InstallError::Io { path, source })
}
