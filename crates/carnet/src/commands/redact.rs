//! `carnet redact` and `carnet rehydrate`: texts on their way out, and answers on their way back.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use carnet_core::ExitCode;
use carnet_git::{OpenError, Repo};
use carnet_guard::{AuditEvent, AuditKind};
use carnet_policy::ContentPolicy;
use carnet_scan::{RedactionMap, Redactor, Replaced, RuleSet};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{
    approve::{self, Release},
    hook::audit_event,
    known_values::{Named, known_values},
    redaction_map,
    report::count,
    scan::unreadable,
};
use crate::{
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::{Workspace, now},
};

/// Bytes read at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// Bytes of a text that is held, or goes with a map: all of it is in memory then.
const WHOLE_BYTES_MAX: u64 = 256 << 20;

/// Options of `redact`.
#[derive(Debug, Args)]
pub struct RedactArgs {
    /// Replace the value of this variable too; those whose name speaks of a secret are known by themselves.
    #[arg(long = "env", value_name = "NAME")]
    variables: Vec<String>,
    /// Replace the values in this file of `NAME=value` lines too; the work tree's `.env*` are known by themselves.
    #[arg(long = "env-file", value_name = "FILE")]
    env_files: Vec<PathBuf>,
    /// Replace a value that is read from a file or a descriptor.
    #[arg(long = "secret", value_name = "NAME=store[:PATH]|file:PATH|fd:N")]
    secrets: Vec<String>,
    /// Do without what the secret store holds (`carnet secret list`); its values are known by themselves.
    #[arg(long)]
    no_store: bool,
    /// How sure personal data must be to be replaced [default: the policy's `redact_at_confidence`].
    #[arg(long, value_enum, value_name = "LEVEL")]
    personal: Option<Level>,
    /// Keep what stands for what in FILE, for `carnet rehydrate`; a file that is there is used again.
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// Let a text in which something was replaced out only after `carnet approve`.
    #[arg(long)]
    hold: bool,
    /// Write a summary as JSON to standard error.
    #[arg(long)]
    json: bool,
    /// Files, one after the other; standard input without any, or for `-`.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// How sure personal data must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    /// Check digits and a word that speaks of them, or a form that nothing else has.
    High,
    /// A form that little else has.
    Medium,
    /// Whatever has the form.
    Low,
    /// Leave personal data as it is.
    None,
}

/// Options of `rehydrate`.
#[derive(Debug, Args)]
pub struct RehydrateArgs {
    /// The map that `carnet redact --map` kept.
    #[arg(long, value_name = "FILE")]
    map: PathBuf,
    /// Files, one after the other; standard input without any, or for `-`.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// The summary of `redact --json`.
#[derive(Serialize)]
struct Summary<'a> {
    format: &'static str,
    bytes_in: u64,
    bytes_out: u64,
    /// Places replaced, by name.
    replaced: &'a std::collections::BTreeMap<String, usize>,
    /// The item that waits for approval.
    held: Option<&'a str>,
}

