//! Artifacts that were put by hand: a chain `refs/carnet/artifacts/<writer>` whose tree holds them all under `artifacts/`.
//!
//! A name is given once: another file under it is refused. Each commit's message holds one signed event, as the ledger's do.
//!
//! Invariant: what is listed says whether the writer that its ref is named for signed it, with a key that is trusted here.

use std::collections::HashSet;

use carnet_access::{
    dsse::Signatures,
    keys::{PublicKey, SigningKey},
};
use carnet_core::{Digest, GitOid, RepoPath, Timestamp, passport::Artifact};
use carnet_git::{
    Author, ChainError, CommitSpec, EntryMode, ObjectError, RefError, Repo, TreeSpec, WriteError,
};
use serde::{Deserialize, Serialize};

use crate::{artifact::KeptOutput, checkpoint::chain_name};

const PREFIX: &str = "refs/carnet/artifacts/";
const EVENT_FORMAT: &str = "carnet/artifact/1";
const EVENT_PAYLOAD_TYPE: &str = "application/vnd.carnet.artifact+json";
/// The most artifacts of a chain that are listed.
const SHELF_MAX: usize = 100_000;

/// One artifact that was put by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// What it is.
    pub artifact: Artifact,
    /// The commit whose tree holds it.
    pub commit: GitOid,
    /// When it was put.
    pub at: Timestamp,
    /// Why it is not taken as its writer's word: an unknown key, a signature that does not fit.
    pub problem: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PutEvent {
    format: String,
    artifact: Artifact,
    at: Timestamp,
    writer: String,
}

