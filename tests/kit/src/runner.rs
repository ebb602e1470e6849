//! Running a binary under test.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::Write,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{TestRepo, hermetic, user};

/// A binary to run, with hermetic surroundings. Build with [`Runner::new`], end with [`Runner::run`].
#[derive(Debug, Clone)]
pub struct Runner {
    binary: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    dir: Option<PathBuf>,
    home: Option<PathBuf>,
    stdin: Vec<u8>,
    ordinary: bool,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Standard output, with invalid UTF-8 replaced.
    pub stdout: String,
    /// Standard error, with invalid UTF-8 replaced.
    pub stderr: String,
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
}

impl Ran {
    /// Returns itself if the exit code is `code`, else stops the test with the whole output.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Ran {
        let Ran { stdout, stderr, .. } = &self;
        assert_eq!(self.code, Some(code), "\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
        self
    }
}

impl Runner {
    /// Takes the path of a binary, such as `env!("CARGO_BIN_EXE_carnet")`.
    pub fn new(binary: impl AsRef<Path>) -> Runner {
        Runner {
            binary: binary.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            dir: None,
            home: None,
            stdin: Vec::new(),
            ordinary: false,
        }
    }

    /// Runs it at the top of a repository's work tree, with the repository's HOME.
    pub fn in_repo(mut self, repo: &TestRepo) -> Runner {
        self.dir = Some(repo.path().to_owned());
        self.home = Some(repo.home());
        self
    }

    /// Runs it in a directory.
    pub fn in_dir(mut self, dir: impl AsRef<Path>) -> Runner {
        self.dir = Some(dir.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Runner {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Adds a variable to the hermetic environment, or replaces one.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Runner {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Gives it bytes on standard input.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Runner {
        self.stdin = bytes.into();
        self
    }

    /// Runs it as an unprivileged user when the tests run as root; otherwise changes nothing.
    ///
    /// The files it shall reach must be that user's: [`TestRepo::give_to_ordinary_user`]. The binary is
    /// copied to where that user can execute it.
    pub fn as_ordinary_user(mut self) -> Runner {
        self.ordinary = true;
        self
    }

    /// Runs it to its end.
    pub fn run(&self) -> Ran {
        let switch = self.ordinary && user::is_root();
        let readable =
            (switch && !everyone_can_execute(&self.binary)).then(|| readable_copy(&self.binary));
        let binary = readable.as_ref().map_or(self.binary.as_path(), |copy| copy.1.as_path());
        let mut command = self.command(binary);
        if switch {
            // The standard library drops the supplementary groups with the user id.
            command.gid(user::ORDINARY_UID).uid(user::ORDINARY_UID);
        }
        let mut child = command.spawn().expect("the binary under test starts");
        let mut stdin = child.stdin.take().unwrap();
        let input = self.stdin.clone();
        // From another thread, so that a child which writes before it reads does not stand still.
        let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap();
        Ran {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code(),
        }
    }

    fn command(&self, binary: &Path) -> Command {
        let mut command = Command::new(binary);
        let home = self.home.clone().unwrap_or_else(|| PathBuf::from("/nonexistent"));
        hermetic(&mut command, &home);
        command.args(&self.args).envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// Tells whether every directory on the way lets everyone pass and everyone may execute the file.
fn everyone_can_execute(binary: &Path) -> bool {
    let lets_pass =
        |path: &Path| fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0);
    binary.ancestors().all(|path| path.as_os_str().is_empty() || lets_pass(path))
}

/// What the directories of copies are named by, before the process that made them.
const COPY_PREFIX: &str = "carnet-bin-";

/// Copies a binary to a place that every user can reach; it goes with the returned directory.
///
/// A static holds the directory as a rule, and those are not dropped: so copies of processes that ended go first.
pub fn readable_copy(binary: &Path) -> (tempfile::TempDir, PathBuf) {
    remove_copies_of_the_dead();
    let prefix = format!("{COPY_PREFIX}{}-", std::process::id());
    let dir = tempfile::Builder::new().prefix(&prefix).tempdir().unwrap();
    let everyone = fs::Permissions::from_mode(0o755);
    fs::set_permissions(dir.path(), everyone.clone()).unwrap();
    let copy = dir.path().join(binary.file_name().unwrap());
    // By another process: were the copy ever open for writing here, a child forked by another test at that moment would
    // keep it so, and it could not be executed.
    assert!(Command::new("cp").arg(binary).arg(&copy).status().unwrap().success());
    fs::set_permissions(&copy, everyone).unwrap();
    (dir, copy)
}

fn remove_copies_of_the_dead() {
    for entry in fs::read_dir(std::env::temp_dir()).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let maker = name.strip_prefix(COPY_PREFIX).and_then(|rest| rest.split_once('-'));
        let is_dead = maker.is_some_and(|(pid, _)| {
            pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists()
        });
        if is_dead {
            // Another process may be removing it too.
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_exit_code_and_extra_variables_are_captured() {
        let script = "cat; echo \"$WORD\" >&2; exit 7";
        let runner = Runner::new("/bin/sh").args(["-c", script]).env("WORD", "aside");
        let ran = runner.stdin("inward").run().expect_code(7);
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("inward", "aside\n"));
    }

    #[test]
    fn an_ordinary_user_is_not_root_and_owns_what_was_given() {
        let repo = TestRepo::init();
        repo.give_to_ordinary_user();
        let id = fs::canonicalize("/usr/bin/id").unwrap();
        let ran = Runner::new(id).args(["-u"]).in_repo(&repo).as_ordinary_user().run();
        assert_ne!(ran.expect_code(0).stdout, "0\n");
        let git = "git commit -q --allow-empty -m mine && git log --format=%s";
        let sh = fs::canonicalize("/bin/sh").unwrap();
        let ran = Runner::new(sh).args(["-c", git]).in_repo(&repo).as_ordinary_user().run();
        assert_eq!(ran.expect_code(0).stdout, "mine\n");
    }
}
