//! A finished run becomes a run commit, a ledger event and two notes. The forms are `docs/format/`.
//!
//! Invariants: objects are on the disk before a ref names them; the ledger's ref moves by compare-and-swap; nothing is
//! stored that the guard did not see first (the caller hands over logs and outputs already examined).

use std::cell::RefCell;

use carnet_access::{dsse::Signatures, keys::SigningKey};
use carnet_core::{
    Digest, GitOid, ModelRecord, RepoPath, Timestamp,
    passport::{PAYLOAD_TYPE, Passport, Statement},
};
use carnet_git::{
    Author, ChainError, CommitSpec, EntryMode, NoteError, Repo, TreeSpec, WriteError,
};
use serde::Serialize;

use crate::{
    artifact::KeptOutput,
    event::{EventKind, RunEvent},
    manifest::manifest,
    model,
};

/// The notes ref that lists runs on commits and trees.
pub const PASSPORT_NOTES: &str = "refs/notes/carnet/passports";
/// The configuration key that asks git to sign run commits and events with the user's own key as well.
pub const SIGN_RUNS: &str = "carnet.signRuns";
/// DSSE payload type of a manifest.
pub const MANIFEST_PAYLOAD_TYPE: &str = "text/x-sha256sum";

/// Everything that goes into a run commit.
pub struct FinishedRun {
    /// What the passport says.
    pub passport: Passport,
    /// The run commit's parent in a clone that lacks the commit that ran: the run commit that is repeated.
    pub stands_in: Option<GitOid>,
    /// `stdout` and `stderr` as they are stored: redacted and bounded.
    pub logs: Vec<(&'static str, Vec<u8>)>,
    /// What was asked of a model, where there was one.
    pub model: Option<ModelRecord>,
    /// Outputs that were examined and are stored.
    pub outputs: Vec<KeptOutput>,
    /// The policy files that decided, by file name.
    pub policy_files: Vec<(String, String)>,
}

/// A run that the ledger holds.
#[derive(Debug, Clone)]
pub struct RecordedRun {
    /// The run commit R.
    pub commit: GitOid,
    /// The ledger's event commit.
    pub event: GitOid,
    /// The passport as it was stored.
    pub statement: Statement,
    /// What went wrong with the notes; they can be rebuilt, so the run stands.
    pub note_problem: Option<String>,
    /// What went wrong with locking the run: it is recorded, and not locked.
    pub lock_problem: Option<String>,
    /// Why the user's own key did not sign the commits, where that is asked: they stand with this clone's signature alone.
    pub sign_problem: Option<String>,
}

/// Why a run could not be recorded. Nothing names what was written, so git collects it.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// An object could not be written.
    #[error("write the run into the repository")]
    Write(#[from] WriteError),
    /// The ledger's ref could not be moved.
    #[error("append the run to the ledger")]
    Append(#[from] ChainError),
}

/// What was measured while a run ran, stored as `receipts/run.json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Receipt<'a> {
    format: &'static str,
    run: carnet_core::RunId,
    started_at: Timestamp,
    finished_at: Timestamp,
    quota: &'a carnet_core::Quota,
    usage: &'a carnet_core::Usage,
    enforcement: &'a [carnet_core::Enforcement],
}

/// Writes the run commit, appends the ledger event and adds the notes.
///
/// # Errors
///
/// [`RecordError`]; the ledger then does not have the run.
pub fn record(repo: &Repo, key: &SigningKey, run: FinishedRun) -> Result<RecordedRun, RecordError> {
    let statement = Statement::new(run.passport);
    let passport = &statement.predicate;
    let passport_json = statement.to_canonical_json();
    let passport_sha256 = Digest::of(&passport_json);

    let mut files = RunFiles { repo, key, spec: TreeSpec::new(), lines: vec![] };
    files.signed("passport.json", "passport.sig", PAYLOAD_TYPE, &passport_json)?;
    for (name, text) in &run.policy_files {
        files.add(path(&format!("policy/{name}")), EntryMode::File, text.as_bytes())?;
    }
    files.add(path("receipts/run.json"), EntryMode::File, &receipt(passport))?;
    for (name, bytes) in &run.logs {
        files.add(path(&format!("logs/{name}")), EntryMode::File, bytes)?;
    }
    if let Some(model) = &run.model {
        files.add(path(model::RECORD_PATH), EntryMode::File, &model.to_lines())?;
    }
    for output in &run.outputs {
        files.place(output);
    }
    let tree = files.finish(passport.source.tree)?;

    let source = Some(passport.source.commit);
    let parent = source.filter(|commit| repo.has_object(commit)).or(run.stands_in);
    let author = author(&passport.run.writer);
    let signing = Signing::of(repo);
    let commit = signing.write(&CommitSpec {
        tree,
        parents: parent.into_iter().collect(),
        message: commit_message(passport),
        author: author.clone(),
        time: passport.finished_at,
    })?;
    let ledger = ledger_ref(&passport.run.writer, passport.finished_at);
    let append = |ref_name: &str, kind| {
        let make = |previous: Option<GitOid>| {
            let event =
                RunEvent::new(kind, passport, commit, passport_sha256, previous, &key.public());
            Ok(CommitSpec {
                tree,
                parents: previous.into_iter().chain([commit]).collect(),
                message: event.to_message(key),
                author: author.clone(),
                time: passport.finished_at,
            })
        };
        repo.append_chain_with(ref_name, &make, &|spec| signing.write(spec))
    };
    let event = append(&ledger, EventKind::Run)?;
    let lock_problem = if passport.validation_pass && passport.incomplete.is_none() {
        let locked = locked_ref(&passport.run.writer, passport.finished_at);
        append(&locked, EventKind::Lock).err().map(|error| describe_chain(&error))
    } else {
        None
    };
    let note_problem = add_notes(repo, passport, commit, passport_sha256).err();
    let note_problem = note_problem.map(|error| describe_chain(&error));
    let sign_problem = signing.problem.into_inner();
    Ok(RecordedRun { commit, event, statement, note_problem, lock_problem, sign_problem })
}

/// Who signs commits besides this clone's key: the user's own, where [`SIGN_RUNS`] asks for it.
struct Signing<'a> {
    repo: &'a Repo,
    is_asked: bool,
    /// Why the user's key did not sign; no further commit is tried then.
    problem: RefCell<Option<String>>,
}

