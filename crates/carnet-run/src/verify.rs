//! Is this run what was recorded? Every check is listed with its result, so that a failure says what was changed.

use std::collections::{BTreeMap, HashMap};

use carnet_access::{dsse::Signatures, keys::PublicKey};
use carnet_core::{
    Digest, GitOid, RepoPath,
    passport::{PAYLOAD_TYPE, Statement},
};
use carnet_git::{Commit, CommitSignature, EntryMode, Repo};

use crate::{
    artifact,
    ledger::{FILE_BYTES_MAX, LedgerEntry, read_file},
    manifest::manifest,
    model,
    record::{MANIFEST_PAYLOAD_TYPE, describe_chain},
};

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was checked, in a few words.
    pub name: &'static str,
    /// `Ok` with what was found to hold, `Err` with what does not.
    pub result: Result<String, String>,
}

/// Checks a run against its ledger event, signatures, manifest and digests.
///
/// Reads every blob of the run's source once. All checks are made even when one fails.
pub fn verify(repo: &Repo, entry: &LedgerEntry, trusted: &[PublicKey]) -> Vec<Check> {
    let mut checks = verify_with(repo, entry, trusted, &mut TreeDigests::new());
    checks
        .extend(own_signatures(repo, entry).map(|result| Check { name: "git signature", result }));
    checks
}

/// What git says of the signatures of the user's own key on the run commit and its event; `None` where there are none.
fn own_signatures(repo: &Repo, entry: &LedgerEntry) -> Option<Result<String, String>> {
    let commits = [entry.event().commit, entry.event_commit];
    let found = match repo.commit_signatures(&commits) {
        Ok(found) => found,
        Err(error) => return Some(Err(describe_chain(&error))),
    };
    let mut said = None;
    for commit in commits {
        match found.get(&commit) {
            None => {}
            Some(CommitSignature::Bad(what)) => {
                return Some(Err(format!("commit {}: {what}", commit.short())));
            }
            Some(CommitSignature::Unknown(what)) => {
                said = Some(Ok(format!("not counted: {what}")));
            }
            Some(CommitSignature::Good { signer, key }) => {
                said.get_or_insert_with(|| Ok(format!("by {signer} with {key}")));
            }
        }
    }
    said
}

/// Digests of source trees that were computed already: many runs share one.
pub(crate) type TreeDigests = HashMap<GitOid, Digest>;

/// The same for one of many runs.
pub(crate) fn verify_with(
    repo: &Repo,
    entry: &LedgerEntry,
    trusted: &[PublicKey],
    trees: &mut TreeDigests,
) -> Vec<Check> {
    let commit = entry.event().commit;
    let passport_json =
        read_file(repo, commit, "passport.json").map_err(|error| describe_chain(&error));
    let statement = passport_json
        .clone()
        .and_then(|bytes| Statement::from_json(&bytes).map_err(|error| describe_chain(&error)));
    let check = |name, result| Check { name, result };
    let with_statement = |f: &mut dyn FnMut(&Statement) -> Result<String, String>| {
        statement.as_ref().map_err(|_| "there is no readable passport".to_owned()).and_then(f)
    };
    vec![
        check("ledger event", event_signature(entry, trusted)),
        check("passport", passport_json.clone().and_then(|bytes| passport_digest(entry, &bytes))),
        check(
            "signature",
            passport_json.and_then(|bytes| {
                signature(repo, entry, "passport.sig", PAYLOAD_TYPE, &bytes, trusted)
            }),
        ),
        check("manifest", manifest_matches(repo, entry, trusted)),
        check("source", with_statement(&mut |statement| source(repo, entry, statement, trees))),
        check("artifacts", with_statement(&mut |statement| artifacts(repo, entry, statement))),
    ]
}

fn event_signature(entry: &LedgerEntry, trusted: &[PublicKey]) -> Result<String, String> {
    let signer = entry.signed.verify(trusted).map_err(|error| error.to_string())?;
    Ok(format!("signed by key {}", &signer.to_string()[..16]))
}

fn passport_digest(entry: &LedgerEntry, bytes: &[u8]) -> Result<String, String> {
    let found = Digest::of(bytes);
    if found != entry.event().passport_sha256 {
        return Err(format!("sha256 {found} is not what the ledger recorded"));
    }
    let statement = Statement::from_json(bytes).map_err(|error| describe_chain(&error))?;
    if statement.predicate.run.id != entry.event().run {
        return Err(format!("it is the passport of run {}", statement.predicate.run.id));
    }
    Ok(format!("sha256 {}", &found.to_string()[..16]))
}

fn signature(
    repo: &Repo,
    entry: &LedgerEntry,
    sig_path: &str,
    kind: &str,
    payload: &[u8],
    trusted: &[PublicKey],
) -> Result<String, String> {
    let sig =
        read_file(repo, entry.event().commit, sig_path).map_err(|error| describe_chain(&error))?;
    let sig = Signatures::from_json(&sig).map_err(|error| format!("{sig_path}: {error}"))?;
    let signer = sig.verify(kind, payload, trusted).map_err(|error| error.to_string())?;
    Ok(format!("by key {}", &signer.to_string()[..16]))
}

