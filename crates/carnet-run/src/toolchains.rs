//! Toolchains: compilers and interpreters that are a person's and not the system's, for runs to see and not to change.
//!
//! A lane names them (`[sandbox] toolchains`); where they are, this machine says: `git config carnet.toolchain NAME=DIRECTORY`,
//! else rustup or nvm in the home that the user database has, whatever `HOME` says. A run sees each at `/toolchain/<name>`,
//! read-only, and nothing else of that home: no credentials, no configuration, no shims, no registry. A program of the system
//! comes before one of the same name in a toolchain.
//!
//! Refuses, with the reason, a directory that someone else could change, that holds the home, or that has no `bin`.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use carnet_core::{GitOid, RepoPath};
use carnet_git::Repo;
use carnet_sandbox::{TOOLCHAINS, ToolchainMount};

/// The configuration key that says where a toolchain is.
pub const TOOLCHAIN_KEY: &str = "carnet.toolchain";

/// Toolchains that work at any place; others may have their own written into them, and into their scripts.
const RELOCATABLE: [&str; 3] = ["rust", "node", "go"];

/// Bytes of a file that asks for a version, at most.
const ASKING_BYTES_MAX: u64 = 64 << 10;
/// Installed versions that are looked at, at most.
const INSTALLED_MAX: usize = 1000;
/// Names of nvm that stand for one another, one after the other, at most.
const ALIASES_MAX: usize = 5;
/// Bytes of a version's name at most.
const VERSION_BYTES_MAX: usize = 64;

/// The toolchains of a lane on this machine.
#[derive(Debug, Clone, Default)]
pub struct Toolchains {
    there: Vec<ToolchainMount>,
    /// Name, and why it is not there although something asks for it.
    refused: Vec<(String, String)>,
}

impl Toolchains {
    /// Finds the toolchains that are called `names`, in the versions that the files of `tree` ask for.
    pub fn find(repo: &Repo, tree: Option<&GitOid>, names: &[String]) -> Toolchains {
        let mut toolchains = Toolchains::default();
        if names.is_empty() {
            return toolchains;
        }
        let uid = rustix::process::geteuid().as_raw();
        let home = fs::read_to_string("/etc/passwd").ok().and_then(|users| home_of(uid, &users));
        let configured = repo.config_get_all(TOOLCHAIN_KEY);
        let asked = |name: &str| {
            let path = RepoPath::new(name.as_bytes()).expect("because the name is a plain one");
            let bytes = repo.read_path(tree?, &path, ASKING_BYTES_MAX).ok()??;
            String::from_utf8(bytes).ok()
        };
        for name in names {
            let found = match said(&configured, name) {
                Some(dir) => Ok(Some(PathBuf::from(dir))),
                None => kept_at_home(name, home.as_deref(), &asked),
            };
            let found = found
                .and_then(|dir| dir.map(|dir| examine(&dir, uid, home.as_deref())).transpose());
            match found {
                Ok(None) => {}
                Ok(Some(dir)) => {
                    let is_relocatable = RELOCATABLE.contains(&name.as_str());
                    let mount = ToolchainMount { name: name.clone(), dir, is_relocatable };
                    toolchains.there.push(mount);
                }
                Err(why) => toolchains.refused.push((name.clone(), why)),
            }
        }
        toolchains
    }

    /// Returns what a run sees.
    pub fn mounts(&self) -> &[ToolchainMount] {
        &self.there
    }

    /// Returns the directories of programs, as a run sees them.
    pub fn search_path(&self) -> impl Iterator<Item = String> {
        self.there.iter().map(|it| format!("{TOOLCHAINS}/{}/bin", it.name))
    }

    /// Returns where on the host the file is that a run sees at `inside`.
    pub fn on_host(&self, inside: &Path) -> Option<PathBuf> {
        let below = inside.strip_prefix(TOOLCHAINS).ok()?;
        let of = |it: &ToolchainMount| Some(it.dir.join(below.strip_prefix(&it.name).ok()?));
        self.there.iter().find_map(of)
    }