impl Signing<'_> {
    fn of(repo: &Repo) -> Signing<'_> {
        let asked = repo.config_get(SIGN_RUNS);
        let is_asked =
            asked.is_some_and(|value| matches!(&*value, "true" | "yes" | "on" | "1" | ""));
        Signing { repo, is_asked, problem: RefCell::new(None) }
    }

    /// Writes a commit, signed as far as that is asked and possible: a key that is away costs the signature, not the record.
    fn write(&self, spec: &CommitSpec) -> Result<GitOid, WriteError> {
        if !self.is_asked || self.problem.borrow().is_some() {
            return self.repo.write_commit(spec);
        }
        match self.repo.write_signed_commit(spec) {
            Err(error @ WriteError::Sign { .. }) => {
                *self.problem.borrow_mut() = Some(describe_chain(&error));
                self.repo.write_commit(spec)
            }
            written => written,
        }
    }
}

/// Returns the ref that keeps the runs which a writer locked in one month.
pub fn locked_ref(writer: &str, at: Timestamp) -> String {
    format!("refs/carnet/locked/{writer}/{}", &at.day()[..7])
}

/// Returns the ref that a writer appends to on one day.
pub fn ledger_ref(writer: &str, at: Timestamp) -> String {
    format!("refs/carnet/ledger/{writer}/{}", at.day())
}

pub(crate) fn author(writer: &str) -> Author {
    Author { name: "carnet".to_owned(), email: format!("{writer}@carnet.invalid") }
}

