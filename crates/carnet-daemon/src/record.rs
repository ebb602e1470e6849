//! What the last refreshes were like, kept beside the lock so that it is known when the daemon is away.

use std::{fs, io::Write as _, path::Path};

use carnet_core::{GitOid, Timestamp};
use serde::{Deserialize, Serialize};

/// One refresh that succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshRecord {
    /// The commit that the index was brought to.
    pub commit: GitOid,
    /// When it ended.
    pub ended_at: Timestamp,
    /// From the decision to refresh until the new snapshot was current, in milliseconds.
    pub duration_ms: u64,
    /// Files of the commit.
    pub n_files: u64,
    /// Blobs that were parsed for it.
    pub n_parsed: u64,
    /// Supported files left out because their blob could not be read.
    pub n_unread: u64,
}

/// Most refreshes that are remembered.
pub const HISTORY_MAX: usize = 100;
/// Largest history read, in bytes.
const BYTES_MAX: u64 = 256 << 10;

/// Adds a refresh to the history: written beside the old one and renamed into place.
pub(crate) fn add(path: &Path, record: &RefreshRecord) -> std::io::Result<()> {
    let mut history = read(path);
    history.push(record.clone());
    history.drain(..history.len().saturating_sub(HISTORY_MAX));
    let beside = path.with_extension("json.new");
    let mut file = fs::File::create(&beside)?;
    file.write_all(&serde_json::to_vec(&history)?)?;
    file.write_all(b"\n")?;
    fs::rename(&beside, path)
}

/// Reads the last hundred refreshes that succeeded, the newest last; none when they cannot be read. They are for people:
/// nothing depends on them.
pub(crate) fn read(path: &Path) -> Vec<RefreshRecord> {
    let is_small = fs::metadata(path).is_ok_and(|it| it.len() <= BYTES_MAX);
    let bytes = is_small.then(|| fs::read(path).ok()).flatten();
    bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hundred_are_kept_and_a_damaged_history_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("refreshes.json");
        assert_eq!(read(&path), []);
        let record = |n: u64| RefreshRecord {
            commit: GitOid::from_bytes(&[7; 20]).unwrap(),
            ended_at: Timestamp::from_millis(1_795_000_000_123),
            duration_ms: n,
            n_files: 3,
            n_parsed: 2,
            n_unread: 0,
        };
        (0..150).for_each(|n| add(&path, &record(n)).unwrap());
        let kept: Vec<u64> = read(&path).iter().map(|it| it.duration_ms).collect();
        assert_eq!(kept, (50..150).collect::<Vec<u64>>());
        fs::write(&path, b"[{\"commit\":").unwrap();
        assert_eq!(read(&path), []);
        add(&path, &record(1)).unwrap();
        assert_eq!(read(&path), [record(1)]);
    }
}
