//! In-memory sources in, answers out.

mod c_and_java;
mod durability;
mod ecma_modules;
mod graph;
mod made;
mod questions;
mod receivers;
mod refresh;
mod travel;
mod types;
mod words;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use carnet_core::{Digest, GitOid, RepoPath, Timestamp};

use crate::{
    BlobError, BlobSource, Callers, IndexStore, RefreshReport, RefreshRequest, Snapshot, SourceFile,
};

/// Blobs in memory that count how often they are read.
#[derive(Default)]
struct Memory {
    blobs: BTreeMap<GitOid, Vec<u8>>,
    n_reads: AtomicUsize,
}

impl BlobSource for Memory {
    fn read(&self, blob: &GitOid) -> Result<Vec<u8>, BlobError> {
        self.n_reads.fetch_add(1, Ordering::Relaxed);
        self.blobs.get(blob).cloned().ok_or_else(|| BlobError("object missing".into()))
    }
}

fn blob_id(source: &[u8]) -> GitOid {
    GitOid::from_bytes(&Digest::of(source).as_bytes()[..20]).unwrap()
}

fn path(text: &str) -> RepoPath {
    RepoPath::new(text.as_bytes()).unwrap()
}

/// Returns a request for a commit whose number is `commit`, and its blobs.
fn commit_of(commit: u8, files: &[(&str, &str)]) -> (RefreshRequest, Memory) {
    let mut memory = Memory::default();
    let files = files.iter().map(|(name, source)| {
        let blob = blob_id(source.as_bytes());
        memory.blobs.insert(blob, source.as_bytes().to_vec());
        SourceFile { path: path(name), blob }
    });
    let files = files.collect();
    let commit = GitOid::from_bytes(&[commit; 20]).unwrap();
    (RefreshRequest { commit, tree: commit, files, memory_bytes_max: None }, memory)
}

fn refresh(store: &mut IndexStore, commit: u8, files: &[(&str, &str)]) -> RefreshReport {
    let (request, memory) = commit_of(commit, files);
    store.refresh(&request, &memory, Timestamp::from_millis(i64::from(commit))).unwrap()
}

fn current(dir: &Path) -> Snapshot {
    Snapshot::open_current(dir).unwrap().unwrap()
}

/// Returns a snapshot of some files, and the directory it lives in.
fn snapshot_of(files: &[(&str, &str)]) -> (tempfile::TempDir, Snapshot) {
    let dir = tempfile::tempdir().unwrap();
    refresh(&mut IndexStore::open(dir.path()).unwrap(), 1, files);
    let snapshot = current(dir.path());
    snapshot.verify().unwrap();
    (dir, snapshot)
}

/// Returns callers as text: `path:line in SYMBOL EVIDENCE -> TARGET`.
fn callers_text(callers: &Callers) -> Vec<String> {
    let sites = callers.resolved.iter().chain(&callers.candidates);
    sites
        .map(|site| {
            let enclosing = site.enclosing.as_ref().map_or("-", |place| &place.qualified_name);
            let target = site.target.as_ref();
            let target = target.map(|place| format!(" -> {}:{}", place.path, place.qualified_name));
            format!(
                "{}:{} in {enclosing} {}{}",
                site.path,
                site.region.start_line,
                site.evidence.name(),
                target.unwrap_or_default()
            )
        })
        .collect()
}

/// Checks who calls `name` in some files.
#[track_caller]
fn check_callers(files: &[(&str, &str)], name: &str, expected: &[&str]) {
    let (_dir, snapshot) = snapshot_of(files);
    assert_eq!(callers_text(&snapshot.who_calls(name).unwrap()), expected);
}
