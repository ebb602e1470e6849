//! The `git` program, for what gix cannot do: reftable refs, writing configuration, the reason of a refusal.
//!
//! Children either see the hook's own environment, because they answer for it, or have it scrubbed of every
//! variable that points at a repository, because a hook's `GIT_INDEX_FILE` must not reach another one.

use std::{
    env,
    ffi::OsStr,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::Repo;

/// Variables that tie git to one repository, as `git rev-parse --local-env-vars` lists them.
///
/// A process that outlives a hook, or works on another repository, is started without them.
pub const LOCAL_ENV_VARS: [&str; 17] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
    "GIT_OBJECT_DIRECTORY",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_COMMON_DIR",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_QUARANTINE_PATH",
];

/// No file can be here: grafts would hide parents of commits, and what came with these.
const NO_GRAFTS: &str = "/dev/null/none";

/// Why the `git` program gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// No `git` on `PATH`.
    #[error("the `git` program is not on PATH")]
    Missing,
    /// It could not be started or spoken to.
    #[error("run `git {command}`")]
    Io {
        /// The subcommand.
        command: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It ended with a failure.
    #[error("`git {command}` failed: {stderr}")]
    Failed {
        /// The subcommand.
        command: String,
        /// Its exit code; `None` when a signal ended it.
        code: Option<i32>,
        /// What it wrote to standard error, trimmed.
        stderr: String,
    },
    /// It answered something that carnet does not understand.
    #[error("`git {command}` answered `{answer}`")]
    Answer {
        /// The subcommand.
        command: String,
        /// The answer.
        answer: String,
    },
}

/// Returns the path of the `git` program: the first executable file of that name on `PATH`.
///
/// # Errors
///
/// [`ProgramError::Missing`] when there is none.
pub fn git_program() -> Result<PathBuf, ProgramError> {
    let path = env::var_os("PATH").ok_or(ProgramError::Missing)?;
    env::split_paths(&path)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join("git"))
        .find(|candidate| is_executable(candidate))
        .ok_or(ProgramError::Missing)
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Returns git's version as three numbers; vendor suffixes are dropped.
///
/// # Errors
///
/// [`ProgramError`] when git is missing or answers something else than a version.
pub fn git_version() -> Result<(u32, u32, u32), ProgramError> {
    let mut command = scrubbed_git()?;
    command.arg("version");
    let answer = text(run(command, None)?);
    parse_version(&answer)
        .ok_or_else(|| ProgramError::Answer { command: "version".to_owned(), answer })
}

fn parse_version(answer: &str) -> Option<(u32, u32, u32)> {
    let mut numbers = answer.strip_prefix("git version ")?.split(['.', ' ', '-', '\n']);
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next()?.parse().ok()?;
    let patch = numbers.next().and_then(|number| number.parse().ok()).unwrap_or(0);
    Some((major, minor, patch))
}

/// Returns a `git` command whose environment points at no repository.
///
/// # Errors
///
/// [`ProgramError::Missing`] when there is no git.
pub fn scrubbed_git() -> Result<Command, ProgramError> {
    let mut command = plain_git()?;
    for name in LOCAL_ENV_VARS {
        command.env_remove(name);
    }
    Ok(command)
}

fn plain_git() -> Result<Command, ProgramError> {
    let mut command = Command::new(git_program()?);
    command.env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0").env("GIT_NO_LAZY_FETCH", "1");
    command.stdin(Stdio::null());
    Ok(command)
}

impl Repo {
    /// Returns a `git` command for this repository: the environment scrubbed, the git directory and work
    /// tree given by name, started at the top of the work tree.
    ///
    /// # Errors
    ///
    /// [`ProgramError::Missing`] when there is no git.
    pub fn git(&self) -> Result<Command, ProgramError> {
        let mut command = scrubbed_git()?;
        command.current_dir(self.work_tree().unwrap_or(self.git_dir()));
        command.arg("--git-dir").arg(self.git_dir());
        if let Some(work_tree) = self.work_tree() {
            command.arg("--work-tree").arg(work_tree);
        }
        command.env("GIT_NO_REPLACE_OBJECTS", "1").env("GIT_GRAFT_FILE", NO_GRAFTS);
        Ok(command)
    }

