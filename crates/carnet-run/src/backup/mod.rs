//! Backups: incremental git bundles and a copy of the content store, in a directory. The form is `docs/format/backup.md`.
//!
//! Invariants: a backup appears by one rename, whole or not at all; it is never changed; what it builds on is never removed
//! before it. Every byte of every file is covered by a digest that something signed leads to.

mod create;
#[cfg(test)]
mod damage_tests;
mod plan;
mod restore;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use carnet_access::{
    dsse::{Signatures, VerifyError},
    keys::{PublicKey, PublicKeyParseError},
};
use carnet_core::{Digest, GitOid, ObjectFormat, Timestamp};
use carnet_git::{
    WholeError,
    store::{ContentError, DirStore, StoreError},
};
use serde::{Deserialize, Serialize};

pub use create::{Created, Pruned, create, prune};
pub use plan::{KEEP_DAYS, PrunePlan, plan_create, plan_prune};
pub use restore::{Restored, Verified, restore, verify};

/// The format that this version writes.
pub const BACKUP_FORMAT: &str = "carnet/backup/1";
/// DSSE payload type of a manifest.
pub const BACKUP_PAYLOAD_TYPE: &str = "application/vnd.carnet.backup+json";
/// Refs that are saved: branches, tags, notes, and all of carnet's.
pub const BACKED_UP: [&str; 4] = ["refs/carnet/", "refs/heads/", "refs/notes/", "refs/tags/"];

const MANIFEST: &str = "manifest.json";
const SIGNATURE: &str = "manifest.sig";
const BUNDLE: &str = "refs.bundle";
const SUMS: &str = "SHA256SUMS";
/// Largest file but a bundle that is read, in bytes.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// What one backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always [`BACKUP_FORMAT`].
    pub format: String,
    /// Its name: the time in UTC, `20261122T190000Z`.
    pub id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Version of carnet that made it.
    pub carnet_version: String,
    /// The hash of the repository.
    pub object_format: ObjectFormat,
    /// The backup it builds on; a full one has none.
    pub previous: Option<Previous>,
    /// The branch that HEAD was on.
    pub head: Option<String>,
    /// Every saved ref.
    pub refs: BTreeMap<String, GitOid>,
    /// The bundle with the objects that are new; `None` when there were none.
    pub bundle: Option<BundleFile>,
    /// Contents of the store that the refs point at, sorted.
    pub contents: Vec<Digest>,
    /// Contents that no store had, sorted: this backup cannot give them back.
    pub missing: Vec<Digest>,
    /// Whose key signed it, as `ed25519:<base64>`.
    pub public_key: String,
}

/// What a backup builds on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Previous {
    /// Its id.
    pub id: String,
    /// Digest of its `manifest.json`.
    pub manifest_sha256: Digest,
}

/// The bundle of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BundleFile {
    /// Digest of its bytes.
    pub sha256: Digest,
    /// Its length in bytes.
    pub size_bytes: u64,
}

impl Manifest {
    /// Tells whether it builds on no other.
    pub fn is_full(&self) -> bool {
        self.previous.is_none()
    }

    /// Returns the canonical JSON that is stored, digested and signed.
    pub fn to_canonical_json(&self) -> Vec<u8> {
        serde_json_canonicalizer::to_vec(self)
            .expect("because a manifest has string keys and no floating-point numbers")
    }

    /// Returns the digest of its stored form.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_canonical_json())
    }
}

