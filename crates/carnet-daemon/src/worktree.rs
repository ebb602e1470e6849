//! Which of a repository's worktrees is meant.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use carnet_git::Repo;
use serde::{Deserialize, Serialize};

use crate::paths::real;

/// Longest name of a linked worktree, in bytes: what a file name may have.
const NAME_BYTES_MAX: usize = 255;

/// One of a repository's worktrees.
///
/// On the wire and in print: the empty text for the main one, else the name of its directory below
/// `worktrees/`, where every byte but `A-Z a-z 0-9 . _ -` is `%` and two hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Worktree {
    /// The main one, or the bare repository.
    Main,
    /// A linked one, by the name of its directory in `<common dir>/worktrees`.
    Linked(OsString),
}

/// Text that names no worktree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no worktree")]
pub struct WorktreeParseError(String);

impl Worktree {
    /// Returns the worktree that `repo` was opened in.
    pub fn of(repo: &Repo) -> Worktree {
        let (git_dir, common_dir) = (real(repo.git_dir()), real(repo.common_dir()));
        match git_dir.strip_prefix(common_dir.join("worktrees")) {
            Ok(name) => Worktree::named(name.as_os_str()).unwrap_or(Worktree::Main),
            Err(_) => Worktree::Main,
        }
    }

    /// Returns its git directory.
    pub(crate) fn git_dir(&self, common_dir: &Path) -> PathBuf {
        match self {
            Worktree::Main => common_dir.to_owned(),
            Worktree::Linked(name) => common_dir.join("worktrees").join(name),
        }
    }

    /// Wraps the name of a linked worktree; `None` unless it is one component of a path.
    fn named(name: &OsStr) -> Option<Worktree> {
        let bytes = name.as_bytes();
        let is_plain = !bytes.iter().any(|byte| matches!(byte, 0 | b'/'));
        let is_name = !matches!(bytes, b"" | b"." | b"..") && bytes.len() <= NAME_BYTES_MAX;
        (is_plain && is_name).then(|| Worktree::Linked(name.to_owned()))
    }

    fn parse(text: &str) -> Option<Worktree> {
        if text.is_empty() {
            return Some(Worktree::Main);
        }
        let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
        while let Some((first, after)) = rest.split_first() {
            rest = after;
            if *first != b'%' {
                bytes.push(*first);
                continue;
            }
            let (digits, after) = rest.split_at_checked(2)?;
            let digits = std::str::from_utf8(digits).ok().filter(|hex| !hex.contains('+'))?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after;
        }
        Worktree::named(&OsString::from_vec(bytes))
    }
}

impl fmt::Display for Worktree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Worktree::Linked(name) = self else { return Ok(()) };
        name.as_bytes().iter().try_for_each(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' => {
                write!(f, "{}", char::from(*byte))
            }
            byte => write!(f, "%{byte:02x}"),
        })
    }
}

impl TryFrom<String> for Worktree {
    type Error = WorktreeParseError;

    fn try_from(text: String) -> Result<Worktree, WorktreeParseError> {
        Worktree::parse(&text).ok_or(WorktreeParseError(text))
    }
}

impl From<Worktree> for String {
    fn from(worktree: Worktree) -> String {
        worktree.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Worktree> {
        Worktree::try_from(text.to_owned()).ok()
    }

    #[test]
    fn names_of_any_bytes_come_back() {
        for name in [&b"fix-1"[..], b"a b", b"100%", b"caf\xc3\xa9", b"\xff\xfe"] {
            let worktree = Worktree::Linked(OsString::from_vec(name.to_vec()));
            assert_eq!(read(&worktree.to_string()), Some(worktree));
        }
        assert_eq!(read(""), Some(Worktree::Main));
    }

    #[test]
    fn names_that_leave_the_directory_are_refused() {
        let long = "x".repeat(256);
        for text in [".", "..", "a/b", "%2e%2e", "a%2fb", "%00", "%", "%4", "%zz", "%+1", &long] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