/// Replaces secrets, known values and personal data.
pub fn redact(ui: &Ui, args: &RedactArgs) -> CommandResult {
    let workspace = workspace()?;
    let repo = workspace.as_ref().map(|it| &it.repo);
    let named = Named {
        variables: &args.variables,
        env_files: &args.env_files,
        secrets: &args.secrets,
        store: !args.no_store,
    };
    let known = known_values(workspace.as_ref(), &named)?;
    let (rules, policy) = match &workspace {
        Some(workspace) => (workspace.rules()?, carnet_guard::content_policy(&workspace.repo)?),
        None => (RuleSet::built_in(), ContentPolicy::built_in()),
    };
    let at = match args.personal {
        None => Some(policy.redact_personal_at()),
        Some(Level::High) => Some(carnet_core::Confidence::High),
        Some(Level::Medium) => Some(carnet_core::Confidence::Medium),
        Some(Level::Low) => Some(carnet_core::Confidence::Low),
        Some(Level::None) => None,
    };
    let redactor = Redactor::new(rules).with_known(known);
    let redactor = match at {
        Some(at) => redactor.with_personal(at),
        None => redactor,
    };
    let mut task = Task { ui, redactor: &redactor, args, n_in: 0, n_out: 0 };
    let (replaced, whole) = if args.map.is_some() || args.hold {
        let (text, replaced) = task.whole(repo)?;
        (replaced, Some(text))
    } else {
        (task.through()?, None)
    };
    record(ui, workspace.as_ref(), AuditKind::Redaction, None, &replaced);
    let mut held = None;
    let code = match whole {
        Some(text) if args.hold && replaced.n() > 0 => {
            let workspace = workspace.as_ref().ok_or_else(|| {
                CommandError::new(
                    ExitCode::NothingToLookAt,
                    "a text is held in a repository, and this is none",
                )
                .hint("Go into a git repository, or leave `--hold` out.")
            })?;
            let id = approve::id_of(&text);
            match approve::release(workspace, &id, &text, &replaced)? {
                Release::Approved => {
                    ui.out_bytes(&text);
                    ExitCode::Done
                }
                Release::Waiting => {
                    record(ui, Some(workspace), AuditKind::Refusal, Some(&id), &replaced);
                    held = Some(id);
                    ExitCode::Refused
                }
            }
        }
        Some(text) => {
            ui.out_bytes(&text);
            ExitCode::Done
        }
        None => ExitCode::Done,
    };
    task.summary(&replaced, held.as_deref());
    match held {
        Some(id) => Err(CommandError::new(
            code,
            format!(
                "the text waits for approval as {id}, for {}",
                count(replaced.n(), "replacement")
            ),
        )
        .hint(format!(
            "Have a person look at it with `carnet approve {id}`, then do the same again."
        ))),
        None => Ok(code),
    }
}

