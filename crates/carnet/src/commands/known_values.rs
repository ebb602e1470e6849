//! The values that this workspace knows by name: variables, `.env` files, and what is named on the command line.
//!
//! Of what nobody named, only what looks like a secret is taken; what cannot be looked for is an error when it was named.

use std::{
    collections::HashSet,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use carnet_core::ExitCode;
use carnet_git::Repo;
use carnet_scan::{KnownValue, KnownValues};

use super::{secret_source::read_secrets, secret_store::SecretStores};
use crate::{error::CommandError, workspace::Workspace};

/// Bytes of the largest `.env` file.
const ENV_FILE_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a value that looks like a secret, when its name does not.
const TELLING_BYTES_MIN: usize = 16;
/// Parts of names that hold secrets.
const SECRET_WORDS: &[&str] = &[
    "KEY",
    "APIKEY",
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASS",
    "PASSPHRASE",
    "PWD",
    "CREDENTIAL",
    "CREDENTIALS",
    "AUTH",
    "DSN",
    "PAT",
    "COOKIE",
    "SALT",
    "PRIVATE",
];

/// What is named on the command line.
pub struct Named<'a> {
    pub variables: &'a [String],
    pub env_files: &'a [PathBuf],
    pub secrets: &'a [String],
    /// Whether what the secret store holds is known too.
    pub store: bool,
}

/// Returns the values that are known; those that were named come first, and give their name to equal ones.
pub fn known_values(
    workspace: Option<&Workspace>,
    named: &Named<'_>,
) -> Result<KnownValues, CommandError> {
    known_values_and(workspace, named, vec![])
}

/// The same, and values that the caller read already.
pub fn known_values_and(
    workspace: Option<&Workspace>,
    named: &Named<'_>,
    given: Vec<KnownValue>,
) -> Result<KnownValues, CommandError> {
    let repo = workspace.map(|it| &it.repo);
    let mut values = given;
    for secret in read_secrets(named.secrets)? {
        let value = secret.bytes().to_vec().into();
        values.push(KnownValue { name: secret.name().to_owned(), value });
    }
    for name in named.variables {
        let value = std::env::var_os(name).ok_or_else(|| {
            CommandError::new(ExitCode::Usage, format!("there is no variable `{name}`"))
                .hint("Name a variable of the environment, or a file with `--env-file FILE`.")
        })?;
        values.push(known(name, value.as_encoded_bytes()));
    }
    for path in named.env_files {
        let text = read_env_file(path).map_err(|error| {
            CommandError::new(ExitCode::Usage, format!("cannot read `{}`: {error}", path.display()))
        })?;
        values.extend(assignments(&text).map(|(name, value)| known(name, &value)));
    }
    let n_named = values.len();
    if named.store && repo.is_some() {
        values.extend(kept()?);
    }
    values.extend(found(repo));
    let names: HashSet<String> = values[..n_named].iter().map(|it| it.name.clone()).collect();
    let mut seen = HashSet::new();
    values.retain(|it| seen.insert(it.value.trim_ascii().to_vec()));
    let (known, refused) = KnownValues::new(values);
    // A file of variables holds many that are no secrets.
    let is_named = |name: &String| {
        named.variables.contains(name)
            || named.secrets.iter().any(|it| it.starts_with(&format!("{name}=")))
    };
    match refused.iter().find(|(name, _)| names.contains(name) && is_named(name)) {
        Some((name, why)) => Err(CommandError::new(
            ExitCode::Usage,
            format!("the value of `{name}` cannot be looked for: it {why}"),
        )
        .hint("Leave it out; ordinary text would be full of it.")),
        None => Ok(known),
    }
}

/// What the secret store in force holds, under its names.
fn kept() -> Result<Vec<KnownValue>, CommandError> {
    let stores = SecretStores::open(Workspace::discover()?)?;
    stores.all("redact").map_err(|error| {
        error.hint("To redact without what the secret store holds, add `--no-store`.")
    })
}

