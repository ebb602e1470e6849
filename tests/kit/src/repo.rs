//! Repositories made for one test.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

use crate::user;

/// Name of the person who commits.
pub const AUTHOR_NAME: &str = "Ada Tester";
/// Their address.
pub const AUTHOR_EMAIL: &str = "ada@example.com";
/// When every commit is made: 2026-01-02 03:04:05 UTC, as seconds since 1970.
pub const COMMIT_TIME: i64 = 1_767_323_045;

/// How a repository names objects and keeps refs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// SHA-1, refs in files: git's default.
    Plain,
    /// SHA-256, refs in files.
    Sha256,
    /// SHA-1, refs in reftables.
    Reftable,
    /// SHA-256, refs in reftables.
    Sha256Reftable,
}

impl Format {
    /// Every format, for tests that run on each.
    pub const ALL: [Format; 4] =
        [Format::Plain, Format::Sha256, Format::Reftable, Format::Sha256Reftable];

    /// Returns the options of `git init` that make it.
    pub fn init_options(self) -> &'static [&'static str] {
        match self {
            Format::Plain => &["--object-format=sha1", "--ref-format=files"],
            Format::Sha256 => &["--object-format=sha256", "--ref-format=files"],
            Format::Reftable => &["--object-format=sha1", "--ref-format=reftable"],
            Format::Sha256Reftable => &["--object-format=sha256", "--ref-format=reftable"],
        }
    }

    /// Tells whether refs are kept in reftables.
    pub fn is_reftable(self) -> bool {
        matches!(self, Format::Reftable | Format::Sha256Reftable)
    }
}

/// A repository in a temporary directory, with room beside it for others.
pub struct TestRepo {
    dir: TempDir,
    path: PathBuf,
}

impl Default for TestRepo {
    fn default() -> TestRepo {
        TestRepo::init()
    }
}

impl TestRepo {
    /// Makes an empty repository with a work tree.
    pub fn init() -> TestRepo {
        TestRepo::with(Format::Plain)
    }

    /// Makes an empty repository with a work tree, of a given format.
    pub fn with(format: Format) -> TestRepo {
        let repo = TestRepo::without_repository();
        let mut args = vec!["init", "-q"];
        args.extend(format.init_options());
        repo.git(&args);
        repo
    }

    /// Makes an empty bare repository.
    pub fn bare() -> TestRepo {
        let repo = TestRepo::without_repository();
        repo.git(&["init", "-q", "--bare"]);
        repo
    }

    /// Makes the directories and no repository.
    pub fn without_repository() -> TestRepo {
        let dir = tempfile::Builder::new().prefix("carnet-test-").tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let path = root.join("repo");
        fs::create_dir(&path).unwrap();
        let home = root.join("home");
        fs::create_dir(&home).unwrap();
        fs::write(home.join(".gitconfig"), gitconfig()).unwrap();
        TestRepo { dir, path }
    }

    /// Returns the top of the work tree, or the bare repository.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the temporary directory that holds the repository; room for clones and worktrees.
    pub fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    /// Returns the directory that is HOME for every command.
    pub fn home(&self) -> PathBuf {
        self.root().join("home")
    }

