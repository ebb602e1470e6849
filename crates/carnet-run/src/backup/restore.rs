//! Reading backups back: into an empty place, or into a scratch repository to see that it can be done.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use carnet_access::keys::PublicKey;
use carnet_core::{Digest, GitOid};
use carnet_git::{
    Repo, init_repository,
    store::{ObjectKind, ObjectStore as _, Stores},
};

use super::{BACKED_UP, BUNDLE, BackupDir, BackupError, Manifest, create::digest_of, io};
use crate::artifact::own_store;

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// The backup.
    pub manifest: Manifest,
    /// How many backups it was put together from.
    pub n_steps: usize,
    /// Whether every one of them is signed by a trusted key.
    pub is_trusted: bool,
}

/// Restores a backup into an empty or missing directory: refs, objects, contents, work tree.
///
/// - `id`: `None` for the newest.
/// - `trusted`: when there are any, a backup signed by another key is refused.
///
/// # Errors
///
/// [`BackupError`]; what was made in `target` is removed then.
pub fn restore(
    dir: &BackupDir,
    id: Option<&str>,
    target: &Path,
    trusted: &[PublicKey],
) -> Result<Restored, BackupError> {
    let chain = Chain::of(dir, id, trusted)?;
    let existed = target.exists();
    if existed && fs::read_dir(target).map_err(io("list", target))?.next().is_some() {
        return Err(BackupError::NotEmpty(target.to_owned()));
    }
    let manifest = chain.last().clone();
    let into = || -> Result<(), BackupError> {
        let branch = manifest.head.as_deref();
        let repo = init_repository(target, manifest.object_format, false, branch)?;
        chain.replay(dir, &repo)?;
        repo.check_connected()?;
        let source = Stores::own(dir.store());
        for digest in &manifest.contents {
            source.copy(digest, &own_store(&repo))?;
        }
        if branch.is_some_and(|branch| manifest.refs.contains_key(branch)) {
            repo.fill_work_tree()?;
        }
        Ok(())
    };
    if let Err(error) = into() {
        let _ = fs::remove_dir_all(target);
        if existed {
            let _ = fs::create_dir(target);
        }
        return Err(error);
    }
    let (n_steps, is_trusted) = (chain.steps.len(), chain.is_trusted);
    Ok(Restored { manifest, n_steps, is_trusted })
}

/// A backup and all it builds on, oldest first.
struct Chain {
    steps: Vec<Manifest>,
    is_trusted: bool,
}

impl Chain {
    fn of(dir: &BackupDir, id: Option<&str>, trusted: &[PublicKey]) -> Result<Chain, BackupError> {
        let none =
            |wanted: &str| BackupError::None { wanted: wanted.to_owned(), dir: dir.root.clone() };
        let newest = || dir.list().map(|listed| listed.last().map(|listed| listed.id.clone()));
        let mut next = match id {
            Some(id) if super::is_id(id) && dir.root.join(id).exists() => {
                Some((id.to_owned(), None))
            }
            Some(id) => return Err(none(&format!("`{id}`"))),
            None => Some((newest()?.ok_or_else(|| none("at all"))?, None)),
        };
        let (mut steps, mut is_trusted): (Vec<Manifest>, bool) = (vec![], true);
        while let Some((id, expected)) = next.take() {
            let (manifest, key) = dir.read(&id)?;
            let path = dir.root.join(&id);
            if expected.is_some_and(|expected| expected != manifest.digest()) {
                let detail = "it is not the backup that a later one was built on".to_owned();
                return Err(BackupError::Damaged { path, detail });
            }
            if steps.iter().any(|step| step.id <= manifest.id) {
                let detail = "it builds on itself or on a later one".to_owned();
                return Err(BackupError::Damaged { path, detail });
            }
            if !trusted.contains(&key) {
                is_trusted = false;
                if !trusted.is_empty() {
                    return Err(BackupError::Untrusted { id, key: key.to_string() });
                }
            }
            check_bundle(&path, &manifest)?;
            next = manifest.previous.as_ref().map(|it| (it.id.clone(), Some(it.manifest_sha256)));
            steps.push(manifest);
        }
        steps.reverse();
        Ok(Chain { steps, is_trusted })
    }

    fn last(&self) -> &Manifest {
        self.steps.last().expect("because a chain has at least the backup that was asked for")
    }

    /// Adds bundle after bundle; after each one the refs are what they were then, and nothing is missing.
    fn replay(&self, dir: &BackupDir, repo: &Repo) -> Result<(), BackupError> {
        for step in &self.steps {
            if step.bundle.is_some() {
                repo.unbundle(&dir.root.join(&step.id).join(BUNDLE))?;
            }
            let refs: Vec<(String, GitOid)> =
                step.refs.iter().map(|(name, id)| (name.clone(), *id)).collect();
            repo.set_every_ref(&BACKED_UP, &refs)?;
        }
        Ok(())
    }
}