/// Why an artifact was not put, or those that were cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// The name is taken.
    #[error("the name `{name}` is taken by other bytes, sha256 {sha256}")]
    Taken {
        /// The name.
        name: String,
        /// What has it.
        sha256: Digest,
    },
    /// The chain could not be read.
    #[error("read the artifacts that were put")]
    Object(#[from] ObjectError),
    /// Its ref could not be read.
    #[error(transparent)]
    Ref(#[from] RefError),
    /// The chain did not grow.
    #[error("name the artifact")]
    Chain(#[from] ChainError),
}

/// Returns the ref that a writer's artifacts are in.
pub fn shelf_ref(writer: &str) -> String {
    format!("{PREFIX}{writer}")
}

/// Names what was stored. Returns whether it is new.
///
/// - `trusted`: whose names count as taken, besides this clone's own.
///
/// # Errors
///
/// [`ShelfError`]; nothing is named then.
pub fn put(
    repo: &Repo,
    key: &SigningKey,
    trusted: &[PublicKey],
    kept: &KeptOutput,
    now: Timestamp,
) -> Result<bool, ShelfError> {
    let writer = key.public().writer();
    let ref_name = shelf_ref(&writer);
    let name = &kept.artifact.name;
    let mut there = list(repo, trusted)?.into_iter().filter(|put| put.problem.is_none());
    let there = there.find(|put| put.artifact.name == *name);
    if let Some(there) = there {
        let sha256 = there.artifact.sha256;
        let is_same = sha256 == kept.artifact.sha256;
        return if is_same {
            Ok(false)
        } else {
            Err(ShelfError::Taken { name: name.clone(), sha256 })
        };
    }
    let path = RepoPath::new([b"artifacts/", kept.path.as_bytes()].concat())
        .expect("because the artifact's path was checked");
    let mode = if kept.artifact.executable { EntryMode::Executable } else { EntryMode::File };
    let event = PutEvent {
        format: EVENT_FORMAT.to_owned(),
        artifact: kept.artifact.clone(),
        at: now,
        writer: writer.clone(),
    };
    let line = serde_json_canonicalizer::to_string(&event)
        .expect("because an event has string keys and no floating-point numbers");
    let signatures = Signatures::sign(EVENT_PAYLOAD_TYPE, line.as_bytes(), key).to_json();
    let signatures = String::from_utf8_lossy(&signatures).into_owned();
    let subject: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    repo.append_chain(&ref_name, &|previous| {
        let mut spec = TreeSpec::new().file(path.clone(), mode, kept.blob_id);
        for file in previous
            .map(|tip| repo.tree_files(&tip))
            .transpose()
            .map_err(unreadable)?
            .into_iter()
            .flatten()
        {
            // Another process that put the same name meanwhile makes this a conflict.
            spec = spec.file(file.path, file.mode, file.id);
        }
        Ok(CommitSpec {
            tree: repo.write_tree(&spec)?,
            parents: previous.into_iter().collect(),
            message: format!("artifact {subject}\n\n{line}\n{signatures}\n"),
            author: Author { name: "carnet".to_owned(), email: format!("{writer}@carnet.invalid") },
            time: now,
        })
    })?;
    Ok(true)
}

fn unreadable(error: ObjectError) -> WriteError {
    WriteError::Name { path: "artifacts".to_owned(), detail: crate::record::describe_chain(&error) }
}

/// Lists what was put by hand, here and in fetched repositories, by every writer, newest first.
///
/// # Errors
///
/// [`ShelfError`].
pub fn list(repo: &Repo, trusted: &[PublicKey]) -> Result<Vec<Put>, ShelfError> {
    let mut refs = repo.list_refs(PREFIX)?;
    let fetched = repo.list_refs("refs/carnet/remotes/")?;
    refs.extend(fetched.into_iter().filter(|(name, _)| chain_name(name).starts_with("artifacts/")));
    let mut seen = HashSet::new();
    let mut found = vec![];
    for (name, tip) in refs {
        let writer = chain_name(&name).rsplit('/').next().unwrap_or_default();
        for commit in repo.first_parents(&tip).take(SHELF_MAX) {
            let commit = commit?;
            if !seen.insert(commit.id) {
                break;
            }
            if let Some((event, problem)) = read(&commit.message, writer, trusted) {
                let PutEvent { artifact, at, .. } = event;
                found.push(Put { artifact, commit: commit.id, at, problem });
            }
        }
    }
    found.sort_by_key(|put| std::cmp::Reverse(put.at));
    Ok(found)
}

/// Reads a message, and says why it is not the writer's word when it is not; `None` for what is no event of this format.
pub(crate) fn read(
    message: &str,
    writer: &str,
    trusted: &[PublicKey],
) -> Option<(PutEvent, Option<String>)> {
    let (line, signatures) = message.split_once("\n\n")?.1.split_once('\n')?;
    let event: PutEvent = serde_json::from_str(line).ok()?;
    if event.format != EVENT_FORMAT {
        return None;
    }
    let key = trusted.iter().find(|key| key.writer() == writer);
    let problem = match (key, Signatures::from_json(signatures.trim_end().as_bytes())) {
        (_, Err(_)) => Some("it is not signed".to_owned()),
        _ if event.writer != writer => {
            Some(format!("writer {} put it in another's place", event.writer))
        }
        (None, _) => Some(format!("it is by writer {writer}, whose key is not trusted here")),
        (Some(key), Ok(signatures)) => signatures
            .verify(EVENT_PAYLOAD_TYPE, line.as_bytes(), std::slice::from_ref(key))
            .err()
            .map(|error| error.to_string()),
    };
    Some((event, problem))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn message(key: &SigningKey, writer: &str) -> String {
        let artifact = Artifact {
            name: "app".to_owned(),
            sha256: Digest::of(b"app"),
            size_bytes: 3,
            media_type: "text/plain".to_owned(),
            executable: false,
        };
        let at = Timestamp::from_millis(0);
        let event =
            PutEvent { format: EVENT_FORMAT.to_owned(), artifact, at, writer: writer.to_owned() };
        let line = serde_json::to_string(&event).unwrap();
        let signatures = Signatures::sign(EVENT_PAYLOAD_TYPE, line.as_bytes(), key).to_json();
        format!("artifact app\n\n{line}\n{}\n", String::from_utf8(signatures).unwrap())
    }

    #[test]
    fn only_the_word_of_a_trusted_writer_in_its_own_place_counts() {
        let (key, other) = (SigningKey::from_seed([1; 32]), SigningKey::from_seed([2; 32]));
        let writer = key.public().writer();
        let trusted = [key.public()];
        let problem = |message: &str, writer: &str| read(message, writer, &trusted).unwrap().1;
        let good = message(&key, &writer);
        assert_eq!(problem(&good, &writer), None);
        assert!(problem(&good.replace("\"app\"", "\"bad\""), &writer).is_some());
        assert!(problem(&good.replace("\"sig\":\"", "\"sig\":\"AAAA"), &writer).is_some());
        assert!(problem(&message(&other, &writer), &writer).is_some());
        assert!(problem(&good, &other.public().writer()).is_some());
        assert!(
            problem(&message(&other, &other.public().writer()), &other.public().writer()).is_some()
        );
        assert!(problem(&good[..good.rfind('{').unwrap()], &writer).is_some());
        assert!(read("artifact app\n\nno json\n", &writer, &trusted).is_none());
    }
}
