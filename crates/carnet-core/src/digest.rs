//! SHA-256 digests, the one hash of carnet.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

/// SHA-256 of some bytes, printed as 64 lowercase hex digits (in-toto `DigestSet.sha256`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// Text that is not 64 lowercase hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 digest is 64 lowercase hex digits, not `{0}`")]
pub struct DigestParseError(pub String);

impl Digest {
    /// Returns the digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(sha2::Sha256::digest(bytes).into())
    }

    /// Wraps 32 raw bytes that are already a SHA-256 value.
    pub fn from_bytes(raw: [u8; 32]) -> Digest {
        Digest(raw)
    }

    /// Returns the 32 raw bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Parses 64 lowercase hex digits.
    ///
    /// # Errors
    ///
    /// [`DigestParseError`] carries the offending text.
    pub fn from_hex(text: &str) -> Result<Digest, DigestParseError> {
        let mut raw = [0; 32];
        decode_hex(text, &mut raw).ok_or_else(|| DigestParseError(text.to_owned()))?;
        Ok(Digest(raw))
    }
}

/// Writes `text`'s hex digits into `out`; `None` unless they are lowercase and fill it exactly.
pub(crate) fn decode_hex(text: &str, out: &mut [u8]) -> Option<()> {
    fn digit(byte: u8) -> Option<u8> {
        match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        }
    }
    let text = text.as_bytes();
    if text.len() != out.len() * 2 {
        return None;
    }
    for (slot, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *slot = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(())
}

/// Writes `bytes` as lowercase hex digits.
pub(crate) fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        Digest::from_hex(&text).map_err(serde::de::Error::custom)
    }
}

/// Digests a stream, or several fields with their lengths first.
#[derive(Clone, Default)]
pub struct Digester(sha2::Sha256);

impl Digester {
    /// Returns a digester that has seen nothing.
    pub fn new() -> Digester {
        Digester::default()
    }

    /// Adds bytes as they are: the digest of a stream.
    pub fn update(&mut self, bytes: &[u8]) -> &mut Digester {
        self.0.update(bytes);
        self
    }

    /// Adds one field: its length in bytes as a little-endian `u64`, then its bytes.
    ///
    /// Two different field lists never digest to the same value by shifting a border.
    pub fn field(&mut self, bytes: &[u8]) -> &mut Digester {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// Returns the digest of all that was added.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl std::io::Write for Digester {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_digest_is_the_published_one() {
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), text);
        assert_eq!(Digest::from_hex(text).unwrap(), Digest::of(b""));
    }

    #[test]
    fn upper_case_and_short_texts_are_refused() {
        assert!(Digest::from_hex(&"AB".repeat(32)).is_err());
        assert!(Digest::from_hex(&"ab".repeat(31)).is_err());
        assert!(Digest::from_hex(&"é".repeat(32)).is_err());
    }

    #[test]
    fn a_shifted_border_changes_the_digest_of_fields() {
        let digest = |a: &[u8], b: &[u8]| {
            let mut digester = Digester::new();
            digester.field(a).field(b);
            digester.finish()
        };
        assert_ne!(digest(b"ab", b"c"), digest(b"a", b"bc"));
    }
}
