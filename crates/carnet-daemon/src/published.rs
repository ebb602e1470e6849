//! Indexes that travel with git: `refs/carnet/index/<commit>` names a commit without parents whose tree holds
//! `manifest.json` and `parts/<digest>`. Whoever fetches it answers at once, and parses only what came after.
//!
//! It refuses to take over anything that does not have its digest or is not of the commit that its ref names.

use std::collections::{BTreeMap, HashMap};

use carnet_core::{GitOid, RepoPath, Timestamp};
use carnet_git::{
    Author, CommitSpec, EntryMode, ObjectError, ProgramError, PushError, RefError, RefUpdateError,
    Repo, TreeSpec, WriteError,
};
use carnet_index::{BlobError, IndexError, Manifest, PART_BYTES_MAX, Unpacked};

use crate::{
    index_dir,
    work::{open_in_turn, source_files},
};

/// Where published indexes are named.
const REFS: &str = "refs/carnet/index/";
const MANIFEST: &str = "manifest.json";
/// Largest manifest that is read, in bytes.
const MANIFEST_BYTES_MAX: u64 = 16 << 20;
/// Most commits that are looked at for one with a published index.
const ANCESTORS_MAX: u32 = 20_000;

/// Why an index could not travel.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// There is nothing to publish.
    #[error("there is no index yet")]
    NoIndex,
    /// What was published does not hold.
    #[error("read the index that is published for commit `{commit}`: {what}")]
    Foreign {
        /// The commit.
        commit: GitOid,
        /// What does not hold.
        what: String,
    },
    /// The index could not be read or written.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// An object could not be read.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// An object could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A ref could not be read.
    #[error(transparent)]
    Ref(#[from] RefError),
    /// A ref could not be changed.
    #[error(transparent)]
    RefUpdate(#[from] RefUpdateError),
    /// The remote did not take it.
    #[error(transparent)]
    Push(#[from] PushError),
    /// Git or the remote did not answer.
    #[error(transparent)]
    Program(#[from] ProgramError),
}

/// A published index, as far as its ref says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The commit that it answers for.
    pub commit: GitOid,
    /// The commit that holds it.
    pub index: GitOid,
    /// When `commit` was made; `None` where this clone does not have it.
    pub time: Option<Timestamp>,
}

/// What publishing came to.
#[derive(Debug)]
pub struct Publication {
    /// What was published.
    pub published: Published,
    /// Bytes of all its parts, before git packs them.
    pub n_bytes: u64,
    /// Those that were removed, since newer ones are enough.
    pub removed: Vec<Published>,
}

/// What fetching came to.
#[derive(Debug)]
pub struct Fetched {
    /// What was fetched.
    pub published: Published,
    /// What of it was taken over.
    pub unpacked: Unpacked,
}

/// Returns what is published here, or at a remote; the newest commits first, those that are unknown here last.
///
/// # Errors
///
/// [`PublishError`] when refs cannot be read or the remote does not answer.
pub fn published(repo: &Repo, remote: Option<&str>) -> Result<Vec<Published>, PublishError> {
    let refs = match remote {
        Some(remote) => repo.remote_refs(remote, REFS)?,
        None => repo.list_refs(REFS)?,
    };
    let mut all: Vec<Published> = refs
        .into_iter()
        .filter_map(|(name, index)| {
            let commit = GitOid::from_hex(name.strip_prefix(REFS)?).ok()?;
            let time = repo.read_commit(&commit).ok().map(|commit| commit.time);
            Some(Published { commit, index, time })
        })
        .collect();
    all.sort_by_key(|it| (std::cmp::Reverse(it.time), it.commit.to_string()));
    Ok(all)
}

/// Publishes the current snapshot under its commit, here and at a remote, and removes all but the newest.
///
/// - `keep`: how many are kept, this one among them; at the remote, those of commits that are unknown here go first.
///
/// # Errors
///
/// [`PublishError`]; the ref is written last, so nothing is half published.
pub fn publish(
    repo: &Repo,
    remote: Option<&str>,
    keep: usize,
    now: Timestamp,
) -> Result<Publication, PublishError> {
    let store = open_in_turn(&index_dir(repo))?;
    let mut parts: BTreeMap<String, GitOid> = BTreeMap::new();
    let manifest = store.pack(&mut |digest, bytes| {
        let blob = repo.write_blob(bytes).map_err(|error| BlobError(Box::new(error)))?;
        parts.insert(digest.to_string(), blob);
        Ok(())
    })?;
    drop(store);
    let manifest = manifest.ok_or(PublishError::NoIndex)?;
    let commit = manifest.commit;
    let mut json = serde_json::to_vec_pretty(&manifest).expect("because its keys are strings");
    json.push(b'\n');
    let blob = repo.write_blob(&json)?;
    let mut tree = TreeSpec::new().file(path(MANIFEST), EntryMode::File, blob);
    for (digest, blob) in parts {
        tree = tree.file(path(&format!("parts/{digest}")), EntryMode::File, blob);
    }
    let index = repo.write_commit(&CommitSpec {
        tree: repo.write_tree(&tree)?,
        parents: Vec::new(),
        message: format!("carnet index of {commit}\n"),
        author: Author { name: "carnet".to_owned(), email: "index@carnet.invalid".to_owned() },
        time: now,
    })?;
    let name = format!("{REFS}{commit}");
    repo.update_ref(&name, &index, repo.read_ref(&name)?.as_ref(), "carnet snapshot publish")?;
    if let Some(remote) = remote {
        repo.push(remote, &[&format!("+{name}:{name}")])?;
    }
    let time = repo.read_commit(&commit).ok().map(|commit| commit.time);
    let mut removed = prune_here(repo, &commit, keep)?;
    if let Some(remote) = remote {
        removed = surplus(published(repo, Some(remote))?, &commit, keep);
        let deletions: Vec<String> =
            removed.iter().map(|it| format!(":{REFS}{}", it.commit)).collect();
        if !deletions.is_empty() {
            repo.push(remote, &deletions.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
    }
    let published = Published { commit, index, time };
    Ok(Publication { published, n_bytes: manifest.n_bytes(), removed })
}

/// Fetches the published index of the newest ancestor of a commit and takes it over; `None` when there is none.
///
/// - `head`: the commit whose ancestors, itself included, are looked at, 20,000 at most.
/// - `keep`: how many are kept here.
///
/// # Errors
///
/// [`PublishError`] says what does not hold; what answered before still does.
pub fn fetch_published(
    repo: &Repo,
    remote: &str,
    head: &GitOid,
    keep: usize,
) -> Result<Option<Fetched>, PublishError> {
    let there = published(repo, Some(remote))?;
    let there: HashMap<GitOid, Published> = there.into_iter().map(|it| (it.commit, it)).collect();
    if there.is_empty() {
        return Ok(None);
    }
    let ancestors = repo.newest_first(head, ANCESTORS_MAX)?;
    let Some(found) = ancestors.iter().find_map(|commit| there.get(commit)) else {
        return Ok(None);
    };
    let name = format!("{REFS}{}", found.commit);
    repo.fetch(remote, &[&format!("+{name}:{name}")])?;
    let unpacked = take_over(repo, &found.commit)?;
    prune_here(repo, &found.commit, keep)?;
    Ok(Some(Fetched { published: *found, unpacked }))
}

/// Takes over what is published here for a commit.
fn take_over(repo: &Repo, commit: &GitOid) -> Result<Unpacked, PublishError> {
    let foreign = |what: &str| PublishError::Foreign { commit: *commit, what: what.to_owned() };
    let index = repo.read_ref(&format!("{REFS}{commit}"))?;
    let index = index.ok_or_else(|| foreign("it is gone"))?;
    let blobs: HashMap<String, GitOid> = repo
        .tree_files(&index)?
        .into_iter()
        .filter(|entry| entry.mode == EntryMode::File)
        .map(|entry| (entry.path.to_text(), entry.id))
        .collect();
    let manifest = blobs.get(MANIFEST).ok_or_else(|| foreign("it has no manifest"))?;
    let manifest: Manifest = serde_json::from_slice(&repo.read_blob(manifest, MANIFEST_BYTES_MAX)?)
        .map_err(|error| foreign(&format!("its manifest: {error}")))?;
    if manifest.commit != *commit {
        return Err(foreign("it is of another commit"));
    }
    let files = source_files(repo, commit)?;
    let mut store = open_in_turn(&index_dir(repo))?;
    Ok(store.unpack(&manifest, &files, &mut |part| {
        let blob = blobs.get(&format!("parts/{}", part.digest));
        let blob = blob.ok_or_else(|| BlobError(format!("no part `{}`", part.digest).into()))?;
        let bytes = repo.read_blob(blob, PART_BYTES_MAX as u64);
        bytes.map_err(|error| BlobError(Box::new(error)))
    })?)
}

/// Removes here all but the newest.
fn prune_here(repo: &Repo, own: &GitOid, keep: usize) -> Result<Vec<Published>, PublishError> {
    let surplus = surplus(published(repo, None)?, own, keep);
    for it in &surplus {
        match repo.delete_ref(&format!("{REFS}{}", it.commit), &it.index) {
            // Someone else removed or renewed it meanwhile.
            Ok(()) | Err(RefUpdateError::Raced { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(surplus)
}

/// Returns those that are too many, the newest first; `own` is never among them.
fn surplus(mut all: Vec<Published>, own: &GitOid, keep: usize) -> Vec<Published> {
    all.retain(|it| it.commit != *own);
    all.split_off(keep.saturating_sub(1).min(all.len()))
}

fn path(text: &str) -> RepoPath {
    RepoPath::new(text.as_bytes()).expect("because it is a plain relative path")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_the_own_one_always() {
        let one = |n: u8, secs: Option<i64>| Published {
            commit: GitOid::from_bytes(&[n; 20]).unwrap(),
            index: GitOid::from_bytes(&[n; 20]).unwrap(),
            time: secs.map(|secs| Timestamp::from_millis(secs * 1000)),
        };
        let all = vec![one(1, Some(40)), one(2, Some(30)), one(3, Some(20)), one(4, None)];
        let removed = |own: u8, keep: usize| -> Vec<u8> {
            let surplus = surplus(all.clone(), &one(own, None).commit, keep);
            surplus.iter().map(|it| it.commit.as_bytes()[0]).collect()
        };
        assert_eq!(removed(1, 2), [3, 4]);
        assert_eq!(removed(3, 1), [1, 2, 4]);
        assert_eq!(removed(4, 3), [3]);
        assert_eq!(removed(9, 2), [2, 3, 4]);
        assert!(removed(1, 9).is_empty());
    }
}
