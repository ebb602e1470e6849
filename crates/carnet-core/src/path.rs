//! Paths inside the repository, as git stores them.

use std::fmt;

/// A path inside the repository: bytes, `/` between components, never absolute, never leaving.
///
/// Kept as bytes because git does; [`fmt::Display`] is lossy and for people only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoPath(Vec<u8>);

/// Why some bytes are no path inside a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RepoPathError {
    /// Nothing, or an empty component (`a//b`, a leading or a trailing slash).
    #[error("path `{0}` has an empty component")]
    EmptyComponent(String),
    /// A `.` or `..` component.
    #[error("path `{0}` has a `.` or `..` component")]
    Dots(String),
    /// A NUL byte, which no file system and no git tree can hold.
    #[error("path `{0}` has a NUL byte")]
    Nul(String),
}

impl RepoPath {
    /// Checks `bytes` and wraps them.
    ///
    /// # Errors
    ///
    /// [`RepoPathError`] for empty components, `.`, `..` and NUL.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<RepoPath, RepoPathError> {
        let bytes = bytes.into();
        let shown = || String::from_utf8_lossy(&bytes).into_owned();
        if bytes.contains(&0) {
            return Err(RepoPathError::Nul(shown()));
        }
        for component in bytes.split(|byte| *byte == b'/') {
            match component {
                b"" => return Err(RepoPathError::EmptyComponent(shown())),
                b"." | b".." => return Err(RepoPathError::Dots(shown())),
                _ => {}
            }
        }
        Ok(RepoPath(bytes))
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the path as text, with invalid UTF-8 replaced.
    pub fn to_text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// Returns the last component.
    pub fn file_name(&self) -> &[u8] {
        self.0.rsplit(|byte| *byte == b'/').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(&self.0).fmt(f)
    }
}

impl fmt::Debug for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RepoPath({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_paths_pass_and_know_their_file_name() {
        let path = RepoPath::new(*b"src/lib.rs").unwrap();
        assert_eq!(path.file_name(), b"lib.rs");
        assert_eq!(RepoPath::new(*b"README").unwrap().file_name(), b"README");
    }

    #[test]
    fn paths_that_leave_or_are_absolute_are_refused() {
        for bad in ["", "/etc/passwd", "a//b", "a/", "../x", "a/./b", "a/..", "a\0b"] {
            assert!(RepoPath::new(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
