//! Named secrets, wherever they are kept: one interface over sealed files and over Vault.
//!
//! A store gives a value for the asking and keeps no copy of its own: what was read an hour ago is asked for again. Errors name
//! the place and the answer, never a value.

mod file;

pub use file::FileStore;

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::{sealed::SealError, vault::VaultError};

/// Longest value, in bytes: what a run can be handed.
pub const VALUE_BYTES_MAX: usize = 64 << 10;
/// Most secrets that one listing names.
pub const NAMES_MAX: usize = 10_000;
/// The field of an entry that holds a text, and the one that holds bytes that are none.
pub(crate) const TEXT_FIELD: &str = "value";
pub(crate) const BASE64_FIELD: &str = "value_base64";
/// Longest name, in bytes, and most parts of one.
const NAME_BYTES_MAX: usize = 128;
const PARTS_MAX: usize = 8;

/// Where secrets are kept.
pub trait SecretStore {
    /// Returns what people know the store by.
    fn place(&self) -> String;

    /// Returns where a secret is kept in the store, for logs and errors.
    fn path_of(&self, name: &SecretName) -> String;

    /// Returns a value.
    ///
    /// # Errors
    ///
    /// [`SecretStoreError`].
    fn get(&self, name: &SecretName) -> Result<Zeroizing<Vec<u8>>, SecretStoreError>;

    /// Returns the names of what is kept, in order.
    ///
    /// # Errors
    ///
    /// [`SecretStoreError`].
    fn list(&self) -> Result<Vec<SecretName>, SecretStoreError>;

    /// Returns the names of the fields of an entry that has several; none where entries have none.
    ///
    /// # Errors
    ///
    /// [`SecretStoreError`].
    fn fields(&self, name: &SecretName) -> Result<Vec<SecretName>, SecretStoreError> {
        let _ = name;
        Ok(vec![])
    }

    /// Keeps a value, in the place of one that may be there.
    ///
    /// # Errors
    ///
    /// [`SecretStoreError`].
    fn put(&self, name: &SecretName, value: &[u8]) -> Result<(), SecretStoreError>;

    /// Takes a secret away.
    ///
    /// # Errors
    ///
    /// [`SecretStoreError`].
    fn remove(&self, name: &SecretName) -> Result<(), SecretStoreError>;
}

/// The name of a secret: parts of letters, digits, `_`, `-` and `.` with `/` between them, and behind `#` a field, where an entry
/// has several.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretName {
    path: String,
    field: Option<String>,
}

/// Text that names no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a secret's name is letters, digits, `_`, `-`, `.` and `/`, 128 bytes at most, with no part that begins with a dot; not `{0}`"
)]
pub struct SecretNameError(pub String);

impl SecretName {
    /// Reads a name.
    ///
    /// # Errors
    ///
    /// [`SecretNameError`].
    pub fn parse(text: &str) -> Result<SecretName, SecretNameError> {
        let (path, field) = match text.split_once('#') {
            Some((path, field)) => (path, Some(field)),
            None => (text, None),
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        let is_part =
            |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(is_plain);
        let fits = text.len() <= NAME_BYTES_MAX
            && path.split('/').count() <= PARTS_MAX
            && path.split('/').all(is_part)
            && field.is_none_or(is_part);
        if !fits {
            return Err(SecretNameError(text.chars().take(NAME_BYTES_MAX).collect()));
        }
        Ok(SecretName { path: path.to_owned(), field: field.map(str::to_owned) })
    }

    /// Returns the parts before the field, `/` between them.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the field, where one is named.
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        self.field.as_ref().map_or(Ok(()), |field| write!(f, "#{field}"))
    }
}

/// Why a secret could not be had or kept.
#[derive(Debug, thiserror::Error)]
pub enum SecretStoreError {
    /// There is no such secret.
    #[error("there is no secret at `{path}`")]
    Missing {
        /// Where it would be.
        path: String,
    },
    /// The entry has no such field, or several, none of which was named.
    #[error("`{path}` has no field `{field}`")]
    Field {
        /// The entry.
        path: String,
        /// What was looked for.
        field: String,
    },
    /// The store keeps whole entries.
    #[error("fields cannot be written or kept in `{place}`: `{name}`")]
    WholeEntries {
        /// The store.
        place: String,
        /// What was named.
        name: SecretName,
    },
    /// The value is longer than [`VALUE_BYTES_MAX`], or empty.
    #[error("a secret has between 1 and {VALUE_BYTES_MAX} bytes")]
    ValueLength,
    /// There are more than [`NAMES_MAX`].
    #[error("`{place}` holds more than {NAMES_MAX} secrets")]
    TooMany {
        /// The store.
        place: String,
    },
    /// A sealed file.
    #[error(transparent)]
    Sealed(#[from] SealError),
    /// A Vault.
    #[error(transparent)]
    Vault(VaultError),
}

/// Refuses a value that no run could be handed.
pub(crate) fn check_value(value: &[u8]) -> Result<(), SecretStoreError> {
    let fits = (1..=VALUE_BYTES_MAX).contains(&value.len());
    if fits { Ok(()) } else { Err(SecretStoreError::ValueLength) }
}

/// Returns a value as a text, and the field that such a text stands in.
pub(crate) fn base64_or_text(value: &[u8]) -> (&'static str, Zeroizing<String>) {
    match std::str::from_utf8(value) {
        Ok(text) => (TEXT_FIELD, Zeroizing::new(text.to_owned())),
        Err(_) => (BASE64_FIELD, Zeroizing::new(STANDARD.encode(value))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_below_where_they_are_put() {
        for good in ["TOKEN", "db/password", "a.b-c_1", "db#user", "a/b/c/d/e/f/g/h"] {
            assert_eq!(SecretName::parse(good).unwrap().to_string(), good);
        }
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "..",
            "a/../b",
            "a/.b",
            "a#",
            "#f",
            "a#b/c",
            "a%2fb",
            "a b",
            "a\n",
            "ä",
            "a?b",
            "a/b/c/d/e/f/g/h/i",
            &"a".repeat(129),
        ] {
            assert!(SecretName::parse(bad).is_err(), "{bad}");
        }
    }
}