    /// Says why the toolchains that are not there are not, one after the other; nothing where no one asks for them.
    pub fn why_not(&self) -> Option<String> {
        let reasons = self.refused.iter().map(|(name, why)| format!("toolchain `{name}`: {why}"));
        let reasons: Vec<_> = reasons.collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }
}

/// Returns the directory that the configuration gives to `name`; of several the last counts, as in git.
fn said<'c>(configured: &'c [String], name: &str) -> Option<&'c str> {
    let mut pairs = configured.iter().rev().filter_map(|value| value.split_once('='));
    pairs.find(|(of, _)| *of == name).map(|(_, dir)| dir)
}

fn home_of(uid: u32, users: &str) -> Option<PathBuf> {
    let home = users.lines().find_map(|line| {
        let mut fields = line.split(':').skip(2);
        let found = fields.next()?.parse() == Ok(uid);
        found.then(|| fields.nth(2)).flatten()
    });
    home.map(PathBuf::from).filter(|home| home.is_absolute())
}

fn kept_at_home(
    name: &str,
    home: Option<&Path>,
    asked: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<PathBuf>, String> {
    let Some(home) = home else { return Ok(None) };
    match name {
        "rust" => rustup(&[&home.join(".rustup"), Path::new("/usr/local/rustup")], asked),
        "node" => nvm(&home.join(".nvm"), asked),
        _ => Ok(None),
    }
}

/// Finds the toolchain that rustup would take, but for overrides by directory.
fn rustup(
    homes: &[&Path],
    asked: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<PathBuf>, String> {
    let Some(home) = homes.iter().find(|home| home.join("toolchains").is_dir()) else {
        return Ok(None);
    };
    let settings = fs::read_to_string(home.join("settings.toml")).unwrap_or_default();
    let asking = ["rust-toolchain", "rust-toolchain.toml"];
    let asking = asking.iter().find_map(|file| Some((*file, asked(file)?)));
    let (by, channel) = match &asking {
        Some((file, text)) => (*file, assigned(text, "channel").or_else(|| alone(text))),
        None => ("rustup", assigned(&settings, "default_toolchain")),
    };
    let Some(channel) = channel else { return Ok(None) };
    let toolchains = home.join("toolchains");
    let with_host = format!("{channel}-{}-", std::env::consts::ARCH);
    let mut names = names_in(&toolchains);
    names.retain(|name| *name == channel || name.starts_with(&with_host));
    names.sort_by_key(|name| (*name != channel, !name.ends_with("-gnu"), name.clone()));
    match names.first() {
        Some(name) => Ok(Some(toolchains.join(name))),
        None => Err(format!("{by} asks for `{channel}`, which is not installed")),
    }
}

/// Finds the version that nvm would take.
fn nvm(home: &Path, asked: &dyn Fn(&str) -> Option<String>) -> Result<Option<PathBuf>, String> {
    let versions = home.join("versions/node");
    let mut installed = names_in(&versions);
    installed.sort_by_key(|name| numbers(name));
    let Some(newest) = installed.last() else { return Ok(None) };
    let asking = asked(".nvmrc").or_else(|| asked(".node-version"));
    let wanted = asking.as_deref().and_then(alone).unwrap_or_else(|| "default".to_owned());
    let mut version = wanted.clone();
    for _ in 0..ALIASES_MAX {
        let alias = fs::read_to_string(home.join("alias").join(&version)).ok();
        let Some(next) = alias.as_deref().and_then(alone) else { break };
        version = next;
    }
    let prefix = numbers(&version);
    let fits = |name: &&String| !prefix.is_empty() && numbers(name).starts_with(&prefix);
    let is_any = ["default", "node", "stable"].contains(&version.as_str());
    match installed.iter().rev().find(fits).or(is_any.then_some(newest)) {
        Some(name) => Ok(Some(versions.join(name))),
        None => Err(format!("Node `{wanted}` is asked for and not installed")),
    }
}

/// Returns the plain names in a directory; none where it cannot be read.
fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().take(INSTALLED_MAX).flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| is_version(name)).collect()
}

