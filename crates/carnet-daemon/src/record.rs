//! What the last refresh was like, kept beside the lock so that it is known when the daemon is away.

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

/// Largest record read, in bytes.
const BYTES_MAX: u64 = 64 << 10;

/// Writes the record beside the old one and renames it into place.
pub(crate) fn write(path: &Path, record: &RefreshRecord) -> std::io::Result<()> {
    let beside = path.with_extension("json.new");
    let mut file = fs::File::create(&beside)?;
    file.write_all(&serde_json::to_vec(record)?)?;
    file.write_all(b"\n")?;
    fs::rename(&beside, path)
}

/// Reads the record; `None` when there is none that can be read. It is for people: nothing depends on it.
pub(crate) fn read(path: &Path) -> Option<RefreshRecord> {
    let is_small = fs::metadata(path).ok()?.len() <= BYTES_MAX;
    let bytes = is_small.then(|| fs::read(path).ok())??;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_and_a_damaged_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("last-refresh.json");
        assert_eq!(read(&path), None);
        let record = RefreshRecord {
            commit: GitOid::from_bytes(&[7; 20]).unwrap(),
            ended_at: Timestamp::from_millis(1_795_000_000_123),
            duration_ms: 12,
            n_files: 3,
            n_parsed: 2,
            n_unread: 0,
        };
        write(&path, &record).unwrap();
        assert_eq!(read(&path), Some(record));
        fs::write(&path, b"{\"commit\":").unwrap();
        assert_eq!(read(&path), None);
    }
}
