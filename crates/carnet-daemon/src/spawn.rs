//! Starting a daemon from a hook or a command without making it wait.

use std::{
    ffi::OsString,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use carnet_git::{ProgramError, Repo, scrubbed_git};

use crate::{Client, ClientError};

/// How often a daemon that is starting is tried.
const CONNECT_PAUSE: Duration = Duration::from_millis(2);
/// How glibc's allocator is asked to give memory back after a refresh: it took 262 MiB at most, and takes 113, for 401,000 lines
/// of Go. Other allocators do not read these.
pub const ALLOCATOR: [(&str, &str); 3] = [
    ("MALLOC_ARENA_MAX", "2"),
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
];

/// Whether a daemon was there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Running {
    /// One answers.
    Already,
    /// One was started; it answers in a moment, unless another one was faster.
    Started {
        /// Its process.
        pid: u32,
    },
}

/// Why no daemon could be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// It could not be found out whether one runs.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The `git` program, asked which variables tie it to a repository, is missing.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The program could not be started.
    #[error("start `{}`", exe.display())]
    Io {
        /// The program.
        exe: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Starts `<carnet_exe> daemon run` for the repository unless a daemon answers. Does not wait for it.
///
/// - `carnet_exe`: absolute; [`std::env::current_exe`] in carnet itself.
///
/// The child has no standard streams, so it holds none of the caller's pipes, and an environment without
/// git's variables and with [`ALLOCATOR`]'s, where they are not set; it begins its own session. Descriptors above 2 that someone opened without
/// close-on-exec are passed on: git opens none.
///
/// # Errors
///
/// [`SpawnError`] says what failed; a hook may ignore it, since the next one tries again.
pub fn ensure_running(repo: &Repo, carnet_exe: &Path) -> Result<Running, SpawnError> {
    if Client::connect(repo)?.is_some() {
        return Ok(Running::Already);
    }
    let mut command = Command::new(carnet_exe);
    command.args(["daemon", "run"]).current_dir(repo.work_tree().unwrap_or(repo.git_dir()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    for name in local_git_variables()? {
        command.env_remove(name);
    }
    for (name, value) in ALLOCATOR.iter().filter(|(name, _)| std::env::var_os(name).is_none()) {
        command.env(name, value);
    }
    let child = command.spawn();
    let child = child.map_err(|source| SpawnError::Io { exe: carnet_exe.to_owned(), source })?;
    Ok(Running::Started { pid: child.id() })
}

/// Connects to a daemon that may be starting; `None` when none answers within `patience`.
///
/// # Errors
///
/// [`ClientError`] as for [`Client::connect`].
pub fn connect_within(repo: &Repo, patience: Duration) -> Result<Option<Client>, ClientError> {
    let began = Instant::now();
    loop {
        match Client::connect(repo)? {
            None if began.elapsed() < patience => std::thread::sleep(CONNECT_PAUSE),
            found => return Ok(found),
        }
    }
}

/// The variables that tie git to one repository.
pub(crate) fn local_git_variables() -> Result<Vec<OsString>, ProgramError> {
    let scrubbed = scrubbed_git()?;
    let removed = scrubbed.get_envs().filter(|(_, value)| value.is_none());
    Ok(removed.map(|(name, _)| name.to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_that_git_calls_local_are_known() {
        let known = local_git_variables().unwrap();
        for name in ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY"] {
            assert!(known.iter().any(|known| known == name), "{name}");
        }
    }
}
