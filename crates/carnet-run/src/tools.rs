//! Programs by content: a name becomes an absolute path and the digest of what lies there.
//!
//! Names are looked up in the policy's tool locks, or in fixed directories and then in the lane's toolchains where there is
//! none; never in `PATH`: what an agent exports decides nothing. What was digested is what is executed.

use std::{
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use carnet_core::{Digest, passport::Tool};
use carnet_policy::{LockedTool, ToolLock};
use carnet_sandbox::{Executable, TOOLCHAINS};

use crate::toolchains::Toolchains;

/// Where programs are looked up, in this order; the sandbox shows the same directories.
pub const TOOL_DIRS: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// Why a name is no program.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// None of the directories has it.
    #[error("program `{name}` is not in /usr/local/bin, /usr/bin or /bin{}", toolchains(.why_not))]
    Missing {
        /// The program.
        name: String,
        /// Why toolchains that are asked for are not there.
        why_not: Option<String>,
    },
    /// The name has a slash or is empty; a lane never admits such a name.
    #[error("`{0}` is no bare program name")]
    NotBare(String),
    /// There is a lock, and it does not have the program.
    #[error("program `{name}` is not in {file}")]
    NotLocked {
        /// The program.
        name: String,
        /// The lock's file.
        file: String,
    },
    /// The program is not the one that was locked.
    #[error(
        "program `{name}` is {} with sha256 {}, {file} has {} with {}",
        found.path, short(&found.sha256), locked.path, short(&locked.sha256)
    )]
    Drifted {
        /// The program.
        name: String,
        /// What is there.
        found: Box<Tool>,
        /// What was locked.
        locked: Box<LockedTool>,
        /// The lock's file.
        file: String,
    },
    /// The program could not be read.
    #[error("read program `{path}`")]
    Io {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl ToolError {
    /// Tells whether a lock refuses the program.
    pub fn is_refusal(&self) -> bool {
        matches!(self, ToolError::NotLocked { .. } | ToolError::Drifted { .. })
    }
}

/// A program that was opened and hashed, and is executed as it was then.
#[derive(Debug)]
pub struct HeldTool {
    /// As the passport names it.
    pub tool: Tool,
    /// Its bytes.
    pub executable: Executable,
}

/// Where a program is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// For a run, and for the record.
    pub inside: PathBuf,
    /// For this process.
    pub on_host: PathBuf,
}

impl Place {
    /// Returns the place that a run knows as `inside`.
    pub fn of(inside: &Path, toolchains: &Toolchains) -> Place {
        let on_host = toolchains.on_host(inside).unwrap_or_else(|| inside.to_owned());
        Place { inside: inside.to_owned(), on_host }
    }
}

/// Finds a program without looking into it: where the first lock says, or in the fixed directories and then in the toolchains
/// where there is none.
///
/// # Errors
///
/// [`ToolError`]; with locks, each must have the program.
pub fn locate(name: &str, locks: &[ToolLock], toolchains: &Toolchains) -> Result<Place, ToolError> {
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(ToolError::NotBare(name.to_owned()));
    }
    if let Some(lock) = locks.iter().find(|lock| lock.tool(name).is_none()) {
        let file = lock.file().to_owned();
        return Err(ToolError::NotLocked { name: name.to_owned(), file });
    }
    let missing = || ToolError::Missing { name: name.to_owned(), why_not: toolchains.why_not() };
    if let Some(locked) = locks.first().and_then(|lock| lock.tool(name)) {
        let inside = Path::new(&locked.path);
        let is_there = !inside.starts_with(TOOLCHAINS) || toolchains.on_host(inside).is_some();
        return is_there.then(|| Place::of(inside, toolchains)).ok_or_else(missing);
    }
    let dirs = TOOL_DIRS.iter().map(|dir| (*dir).to_owned()).chain(toolchains.search_path());
    let mut places = dirs.map(|dir| Place::of(&Path::new(&dir).join(name), toolchains));
    places.find(|place| is_program(&place.on_host)).ok_or_else(missing)
}

