//! Indexes the files below a directory and says how long each step took and how large the result is.
//!
//!     cargo run --release -p carnet-index --example measure_index -- INDEX_DIR SOURCE_DIR NAME…
#![expect(clippy::print_stdout, reason = "an example speaks to a person")]

use std::{
    collections::HashMap,
    error::Error,
    path::{Path, PathBuf},
    time::{Instant, SystemTime},
};

use carnet_core::{Digest, GitOid, RepoPath, Timestamp};
use carnet_index::{BlobError, BlobSource, IndexStore, RefreshRequest, Snapshot, SourceFile};
use carnet_parse::Language;

/// Files on the disk, named by the digest of their content.
struct Tree(HashMap<GitOid, PathBuf>);

impl BlobSource for Tree {
    fn read(&self, blob: &GitOid) -> Result<Vec<u8>, BlobError> {
        let path = self.0.get(blob).ok_or_else(|| BlobError("no such blob".into()))?;
        std::fs::read(path).map_err(|error| BlobError(Box::new(error)))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(index), Some(source)) = (arguments.next(), arguments.next()) else {
        return Err("usage: measure INDEX_DIR SOURCE_DIR NAME…".into());
    };
    let (index, source) = (PathBuf::from(index), PathBuf::from(source));
    let (mut files, mut tree) = (Vec::new(), Tree(HashMap::new()));
    let (mut n_bytes, mut n_lines) = (0, 0);
    let mut open = vec![source.clone()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else if entry.file_type()?.is_file() {
                let Some(path) = repo_path(&source, &entry.path()) else { continue };
                let is_manifest = matches!(path.file_name(), b"Cargo.toml" | b"go.mod");
                if Language::of_path(&path).is_none() && !is_manifest {
                    continue;
                }
                let bytes = std::fs::read(entry.path())?;
                n_bytes += bytes.len();
                n_lines += bytes.iter().filter(|byte| **byte == b'\n').count();
                let blob = GitOid::from_bytes(Digest::of(&bytes).as_bytes())?;
                tree.0.insert(blob, entry.path());
                files.push(SourceFile { path, blob });
            }
        }
    }
    println!("source: {} files, {n_lines} lines, {n_bytes} bytes", files.len());

    let commit = GitOid::from_bytes(&[7; 20])?;
    let request = RefreshRequest { commit, tree: commit, files, memory_bytes_max: None };
    let mut store = IndexStore::open(&index)?;
    for step in ["first refresh", "second refresh"] {
        let begun = Instant::now();
        let now = Timestamp::from_system_time(SystemTime::now());
        let report = store.refresh(&request, &tree, now)?;
        println!(
            "{step}: {:?}, {} parsed, {} reused",
            begun.elapsed(),
            report.n_parsed,
            report.n_reused
        );
        println!("  snapshot {} bytes, {:?}", report.snapshot_bytes, report.coverage);
    }
    println!("facts {} bytes", std::fs::metadata(index.join("facts.redb"))?.len());

    for name in arguments {
        let begun = Instant::now();
        let snapshot = Snapshot::open_current(&index)?.ok_or("no snapshot")?;
        let opened = begun.elapsed();
        let definitions = snapshot.where_defined(&name)?;
        let defined = begun.elapsed();
        let callers = snapshot.who_calls(&name)?;
        let called = begun.elapsed();
        println!(
            "{name}: open {opened:?}, with where-defined {defined:?} ({}), with who-calls {called:?} ({} + {})",
            definitions.len(),
            callers.resolved.len(),
            callers.candidates.len()
        );
    }
    Ok(())
}

fn repo_path(root: &Path, path: &Path) -> Option<RepoPath> {
    let relative = path.strip_prefix(root).ok()?;
    RepoPath::new(relative.as_os_str().as_encoded_bytes()).ok()
}