/// Returns the text that `key` is set to on a line of its own.
fn assigned(text: &str, key: &str) -> Option<String> {
    let value = text.lines().find_map(|line| {
        line.trim().strip_prefix(key)?.trim_start().strip_prefix('=').map(str::trim)
    });
    let mut quoted = value?.split('"').skip(1);
    quoted.next().filter(|value| is_version(value)).map(str::to_owned)
}

/// Returns the one word that a text consists of.
fn alone(text: &str) -> Option<String> {
    let text = text.trim();
    let is_plain = text.split('/').all(|part| is_version(part) || part == "*");
    is_plain.then(|| text.to_owned())
}

fn is_version(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty()
        && name.len() <= VERSION_BYTES_MAX
        && !name.starts_with('.')
        && name.bytes().all(is_plain)
}

/// Returns the numbers of `v20.11.1`; none where it is no version.
fn numbers(version: &str) -> Vec<u64> {
    let parts = version.strip_prefix('v').unwrap_or(version).split('.');
    parts.map(|part| part.parse().ok()).collect::<Option<_>>().unwrap_or_default()
}

/// Returns the directory without links on the way, once it is one that a run may see.
fn examine(dir: &Path, uid: u32, home: Option<&Path>) -> Result<PathBuf, String> {
    let unreadable = |error: io::Error| format!("cannot look at `{}`: {error}", dir.display());
    if !dir.is_absolute() {
        return Err(format!("`{}` is not absolute", dir.display()));
    }
    let path = fs::canonicalize(dir).map_err(unreadable)?;
    let shown = path.display();
    let home = home.and_then(|home| fs::canonicalize(home).ok());
    if home.is_some_and(|home| home.starts_with(&path)) {
        return Err(format!("`{shown}` holds a home"));
    }
    if !path.join("bin").is_dir() {
        return Err(format!("`{shown}` has no `bin`"));
    }
    for dir in [path.clone(), path.join("bin")] {
        let metadata = fs::metadata(&dir).map_err(unreadable)?;
        if metadata.uid() != 0 && metadata.uid() != uid {
            return Err(format!("`{}` belongs to user `{}`", dir.display(), metadata.uid()));
        }
        if metadata.mode() & 0o002 != 0 {
            return Err(format!("`{}` can be changed by everyone", dir.display()));
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn home(script: &[&str]) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        for path in script {
            match path.split_once('=') {
                Some((path, text)) => {
                    fs::create_dir_all(home.path().join(path).parent().unwrap()).unwrap();
                    fs::write(home.path().join(path), text).unwrap();
                }
                None => fs::create_dir_all(home.path().join(path)).unwrap(),
            }
        }
        home
    }

    fn of(name: &str, home: &Path, files: &[(&str, &str)]) -> Result<Option<String>, String> {
        let asked = |wanted: &str| {
            files.iter().find(|(name, _)| *name == wanted).map(|(_, text)| (*text).to_owned())
        };
        let found = kept_at_home(name, Some(home), &asked)?;
        Ok(found.map(|dir| dir.file_name().unwrap().to_string_lossy().into_owned()))
    }

    #[test]
    fn rustups_toolchain_is_the_one_that_the_tree_asks_for_or_the_default() {
        let arch = std::env::consts::ARCH;
        let dirs = ["stable", "1.88.0"]
            .map(|it| format!(".rustup/toolchains/{it}-{arch}-unknown-linux-gnu/bin"));
        let settings = format!(
            ".rustup/settings.toml=version = \"12\"\ndefault_toolchain = \"stable-{arch}-unknown-linux-gnu\"\n"
        );
        let home = home(&[&dirs[0], &dirs[1], ".rustup/toolchains/mine/bin", &settings]);
        let check = |files: &[(&str, &str)], expect: &str| {
            let found = of("rust", home.path(), files).unwrap().unwrap();
            assert!(found.starts_with(expect), "{files:?}: {found}");
        };
        check(&[], "stable-");
        check(&[("rust-toolchain.toml", "[toolchain]\nchannel = \"1.88.0\"\n")], "1.88.0-");
        check(&[("rust-toolchain", "1.88.0\n")], "1.88.0-");
        check(&[("rust-toolchain", "mine")], "mine");
        let missing = of("rust", home.path(), &[("rust-toolchain", "1.2.3")]).unwrap_err();
        assert!(missing.contains("`1.2.3`, which is not installed"), "{missing}");
        for hostile in ["../../x", "/etc", "a b", "[toolchain]\npath = \"/etc\"", ""] {
            assert_eq!(
                of("rust", home.path(), &[("rust-toolchain", hostile)]),
                Ok(None),
                "{hostile}"
            );
        }
        assert_eq!(of("node", home.path(), &[]), Ok(None));
    }

    #[test]
    fn nvms_version_goes_by_its_aliases_and_by_numbers() {
        let home = home(&[
            ".nvm/versions/node/v9.1.0/bin",
            ".nvm/versions/node/v20.2.0/bin",
            ".nvm/versions/node/v20.11.1/bin",
            ".nvm/alias/default=lts/*\n",
            ".nvm/alias/lts/*=lts/iron\n",
            ".nvm/alias/lts/iron=v20.2.0\n",
            ".nvm/alias/loop=loop\n",
        ]);
        let check = |asked: &str, expect: &str| {
            let found = of("node", home.path(), &[(".nvmrc", asked)]);
            assert_eq!(found.unwrap().unwrap(), expect, "{asked}");
        };
        check("lts/*", "v20.2.0");
        check("default\n", "v20.2.0");
        check("20", "v20.11.1");
        check("v20.2", "v20.2.0");
        check("9", "v9.1.0");
        check("node", "v20.11.1");
        check("../../../etc", "v20.2.0");
        for missing in ["18", "20.1", "loop", "lts/none"] {
            assert!(of("node", home.path(), &[(".nvmrc", missing)]).is_err(), "{missing}");
        }
    }

    #[test]
    fn the_home_is_the_user_databases() {
        let users =
            "root:x:0:0:root:/root:/bin/sh\nme:x:1001:1001::/home/me:/bin/sh\nodd:x:7:7:::\n";
        assert_eq!(home_of(1001, users), Some("/home/me".into()));
        assert_eq!(home_of(0, users), Some("/root".into()));
        assert_eq!(home_of(7, users), None);
        assert_eq!(home_of(8, users), None);
    }

    #[test]
    fn the_configuration_is_told_by_name_and_the_last_counts() {
        let configured = ["go=/opt/go", "rust=/a", "odd", "rust=/b"].map(str::to_owned);
        assert_eq!(said(&configured, "rust"), Some("/b"));
        assert_eq!(said(&configured, "go"), Some("/opt/go"));
        assert_eq!(said(&configured, "odd"), None);
    }

    #[test]
    fn a_directory_that_is_no_toolchain_is_refused() {
        let home = home(&["kit/bin", "plain", "open/bin"]);
        let uid = rustix::process::geteuid().as_raw();
        let at = |name: &str| home.path().join(name);
        let check = |name: &str| examine(&at(name), uid, Some(home.path()));
        assert_eq!(check("kit"), Ok(fs::canonicalize(at("kit")).unwrap()));
        std::os::unix::fs::symlink(at("kit"), at("link")).unwrap();
        assert_eq!(check("link"), check("kit"));
        assert!(check("plain").unwrap_err().contains("has no `bin`"));
        assert!(check("absent").unwrap_err().contains("cannot look at"));
        assert!(check("").unwrap_err().contains("holds a home"));
        assert!(examine(Path::new("kit"), uid, None).unwrap_err().contains("not absolute"));
        fs::set_permissions(at("open"), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(check("open").unwrap_err().contains("by everyone"));
        let other = examine(Path::new("/usr"), uid, None);
        assert_eq!(other, Ok("/usr".into()), "what is root's is anyone's");
        if uid != 0 {
            return;
        }
        std::os::unix::fs::chown(at("kit"), Some(1), None).unwrap();
        assert!(check("kit").unwrap_err().contains("belongs to user `1`"));
    }
}