/// The workspace, where there is one; its policy and rules count then.
fn workspace() -> Result<Option<Workspace>, CommandError> {
    match Repo::discover(".".as_ref()) {
        Ok(repo) => Ok(Some(Workspace { repo })),
        Err(OpenError::NotARepository { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Writes what happened to the audit log: names and how often, never values. `held` is the id of the text that it was about.
pub fn record(
    ui: &Ui,
    workspace: Option<&Workspace>,
    what: AuditKind,
    held: Option<&str>,
    replaced: &Replaced,
) {
    let Some(workspace) = workspace.filter(|_| replaced.n() > 0) else { return };
    let mut event = AuditEvent::new(what, "redact", now());
    event.subject = held.map(str::to_owned);
    event.findings = replaced.by_name.iter().map(|(name, n)| format!("{name} {n}")).collect();
    audit_event(ui, workspace, event);
}

struct Task<'a> {
    ui: &'a Ui,
    redactor: &'a Redactor<'a>,
    args: &'a RedactArgs,
    n_in: u64,
    n_out: u64,
}

impl Task<'_> {
    /// Puts each file out as it is redacted.
    fn through(&mut self) -> Result<Replaced, CommandError> {
        let mut all = Replaced::default();
        for mut source in sources(&self.args.files)? {
            let mut stream = self.redactor.stream();
            let mut out = vec![];
            while let Some(chunk) = source.read()? {
                self.n_in += chunk.len() as u64;
                stream.push(chunk, &mut out);
                if out.len() >= CHUNK_BYTES {
                    self.n_out += out.len() as u64;
                    self.ui.out_bytes(&out);
                    out.clear();
                }
            }
            add(&mut all, stream.finish(&mut out).replaced);
            self.n_out += out.len() as u64;
            self.ui.out_bytes(&out);
        }
        Ok(all)
    }

    /// Returns all that comes out; the map is on the disk by then.
    fn whole(&mut self, repo: Option<&Repo>) -> Result<(Vec<u8>, Replaced), CommandError> {
        let path = self.args.map.as_deref();
        let mut map = match path {
            Some(path) => Some(redaction_map::load_or_new(repo, path)?),
            None => None,
        };
        let (mut all, mut text) = (Replaced::default(), vec![]);
        for mut source in sources(&self.args.files)? {
            let mut stream = match map.take() {
                Some(map) => self.redactor.stream_with(map),
                None => self.redactor.stream(),
            };
            while let Some(chunk) = source.read()? {
                self.n_in += chunk.len() as u64;
                if self.n_in > WHOLE_BYTES_MAX {
                    return Err(CommandError::new(
                        ExitCode::Refused,
                        format!(
                            "a text of more than {} MiB is neither held nor mapped",
                            WHOLE_BYTES_MAX >> 20
                        ),
                    )
                    .hint("Redact it in parts, or without `--map` and `--hold`."));
                }
                stream.push(chunk, &mut text);
            }
            let done = stream.finish(&mut text);
            add(&mut all, done.replaced);
            map = done.map;
        }
        if let (Some(path), Some(map)) = (path, &map) {
            redaction_map::save(path, map)?;
        }
        self.n_out = text.len() as u64;
        Ok((text, all))
    }

    fn summary(&self, replaced: &Replaced, held: Option<&str>) {
        if self.args.json {
            let summary = Summary {
                format: "carnet/redact/1",
                bytes_in: self.n_in,
                bytes_out: self.n_out,
                replaced: &replaced.by_name,
                held,
            };
            let text = serde_json::to_string(&summary);
            self.ui.err(&format!("{}\n", text.expect("because a summary has string keys")));
        } else if replaced.n() > 0 {
            let names = replaced.by_name.iter().map(|(name, n)| format!("{name} ({n})"));
            let names = names.collect::<Vec<_>>().join(", ");
            self.ui.progress(&format!("carnet: replaced {names}\n"));
        }
    }
}

fn add(all: &mut Replaced, more: Replaced) {
    for (name, n) in more.by_name {
        *all.by_name.entry(name).or_default() += n;
    }
}

/// Puts back what tokens stand for.
pub fn rehydrate(ui: &Ui, args: &RehydrateArgs) -> CommandResult {
    let map: RedactionMap = redaction_map::load(&args.map)?;
    for mut source in sources(&args.files)? {
        let mut rehydrator = map.rehydrator();
        let mut out = vec![];
        while let Some(chunk) = source.read()? {
            rehydrator.push(chunk, &mut out);
            ui.out_bytes(&out);
            out.clear();
        }
        rehydrator.finish(&mut out);
        ui.out_bytes(&out);
    }
    Ok(ExitCode::Done)
}

/// A file that is read in pieces.
struct Source {
    path: PathBuf,
    reader: Box<dyn Read>,
    buffer: Vec<u8>,
}

/// Opens all files before the first is read.
fn sources(files: &[PathBuf]) -> Result<Vec<Source>, CommandError> {
    let stdin = [PathBuf::from("-")];
    let files = if files.is_empty() { &stdin[..] } else { files };
    let open = |path: &PathBuf| -> Result<Source, CommandError> {
        let reader: Box<dyn Read> = if path == Path::new("-") {
            Box::new(io::stdin().lock())
        } else {
            Box::new(File::open(path).map_err(|error| unreadable(path, &error))?)
        };
        Ok(Source { path: path.clone(), reader, buffer: vec![0; CHUNK_BYTES] })
    };
    files.iter().map(open).collect()
}

impl Source {
    fn read(&mut self) -> Result<Option<&[u8]>, CommandError> {
        loop {
            match self.reader.read(&mut self.buffer) {
                Ok(0) => return Ok(None),
                Ok(n) => return Ok(Some(&self.buffer[..n])),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(&self.path, &error)),
            }
        }
    }
}
