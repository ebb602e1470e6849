//! Making a backup, and removing old ones.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{Read as _, Write as _},
    path::Path,
};

use carnet_access::{dsse::Signatures, keys::SigningKey};
use carnet_core::{Digest, Digester, GitOid, Timestamp};
use carnet_git::{
    Repo,
    store::{ContentError, ObjectKey, ObjectKind, ObjectStore as _, Stores},
};

use super::{
    BACKED_UP, BACKUP_FORMAT, BACKUP_PAYLOAD_TYPE, BUNDLE, BackupDir, BackupError, BundleFile,
    MANIFEST, Manifest, Previous, SIGNATURE, SUMS, id_of, io, plan_create, plan_prune, sums,
};

/// What was made.
#[derive(Debug)]
pub struct Created {
    /// The backup.
    pub manifest: Manifest,
    /// Bytes that it added to the directory, contents included.
    pub added_bytes: u64,
}

/// Makes a backup: incremental on the last one, unless that is a week old or lacks something that it needs, or `is_full` is set.
///
/// # Errors
///
/// [`BackupError`]; the directory has no new backup then. A content that no store has is no error: the manifest names it.
pub fn create(
    repo: &Repo,
    key: &SigningKey,
    stores: &Stores,
    dir: &BackupDir,
    is_full: bool,
    now: Timestamp,
) -> Result<Created, BackupError> {
    let _alone = dir.store().exclusive()?;
    let existing = dir.sound()?;
    let base = if is_full { None } else { plan_create(&existing, now) };
    let base = base.filter(|base| dir.has_all_of(base, &existing));
    let id = id_of(now);
    if dir.root.join(&id).exists() {
        return Err(BackupError::Exists(id));
    }
    let beside = dir.root.join(format!("tmp-{id}"));
    let _ = fs::remove_dir_all(&beside);
    fs::create_dir(&beside).map_err(io("make the directory", &beside))?;
    let made = Making { repo, key, stores, dir, beside: &beside }.make(id, base, now);
    if made.is_err() {
        let _ = fs::remove_dir_all(&beside);
    }
    made
}

struct Making<'a> {
    repo: &'a Repo,
    key: &'a SigningKey,
    stores: &'a Stores,
    dir: &'a BackupDir,
    beside: &'a Path,
}

impl Making<'_> {
    fn make(
        &self,
        id: String,
        base: Option<&Manifest>,
        now: Timestamp,
    ) -> Result<Created, BackupError> {
        // Writers of contents wait until the refs that they are about to write are no longer looked for.
        let _no_removal = self.stores.own.lease()?;
        let mut refs = self.repo.every_ref(&BACKED_UP)?;
        // A published index can be made anew.
        refs.retain(|(name, _)| !name.starts_with("refs/carnet/index/"));
        let known: BTreeSet<GitOid> =
            base.iter().flat_map(|base| base.refs.values().copied()).collect();
        let news = refs.iter().filter(|(_, id)| !known.contains(id));
        let news: Vec<String> = news.map(|(name, _)| name.clone()).collect();
        let known: Vec<GitOid> = known.into_iter().collect();
        let bundle = self.beside.join(BUNDLE);
        let heads =
            if news.is_empty() { None } else { self.repo.bundle(&bundle, &news, &known)? };
        // A ref that moved meanwhile is saved as the bundle has it.
        for (name, id) in heads.iter().flatten() {
            if let Some(saved) = refs.iter_mut().find(|(saved, _)| saved == name) {
                saved.1 = *id;
            }
        }
        let bundle = heads.map(|_| bundle_file(&bundle)).transpose()?;
        let tips: Vec<GitOid> = refs.iter().map(|(_, id)| *id).collect();
        let (contents, missing, content_bytes) = self.copy_contents(&tips)?;
        let previous =
            base.map(|base| Previous { id: base.id.clone(), manifest_sha256: base.digest() });
        let manifest = Manifest {
            format: BACKUP_FORMAT.to_owned(),
            id,
            created_at: now,
            carnet_version: env!("CARGO_PKG_VERSION").to_owned(),
            object_format: self.repo.object_format(),
            previous,
            head: self.repo.head_branch(),
            refs: refs.into_iter().collect(),
            bundle,
            contents,
            missing,
            public_key: self.key.public().to_string(),
        };
        self.write_down(&manifest)?;
        let bundle_bytes = manifest.bundle.as_ref().map_or(0, |bundle| bundle.size_bytes);
        Ok(Created { manifest, added_bytes: bundle_bytes + content_bytes })
    }

    fn copy_contents(
        &self,
        tips: &[GitOid],
    ) -> Result<(Vec<Digest>, Vec<Digest>, u64), BackupError> {
        let target = self.dir.store();
        let (mut contents, mut missing, mut added_bytes) = (vec![], vec![], 0);
        for pointer in self.repo.pointers(tips)? {
            match self.stores.copy(&pointer.digest, &target) {
                Ok((0, _)) => contents.push(pointer.digest),
                Ok(_) => {
                    contents.push(pointer.digest);
                    added_bytes += pointer.size_bytes;
                }
                // An LFS pointer in someone's source tree is not carnet's to keep; one in a run's tree is named by `verify`.
                Err(ContentError::Missing { .. } | ContentError::Damaged { .. }) => {
                    missing.push(pointer.digest);
                }
                Err(error) => return Err(error.into()),
            }
        }
        contents.dedup();
        missing.dedup();
        Ok((contents, missing, added_bytes))
    }

    /// Writes the small files, flushes everything, and gives the backup its name.
    fn write_down(&self, manifest: &Manifest) -> Result<(), BackupError> {
        let bytes = manifest.to_canonical_json();
        let signature = Signatures::sign(BACKUP_PAYLOAD_TYPE, &bytes, self.key).to_json();
        self.write(MANIFEST, &bytes)?;
        self.write(SUMS, &sums(manifest, &signature))?;
        self.write(SIGNATURE, &signature)?;
        let target = self.dir.root.join(&manifest.id);
        File::open(self.beside).and_then(|dir| dir.sync_all()).map_err(io("flush", self.beside))?;
        fs::rename(self.beside, &target).map_err(io("name", &target))?;
        let root = &self.dir.root;
        File::open(root).and_then(|dir| dir.sync_all()).map_err(io("flush", root))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), BackupError> {
        let path = self.beside.join(name);
        let write = || {
            let mut file = File::create_new(&path)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(io("write", &path))
    }
}