/// What looks like a secret in the environment and in the `.env` files at the top of the work tree.
fn found(repo: Option<&Repo>) -> Vec<KnownValue> {
    let mut found = vec![];
    for (name, value) in std::env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        if is_secret_name(name) && !is_place(value.as_encoded_bytes()) {
            found.push(known(name, value.as_encoded_bytes()));
        }
    }
    let top = repo.and_then(Repo::work_tree).unwrap_or(Path::new("."));
    let mut files: Vec<PathBuf> = std::fs::read_dir(top)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().and_then(|it| it.to_str()).is_some_and(is_env_file))
        .collect();
    files.sort();
    for text in files.iter().filter_map(|path| read_env_file(path).ok()) {
        let telling = assignments(&text).filter(|(name, value)| is_telling(name, value));
        found.extend(telling.map(|(name, value)| known(name, &value)));
    }
    found
}

fn known(name: &str, value: &[u8]) -> KnownValue {
    KnownValue { name: name.to_owned(), value: value.to_vec().into() }
}

/// `.env` and `.env.production`, and none that is there to be copied.
fn is_env_file(name: &str) -> bool {
    let is_sample = ["example", "sample", "template", "dist"].iter().any(|it| name.ends_with(it));
    (name == ".env" || name.starts_with(".env.")) && !is_sample
}

fn is_secret_name(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    !["PWD", "OLDPWD"].contains(&upper.as_str())
        && upper.split(['_', '-', '.']).any(|part| SECRET_WORDS.contains(&part))
}

/// A path says where a secret is.
fn is_place(value: &[u8]) -> bool {
    value.starts_with(b"/") || value.starts_with(b"./") || value.starts_with(b"~/")
}

/// Whether a value in a file of variables is one to hide: by its name, or because it is long, mixed and no plain address.
fn is_telling(name: &str, value: &[u8]) -> bool {
    let holds = |is: fn(&u8) -> bool| value.iter().any(is);
    let is_mixed = holds(u8::is_ascii_digit) && holds(u8::is_ascii_alphabetic);
    let is_address = memchr(value, b"://") && !value.contains(&b'@');
    !is_place(value)
        && !is_address
        && (is_secret_name(name)
            || memchr(value, b"://")
            || value.len() >= TELLING_BYTES_MIN && is_mixed && !value.contains(&b' '))
}

fn memchr(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|it| it == part)
}

fn read_env_file(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(ENV_FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Reads `NAME=value` lines: `export` before, quotes around, comments after.
fn assignments(text: &str) -> impl Iterator<Item = (&str, Vec<u8>)> {
    text.lines().filter_map(|line| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=')?;
        let name = name.trim();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        (!name.is_empty() && name.bytes().all(is_name)).then(|| (name, unquoted(value.trim())))
    })
}

fn unquoted(value: &str) -> Vec<u8> {
    if let Some(rest) = value.strip_prefix('\'') {
        return rest.split('\'').next().unwrap_or(rest).into();
    }
    let Some(rest) = value.strip_prefix('"') else {
        return value.split(" #").next().unwrap_or(value).trim_end().into();
    };
    let (mut made, mut chars) = (String::new(), rest.chars());
    while let Some(c) = chars.next().filter(|c| *c != '"') {
        match if c == '\\' { chars.next() } else { None } {
            Some('n') => made.push('\n'),
            Some('t') => made.push('\t'),
            Some(escaped) => made.push(escaped),
            None => made.push(c),
        }
    }
    made.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_variables_are_read_as_shells_write_them() {
        let text = "# c\nexport A=one # why\nB='two # no'\nC=\"th\\\"ree\\n\"\n = x\nD\nE=\n";
        let read: Vec<(&str, String)> = assignments(text)
            .map(|(name, value)| (name, String::from_utf8(value).unwrap()))
            .collect();
        let expect = [("A", "one"), ("B", "two # no"), ("C", "th\"ree\n"), ("E", "")];
        assert_eq!(read, expect.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn secrets_are_told_by_name_or_by_look() {
        // No scanner shall find it here.
        let with_password = ["postgres://u:", "p1@db/x"].concat();
        for (name, value, expect) in [
            ("API_TOKEN", "abc", true),
            ("keyboard", "de-latin1-nodeadkeys1", true),
            ("MODE", "production", false),
            ("HOST", "https://a1.example.com/api/v1", false),
            ("DB", with_password.as_str(), true),
            ("SSH_AUTH_SOCK", "/tmp/agent.1", false),
        ] {
            assert_eq!(is_telling(name, value.as_bytes()), expect, "{name}");
        }
        assert!(!is_secret_name("PWD") && is_secret_name("DB_PWD") && !is_secret_name("KEYBOARD"));
    }
}
