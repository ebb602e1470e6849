//! `policy/secrets.toml`: where secrets are kept. No IO.
//!
//! The form is `docs/format/vault.md`. It says which server is asked, and never how we prove who we are: credentials lie outside of
//! the repository.

use carnet_core::RepoPath;
use serde::Deserialize;

use crate::{accounts::FileProblem, secrets::SecretName};

/// Where the file stands in a repository.
pub const SECRETS_FILE: &str = "policy/secrets.toml";
/// The format that this version reads.
pub const SECRETS_FORMAT: &str = "carnet/secrets/1";
/// Longest text of one field, in bytes.
const TEXT_BYTES_MAX: usize = 256;
/// Most seconds that one request may take.
const TIMEOUT_SECS_MAX: u64 = 60;

/// Where secrets are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretsConfig {
    /// Whether the Vault is in force, or sealed files are.
    pub store: StoreKind,
    /// The Vault, where one is named.
    pub vault: Option<VaultConfig>,
}

/// A backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// Sealed files of this clone.
    File,
    /// A Vault server.
    Vault,
}

/// A Vault, and our part of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultConfig {
    /// `https://host[:port]`; `http://` for a loopback address alone.
    pub address: String,
    /// The mount of the key–value engine.
    #[serde(default = "secret")]
    pub mount: String,
    /// What every path begins with below the mount: nothing else is ever asked for.
    pub project: String,
    /// The version of the key–value engine: 1 or 2.
    #[serde(default = "two")]
    pub kv: u8,
    /// `X-Vault-Namespace`.
    pub namespace: Option<String>,
    /// A file of the policy with the certificates (PEM) to trust instead of the system's.
    pub ca: Option<String>,
    /// How to log in.
    pub login: LoginMethod,
    /// The mount of the login method; its name by default.
    pub login_mount: Option<String>,
    /// The role to ask for, with `jwt`.
    pub role: Option<String>,
    /// Whether secrets may be put and removed.
    #[serde(default)]
    pub writable: bool,
    /// For how long one request may take.
    #[serde(default = "ten")]
    pub timeout_secs: u64,
}

/// How to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoginMethod {
    /// A token that someone else got.
    Token,
    /// A role's id and secret id.
    Approle,
    /// A token of a service account, which the server holds against our published keys.
    Jwt,
}

impl LoginMethod {
    /// Returns its word.
    pub fn word(self) -> &'static str {
        match self {
            LoginMethod::Token => "token",
            LoginMethod::Approle => "approle",
            LoginMethod::Jwt => "jwt",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    format: String,
    store: StoreKind,
    vault: Option<VaultConfig>,
}

fn secret() -> String {
    "secret".to_owned()
}

fn two() -> u8 {
    2
}

fn ten() -> u64 {
    10
}

impl SecretsConfig {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// The [`FileProblem`]s, with line and field.
    pub fn parse(text: &str) -> Result<SecretsConfig, Vec<FileProblem>> {
        let problem = |line, field: &str, message: String| FileProblem {
            file: SECRETS_FILE.to_owned(),
            line,
            field: field.to_owned(),
            message,
        };
        let read: Text = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start).min(text.len());
            let line = 1 + text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count();
            vec![problem(line, "", error.message().replace('\n', " "))]
        })?;
        let line_of = |field: &str| {
            let names = |line: &str| {
                line.trim_start()
                    .strip_prefix(field)
                    .is_some_and(|it| it.trim_start().starts_with('='))
            };
            text.lines().position(names).map_or(1, |at| at + 1)
        };
        let mut problems = vec![];
        if read.format != SECRETS_FORMAT {
            let message = format!("`{}` is not `{SECRETS_FORMAT}`", short(&read.format));
            problems.push(problem(line_of("format"), "format", message));
        }
        if read.store == StoreKind::Vault && read.vault.is_none() {
            let message = "`vault` needs a table `[vault]`".to_owned();
            problems.push(problem(line_of("store"), "store", message));
        }
        for (field, message) in read.vault.iter().flat_map(VaultConfig::problems) {
            problems.push(problem(line_of(field), &format!("vault.{field}"), message));
        }
        problems.sort_by_key(|problem| problem.line);
        let config = SecretsConfig { store: read.store, vault: read.vault };
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }
}

