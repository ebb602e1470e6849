//! Git's names for objects.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::{decode_hex, write_hex};

/// The hash a repository names its objects with (`extensions.objectFormat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectFormat {
    /// 20-byte names.
    Sha1,
    /// 32-byte names.
    Sha256,
}

impl ObjectFormat {
    /// Returns git's word for it: `sha1` or `sha256`.
    pub fn name(self) -> &'static str {
        match self {
            ObjectFormat::Sha1 => "sha1",
            ObjectFormat::Sha256 => "sha256",
        }
    }
}

/// Git's name for an object: 20 bytes in SHA-1 repositories, 32 in SHA-256 ones.
///
/// Variables say the kind: `commit_id`, `tree_id`, `blob_id`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GitOid {
    raw: [u8; 32],
    len: u8,
}

/// Text or bytes that are no object name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a git object id is 40 or 64 lowercase hex digits, not `{0}`")]
pub struct GitOidParseError(pub String);

impl GitOid {
    /// Wraps raw bytes.
    ///
    /// # Errors
    ///
    /// [`GitOidParseError`] unless there are exactly 20 or 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<GitOid, GitOidParseError> {
        if bytes.len() != 20 && bytes.len() != 32 {
            return Err(GitOidParseError(format!("{} bytes", bytes.len())));
        }
        let mut raw = [0; 32];
        raw[..bytes.len()].copy_from_slice(bytes);
        Ok(GitOid { raw, len: bytes.len() as u8 })
    }

    /// Parses 40 or 64 lowercase hex digits.
    ///
    /// # Errors
    ///
    /// [`GitOidParseError`] carries the offending text.
    pub fn from_hex(text: &str) -> Result<GitOid, GitOidParseError> {
        let len = text.len() / 2;
        let mut raw = [0; 32];
        if len != 20 && len != 32 {
            return Err(GitOidParseError(text.to_owned()));
        }
        decode_hex(text, &mut raw[..len]).ok_or_else(|| GitOidParseError(text.to_owned()))?;
        Ok(GitOid { raw, len: len as u8 })
    }

    /// Returns the 20 or 32 raw bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.raw[..usize::from(self.len)]
    }

    /// Returns the hash this name was made with.
    pub fn format(&self) -> ObjectFormat {
        if self.len == 20 { ObjectFormat::Sha1 } else { ObjectFormat::Sha256 }
    }

    /// Returns the first 12 hex digits, for people.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl fmt::Display for GitOid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, self.as_bytes())
    }
}

impl fmt::Debug for GitOid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GitOid({self})")
    }
}

impl Serialize for GitOid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GitOid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<GitOid, D::Error> {
        let text = String::deserialize(deserializer)?;
        GitOid::from_hex(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_hashes_round_trip_through_hex_and_bytes() {
        for text in ["ab".repeat(20), "cd".repeat(32)] {
            let oid = GitOid::from_hex(&text).unwrap();
            assert_eq!(oid.to_string(), text);
            assert_eq!(GitOid::from_bytes(oid.as_bytes()).unwrap(), oid);
        }
        assert_eq!(GitOid::from_hex(&"ab".repeat(20)).unwrap().format(), ObjectFormat::Sha1);
    }

    #[test]
    fn other_lengths_are_refused() {
        assert!(GitOid::from_hex("abc").is_err());
        assert!(GitOid::from_hex(&"a".repeat(41)).is_err());
        assert!(GitOid::from_bytes(&[0; 21]).is_err());
    }
}
