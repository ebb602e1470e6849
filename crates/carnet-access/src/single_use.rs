//! Tokens that count once: an empty file for each that was seen, until it would have ended anyway.

use std::{
    fs::{self, OpenOptions},
    io,
    path::Path,
};

use carnet_core::{Digest, Timestamp};

/// Most tokens that are remembered; with more, none counts until old ones ended.
const USED_MAX: usize = 100_000;

/// Why it is not known whether a token was seen.
#[derive(Debug, thiserror::Error)]
pub enum SingleUseError {
    /// It was.
    #[error("it was presented before")]
    Seen,
    /// Too many are remembered.
    #[error("more than {USED_MAX} tokens were used once and have not ended")]
    Full,
    /// The directory could not be read or written.
    #[error("remember the token in `{0}`")]
    Io(std::path::PathBuf, #[source] io::Error),
}

/// Remembers a token, and refuses it when it is known; those that have ended are forgotten.
///
/// Of several processes that present one token at once, one goes through.
///
/// # Errors
///
/// [`SingleUseError`]: the token must not count then.
pub fn use_once(
    dir: &Path,
    jti: &str,
    exp_secs: i64,
    now: Timestamp,
) -> Result<(), SingleUseError> {
    let failed = |source| SingleUseError::Io(dir.to_owned(), source);
    fs::create_dir_all(dir).map_err(failed)?;
    let name = format!("{exp_secs}-{}", Digest::of(jti.as_bytes()));
    match OpenOptions::new().write(true).create_new(true).open(dir.join(&name)) {
        Ok(file) => file.sync_all().map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(SingleUseError::Seen);
        }
        Err(error) => return Err(failed(error)),
    }
    let mut n_kept = 0;
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let ends = entry.file_name().to_str().and_then(|name| name.split('-').next()?.parse().ok());
        if ends.is_some_and(|ends: i64| ends < now.as_secs()) {
            // Another process may have been faster.
            let _ = fs::remove_file(entry.path());
        } else {
            n_kept += 1;
        }
    }
    if n_kept > USED_MAX {
        return Err(SingleUseError::Full);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_counts_once_and_is_forgotten_when_it_ended() {
        let dir = tempfile::tempdir().unwrap();
        let at = |secs: i64| Timestamp::from_millis(secs * 1000);
        use_once(dir.path(), "a", 100, at(1)).unwrap();
        assert!(matches!(use_once(dir.path(), "a", 100, at(2)), Err(SingleUseError::Seen)));
        use_once(dir.path(), "../b", 200, at(100)).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        use_once(dir.path(), "c", 300, at(101)).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn of_many_at_once_one_goes_through() {
        let dir = tempfile::tempdir().unwrap();
        let n_through = std::thread::scope(|scope| {
            let all: Vec<_> = (0..16)
                .map(|_| {
                    scope.spawn(|| use_once(dir.path(), "j", 9, Timestamp::from_millis(0)).is_ok())
                })
                .collect();
            all.into_iter().map(|it| usize::from(it.join().unwrap())).sum::<usize>()
        });
        assert_eq!(n_through, 1);
    }
}
