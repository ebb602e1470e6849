//! The journal: which runs go on, so that none is lost with the process that watches it.
//!
//! One file a run under `<state>/journal/`, flushed to the disk before the command starts and locked as long as its process
//! lives. Its first line is the passport that a crash would leave; room behind it, taken beforehand, is for the end of a run
//! whose recording failed. [`close_abandoned`] finds files that no living process
//! holds, and records their runs. A run whose recording failed stays in the journal with its outcome, and is recorded as
//! incomplete as soon as that is possible again.
//!
//! Invariant: a run is in the journal or in the ledger, or in both until the journal is looked at again; never in neither.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use carnet_access::keys::SigningKey;
use carnet_core::{
    RunId, Timestamp,
    passport::{Passport, Withheld},
};
use carnet_git::{CommitSpec, Repo};
use serde::{Deserialize, Serialize};

use crate::{
    index,
    record::{FinishedRun, author, describe_chain, record},
};

pub(crate) const FORMAT: &str = "carnet/journal/1";
/// Room that is kept for the end of the story, so that it can be written on a full disk.
const SPARE_BYTES: usize = 8 * 1024;
/// Largest journal file that is read.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Most abandoned runs that are closed at one start.
const CLOSED_MAX: usize = 1_000;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    pub(crate) format: String,
    pub(crate) passport: Passport,
    pub(crate) policy_files: Vec<(String, String)>,
}

/// A run in the journal. Dropped without [`OpenRun::close`], it stays there.
#[derive(Debug)]
pub struct OpenRun {
    file: File,
    path: PathBuf,
    run: RunId,
    spare_from: u64,
}

/// Writes a run into the journal and flushes it; the command may start when this returns.
///
/// - `passport`: what is to be recorded if this process does not live to say more.
///
/// Uncommitted changes that the run sees are kept from `git gc` by `refs/carnet/open/<run>` until it is closed.
///
/// # Errors
///
/// What the system or git said; the command must not start then.
pub fn open(
    repo: &Repo,
    passport: &Passport,
    policy_files: &[(String, String)],
) -> io::Result<OpenRun> {
    let dir = dir(repo.state_dir());
    fs::create_dir_all(&dir)?;
    let run = passport.run.id;
    let path = dir.join(format!("{run}.json"));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.lock()?;
    let entry = Entry {
        format: FORMAT.to_owned(),
        passport: passport.clone(),
        policy_files: policy_files.to_vec(),
    };
    let mut bytes = serde_json::to_vec(&entry)?;
    bytes.push(b'\n');
    let open = OpenRun { file, path, run, spare_from: bytes.len() as u64 };
    bytes.resize(bytes.len() + SPARE_BYTES, b' ');
    let written = open.file.write_all_at(&bytes, 0).and_then(|()| {
        open.file.sync_all()?;
        File::open(&dir)?.sync_all()?;
        keep_source(repo, passport)
    });
    if written.is_err() {
        drop(fs::remove_file(&open.path));
    }
    written.map(|()| open)
}

impl OpenRun {
    /// Notes how a run ended that could not be recorded. Without logs and artifacts, which are lost with this process.
    ///
    /// # Errors
    ///
    /// What the system said: the run will then be recorded as crashed.
    pub fn note_unrecorded(&self, passport: &Passport, why: &str) -> io::Result<()> {
        let mut passport = passport.clone();
        passport.logs.clear();
        passport.model = None;
        passport.withheld.extend(passport.artifacts.drain(..).map(|artifact| Withheld {
            name: artifact.name,
            reason: "could not be recorded".to_owned(),
        }));
        passport.validation_pass = false;
        // The spare room is bounded, and so is what is told of the reason.
        let why: String = why.chars().take(500).collect();
        passport.incomplete = Some(format!("recording the run failed: {why}"));
        self.file.write_all_at(&serde_json::to_vec(&passport)?, self.spare_from)?;
        self.file.sync_all()
    }

    /// Takes the run out of the journal: the ledger has it, or nothing was started.
    pub fn close(self, repo: &Repo) {
        // What cannot be removed now is found again at the next start, and told from a lost run by the ledger.
        drop(fs::remove_file(&self.path));
        let name = open_ref(self.run);
        if let Ok(Some(kept)) = repo.read_ref(&name) {
            drop(repo.delete_ref(&name, &kept));
        }
    }
}

