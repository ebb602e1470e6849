//! Where a secret for a run is read from: the secret store, a file, or a descriptor that the caller opened. Never an argument or a
//! variable.

use std::{
    fs::File,
    io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use carnet_access::secrets::SecretName;
use carnet_core::ExitCode;
use carnet_sandbox::Secret;
use zeroize::Zeroizing;

use super::secret_store::SecretStores;
use crate::{error::CommandError, workspace::Workspace};

/// The path of standard input.
const STDIN: &str = "/dev/fd/0";

/// `NAME=store`, `NAME=store:PATH`, `NAME=file:PATH` or `NAME=fd:NUMBER`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSource {
    /// The name that the command knows it by.
    pub name: String,
    from: From,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum From {
    Path(PathBuf),
    Store(SecretName),
}

impl SecretSource {
    /// Reads the form that is typed.
    ///
    /// # Errors
    ///
    /// What is wrong, never the text after a source that is not known: it may be the secret itself.
    pub fn parse(text: &str) -> Result<SecretSource, String> {
        let (name, source) = text.split_once('=').unwrap_or((text, ""));
        let from = if let Some(path) = source.strip_prefix("file:").filter(|it| !it.is_empty()) {
            From::Path(PathBuf::from(path))
        } else if source == "store" {
            From::Store(SecretName::parse(name).map_err(|error| error.to_string())?)
        } else if let Some(kept_as) = source.strip_prefix("store:") {
            From::Store(SecretName::parse(kept_as).map_err(|error| error.to_string())?)
        } else if let Some(number) = source.strip_prefix("fd:") {
            let number: u16 = number.parse().map_err(|_| "a descriptor is a number".to_owned())?;
            if [1, 2].contains(&number) {
                return Err("descriptors 1 and 2 are outputs".to_owned());
            }
            From::Path(PathBuf::from(format!("/dev/fd/{number}")))
        } else {
            return Err(
                "a secret is `NAME=store`, `NAME=file:PATH` or `NAME=fd:NUMBER`; its value is never an argument"
                    .to_owned(),
            );
        };
        Ok(SecretSource { name: name.to_owned(), from })
    }

    fn read(&self, stores: &mut Option<SecretStores>) -> Result<Secret, CommandError> {
        match &self.from {
            From::Path(path) => self.read_path(path).map_err(|error| {
                let shown = path.display();
                let message = format!("cannot read secret `{}` from `{shown}`: {error}", self.name);
                CommandError::new(ExitCode::Usage, message).hint(
                    "Name a file (`NAME=file:PATH`), an open descriptor (`NAME=fd:0`, `NAME=fd:3 3<PATH`) or the store (`NAME=store`).",
                )
            }),
            From::Store(name) => {
                // A name that is none is told before anything is asked.
                let named = |bytes| {
                    Secret::new(&self.name, bytes)
                        .map_err(|error| CommandError::of(ExitCode::Usage, &error))
                };
                named(Zeroizing::default())?;
                let opened = match stores.take() {
                    Some(opened) => opened,
                    None => SecretStores::open(Workspace::discover()?)?,
                };
                named(stores.insert(opened).get(name, "secret handed over")?)
            }
        }
    }

    fn read_path(&self, path: &Path) -> io::Result<Secret> {
        // Standard input may be a pipe that another user made: it is read as it is, not opened again.
        let stdin = (path == Path::new(STDIN)).then(|| io::stdin().as_fd().try_clone_to_owned());
        let file = match stdin {
            Some(descriptor) => File::from(descriptor?),
            None => File::open(path)?,
        };
        Secret::read(&self.name, file)
    }
}

/// Reads what a command is to be handed. To be called before anything is opened: later a number could be one of our own
/// descriptors. For the same reason what comes from the store comes last; the order is kept.
pub fn read_secrets(sources: &[String]) -> Result<Vec<Secret>, CommandError> {
    // Not the command line's own parser, which would repeat a value that was typed by mistake.
    let parse = |text: &String| {
        SecretSource::parse(text).map_err(|message| CommandError::new(ExitCode::Usage, message))
    };
    let sources: Vec<SecretSource> = sources.iter().map(parse).collect::<Result<_, _>>()?;
    let mut names: Vec<&str> = sources.iter().map(|it| it.name.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        let message = format!("secret `{}` is given twice", pair[0]);
        return Err(CommandError::new(ExitCode::Usage, message).hint("Give each its own name."));
    }
    let mut order: Vec<usize> = (0..sources.len()).collect();
    order.sort_by_key(|idx| matches!(sources[*idx].from, From::Store(_)));
    let (mut secrets, mut stores) = (vec![], None);
    for idx in order {
        secrets.push((idx, sources[idx].read(&mut stores)?));
    }
    secrets.sort_by_key(|(idx, _)| *idx);
    Ok(secrets.into_iter().map(|(_, secret)| secret).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_descriptors_are_sources_and_values_are_not() {
        let path = |text: &str| SecretSource::parse(text).map(|it| (it.name, it.from));
        assert_eq!(path("A=file:k"), Ok(("A".to_owned(), From::Path("k".into()))));
        assert_eq!(path("A=fd:3"), Ok(("A".to_owned(), From::Path("/dev/fd/3".into()))));
        assert_eq!(path("A=fd:0").unwrap().1, From::Path("/dev/fd/0".into()));
        let kept = |name| From::Store(SecretName::parse(name).unwrap());
        assert_eq!(path("A=store"), Ok(("A".to_owned(), kept("A"))));
        assert_eq!(path("A=store:db#pw"), Ok(("A".to_owned(), kept("db#pw"))));
        for bad in [
            "A",
            "A=store:",
            "A=store:/x",
            "A=sesame",
            "A=file:",
            "A=fd:",
            "A=fd:x",
            "A=fd:-1",
            "A=fd:2",
            "A=fd:99999",
        ] {
            let why = path(bad).unwrap_err();
            assert!(!why.contains("sesame"), "{why}");
        }
    }
}
