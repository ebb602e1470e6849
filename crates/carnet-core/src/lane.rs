//! Names of lanes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of a lane, a class of work with its allowlist and quotas: `code-impl`, `data-schema`, …
///
/// 1 to 64 bytes of `a-z`, `0-9` and inner `-`: safe in a file name, a ref and an option.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LaneName(String);

/// Text that cannot name a lane.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a lane name is 1 to 64 of `a-z`, `0-9` and inner `-`, not `{0}`")]
pub struct LaneNameError(pub String);

impl LaneName {
    /// Checks and wraps a name.
    ///
    /// # Errors
    ///
    /// [`LaneNameError`] carries the offending text.
    pub fn new(name: &str) -> Result<LaneName, LaneNameError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let inner = !name.starts_with('-') && !name.ends_with('-');
        if (1..=64).contains(&name.len()) && name.bytes().all(plain) && inner {
            Ok(LaneName(name.to_owned()))
        } else {
            Err(LaneNameError(name.to_owned()))
        }
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LaneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for LaneName {
    type Error = LaneNameError;

    fn try_from(name: String) -> Result<LaneName, LaneNameError> {
        LaneName::new(&name)
    }
}

impl From<LaneName> for String {
    fn from(name: LaneName) -> String {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_be_paths_or_options_are_refused() {
        assert!(LaneName::new("code-impl").is_ok());
        for bad in ["", "-x", "x-", "a/b", "..", "Code", "a b", "é"] {
            assert!(LaneName::new(bad).is_err(), "{bad:?}");
        }
    }
}
