//! Secrets in sealed files, one each: what a workspace has without a Vault.
//!
//! A file's name is the secret's, `/` written as `%2F`; it is no secret. The value is encrypted to the identity, and neither the
//! directory nor the identity lies where git sees it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{NAMES_MAX, SecretName, SecretStore, SecretStoreError, check_value};
use crate::{
    private_file::PrivateFileError,
    sealed::{Identity, SealError},
};

const EXTENSION: &str = ".age";

/// A directory of sealed files.
#[derive(Debug)]
pub struct FileStore {
    dir: PathBuf,
    identity_path: PathBuf,
}

impl FileStore {
    /// Names a directory, and where the identity lies that opens its files. Neither has to be there yet: the first
    /// [`SecretStore::put`] makes both.
    pub fn new(dir: &Path, identity_path: &Path) -> FileStore {
        FileStore { dir: dir.to_owned(), identity_path: identity_path.to_owned() }
    }

    fn path(&self, name: &SecretName) -> Result<PathBuf, SecretStoreError> {
        if name.field().is_some() {
            return Err(SecretStoreError::WholeEntries { place: self.place(), name: name.clone() });
        }
        Ok(self.dir.join(format!("{}{EXTENSION}", name.path().replace('/', "%2F"))))
    }

    fn missing(&self, name: &SecretName) -> SecretStoreError {
        SecretStoreError::Missing { path: self.path_of(name) }
    }

    fn failed(&self, source: io::Error) -> SecretStoreError {
        SealError::File(PrivateFileError::Io { path: self.dir.clone(), source }).into()
    }
}

impl SecretStore for FileStore {
    fn place(&self) -> String {
        "sealed files".to_owned()
    }

    fn path_of(&self, name: &SecretName) -> String {
        format!("file:{name}")
    }

    fn get(&self, name: &SecretName) -> Result<Zeroizing<Vec<u8>>, SecretStoreError> {
        let path = self.path(name)?;
        // Before the identity: who never put a secret has none.
        if !path.exists() {
            return Err(self.missing(name));
        }
        Ok(Identity::load(&self.identity_path)?.open(&path)?)
    }

    fn list(&self) -> Result<Vec<SecretName>, SecretStoreError> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            other => other.map_err(|error| self.failed(error))?,
        };
        let mut names = vec![];
        for entry in entries {
            let file_name = entry.map_err(|error| self.failed(error))?.file_name();
            let name = file_name.to_str().and_then(|it| it.strip_suffix(EXTENSION));
            // What is being written has another ending.
            let name = name.and_then(|it| SecretName::parse(&it.replace("%2F", "/")).ok());
            names.extend(name);
            if names.len() > NAMES_MAX {
                return Err(SecretStoreError::TooMany { place: self.place() });
            }
        }
        names.sort();
        Ok(names)
    }

    fn put(&self, name: &SecretName, value: &[u8]) -> Result<(), SecretStoreError> {
        check_value(value)?;
        let path = self.path(name)?;
        Ok(Identity::load_or_create(&self.identity_path)?.reseal(&path, value)?)
    }

    fn remove(&self, name: &SecretName) -> Result<(), SecretStoreError> {
        match fs::remove_file(self.path(name)?) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(self.missing(name)),
            other => other.map_err(|error| self.failed(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> SecretName {
        SecretName::parse(text).unwrap()
    }

    #[test]
    fn what_is_put_comes_back_is_listed_replaced_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore::new(&dir.path().join("secrets"), &dir.path().join("identity"));
        assert_eq!(store.list().unwrap(), []);
        assert!(matches!(store.get(&name("A")), Err(SecretStoreError::Missing { .. })));
        store.put(&name("A"), b"one").unwrap();
        store.put(&name("db/password"), b"\xff\x00").unwrap();
        store.put(&name("A"), b"two").unwrap();
        assert_eq!(*store.get(&name("A")).unwrap(), b"two");
        assert_eq!(*store.get(&name("db/password")).unwrap(), b"\xff\x00");
        assert_eq!(store.list().unwrap(), [name("A"), name("db/password")]);
        store.remove(&name("A")).unwrap();
        assert!(matches!(store.remove(&name("A")), Err(SecretStoreError::Missing { .. })));
        assert_eq!(store.list().unwrap(), [name("db/password")]);
    }

    #[test]
    fn fields_empty_values_and_long_ones_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore::new(dir.path(), &dir.path().join("identity"));
        for value in [vec![], vec![1; super::super::VALUE_BYTES_MAX + 1]] {
            assert!(matches!(store.put(&name("A"), &value), Err(SecretStoreError::ValueLength)));
        }
        let error = store.put(&name("A#f"), b"v").unwrap_err();
        assert!(matches!(error, SecretStoreError::WholeEntries { .. }), "{error}");
        assert!(!dir.path().join("identity").exists());
    }
}
