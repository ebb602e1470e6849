//! Running programs and saying what was run.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// A program to run.
pub struct Cmd(Command);

/// What a program printed and how it ended.
pub struct Answer {
    /// Exit code; -1 for a signal.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Cmd {
    /// Names the program.
    pub fn new(program: impl AsRef<OsStr>) -> Cmd {
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        Cmd(command)
    }

    /// Adds one argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Cmd {
        self.0.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: &[&str]) -> Cmd {
        self.0.args(args);
        self
    }

    /// Sets the directory.
    pub fn dir(mut self, dir: &Path) -> Cmd {
        self.0.current_dir(dir);
        self
    }

    /// Sets one variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Cmd {
        self.0.env(name, value);
        self
    }

    /// Gives it something to read.
    pub fn stdin(mut self, input: Stdio) -> Cmd {
        self.0.stdin(input);
        self
    }

    /// Lets it write there.
    pub fn stdout(mut self, output: Stdio) -> Cmd {
        self.0.stdout(output);
        self
    }

    /// Runs it with its output shown; an error unless it exits with 0.
    pub fn run(mut self) -> Result<(), String> {
        let status = self.0.status().map_err(|error| self.failed(&error))?;
        if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", self.name())) }
    }

    /// Runs it and keeps its output.
    pub fn answer(mut self) -> Result<Answer, String> {
        let Output { status, stdout, stderr } =
            self.0.output().map_err(|error| self.failed(&error))?;
        Ok(Answer {
            code: status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        })
    }

    /// Runs it and returns what it printed; an error unless it exits with 0.
    pub fn read(self) -> Result<String, String> {
        let name = self.name();
        let answer = self.answer()?;
        if answer.code == 0 {
            Ok(answer.stdout)
        } else {
            Err(format!("{name} exited with {}:\n{}", answer.code, answer.stderr))
        }
    }

    /// The command line, for people.
    pub fn name(&self) -> String {
        let program = Path::new(self.0.get_program());
        let program = program.file_name().unwrap_or(self.0.get_program());
        let words = std::iter::once(program).chain(self.0.get_args());
        words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
    }

    fn failed(&self, error: &std::io::Error) -> String {
        format!("cannot run {}: {error}", self.name())
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The root of this checkout.
pub fn repository_root() -> PathBuf {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_dir.parent().expect("because xtask/ lies in the root").to_owned()
}
