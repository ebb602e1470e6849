//! Git's configuration: read from the snapshot taken when the repository was opened, written by `git`.
//!
//! Only the repository's local file is ever written, and only by the `git` program, which keeps comments,
//! order and locks as its users expect.

use crate::{ProgramError, Repo};

/// Why the configuration could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not a key: `section.name` or `section.subsection.name`.
    #[error("`{key}` is not a configuration key")]
    Key {
        /// What was given.
        key: String,
    },
    /// Git did not make the change.
    #[error(transparent)]
    Program(#[from] ProgramError),
}

impl Repo {
    /// Returns the value that counts for `key`: the last one, over all of git's configuration files and the
    /// environment. `None` when it is unset; an empty text when it is set to nothing.
    ///
    /// Cheap until this [`Repo`] has itself changed the configuration; then git is asked.
    pub fn config_get(&self, key: &str) -> Option<String> {
        self.config_get_all(key).pop()
    }

    /// Returns every value of `key`, in the order in which git reads them.
    pub fn config_get_all(&self, key: &str) -> Vec<String> {
        if self.config_is_stale.get() {
            return self.config_get_all_by_program(key);
        }
        let config = self.gix.config_snapshot();
        let values = config.plumbing().strings(key).unwrap_or_default();
        values.into_iter().map(|value| value.to_string()).collect()
    }

    fn config_get_all_by_program(&self, key: &str) -> Vec<String> {
        let answer = self.run_git(&["config", "-z", "--get-all", key], None).unwrap_or_default();
        let answer = String::from_utf8_lossy(&answer);
        answer.split_terminator('\0').map(str::to_owned).collect()
    }

    /// Adds a value to `key` in the repository's local file, beside those it has.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the key is none or git refuses.
    pub fn config_add(&self, key: &str, value: &str) -> Result<(), ConfigError> {
        self.change_config(key, &["--add", key, value]).map(drop)
    }

    /// Sets `key` in the repository's local file, replacing every value it has there.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the key is none or git refuses.
    pub fn config_set(&self, key: &str, value: &str) -> Result<(), ConfigError> {
        self.change_config(key, &["--replace-all", key, value]).map(drop)
    }

    /// Removes exactly this value of `key` from the repository's local file; with `None`, every value.
    /// Returns whether there was one.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the key is none or git refuses.
    pub fn config_unset(&self, key: &str, value: Option<&str>) -> Result<bool, ConfigError> {
        let result = match value {
            Some(value) => self.change_config(key, &["--fixed-value", "--unset-all", key, value]),
            None => self.change_config(key, &["--unset-all", key]),
        };
        match result {
            Ok(()) => Ok(true),
            // 5: no such value.
            Err(ConfigError::Program(ProgramError::Failed { code: Some(5), .. })) => Ok(false),
            Err(err) => Err(err),
        }
    }

    fn change_config(&self, key: &str, args: &[&str]) -> Result<(), ConfigError> {
        let is_key = key.contains('.') && !key.starts_with('-') && !key.contains('\n');
        if !is_key {
            return Err(ConfigError::Key { key: key.to_owned() });
        }
        self.config_is_stale.set(true);
        let mut all = vec!["config", "--local"];
        all.extend(args);
        self.run_git(&all, None)?;
        Ok(())
    }
}