    /// Returns a command with the hermetic environment, started at the top of the work tree.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        hermetic(&mut command, &self.home());
        command.current_dir(&self.path);
        command
    }

    /// Runs git and returns its standard output without the last newline.
    pub fn git(&self, args: &[&str]) -> String {
        self.git_in(&self.path, args)
    }

    /// Runs git in another directory, such as a linked worktree.
    pub fn git_in(&self, dir: &Path, args: &[&str]) -> String {
        let output = self.command("git").current_dir(dir).args(args).output().unwrap();
        let stdout = succeed(&format!("git {args:?}"), output).stdout;
        let mut text = String::from_utf8(stdout).expect("git answers in UTF-8 here");
        if text.ends_with('\n') {
            text.pop();
        }
        text
    }

    /// Runs git and returns its standard output as it is.
    pub fn git_bytes(&self, args: &[&str]) -> Vec<u8> {
        let output = self.command("git").args(args).output().unwrap();
        succeed(&format!("git {args:?}"), output).stdout
    }

    /// Runs git and tells whether it succeeded; the output is the caller's.
    pub fn try_git(&self, args: &[&str]) -> Output {
        self.command("git").args(args).output().unwrap()
    }

    /// Writes a file in the work tree, with the directories above it.
    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) -> &TestRepo {
        let path = self.path.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    /// Commits the whole work tree, even when nothing changed, and returns the commit's id.
    pub fn commit_all(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs a commented shell script at the top of the work tree; the first failing command ends it.
    pub fn script(&self, script: &str) -> &TestRepo {
        let mut command = self.command("/bin/sh");
        let output = command.args(["-eu", "-c", script]).stdin(Stdio::null()).output().unwrap();
        succeed(script, output);
        self
    }

    /// Gives every file to the ordinary user that tests run commands as, when they run as root.
    pub fn give_to_ordinary_user(&self) -> &TestRepo {
        user::give_to_ordinary_user(&self.root());
        self
    }
}

/// Replaces a command's environment by a pinned one.
///
/// Kept are `PATH` and what the loader and coverage tools need; set are HOME, identity, dates, locale and
/// time zone.
pub fn hermetic(command: &mut Command, home: &Path) {
    command.env_clear();
    for name in ["PATH", "LD_LIBRARY_PATH", "LLVM_PROFILE_FILE", "TMPDIR"] {
        if let Some(value) = env::var_os(name) {
            command.env(name, value);
        }
    }
    let date = format!("{COMMIT_TIME} +0000");
    command
        .env("HOME", home)
        .env("XDG_CONFIG_HOME", home.join(".config"))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", home.join(".gitconfig"))
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_AUTHOR_NAME", AUTHOR_NAME)
        .env("GIT_AUTHOR_EMAIL", AUTHOR_EMAIL)
        .env("GIT_AUTHOR_DATE", &date)
        .env("GIT_COMMITTER_NAME", AUTHOR_NAME)
        .env("GIT_COMMITTER_EMAIL", AUTHOR_EMAIL)
        .env("GIT_COMMITTER_DATE", &date)
        .env("LC_ALL", "C")
        .env("TZ", "UTC");
}

fn gitconfig() -> String {
    format!(
        "[user]\n\tname = {AUTHOR_NAME}\n\temail = {AUTHOR_EMAIL}\n\
         [init]\n\tdefaultBranch = main\n\
         [protocol \"file\"]\n\tallow = always\n\
         [gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n\
         [commit]\n\tgpgSign = false\n[core]\n\tautocrlf = false\n\
         [advice]\n\tdetachedHead = false\n"
    )
}

fn succeed(what: &str, output: Output) -> Output {
    assert!(
        output.status.success(),
        "{what}\nended with {}\n--- stdout\n{}\n--- stderr\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_repositories_made_alike_have_the_same_commits() {
        let make = || {
            let repo = TestRepo::init();
            repo.write("a/b.txt", "text").commit_all("first")
        };
        assert_eq!(make(), make());
    }

    #[test]
    fn a_variable_of_the_caller_does_not_reach_git() {
        let repo = TestRepo::init();
        let mut command = Command::new("git");
        command.env("GIT_DIR", "/nowhere");
        hermetic(&mut command, &repo.home());
        let output = command.current_dir(repo.path()).args(["rev-parse", "--git-dir"]).output();
        assert_eq!(String::from_utf8(output.unwrap().stdout).unwrap(), ".git\n");
    }

    #[test]
    #[should_panic(expected = "ended with")]
    fn a_failing_script_stops_the_test() {
        TestRepo::init().script("# The first failure ends it.\nfalse\ntrue");
    }

    #[test]
    fn every_format_is_what_it_says() {
        for format in Format::ALL {
            let repo = TestRepo::with(format);
            let answer = repo.git(&["rev-parse", "--show-object-format", "--show-ref-format"]);
            let expected: Vec<_> = format
                .init_options()
                .iter()
                .map(|option| option.split_once('=').unwrap().1)
                .collect();
            assert_eq!(answer.lines().collect::<Vec<_>>(), expected);
        }
    }
}