impl VaultConfig {
    fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = vec![];
        let mut check = |field, holds: bool, message: &str| {
            if !holds {
                problems.push((field, message.to_owned()));
            }
        };
        let is_path = |text: &str| SecretName::parse(text).is_ok_and(|name| name.field().is_none());
        check(
            "address",
            is_address(&self.address),
            "an address is `https://host[:port]`; `http://` would send the token in the clear and is for loopback addresses alone",
        );
        check("mount", is_path(&self.mount), "a mount is a path without `/` at its ends");
        check("project", is_path(&self.project), "a project is a path without `/` at its ends");
        check("kv", matches!(self.kv, 1 | 2), "the key–value engine has version 1 or 2");
        check(
            "namespace",
            self.namespace.as_deref().is_none_or(|it| is_path(it.trim_end_matches('/'))),
            "a namespace is a path",
        );
        check(
            "ca",
            self.ca.as_deref().is_none_or(|it| RepoPath::new(it.as_bytes()).is_ok()),
            "`ca` is a path in the repository, read where the policy is read",
        );
        check(
            "login_mount",
            self.login_mount.as_deref().is_none_or(is_path),
            "a mount is a path without `/` at its ends",
        );
        let role = self.role.as_deref();
        check("role", role.is_none_or(is_path), "a role is letters, digits, `_`, `-` and `.`");
        check("login", self.login != LoginMethod::Jwt || role.is_some(), "`jwt` needs a `role`");
        check(
            "timeout_secs",
            (1..=TIMEOUT_SECS_MAX).contains(&self.timeout_secs),
            "between 1 and 60 seconds",
        );
        problems
    }

    /// Returns the mount of the login method.
    pub fn login_mount(&self) -> &str {
        self.login_mount.as_deref().unwrap_or(self.login.word())
    }
}

/// Whether a token may be sent there.
fn is_address(text: &str) -> bool {
    let is_host = |host: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        !host.is_empty() && host.len() <= TEXT_BYTES_MAX && host.bytes().all(plain)
    };
    if let Some(host) = text.strip_prefix("https://") {
        return is_host(host);
    }
    let Some(host) = text.strip_prefix("http://").filter(|it| is_host(it)) else { return false };
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let address: Option<std::net::IpAddr> = bare.parse().ok();
    bare == "localhost" || address.is_some_and(|it| it.is_loopback())
}

fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"format = "carnet/secrets/1"
store = "vault"
[vault]
address = "https://vault.example:8200"
project = "web/shop"
login = "jwt"
role = "ci"
"#;

    fn problems(text: &str) -> String {
        let problems = SecretsConfig::parse(text).unwrap_err();
        problems.iter().map(|it| format!("{it}\n")).collect()
    }

    #[test]
    fn a_file_says_where_and_the_rest_is_what_people_expect() {
        let vault = SecretsConfig::parse(WHOLE).unwrap().vault.unwrap();
        assert_eq!((vault.mount.as_str(), vault.kv, vault.writable), ("secret", 2, false));
        assert_eq!((vault.login_mount(), vault.timeout_secs), ("jwt", 10));
        let file = "format = \"carnet/secrets/1\"\nstore = \"file\"\n";
        assert_eq!(SecretsConfig::parse(file).unwrap().vault, None);
    }

    #[test]
    fn every_wrong_field_is_named_with_its_line() {
        let with = |from: &str, to: &str| problems(&WHOLE.replace(from, to));
        assert!(with("secrets/1", "secrets/9").contains("secrets.toml:1: `format`"));
        for bad in [
            "http://vault.example",
            "https://",
            "ftp://x",
            "https://a/b",
            "https://u@h",
            "vault",
            "http://127.0.0.1.evil.example",
            "http://localhost.evil.example",
        ] {
            let said = with("https://vault.example:8200", bad);
            assert!(said.contains(":4: `vault.address`"), "{bad}: {said}");
        }
        for good in ["http://127.0.0.1:8200", "http://[::1]:8200", "http://localhost"] {
            let text = WHOLE.replace("https://vault.example:8200", good);
            assert!(SecretsConfig::parse(&text).is_ok(), "{good}");
        }
        assert!(with("web/shop", "../x").contains(":5: `vault.project`"));
        assert!(with("role = \"ci\"", "").contains("`jwt` needs a `role`"));
        assert!(with("role", "rolle").contains(":7: "));
        assert!(with("\"jwt\"", "\"ldap\"").contains(":6: "));
        assert!(
            with("role", "kv = 3\ntimeout_secs = 0\nrole").contains(":8: `vault.timeout_secs`")
        );
        assert!(problems("format = \"carnet/secrets/1\"\nstore = \"vault\"\n").contains("[vault]"));
        assert!(problems("store = 1\nstore = 2").contains(":2: "));
    }
}