fn check_bundle(path: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let mut expected = BTreeSet::from([super::MANIFEST, super::SIGNATURE, super::SUMS]);
    expected.extend(manifest.bundle.as_ref().map(|_| BUNDLE));
    for entry in fs::read_dir(path).map_err(io("list", path))? {
        let name = entry.map_err(io("list", path))?.file_name();
        if !name.to_str().is_some_and(|name| expected.contains(name)) {
            let path = path.join(&name);
            return Err(BackupError::Damaged {
                path,
                detail: "it is no file of this backup".to_owned(),
            });
        }
    }
    let Some(bundle) = &manifest.bundle else { return Ok(()) };
    let path = path.join(BUNDLE);
    if digest_of(&path)? != (bundle.sha256, bundle.size_bytes) {
        let detail = "its SHA-256 is not the recorded one".to_owned();
        return Err(BackupError::Damaged { path, detail });
    }
    Ok(())
}

/// What a verification found.
#[derive(Debug, Default)]
pub struct Verified {
    /// Backups that were restored, oldest first.
    pub restored: Vec<String>,
    /// What is wrong: (backup or file, in words).
    pub problems: Vec<(String, String)>,
    /// Whether every backup is signed by a trusted key.
    pub is_trusted: bool,
    /// Objects of the store's copy that were read.
    pub n_objects: usize,
}

/// Verifies every backup, or one and what it builds on: digests and signatures of every file, then a real restore of each into
/// a scratch repository that `git fsck` examines.
///
/// - `scratch`: an empty directory, which the caller removes.
///
/// # Errors
///
/// [`BackupError`] when the directory cannot be read or nothing can be restored anywhere; damage is no error.
pub fn verify(
    dir: &BackupDir,
    id: Option<&str>,
    trusted: &[PublicKey],
    scratch: &Path,
) -> Result<Verified, BackupError> {
    let listed = dir.list()?;
    let none = |wanted: String| BackupError::None { wanted, dir: dir.root.clone() };
    if listed.is_empty() {
        return Err(none("at all".to_owned()));
    }
    if let Some(id) = id.filter(|id| listed.iter().all(|listed| listed.id != *id)) {
        return Err(none(format!("`{id}`")));
    }
    let mut verified = Verified { is_trusted: true, ..Verified::default() };
    let mut sound: BTreeMap<Digest, bool> = BTreeMap::new();
    // Along one chain the scratch repository grows: each backup is restored once.
    let mut grown: Option<(String, Repo)> = None;
    for at in listed.iter().filter(|listed| id.is_none_or(|id| listed.id == id)) {
        let checked = Chain::of(dir, Some(&at.id), trusted).and_then(|chain| {
            verified.is_trusted &= chain.is_trusted;
            let last = chain.last();
            let before = last.previous.as_ref().map(|previous| previous.id.clone());
            let (repo, steps) = match grown.take() {
                Some((there, repo)) if Some(&there) == before.as_ref() => (repo, 1),
                _ => {
                    let place: PathBuf = scratch.join(&at.id);
                    (init_repository(&place, last.object_format, true, None)?, chain.steps.len())
                }
            };
            let from = chain.steps.len() - steps;
            let rest = Chain { steps: chain.steps[from..].to_vec(), is_trusted: true };
            rest.replay(dir, &repo)?;
            repo.check_every_object()?;
            grown = Some((at.id.clone(), repo));
            Ok(last.clone())
        });
        match checked {
            Err(error) => {
                verified.problems.push((at.id.clone(), crate::record::describe_chain(&error)));
            }
            Ok(manifest) => {
                check_contents(dir, &manifest, &mut sound, &mut verified);
                verified.restored.push(at.id.clone());
            }
        }
    }
    if id.is_none() {
        check_store(dir, &mut verified)?;
    }
    Ok(verified)
}

/// Reads every content of a backup once.
fn check_contents(
    dir: &BackupDir,
    manifest: &Manifest,
    sound: &mut BTreeMap<Digest, bool>,
    verified: &mut Verified,
) {
    let stores = Stores::own(dir.store());
    for digest in &manifest.contents {
        if sound.contains_key(digest) {
            continue;
        }
        let read = stores.open(digest).map_err(crate::artifact::ArtifactError::from);
        let read = read.and_then(|mut content| {
            std::io::copy(&mut content, &mut std::io::sink())
                .map_err(crate::artifact::unwrap_content)
        });
        sound.insert(*digest, read.is_ok());
        if let Err(error) = read {
            let problem = crate::record::describe_chain(&error);
            verified.problems.push((format!("store/lists/{digest}"), problem));
        }
    }
}

/// Reads every object of the store's copy, needed or not.
fn check_store(dir: &BackupDir, verified: &mut Verified) -> Result<(), BackupError> {
    let store = dir.store();
    for kind in [ObjectKind::List, ObjectKind::Chunk] {
        for object in store.list(kind)? {
            verified.n_objects += 1;
            if let Err(detail) = store.check(&object.key)? {
                verified.problems.push((format!("store/{}", object.key), detail.to_owned()));
            }
        }
    }
    Ok(())
}
