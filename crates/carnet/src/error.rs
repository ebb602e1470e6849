//! Errors as people meet them: a heading, causes, hints and an exit code. Only this crate does that sorting.

use std::{error::Error, fmt::Write as _};

use carnet_core::ExitCode;

use crate::ui::Ui;

/// An error on its way to a person.
#[derive(Debug)]
pub struct CommandError {
    /// The kind, as the exit code that scripts see.
    pub exit: ExitCode,
    /// A lowercase fragment saying what failed.
    pub message: String,
    /// What caused it, outermost first.
    pub causes: Vec<String>,
    /// Imperative sentences with the command to type next.
    pub hints: Vec<String>,
}

impl CommandError {
    /// Makes an error of one kind.
    pub fn new(exit: ExitCode, message: impl Into<String>) -> CommandError {
        CommandError { exit, message: message.into(), causes: vec![], hints: vec![] }
    }

    /// Makes an error of a library's one, with its chain of sources as causes.
    pub fn of(exit: ExitCode, error: &(dyn Error + 'static)) -> CommandError {
        let mut made = CommandError::new(exit, error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            // A full disk looks alike from every room.
            if cause.downcast_ref::<std::io::Error>().is_some_and(is_machine_failure) {
                made.exit = ExitCode::Io;
            }
            let text = cause.to_string();
            if made.causes.last() != Some(&text) && made.message != text {
                made.causes.push(text);
            }
            source = cause.source();
        }
        made
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> CommandError {
        self.hints.push(hint.into());
        self
    }

    /// Writes heading, causes and hints to standard error.
    pub fn print(&self, ui: &Ui) {
        let heading = match self.exit {
            ExitCode::Refused => "refused",
            ExitCode::Usage => "usage error",
            ExitCode::Config => "configuration error",
            ExitCode::Bug => "internal error",
            _ => "error",
        };
        let mut text = format!("{} {}\n", ui.red(&format!("{heading}:")), self.message);
        for cause in &self.causes {
            let _ = writeln!(text, "  caused by: {cause}");
        }
        for hint in &self.hints {
            let _ = writeln!(text, "{} {hint}", ui.cyan("hint:"));
        }
        ui.err(&text);
    }
}

fn is_machine_failure(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{
        FileTooLarge, OutOfMemory, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };
    matches!(
        error.kind(),
        StorageFull | QuotaExceeded | FileTooLarge | OutOfMemory | ReadOnlyFilesystem
    )
}

/// What every command returns.
pub type CommandResult = Result<ExitCode, CommandError>;