/// The manifest is signed, and names exactly the files that are there.
fn manifest_matches(
    repo: &Repo,
    entry: &LedgerEntry,
    trusted: &[PublicKey],
) -> Result<String, String> {
    let commit = entry.event().commit;
    let stored =
        read_file(repo, commit, "MANIFEST.sha256").map_err(|error| describe_chain(&error))?;
    signature(repo, entry, "MANIFEST.sha256.sig", MANIFEST_PAYLOAD_TYPE, &stored, trusted)?;
    let files = repo.tree_files(&commit).map_err(|error| describe_chain(&error))?;
    let mut lines = vec![];
    for file in &files {
        let path = file.path.as_bytes();
        if path.starts_with(b"source/") || path.starts_with(b"MANIFEST.sha256") {
            continue;
        }
        let bytes =
            repo.read_blob(&file.id, FILE_BYTES_MAX).map_err(|error| describe_chain(&error))?;
        lines.push((path, Digest::of(&bytes)));
    }
    if manifest(&lines) == stored {
        Ok(format!("{} files", lines.len()))
    } else {
        Err("the files of the run are not those that the manifest lists".to_owned())
    }
}

fn source(
    repo: &Repo,
    entry: &LedgerEntry,
    statement: &Statement,
    trees: &mut TreeDigests,
) -> Result<String, String> {
    let source = &statement.predicate.source;
    let commit = repo.read_commit(&entry.event().commit).map_err(|error| describe_chain(&error))?;
    let source_path = RepoPath::new(*b"source").expect("because the path is well formed");
    if commit.parents != [source.commit] && !is_child_of_repeated(repo, &commit, statement) {
        return Err("the run commit's parent is not the commit that ran".to_owned());
    }
    let stored =
        repo.subtree(&commit.tree, &source_path).map_err(|error| describe_chain(&error))?;
    if stored != Some(source.tree) {
        return Err("source/ is not the tree that the passport names".to_owned());
    }
    let found = match trees.get(&source.tree) {
        Some(known) => *known,
        None => repo.tree_digest(&source.tree).map_err(|error| describe_chain(&error))?,
    };
    trees.insert(source.tree, found);
    if found != source.tree_sha256 {
        return Err(format!("sha256 of the tree is {found}, not what the passport names"));
    }
    Ok(format!("tree {} with sha256 {}", source.tree.short(), &found.to_string()[..16]))
}

/// Tells whether a run commit is the child of the run that it repeats, of the same source: a replay in a clone that lacks
/// the commit itself.
fn is_child_of_repeated(repo: &Repo, commit: &Commit, statement: &Statement) -> bool {
    let source_path = RepoPath::new(*b"source").expect("because the path is well formed");
    let [parent] = commit.parents.as_slice() else { return false };
    statement.predicate.run.replay_of.is_some()
        && repo.subtree(parent, &source_path).ok().flatten()
            == Some(statement.predicate.source.tree)
}

fn artifacts(repo: &Repo, entry: &LedgerEntry, statement: &Statement) -> Result<String, String> {
    let passport = &statement.predicate;
    let files = repo.tree_files(&entry.event().commit).map_err(|error| describe_chain(&error))?;
    let stored: BTreeMap<String, _> =
        files.into_iter().map(|file| (file.path.to_text(), (file.id, file.mode))).collect();
    let stores = artifact::stores(repo).map_err(|error| describe_chain(&error))?;
    let check = |path: String, expected: Digest, executable: bool| {
        let (id, mode) = stored.get(&path).ok_or_else(|| format!("{path} is missing"))?;
        let place = artifact::place(repo, id, &path, expected);
        place
            .and_then(|place| artifact::check(repo, &stores, &place, &path, expected))
            .map_err(|error| format!("{path}: {}", describe_chain(&error)))?;
        let same_mode = (*mode == EntryMode::Executable) == executable;
        if same_mode { Ok(()) } else { Err(format!("{path} is not what the passport names")) }
    };
    for log in &passport.logs {
        check(format!("logs/{}", log.name), log.sha256, false)?;
    }
    for artifact in &passport.artifacts {
        check(format!("artifacts/{}", artifact.name), artifact.sha256, artifact.executable)?;
    }
    if let Some(model) = &passport.model {
        check(model::RECORD_PATH.to_owned(), model.sha256, false)?;
    }
    let kept = stored.keys().filter(|path| path.starts_with("artifacts/")).count();
    if kept != passport.artifacts.len() {
        return Err(format!(
            "{kept} artifacts are stored, the passport names {}",
            passport.artifacts.len()
        ));
    }
    Ok(format!("{kept} artifacts, {} logs", passport.logs.len()))
}