fn commit_message(passport: &Passport) -> String {
    let outcome = crate::event::describe(&passport.outcome);
    format!(
        "carnet run {}: {outcome}\n\nRun-Id: {}\nLane: {}\n",
        passport.run.id.short(),
        passport.run.id,
        passport.lane
    )
}

fn path(text: &str) -> RepoPath {
    RepoPath::new(text.as_bytes()).expect("because the run tree's own paths are well formed")
}

fn receipt(passport: &Passport) -> Vec<u8> {
    let receipt = Receipt {
        format: "carnet/receipt/1",
        run: passport.run.id,
        started_at: passport.started_at,
        finished_at: passport.finished_at,
        quota: &passport.quota,
        usage: &passport.usage,
        enforcement: &passport.enforcement,
    };
    serde_json_canonicalizer::to_vec(&receipt)
        .expect("because a receipt has string keys and no floating-point numbers")
}

/// The files of a run tree while it is put together, with their manifest lines.
struct RunFiles<'a> {
    repo: &'a Repo,
    key: &'a SigningKey,
    spec: TreeSpec,
    lines: Vec<(Vec<u8>, Digest)>,
}

impl RunFiles<'_> {
    fn add(&mut self, path: RepoPath, mode: EntryMode, bytes: &[u8]) -> Result<(), WriteError> {
        self.lines.push((path.as_bytes().to_vec(), Digest::of(bytes)));
        self.add_unlisted(path, mode, bytes)
    }

    /// Adds an output that is in the repository already, itself or as a pointer.
    fn place(&mut self, output: &KeptOutput) {
        let mode = if output.artifact.executable { EntryMode::Executable } else { EntryMode::File };
        let name = [b"artifacts/", output.path.as_bytes()].concat();
        self.lines.push((name.clone(), output.blob_sha256));
        let name = RepoPath::new(name).expect("because the output's path was checked");
        self.spec = std::mem::take(&mut self.spec).file(name, mode, output.blob_id);
    }

    fn add_unlisted(
        &mut self,
        path: RepoPath,
        mode: EntryMode,
        bytes: &[u8],
    ) -> Result<(), WriteError> {
        let blob_id = self.repo.write_blob(bytes)?;
        self.spec = std::mem::take(&mut self.spec).file(path, mode, blob_id);
        Ok(())
    }

    fn signed(
        &mut self,
        name: &str,
        sig_name: &str,
        kind: &str,
        bytes: &[u8],
    ) -> Result<(), WriteError> {
        self.add(path(name), EntryMode::File, bytes)?;
        let signatures = Signatures::sign(kind, bytes, self.key);
        self.add(path(sig_name), EntryMode::File, &signatures.to_json())
    }

    /// Adds the manifest and its signature, grafts the source, writes the tree.
    fn finish(mut self, source_tree: GitOid) -> Result<GitOid, WriteError> {
        let lines: Vec<_> =
            self.lines.iter().map(|(path, digest)| (path.as_slice(), *digest)).collect();
        let manifest = manifest(&lines);
        let signatures = Signatures::sign(MANIFEST_PAYLOAD_TYPE, &manifest, self.key);
        self.add_unlisted(path("MANIFEST.sha256"), EntryMode::File, &manifest)?;
        self.add_unlisted(path("MANIFEST.sha256.sig"), EntryMode::File, &signatures.to_json())?;
        self.spec = self.spec.subtree(path("source"), source_tree);
        self.repo.write_tree(&self.spec)
    }
}

/// One line of `refs/notes/carnet/passports`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NoteLine<'a> {
    format: &'static str,
    run: carnet_core::RunId,
    commit: GitOid,
    passport_sha256: Digest,
    at: Timestamp,
    lane: &'a carnet_core::LaneName,
    kind: carnet_core::passport::RunKind,
    outcome: &'a carnet_core::Outcome,
}