/// Why a backup could not be made, read or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The directory or a file could not be read or written.
    #[error("{deed} `{}`", path.display())]
    Io {
        /// What was tried.
        deed: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is none, or none of this name.
    #[error("there is no backup {wanted} in `{}`", dir.display())]
    None {
        /// What was asked for.
        wanted: String,
        /// Where.
        dir: PathBuf,
    },
    /// A file is not what was written.
    #[error("`{}` is damaged: {detail}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// One was made in this very second.
    #[error("backup `{0}` exists already")]
    Exists(String),
    /// The place to restore into is in use.
    #[error("`{}` is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// It is signed by a key that was not named as trusted.
    #[error("backup `{id}` is signed by key {key}, which is not trusted here")]
    Untrusted {
        /// Which backup.
        id: String,
        /// The key.
        key: String,
    },
    /// Git failed.
    #[error(transparent)]
    Git(#[from] WholeError),
    /// A content could not be copied.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The refs or stores of the repository could not be read.
    #[error(transparent)]
    Artifact(#[from] crate::artifact::ArtifactError),
}

impl From<StoreError> for BackupError {
    fn from(error: StoreError) -> BackupError {
        BackupError::Content(error.into())
    }
}

/// A directory of backups.
#[derive(Debug, Clone)]
pub struct BackupDir {
    root: PathBuf,
}

/// One backup of a listing.
#[derive(Debug)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// What it says of itself, or why that cannot be read.
    pub manifest: Result<Manifest, BackupError>,
}

impl BackupDir {
    /// Names the directory; nothing is read or made.
    pub fn new(root: impl Into<PathBuf>) -> BackupDir {
        BackupDir { root: root.into() }
    }

    /// Returns the directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the copy of the content store that all backups share.
    pub fn store(&self) -> DirStore {
        DirStore::new(self.root.join("store"))
    }

    /// Lists the backups, oldest first, after the digests of their small files were compared.
    ///
    /// # Errors
    ///
    /// [`BackupError::Io`] when the directory cannot be read; none is no error.
    pub fn list(&self) -> Result<Vec<Listed>, BackupError> {
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            entries => entries.map_err(io("list", &self.root))?,
        };
        let mut ids = vec![];
        for entry in entries {
            let name = entry.map_err(io("list", &self.root))?.file_name();
            ids.extend(name.to_str().filter(|name| is_id(name)).map(str::to_owned));
        }
        ids.sort();
        Ok(ids
            .into_iter()
            .map(|id| Listed { manifest: self.read(&id).map(|(manifest, _)| manifest), id })
            .collect())
    }

    /// Returns the manifests that a trusted key signed, oldest first, and why each other backup says nothing.
    ///
    /// # Errors
    ///
    /// As [`BackupDir::list`].
    pub fn vouched(
        &self,
        trusted: &[PublicKey],
    ) -> Result<(Vec<Manifest>, Vec<BackupError>), BackupError> {
        let (mut vouched, mut others) = (vec![], vec![]);
        for Listed { id, .. } in self.list()? {
            match self.read(&id) {
                Ok((manifest, key)) if trusted.contains(&key) => vouched.push(manifest),
                Ok((_, key)) => others.push(BackupError::Untrusted { id, key: key.to_string() }),
                Err(error) => others.push(error),
            }
        }
        Ok((vouched, others))
    }

    /// The readable ones of [`BackupDir::list`].
    fn sound(&self) -> Result<Vec<Manifest>, BackupError> {
        Ok(self.list()?.into_iter().filter_map(|listed| listed.manifest.ok()).collect())
    }

    /// Tells whether the bundles of a backup, and of those that it builds on, are there in their length; what they hold is for [`verify`].
    fn has_all_of(&self, backup: &Manifest, existing: &[Manifest]) -> bool {
        let mut next = Some(backup);
        for _ in 0..=existing.len() {
            let Some(backup) = next else { return false };
            let there = fs::metadata(self.root.join(&backup.id).join(BUNDLE)).map(|it| it.len());
            if backup.bundle.as_ref().is_some_and(|bundle| there.ok() != Some(bundle.size_bytes)) {
                return false;
            }
            let Some(previous) = &backup.previous else { return true };
            next = existing
                .iter()
                .find(|it| it.id == previous.id && it.digest() == previous.manifest_sha256);
        }
        false
    }

    /// Reads and checks the small files of a backup; returns its manifest and who signed it.
    fn read(&self, id: &str) -> Result<(Manifest, PublicKey), BackupError> {
        let dir = self.root.join(id);
        let file = |name: &str| read_small(&dir.join(name));
        let damaged =
            |name: &str, detail: String| BackupError::Damaged { path: dir.join(name), detail };
        let bytes = file(MANIFEST)?;
        let manifest: Manifest =
            serde_json::from_slice(&bytes).map_err(|error| damaged(MANIFEST, error.to_string()))?;
        if manifest.format != BACKUP_FORMAT {
            let detail = format!("its format `{}` is not one this version reads", manifest.format);
            return Err(damaged(MANIFEST, detail));
        }
        if manifest.id != id || manifest.to_canonical_json() != bytes {
            return Err(damaged(MANIFEST, "it is not as it was written".to_owned()));
        }
        let key = PublicKey::parse(&manifest.public_key)
            .map_err(|error: PublicKeyParseError| damaged(MANIFEST, error.to_string()))?;
        let signature = file(SIGNATURE)?;
        let signatures = Signatures::from_json(&signature)
            .map_err(|error| damaged(SIGNATURE, error.to_string()))?;
        if signatures.to_json() != signature {
            return Err(damaged(SIGNATURE, "it is not as it was written".to_owned()));
        }
        signatures
            .verify(BACKUP_PAYLOAD_TYPE, &bytes, std::slice::from_ref(&key))
            .map_err(|error: VerifyError| damaged(SIGNATURE, error.to_string()))?;
        if file(SUMS)? != sums(&manifest, &signature) {
            return Err(damaged(SUMS, "it does not name the files that are there".to_owned()));
        }
        Ok((manifest, key))
    }
}

