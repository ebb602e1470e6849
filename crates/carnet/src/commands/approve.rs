//! `carnet approve`: texts that `carnet redact --hold` keeps back until a person has looked at them.
//!
//! A held text lies redacted under `<git directory>/carnet/held/`, for its owner alone; its id is the digest of what would leave, so
//! an approval is for that text and no other. Waiting texts are forgotten after a week, approvals after a day.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, IsTerminal as _, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::PathBuf,
};

use carnet_access::private_file;
use carnet_core::{Digest, ExitCode, Timestamp};
use carnet_guard::AuditKind;
use carnet_scan::Replaced;
use clap::Args;
use serde::{Deserialize, Serialize};

use super::{findings::failed, redact::record, report::count};
use crate::{
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::{Workspace, now},
};

const FORMAT: &str = "carnet/held/1";
/// Digits of an id.
const ID_LEN: usize = 16;
/// Texts that are held at once.
const HELD_MAX: usize = 1000;
const WAITS_MS: i64 = 7 * 86_400_000;
const APPROVED_MS: i64 = 86_400_000;

/// Options of `approve`.
#[derive(Debug, Args)]
pub struct ApproveArgs {
    /// The held text, or the first digits of its id; without it, what is held is listed.
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// Approve without being asked; for scripts that a person runs.
    #[arg(long, requires = "id")]
    yes: bool,
    /// Forget the text instead.
    #[arg(long, requires = "id", conflicts_with = "yes")]
    refuse: bool,
    /// List what is held as JSON.
    #[arg(long, conflicts_with = "id")]
    json: bool,
}

/// What stands in the file of a held text; the text lies beside it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Held {
    format: String,
    id: String,
    state: State,
    /// When it came into this state.
    at: Timestamp,
    size_bytes: u64,
    replaced: BTreeMap<String, usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum State {
    Waiting,
    Approved,
}

/// `carnet approve --json`.
#[derive(Serialize)]
struct Listed {
    format: &'static str,
    held: Vec<Held>,
}

/// Whether a text may leave.
pub enum Release {
    /// Someone approved this very text.
    Approved,
    /// It is kept back.
    Waiting,
}

/// Returns the id of a text.
pub fn id_of(text: &[u8]) -> String {
    Digest::of(text).to_string()[..ID_LEN].to_owned()
}

/// Says whether a redacted text may leave; keeps it for a person to look at where no one approved it.
pub fn release(
    workspace: &Workspace,
    id: &str,
    text: &[u8],
    replaced: &Replaced,
) -> Result<Release, CommandError> {
    let held = Store::open(workspace)?;
    let known = held.list()?;
    if known.iter().any(|it| it.id == id && it.state == State::Approved)
        && held.text(id)?.as_slice() == text
    {
        return Ok(Release::Approved);
    }
    if known.len() >= HELD_MAX {
        return Err(CommandError::new(
            ExitCode::Refused,
            format!("{HELD_MAX} texts are held already"),
        )
        .hint("Look at them with `carnet approve`."));
    }
    held.put_text(id, text)?;
    held.put(&Held {
        format: FORMAT.to_owned(),
        id: id.to_owned(),
        state: State::Waiting,
        at: now(),
        size_bytes: text.len() as u64,
        replaced: replaced.by_name.clone(),
    })?;
    Ok(Release::Waiting)
}

/// Lists what is held, or lets a person look at one text and approve it.
pub fn approve(ui: &Ui, args: &ApproveArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let store = Store::open(&workspace)?;
    let known = store.list()?;
    let Some(asked) = &args.id else {
        list(ui, args, known);
        return Ok(ExitCode::Done);
    };
    let mut held = one_of(known, asked)?;
    let replaced = Replaced { by_name: held.replaced.clone() };
    if args.refuse {
        store.forget(&held.id)?;
        record(ui, Some(&workspace), AuditKind::Refusal, Some(&held.id), &replaced);
        ui.err(&format!("carnet: {} is forgotten\n", held.id));
        return Ok(ExitCode::Done);
    }
    let text = store.text(&held.id)?;
    ui.out(&format!("{}\n", heading(&held)));
    ui.out_bytes(shown(&text).as_bytes());
    ui.out("\n");
    if !args.yes && !is_confirmed(ui)? {
        ui.err("carnet: it stays held\n");
        return Ok(ExitCode::Refused);
    }
    held.state = State::Approved;
    held.at = now();
    store.put(&held)?;
    record(ui, Some(&workspace), AuditKind::Approval, Some(&held.id), &replaced);
    ui.err(&format!("carnet: {} may leave for a day: do `carnet redact --hold` again\n", held.id));
    Ok(ExitCode::Done)
}

