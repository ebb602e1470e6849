//! Where a secret for a run is read from: a file, or a descriptor that the caller opened. Never an argument or a variable.

use std::{
    fmt,
    fs::File,
    io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use carnet_core::ExitCode;
use carnet_sandbox::Secret;

use crate::error::CommandError;

/// The path of standard input.
const STDIN: &str = "/dev/fd/0";

/// `NAME=file:PATH` or `NAME=fd:NUMBER`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSource {
    /// The name that the command knows it by.
    pub name: String,
    path: PathBuf,
}

impl SecretSource {
    /// Reads the form that is typed.
    ///
    /// # Errors
    ///
    /// What is wrong, never the text after a source that is not known: it may be the secret itself.
    pub fn parse(text: &str) -> Result<SecretSource, String> {
        let (name, source) = text.split_once('=').unwrap_or((text, ""));
        let path = if let Some(path) = source.strip_prefix("file:").filter(|it| !it.is_empty()) {
            PathBuf::from(path)
        } else if let Some(number) = source.strip_prefix("fd:") {
            let number: u16 = number.parse().map_err(|_| "a descriptor is a number".to_owned())?;
            if [1, 2].contains(&number) {
                return Err("descriptors 1 and 2 are outputs".to_owned());
            }
            PathBuf::from(format!("/dev/fd/{number}"))
        } else {
            return Err(
                "a secret is `NAME=file:PATH` or `NAME=fd:NUMBER`; its value is never an argument"
                    .to_owned(),
            );
        };
        Ok(SecretSource { name: name.to_owned(), path })
    }

    /// Reads the secret as it is.
    ///
    /// # Errors
    ///
    /// Those of [`Secret::read`].
    pub fn read(&self) -> io::Result<Secret> {
        // Standard input may be a pipe that another user made: it is read as it is, not opened again.
        let stdin =
            (self.path == Path::new(STDIN)).then(|| io::stdin().as_fd().try_clone_to_owned());
        let file = match stdin {
            Some(descriptor) => File::from(descriptor?),
            None => File::open(&self.path)?,
        };
        Secret::read(&self.name, file)
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.path.display())
    }
}

/// Reads what a command is to be handed. To be called before anything is opened: later a number could be one of our own
/// descriptors.
pub fn read_secrets(sources: &[String]) -> Result<Vec<Secret>, CommandError> {
    let read = |text: &String| {
        // Not the command line's own parser, which would repeat a value that was typed by mistake.
        let source = SecretSource::parse(text)
            .map_err(|message| CommandError::new(ExitCode::Usage, message))?;
        source.read().map_err(|error| {
            let message = format!("cannot read secret `{}` from {source}: {error}", source.name);
            CommandError::new(ExitCode::Usage, message).hint(
                "Name a file (`NAME=file:PATH`) or an open descriptor (`NAME=fd:0`, `NAME=fd:3 3<PATH`).",
            )
        })
    };
    let secrets: Vec<Secret> = sources.iter().map(read).collect::<Result<_, _>>()?;
    let mut names: Vec<&str> = secrets.iter().map(Secret::name).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => {
            let message = format!("secret `{}` is given twice", pair[0]);
            Err(CommandError::new(ExitCode::Usage, message).hint("Give each its own name."))
        }
        None => Ok(secrets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_descriptors_are_sources_and_values_are_not() {
        let path = |text: &str| SecretSource::parse(text).map(|it| (it.name, it.path));
        assert_eq!(path("A=file:k"), Ok(("A".to_owned(), "k".into())));
        assert_eq!(path("A=fd:3"), Ok(("A".to_owned(), "/dev/fd/3".into())));
        assert_eq!(path("A=fd:0").unwrap().1, PathBuf::from("/dev/fd/0"));
        for bad in
            ["A", "A=sesame", "A=file:", "A=fd:", "A=fd:x", "A=fd:-1", "A=fd:2", "A=fd:99999"]
        {
            let why = path(bad).unwrap_err();
            assert!(!why.contains("sesame"), "{why}");
        }
    }
}