fn add_notes(
    repo: &Repo,
    passport: &Passport,
    commit: GitOid,
    passport_sha256: Digest,
) -> Result<(), NoteError> {
    let line = NoteLine {
        format: "carnet/note/1",
        run: passport.run.id,
        commit,
        passport_sha256,
        at: passport.finished_at,
        lane: &passport.lane,
        kind: passport.run.kind,
        outcome: &passport.outcome,
    };
    let line = serde_json_canonicalizer::to_string(&line)
        .expect("because a note has string keys and no floating-point numbers");
    let author = author(&passport.run.writer);
    // Both in one commit: a commit of notes costs as much as the run's event.
    let lines = [(passport.source.commit, line.clone()), (passport.source.tree, line)];
    repo.append_notes(PASSPORT_NOTES, &lines, &author, passport.finished_at)
}

/// An error with its causes, in one line.
pub(crate) fn describe_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// What a passport may say of an error: of which kind it is, and no path of this machine.
pub(crate) fn kind_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    let kind = causes.find_map(|cause| cause.downcast_ref::<std::io::Error>()).map(|io| io.kind());
    kind.map_or_else(|| "not accepted by the repository".to_owned(), |kind| kind.to_string())
}

#[cfg(test)]
mod tests {
    use std::io;

    use carnet_core::RunId;
    use carnet_testkit::TestRepo;

    use super::*;
    use crate::{
        artifact::ArtifactError, checkpoint, index, stored_forms::tests::statement,
        verify_all::verify_all,
    };

    #[test]
    fn a_clock_that_goes_backwards_breaks_no_chain_and_loses_no_run() {
        let kit = TestRepo::init();
        kit.script("echo one >file");
        let source = GitOid::from_hex(&kit.commit_all("first")).unwrap();
        let repo = Repo::discover(kit.path()).unwrap();
        let key = SigningKey::from_seed([1; 32]);
        let begin = statement().predicate.started_at.as_millis();
        let hour = 3_600_000;
        // Forward, an hour back, ten days back, before 1970, and where it began.
        for (n, at) in [0, -hour, -240 * hour, -begin - hour, 1].into_iter().enumerate() {
            let mut passport = statement().predicate;
            passport.run.id = RunId::from_random([u8::try_from(n).unwrap(); 16]);
            passport.run.writer = key.public().writer();
            passport.source.commit = source;
            passport.source.tree = repo.read_commit(&source).unwrap().tree;
            passport.source.tree_sha256 = repo.tree_digest(&passport.source.tree).unwrap();
            passport.artifacts.clear();
            passport.started_at = Timestamp::from_millis(begin + at);
            passport.finished_at = Timestamp::from_millis(begin + at + 5);
            let run = FinishedRun {
                passport,
                stands_in: None,
                logs: vec![("stdout", vec![]), ("stderr", vec![])],
                model: None,
                outputs: vec![],
                policy_files: vec![],
            };
            let recorded = record(&repo, &key, run).unwrap();
            assert_eq!(recorded.note_problem, None);
            checkpoint::write(&repo, &key, Timestamp::from_millis(begin + at)).unwrap();
        }
        assert_eq!(index::open(&repo).unwrap().runs().count(), 5);
        let writer = key.public().writer();
        let report = verify_all(&repo, &[key.public()], Some(&writer), &[], &|_, _| {}).unwrap();
        assert_eq!(report.problems, []);
        assert_eq!((report.n_runs, report.n_chains), (5, 3));
        kit.git(&["fsck", "--full", "--strict", "--no-dangling"]);
    }

    #[test]
    fn a_passport_is_told_the_kind_of_an_error_and_no_path() {
        let path = "/home/someone/project/.git/objects".into();
        let source = io::Error::from(io::ErrorKind::StorageFull);
        let error = ArtifactError::Io { deed: "write", path, source };
        assert!(describe_chain(&error).contains("/home/someone"));
        assert_eq!(kind_of(&error), "no storage space");
        let error = ArtifactError::Missing {
            commit: GitOid::from_bytes(&[7; 20]).unwrap(),
            path: "/home/someone".to_owned(),
        };
        assert_eq!(kind_of(&error), "not accepted by the repository");
    }
}