fn bundle_file(path: &Path) -> Result<BundleFile, BackupError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(io("flush", path))?;
    let (sha256, size_bytes) = digest_of(path)?;
    Ok(BundleFile { sha256, size_bytes })
}

/// Digest and length of a file, read in pieces.
pub(super) fn digest_of(path: &Path) -> Result<(Digest, u64), BackupError> {
    let mut file = File::open(path).map_err(io("read", path))?;
    let (mut digester, mut size_bytes) = (Digester::new(), 0);
    let mut buffer = vec![0; 256 << 10];
    loop {
        let n_bytes = file.read(&mut buffer).map_err(io("read", path))?;
        if n_bytes == 0 {
            return Ok((digester.finish(), size_bytes));
        }
        digester.update(&buffer[..n_bytes]);
        size_bytes += n_bytes as u64;
    }
}

/// What was removed.
#[derive(Debug)]
pub struct Pruned {
    /// The plan.
    pub plan: super::PrunePlan,
    /// Objects of the store's copy that no kept backup needs.
    pub n_objects: usize,
}

/// Removes the backups that [`plan_prune`] lets go, and contents that no other one needs. Damaged ones stay: a person decides.
///
/// - `is_dry`: stops after the plan.
///
/// # Errors
///
/// [`BackupError`].
pub fn prune(
    dir: &BackupDir,
    keep_days: u32,
    now: Timestamp,
    is_dry: bool,
) -> Result<Pruned, BackupError> {
    let _alone = dir.store().exclusive()?;
    let listed = dir.list()?;
    let n_damaged = listed.iter().filter(|listed| listed.manifest.is_err()).count();
    let sound: Vec<Manifest> = listed.into_iter().filter_map(|it| it.manifest.ok()).collect();
    let plan = plan_prune(&sound, keep_days, now);
    if is_dry {
        return Ok(Pruned { plan, n_objects: 0 });
    }
    for id in &plan.remove {
        // Renamed first: half a backup is never taken for one.
        let (path, gone) = (dir.root.join(id), dir.root.join(format!("tmp-{id}")));
        fs::rename(&path, &gone).map_err(io("remove", &path))?;
        fs::remove_dir_all(&gone).map_err(io("remove", &gone))?;
    }
    let kept = sound.iter().filter(|backup| !plan.remove.contains(&backup.id));
    let needed: BTreeSet<Digest> =
        kept.flat_map(|backup| backup.contents.iter().copied()).collect();
    // What a damaged backup needs is not known.
    let n_objects = if n_damaged == 0 { remove_unneeded(dir, &needed)? } else { 0 };
    Ok(Pruned { plan, n_objects })
}

fn remove_unneeded(dir: &BackupDir, needed: &BTreeSet<Digest>) -> Result<usize, BackupError> {
    let store = dir.store();
    let stores = Stores::own(store.clone());
    let mut chunks = BTreeSet::new();
    for digest in needed {
        let list = stores.list(digest)?;
        chunks.extend(list.chunks.iter().map(|chunk| chunk.digest));
    }
    let mut gone: Vec<ObjectKey> = vec![];
    for (kind, needed) in [(ObjectKind::List, needed), (ObjectKind::Chunk, &chunks)] {
        let objects = store.list(kind)?.into_iter().map(|object| object.key);
        gone.extend(objects.filter(|key| !needed.contains(&key.digest)));
    }
    gone.iter().try_for_each(|key| store.remove(key))?;
    Ok(gone.len())
}