    /// Returns the directory in which git looks for hooks, absolute: `core.hooksPath` or the default.
    ///
    /// # Errors
    ///
    /// [`ProgramError`] when git does not answer.
    pub fn hooks_dir(&self) -> Result<PathBuf, ProgramError> {
        let mut command = self.git()?;
        command.args(["rev-parse", "--git-path", "hooks"]);
        let mut answer = run(command, None)?.stdout;
        if answer.last() == Some(&b'\n') {
            answer.pop();
        }
        // Git resolves a relative path from the directory it runs hooks in: where `git()` starts.
        let answer = PathBuf::from(bytes_to_os(answer));
        Ok(self.work_tree().unwrap_or(self.git_dir()).join(answer))
    }

    /// Runs `git` on this repository and returns its standard output.
    pub(crate) fn run_git(
        &self,
        args: &[&str],
        input: Option<&[u8]>,
    ) -> Result<Vec<u8>, ProgramError> {
        let mut command = self.git()?;
        command.args(args);
        Ok(run(command, input)?.stdout)
    }

    /// Like [`Repo::run_git`], in the environment and at the place where carnet itself was called.
    pub(crate) fn run_git_as_hook(&self, args: &[&str]) -> Result<Vec<u8>, ProgramError> {
        let mut command = plain_git()?;
        if env::var_os("GIT_DIR").is_none() {
            command.current_dir(&self.start);
        }
        // The blobs a partial clone lacks may be fetched here: git decides as it would for the user.
        command.env_remove("GIT_NO_LAZY_FETCH").env("GIT_NO_REPLACE_OBJECTS", "1");
        command.args(args);
        Ok(run(command, None)?.stdout)
    }
}

/// Asks git something about the repository of `dir`, in the hook's own environment.
pub(crate) fn ask(dir: &Path, args: &[&str]) -> Result<String, ProgramError> {
    let mut command = plain_git()?;
    command.current_dir(dir).args(args);
    Ok(text(run(command, None)?))
}

/// Runs a command to its end; a failure of it is an error.
pub(crate) fn run(mut command: Command, input: Option<&[u8]>) -> Result<Output, ProgramError> {
    let name = subcommand(&command);
    let io = |source| ProgramError::Io { command: name.clone(), source };
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    if input.is_some() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn().map_err(io)?;
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        // A child that ends early says why on standard error; the closed pipe says nothing.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output().map_err(io)?;
    if output.status.success() {
        return Ok(output);
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(ProgramError::Failed { command: name, code: output.status.code(), stderr })
}

/// The first argument that is neither a global option nor its value.
fn subcommand(command: &Command) -> String {
    let mut args = command.get_args().map(OsStr::to_string_lossy);
    while let Some(arg) = args.next() {
        match arg.as_ref() {
            "--git-dir" | "--work-tree" | "-C" | "-c" => drop(args.next()),
            _ => return arg.into_owned(),
        }
    }
    String::new()
}

pub(crate) fn text(output: Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

fn bytes_to_os(bytes: Vec<u8>) -> std::ffi::OsString {
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_every_vendor_are_read() {
        assert_eq!(parse_version("git version 2.47.3"), Some((2, 47, 3)));
        assert_eq!(parse_version("git version 2.39.5 (Apple Git-154)"), Some((2, 39, 5)));
        assert_eq!(parse_version("git version 2.55.GIT"), Some((2, 55, 0)));
        assert_eq!(parse_version("hub version 2"), None);
    }

    #[test]
    fn every_variable_that_git_calls_local_is_scrubbed() {
        let answer = Command::new("git").args(["rev-parse", "--local-env-vars"]).output().unwrap();
        for name in String::from_utf8(answer.stdout).unwrap().lines() {
            assert!(LOCAL_ENV_VARS.contains(&name), "{name} is not scrubbed");
        }
    }
}
