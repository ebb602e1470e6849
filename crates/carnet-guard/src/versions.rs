//! Versions of files, looked at one after the other: what is the same as before is not looked at twice.
//!
//! Kept is the last version of each path in which nothing was met, as long as there is room; which versions follow each other
//! does not matter, since any two texts may be compared. Invariants: what a content comes to is what [`scan`](carnet_scan::scan())
//! says of it; at most [`BYTES_MAX`] bytes are kept by all workers together.

use std::collections::{BTreeMap, HashMap};

use carnet_core::{Content, Origin, RepoPath};
use carnet_scan::{FingerprintKey, Quiet, RuleSet, Scan, scan_with_proof};

/// Bytes of files that all workers keep.
const BYTES_MAX: usize = 48 << 20;
/// Shorter files are scanned as fast as they are compared.
const FILE_BYTES_MIN: usize = 16 << 10;

/// The last quiet versions of some paths.
pub(crate) struct Versions {
    bytes_max: usize,
    n_bytes: usize,
    kept: HashMap<RepoPath, Kept>,
    /// The paths by when they were looked at, the longest ago first.
    order: BTreeMap<u64, RepoPath>,
    n_looks: u64,
}

struct Kept {
    bytes: Vec<u8>,
    quiet: Quiet,
    looked_at: u64,
}

impl Versions {
    /// Returns room for one of `n_workers`.
    pub(crate) fn new(n_workers: usize) -> Versions {
        let bytes_max = BYTES_MAX / n_workers.max(1);
        let (kept, order) = (HashMap::new(), BTreeMap::new());
        Versions { bytes_max, n_bytes: 0, kept, order, n_looks: 0 }
    }

    /// Scans a content, as far as it is not known from an earlier version.
    pub(crate) fn scan(
        &mut self,
        rules: &RuleSet,
        key: &FingerprintKey,
        content: &Content,
    ) -> Scan {
        let path = match &content.origin {
            Origin::Committed(path) if content.bytes.len() >= FILE_BYTES_MIN => path,
            _ => return scan_with_proof(rules, key, content).0,
        };
        let before = self.take(path);
        let still = before.as_ref().and_then(|before| {
            before.quiet.still(rules, &content.origin, &before.bytes, &content.bytes)
        });
        let (scan, quiet) = match still {
            Some(quiet) => (Scan::default(), Some(quiet)),
            None => scan_with_proof(rules, key, content),
        };
        match (quiet, before) {
            (Some(quiet), before) => self.keep(path, &content.bytes, quiet, before),
            // Another version may be without what this one has.
            (None, Some(before)) => self.put_back(path, before),
            (None, None) => {}
        }
        scan
    }

    fn take(&mut self, path: &RepoPath) -> Option<Kept> {
        let kept = self.kept.remove(path)?;
        self.order.remove(&kept.looked_at);
        self.n_bytes -= kept.bytes.len();
        Some(kept)
    }

    fn keep(&mut self, path: &RepoPath, bytes: &[u8], quiet: Quiet, before: Option<Kept>) {
        let mut kept = before.map_or_else(Vec::new, |before| before.bytes);
        kept.clear();
        kept.extend_from_slice(bytes);
        self.put_back(path, Kept { bytes: kept, quiet, looked_at: 0 });
    }

    fn put_back(&mut self, path: &RepoPath, kept: Kept) {
        if kept.bytes.len() > self.bytes_max / 4 {
            return;
        }
        self.n_bytes += kept.bytes.len();
        while self.n_bytes > self.bytes_max
            && let Some((_, oldest)) = self.order.pop_first()
        {
            let gone = self.kept.remove(&oldest);
            self.n_bytes -= gone.map_or(0, |gone| gone.bytes.len());
        }
        self.n_looks += 1;
        self.order.insert(self.n_looks, path.clone());
        self.kept.insert(path.clone(), Kept { looked_at: self.n_looks, ..kept });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(path: &str, text: &str) -> Content {
        let path = RepoPath::new(path.as_bytes().to_vec()).unwrap();
        Content { origin: Origin::Committed(path), bytes: text.as_bytes().to_vec() }
    }

    fn text(n: usize, what: &str) -> String {
        format!("{}{what}\n{}", "let a = b(c);\n".repeat(n), "let d = e(f);\n".repeat(n))
    }

    #[test]
    fn every_version_comes_to_what_a_scan_of_it_says() {
        let (rules, key) = (RuleSet::built_in(), FingerprintKey::from_bytes([7; 32]));
        let token = ["gh", "p_", "a1B2c3D4e5F6g7H8i9", "J0k1L2m3N4o5P6q7R8"].concat();
        let mut versions = Versions::new(1);
        let mut n_met = 0;
        for (path, what) in [
            ("a", "one"),
            ("b", "one"),
            ("a", "two"),
            ("a", &token),
            ("b", &token),
            ("a", "two"),
            ("a", "three"),
            ("b", &token),
            ("b", "two"),
        ] {
            let content = content(path, &text(1_500, what));
            let scan = versions.scan(rules, &key, &content);
            assert_eq!(scan, carnet_scan::scan(rules, &key, &content));
            n_met += usize::from(scan != Scan::default());
        }
        assert_eq!(n_met, 3);
        assert_eq!((versions.kept.len(), versions.order.len()), (2, 2));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (rules, key) = (RuleSet::built_in(), FingerprintKey::from_bytes([7; 32]));
        let mut versions = Versions { bytes_max: 200_000, ..Versions::new(1) };
        for n in 0..12 {
            versions.scan(rules, &key, &content(&format!("f{n}"), &text(600 + 10 * n, "x")));
            assert!(versions.n_bytes <= 200_000);
            let n_bytes: usize = versions.kept.values().map(|kept| kept.bytes.len()).sum();
            assert_eq!((versions.n_bytes, versions.kept.len()), (n_bytes, versions.order.len()));
        }
        assert!(versions.kept.len() > 3, "{}", versions.kept.len());
        versions.scan(rules, &key, &content("long", &text(5_000, "x")));
        assert!(versions.n_bytes <= 200_000);
    }
}
