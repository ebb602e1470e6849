//! Names of runs.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::{decode_hex, write_hex};

/// Name of one execution: 128 random bits, printed as 32 lowercase hex digits.
///
/// Random rather than ordered by time, so that a few leading digits name a run; order is the ledger's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId([u8; 16]);

/// Text that is no run id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a run id is 32 lowercase hex digits, not `{0}`")]
pub struct RunIdParseError(pub String);

impl RunId {
    /// Makes an id of 16 bytes from a cryptographic random source.
    pub fn from_random(random: [u8; 16]) -> RunId {
        RunId(random)
    }

    /// Parses 32 lowercase hex digits.
    ///
    /// # Errors
    ///
    /// [`RunIdParseError`] carries the offending text.
    pub fn from_hex(text: &str) -> Result<RunId, RunIdParseError> {
        let mut raw = [0; 16];
        decode_hex(text, &mut raw).ok_or_else(|| RunIdParseError(text.to_owned()))?;
        Ok(RunId(raw))
    }

    /// Returns the 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Returns the first 8 hex digits, for people.
    pub fn short(&self) -> String {
        self.to_string()[..8].to_owned()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunId({self})")
    }
}

impl Serialize for RunId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RunId, D::Error> {
        let text = String::deserialize(deserializer)?;
        RunId::from_hex(&text).map_err(serde::de::Error::custom)
    }
}