/// The sidecar that `sha256sum -c` reads.
fn sums(manifest: &Manifest, signature: &[u8]) -> Vec<u8> {
    let mut files = vec![
        (MANIFEST.as_bytes(), manifest.digest()),
        (SIGNATURE.as_bytes(), Digest::of(signature)),
    ];
    files.extend(manifest.bundle.as_ref().map(|bundle| (BUNDLE.as_bytes(), bundle.sha256)));
    crate::manifest::manifest(&files)
}

fn read_small(path: &Path) -> Result<Vec<u8>, BackupError> {
    let size = fs::metadata(path).map_err(io("read", path))?.len();
    if size > FILE_BYTES_MAX {
        let detail = format!("it has {size} bytes");
        return Err(BackupError::Damaged { path: path.to_owned(), detail });
    }
    fs::read(path).map_err(io("read", path))
}

/// `20261122T190000Z`.
fn id_of(at: Timestamp) -> String {
    at.to_string().chars().take(19).filter(|c| !"-:".contains(*c)).chain(['Z']).collect()
}

fn is_id(name: &str) -> bool {
    name.len() == 16
        && name.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        })
}

fn io(deed: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError + use<> {
    let path = path.to_owned();
    move |source| BackupError::Io { deed, path, source }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn manifest(created_at: Timestamp, previous: Option<Previous>) -> Manifest {
        Manifest {
            format: BACKUP_FORMAT.to_owned(),
            id: id_of(created_at),
            created_at,
            carnet_version: "0.1.0".to_owned(),
            object_format: ObjectFormat::Sha1,
            previous,
            head: None,
            refs: BTreeMap::new(),
            bundle: None,
            contents: vec![],
            missing: vec![],
            public_key: String::new(),
        }
    }

    #[test]
    fn ids_are_times_that_sort() {
        assert_eq!(id_of(Timestamp::from_millis(1_795_000_000_123)), "20261118T110640Z");
        assert!(is_id("20261118T110640Z"));
        for other in ["", "..", "tmp-20261118T110640Z", "20261118T110640", "2026111XT110640Z"] {
            assert!(!is_id(other), "{other}");
        }
    }
}