fn dir(state_dir: &Path) -> PathBuf {
    state_dir.join("journal")
}

fn open_ref(run: RunId) -> String {
    format!("refs/carnet/open/{run}")
}

/// The changes that no commit holds are kept by a ref of their own while the run goes on.
fn keep_source(repo: &Repo, passport: &Passport) -> io::Result<()> {
    let source = &passport.source;
    if !source.dirty {
        return Ok(());
    }
    let kept = repo.write_commit(&CommitSpec {
        tree: source.tree,
        parents: vec![source.commit],
        message: format!("uncommitted changes of run {}\n", passport.run.id),
        author: author(&passport.run.writer),
        time: passport.started_at,
    });
    let kept = kept.map_err(io::Error::other)?;
    repo.update_ref(&open_ref(passport.run.id), &kept, None, "run: started")
        .map_err(io::Error::other)
}

/// What closing abandoned runs came to.
#[derive(Debug, Default)]
pub struct Closed {
    /// Runs that are in the ledger now.
    pub runs: Vec<RunId>,
    /// Runs that could not be closed, and why.
    pub problems: Vec<String>,
}

/// Records every run whose process is gone: as crashed, or with the outcome that could not be recorded.
///
/// - `now`: becomes the end of a crashed run, whose true end no one saw.
///
/// Nothing is done, and little is read, when there is none. At most 1,000 are closed at once.
pub fn close_abandoned(repo: &Repo, key: &SigningKey, now: Timestamp) -> Closed {
    let mut closed = Closed::default();
    let Ok(entries) = fs::read_dir(dir(repo.state_dir())) else { return closed };
    let mut recorded = None;
    for entry in entries.flatten().take(CLOSED_MAX) {
        let path = entry.path();
        let Some(file) = abandoned(&path) else { continue };
        let known = &*recorded.get_or_insert_with(|| index::open(repo));
        let known = |run: RunId| match known {
            Ok(index) => Ok(index.contains(run)),
            Err(error) => Err(describe_chain(error)),
        };
        match close_one(repo, key, now, &path, file, &known) {
            Ok(Some(run)) => closed.runs.push(run),
            Ok(None) => {}
            Err(problem) => closed.problems.push(format!("{}: {problem}", path.display())),
        }
    }
    closed
}

/// Opens a journal file that no living process holds, and takes it for this one.
fn abandoned(path: &Path) -> Option<File> {
    if path.extension().is_none_or(|extension| extension != "json") {
        return None;
    }
    let file = OpenOptions::new().read(true).write(true).open(path).ok()?;
    file.try_lock().ok()?;
    // Another process may have closed it in between.
    let same = fs::metadata(path).ok()?.ino() == file.metadata().ok()?.ino();
    same.then_some(file)
}

fn close_one(
    repo: &Repo,
    key: &SigningKey,
    now: Timestamp,
    path: &Path,
    file: File,
    known: &dyn Fn(RunId) -> Result<bool, String>,
) -> Result<Option<RunId>, String> {
    let mut text = vec![];
    (&file).take(FILE_BYTES_MAX).read_to_end(&mut text).map_err(|error| error.to_string())?;
    let (first, spare) = text.split_at(text.iter().position(|byte| *byte == b'\n').unwrap_or(0));
    let Ok(entry) = serde_json::from_slice::<Entry>(first) else {
        // Cut off while it was written: the command was not started before the file was whole.
        drop(fs::remove_file(path));
        return Ok(None);
    };
    if entry.format != FORMAT {
        return Err(format!("it has format `{}`, which this version does not read", entry.format));
    }
    let mut passport = serde_json::from_slice::<Passport>(spare).unwrap_or(entry.passport);
    let run = passport.run.id;
    let open = OpenRun { file, path: path.to_owned(), run, spare_from: first.len() as u64 + 1 };
    if known(run)? {
        open.close(repo);
        return Ok(None);
    }
    // The clock may have gone backwards; an end before the start would be no end.
    passport.finished_at = if passport.outcome.has_ended() { passport.finished_at } else { now }
        .max(passport.started_at);
    passport.run.writer = key.public().writer();
    let finished = FinishedRun {
        passport,
        stands_in: None,
        logs: vec![],
        model: None,
        outputs: vec![],
        policy_files: entry.policy_files,
    };
    record(repo, key, finished).map_err(|error| describe_chain(&error))?;
    open.close(repo);
    Ok(Some(run))
}