/// Finds the program, opens it and digests what will be executed.
///
/// # Errors
///
/// [`ToolError`]; with locks, the program must be as each of them says.
pub fn hold(
    name: &str,
    locks: &[ToolLock],
    toolchains: &Toolchains,
) -> Result<HeldTool, ToolError> {
    let held = hold_at(name, &locate(name, locks, toolchains)?)?;
    for lock in locks {
        if let Some(locked) = lock.tool(name)
            && (locked.path != held.tool.path || locked.sha256 != held.tool.sha256)
        {
            return Err(ToolError::Drifted {
                name: name.to_owned(),
                found: Box::new(held.tool),
                locked: Box::new(locked.clone()),
                file: lock.file().to_owned(),
            });
        }
    }
    Ok(held)
}

/// Opens the program and digests what will be executed.
///
/// # Errors
///
/// [`ToolError::Io`].
pub fn hold_at(name: &str, place: &Place) -> Result<HeldTool, ToolError> {
    let executable = Executable::open(&place.on_host)
        .map_err(|source| ToolError::Io { path: place.inside.clone(), source })?;
    let tool = Tool {
        name: name.to_owned(),
        path: place.inside.to_string_lossy().into_owned(),
        sha256: executable.sha256(),
    };
    Ok(HeldTool { tool, executable })
}

fn short(digest: &Digest) -> String {
    format!("{}…", &digest.to_string()[..16])
}

fn toolchains(why_not: &Option<String>) -> String {
    match why_not {
        None => ", nor in a toolchain that the lane names".to_owned(),
        Some(why_not) => format!("; {why_not}"),
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(name: &str, locks: &[ToolLock]) -> Result<HeldTool, ToolError> {
        hold(name, locks, &Toolchains::default())
    }

    fn lock(file: &str, name: &str, path: &str, sha256: Digest) -> ToolLock {
        let mut lock = ToolLock::empty(file);
        lock.insert(name, LockedTool::new(path, sha256).unwrap());
        lock
    }

    #[test]
    fn a_program_is_found_by_name_and_digested_by_content() {
        let tool = held("sh", &[]).unwrap().tool;
        let bytes = std::fs::read(&tool.path).unwrap();
        assert_eq!(tool.sha256, Digest::of(&bytes));
    }

    #[test]
    fn paths_and_unknown_names_are_refused() {
        for name in ["/bin/sh", "./sh", "", ".", ".."] {
            assert!(
                matches!(locate(name, &[], &Toolchains::default()), Err(ToolError::NotBare(_))),
                "{name:?}"
            );
        }
        assert!(matches!(
            locate("no-such-program-here", &[], &Toolchains::default()),
            Err(ToolError::Missing { .. })
        ));
    }

    #[test]
    fn with_a_lock_a_name_means_what_the_lock_says() {
        let cat = Digest::of(&std::fs::read("/usr/bin/cat").unwrap());
        let said = lock("policy/tools.lock", "dog", "/usr/bin/cat", cat);
        assert_eq!(held("dog", std::slice::from_ref(&said)).unwrap().tool.path, "/usr/bin/cat");
        let refused = held("cat", std::slice::from_ref(&said)).unwrap_err();
        assert_eq!(refused.to_string(), "program `cat` is not in policy/tools.lock");
        assert!(refused.is_refusal());
    }

    #[test]
    fn every_lock_must_have_the_program_as_it_is() {
        let cat = Digest::of(&std::fs::read("/usr/bin/cat").unwrap());
        let good = lock("a", "cat", "/usr/bin/cat", cat);
        for other in [
            lock("b", "cat", "/usr/bin/cat", Digest::of(b"another")),
            lock("b", "cat", "/bin/cat", cat),
            lock("b", "dog", "/usr/bin/cat", cat),
        ] {
            for locks in [[good.clone(), other.clone()], [other, good.clone()]] {
                assert!(held("cat", &locks).unwrap_err().is_refusal());
            }
        }
        held("cat", &[good.clone(), good]).unwrap();
    }
}
