//! Artifacts that were put by hand: a chain `refs/carnet/artifacts/<writer>` whose tree holds them all under `artifacts/`.
//!
//! A name is given once: another file under it is refused. Each commit's message holds one signed event, as the ledger's do.

use carnet_access::{dsse::Signatures, keys::SigningKey};
use carnet_core::{Digest, GitOid, RepoPath, Timestamp, passport::Artifact};
use carnet_git::{
    Author, ChainError, CommitSpec, EntryMode, ObjectError, RefError, Repo, TreeSpec, WriteError,
};
use serde::{Deserialize, Serialize};

use crate::artifact::KeptOutput;

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
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PutEvent {
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

/// Names what was stored. Returns whether it is new.
///
/// # Errors
///
/// [`ShelfError`]; nothing is named then.
pub fn put(
    repo: &Repo,
    key: &SigningKey,
    kept: &KeptOutput,
    now: Timestamp,
) -> Result<bool, ShelfError> {
    let writer = key.public().writer();
    let ref_name = format!("{PREFIX}{writer}");
    let name = &kept.artifact.name;
    let there = list(repo)?.into_iter().find(|put| put.artifact.name == *name);
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

/// Lists what was put by hand in this repository, by every writer, newest first.
///
/// # Errors
///
/// [`ShelfError`].
pub fn list(repo: &Repo) -> Result<Vec<Put>, ShelfError> {
    let mut found = vec![];
    for (_, tip) in repo.list_refs(PREFIX)? {
        for commit in repo.first_parents(&tip).take(SHELF_MAX) {
            let commit = commit?;
            let line = commit.message.lines().nth(2).unwrap_or_default();
            let Ok(event) = serde_json::from_str::<PutEvent>(line) else { continue };
            if event.format == EVENT_FORMAT {
                found.push(Put { artifact: event.artifact, commit: commit.id, at: event.at });
            }
        }
    }
    found.sort_by_key(|put| std::cmp::Reverse(put.at));
    Ok(found)
}