fn is_confirmed(ui: &Ui) -> Result<bool, CommandError> {
    if !io::stdin().is_terminal() {
        return Err(CommandError::new(ExitCode::Refused, "nobody is there to approve it")
            .hint("Type this at a terminal, or add `--yes`."));
    }
    ui.err("May this text leave? [y/N] ");
    let _ = io::stderr().flush();
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(|error| {
        CommandError::new(ExitCode::Io, format!("cannot read the answer: {error}"))
    })?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}

fn one_of(known: Vec<Held>, asked: &str) -> Result<Held, CommandError> {
    let mut fitting: Vec<Held> = known.into_iter().filter(|it| it.id.starts_with(asked)).collect();
    match fitting.len() {
        1 if !asked.is_empty() => Ok(fitting.remove(0)),
        0 => Err(CommandError::new(
            ExitCode::NothingToLookAt,
            format!("no text is held as `{asked}`"),
        )
        .hint("See what is held: `carnet approve`.")),
        n => {
            Err(CommandError::new(ExitCode::Usage, format!("{n} held texts begin with `{asked}`"))
                .hint("Give more digits."))
        }
    }
}

fn list(ui: &Ui, args: &ApproveArgs, held: Vec<Held>) {
    if args.json {
        return ui.json(&Listed { format: "carnet/held-list/1", held });
    }
    if held.is_empty() {
        ui.out("No text is held.\n");
    }
    for it in held {
        ui.out(&format!("{}\n", heading(&it)));
    }
}

fn heading(held: &Held) -> String {
    let names: Vec<String> =
        held.replaced.iter().map(|(name, n)| format!("{name} ({n})")).collect();
    let state = match held.state {
        State::Waiting => "waits since",
        State::Approved => "approved at",
    };
    let n_bytes = count(usize::try_from(held.size_bytes).unwrap_or(usize::MAX), "byte");
    format!("{}  {state} {}, {n_bytes}: {}", held.id, held.at, names.join(", "))
}

/// The text as a terminal may show it: control characters would hide what leaves.
fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let is_plain = |c: char| !c.is_control() || c == '\n' || c == '\t';
    text.chars().map(|c| if is_plain(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

struct Store {
    dir: PathBuf,
}

impl Store {
    fn open(workspace: &Workspace) -> Result<Store, CommandError> {
        let dir = workspace.repo.state_dir().join("held");
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        made.map_err(|error| failed("make", &dir, &error))?;
        Ok(Store { dir })
    }

    /// Returns what is held, the oldest first; what is too old goes.
    fn list(&self) -> Result<Vec<Held>, CommandError> {
        let mut all = vec![];
        let entries = fs::read_dir(&self.dir).map_err(|error| failed("read", &self.dir, &error))?;
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.extension().is_none_or(|it| it != "json") {
                continue;
            }
            let bytes = fs::read(&path).map_err(|error| failed("read", &path, &error))?;
            let held: Held = serde_json::from_slice(&bytes).map_err(|error| {
                CommandError::new(
                    ExitCode::Config,
                    format!("`{}` is no held text: {error}", path.display()),
                )
                .hint(format!("Take it away: `rm {}`.", path.display()))
            })?;
            let lasts = if held.state == State::Waiting { WAITS_MS } else { APPROVED_MS };
            if now().as_millis() - held.at.as_millis() > lasts {
                self.forget(&held.id)?;
            } else {
                all.push(held);
            }
        }
        all.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        Ok(all)
    }

    fn path(&self, id: &str, extension: &str) -> PathBuf {
        self.dir.join(format!("{id}.{extension}"))
    }

    fn text(&self, id: &str) -> Result<Vec<u8>, CommandError> {
        let path = self.path(id, "txt");
        fs::read(&path).map_err(|error| failed("read", &path, &error))
    }

    fn put_text(&self, id: &str, text: &[u8]) -> Result<(), CommandError> {
        let path = self.path(id, "txt");
        Ok(private_file::replace(&path, text)?)
    }

    fn put(&self, held: &Held) -> Result<(), CommandError> {
        let path = self.path(&held.id, "json");
        let bytes = serde_json::to_vec_pretty(held).expect("because it has string keys");
        Ok(private_file::replace(&path, &bytes)?)
    }

    fn forget(&self, id: &str) -> Result<(), CommandError> {
        for extension in ["json", "txt"] {
            let path = self.path(id, extension);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("remove", &path, &error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
