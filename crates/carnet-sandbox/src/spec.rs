//! What is asked of the sandbox, and what it hands back.
//!
//! Values only: nothing here touches the machine, so this module is the same on every system.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    os::fd::{AsRawFd as _, OwnedFd},
    path::PathBuf,
    sync::atomic::AtomicBool,
};

use carnet_core::{Enforcement, Outcome, Quota, Required, Usage};
use zeroize::Zeroizing;

use crate::{Door, Executable, Network};

/// Where the workspace is seen inside, and where the command starts.
pub const WORKSPACE: &str = "/workspace";
/// Where caches are seen inside, each below its name.
pub const CACHES: &str = "/cache";
/// Where toolchains are seen inside, each below its name.
pub const TOOLCHAINS: &str = "/toolchain";
/// The machine's name as the command sees it.
pub const HOSTNAME: &str = "carnet";
/// User and group id that the command sees of itself.
pub const INNER_ID: u32 = 1000;
/// The file mode creation mask that the command starts with.
pub const UMASK: u32 = 0o022;

/// First argument with which a binary is re-executed as the inner stage; its `main` then calls `inner_main`.
pub const INNER_ARGUMENT: &str = "__sandbox-inner";

/// The environment every command gets. [`SandboxSpec::env`] adds to it and may replace a value.
pub const BASE_ENVIRONMENT: [(&str, &str); 4] = [
    ("HOME", "/tmp/home"),
    ("LANG", "C.UTF-8"),
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("TZ", "UTC"),
];

/// Bytes of arguments and variables together that are passed on; the kernel's own bound is about 2 MiB.
const ARGUMENT_BYTES_MAX: usize = 2 << 20;
/// Bytes of a secret's name at most.
const SECRET_NAME_BYTES_MAX: usize = 64;
/// Bytes of a secret at most.
const SECRET_BYTES_MAX: usize = 64 << 10;
/// Caches of one run at most.
const CACHES_MAX: usize = 16;
/// Toolchains of one run at most.
const TOOLCHAINS_MAX: usize = 16;
/// Bytes of a cache's or a toolchain's name at most.
const NAME_BYTES_MAX: usize = 32;
/// Secrets of one run at most.
const SECRETS_MAX: usize = 16;
/// Smallest memory quota in bytes: below it not even a dynamic program starts.
const MEMORY_BYTES_MIN: u64 = 8 << 20;

/// A user without rights of its own, for callers with user id 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceAccount {
    /// User id, not 0.
    pub uid: u32,
    /// Group id, not 0.
    pub gid: u32,
}

/// One command to run under confinement.
#[derive(Debug)]
pub struct SandboxSpec {
    /// The executable, as an absolute path inside the sandbox (`/usr/…` or `/workspace/…`).
    pub tool: PathBuf,
    /// What is executed as that tool, by its bytes; `None` is whatever lies at the path when the command starts.
    pub executable: Option<Executable>,
    /// The argument vector; the first element is the name the command sees of itself. Never empty.
    pub argv: Vec<String>,
    /// What is seen at [`WORKSPACE`].
    pub workspace: Workspace,
    /// Variables besides [`BASE_ENVIRONMENT`]. Nothing is inherited.
    pub env: BTreeMap<String, String>,
    /// What the run is granted. `parallel` is the caller's to hold.
    pub quota: Quota,
    /// The caller's own executable, opened for reading: it is re-executed by descriptor as the inner stage.
    pub inner_exe: File,
    /// Whom to become before anything runs. Required for user id 0, ignored for any other.
    pub service_account: Option<ServiceAccount>,
    /// What the command reads as its standard input, through a pipe; `None` is nothing at all.
    pub stdin: Option<File>,
    /// Secrets, which the command reads from descriptors and finds nowhere else.
    pub secrets: Vec<Secret>,
    /// The hosts that it may reach.
    pub network: Network,
    /// A server on its own loopback, answered here.
    pub door: Option<Door>,
    /// Directories that the command finds again, each under a throw-away layer of this run.
    pub caches: Vec<CacheMount>,
    /// Directories of programs that the command sees besides the system's, and cannot change.
    pub toolchains: Vec<ToolchainMount>,
    /// Files and empty directories of the caller's that are to go, in this order, should this process be killed.
    pub leftovers: Vec<PathBuf>,
}

/// A directory seen at [`CACHES`], below its name. What the run writes there goes into its layer; the caller may keep it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheMount {
    /// `a-z`, `0-9` and `-`.
    pub name: String,
    /// The host directory below the layer, which stays as it is; `None` begins with nothing.
    pub lower: Option<PathBuf>,
}

/// A directory seen read-only at [`TOOLCHAINS`], below its name; its programs are in `bin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolchainMount {
    /// `a-z`, `0-9` and `-`.
    pub name: String,
    /// The host directory, without links on the way.
    pub dir: PathBuf,
    /// Whether it works at any place. Otherwise its own is there too, as a link.
    pub is_relocatable: bool,
}

/// A secret by name. Its bytes are wiped when it is dropped, and shown by nothing.
#[derive(Clone)]
pub struct Secret {
    name: String,
    bytes: Zeroizing<Vec<u8>>,
}

impl Secret {
    /// Names a secret: upper-case letters, digits and `_`, a letter first.
    ///
    /// # Errors
    ///
    /// [`SpecError::SecretName`], [`SpecError::SecretTooLong`].
    pub fn new(name: &str, bytes: Zeroizing<Vec<u8>>) -> Result<Secret, SpecError> {
        let is_plain =
            |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        let starts = name.bytes().next().is_some_and(|byte| byte.is_ascii_uppercase());
        if !starts || name.len() > SECRET_NAME_BYTES_MAX || !name.bytes().all(is_plain) {
            return Err(SpecError::SecretName { name: name.to_owned() });
        }
        if bytes.len() > SECRET_BYTES_MAX {
            return Err(SpecError::SecretTooLong {
                name: name.to_owned(),
                bytes_max: SECRET_BYTES_MAX,
            });
        }
        Ok(Secret { name: name.to_owned(), bytes })
    }

    /// Reads a secret to the end of `from`, as it is.
    ///
    /// # Errors
    ///
    /// What the system says; `UnexpectedEof` for nothing at all; `InvalidData` with the [`SpecError`] of [`Secret::new`].
    pub fn read(name: &str, from: impl io::Read) -> io::Result<Secret> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        // A name that is none is told before anything is read.
        Secret::new(name, Zeroizing::default()).map_err(invalid)?;
        // All the room at once: a buffer that grows leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX + 64));
        from.take(SECRET_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Secret::new(name, bytes).map_err(invalid)
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the variable that holds the number of its descriptor.
    pub fn variable(&self) -> String {
        format!("CARNET_SECRET_FD_{}", self.name)
    }

    /// Returns a descriptor of sealed memory from which it can be read and which no one can write; closed on exec, unless its
    /// owner says otherwise. For a program that is started without confinement.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn sealed(&self) -> io::Result<std::os::fd::OwnedFd> {
        crate::platform::sealed_secret(self)
    }

    /// Returns its value, for whoever hands it over or takes it out of what is kept.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Which of the two streams some output was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Who watches a run.
pub struct Attendance<'a> {
    /// What the kernel must give, or nothing is started.
    pub required: &'a [Required],
    /// Set by the caller's signal handler; looked at every 100 ms at least.
    pub interrupt: &'a AtomicBool,
    /// Told of output while the command runs: only what is kept.
    pub on_output: &'a mut dyn FnMut(OutputStream, &[u8]),
}

/// What a command has as its workspace. Where the caller has user id 0, the directory belongs to the service account
/// (`prepare_workspace_owner`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Workspace {
    /// A host directory, which the command changes.
    Directory(PathBuf),
    /// A throw-away layer over a host directory, which stays as it is.
    Overlay {
        /// The directory below.
        lower: PathBuf,
        /// An empty directory that the run's user can reach; the layer is mounted there, for this run's processes only.
        mount_point: PathBuf,
    },
}

/// The layer of a run that has ended, for as long as this value lives.
#[derive(Debug)]
pub struct OverlayAfter {
    pub(crate) merged: OwnedFd,
    pub(crate) upper: OwnedFd,
    pub(crate) caches: Vec<CacheAfter>,
}

/// A cache of a run that has ended, for as long as this value lives.
#[derive(Debug)]
pub struct CacheAfter {
    pub(crate) name: String,
    pub(crate) merged: OwnedFd,
    pub(crate) upper: OwnedFd,
}

impl CacheAfter {
    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns a path at which this process sees the cache as the run left it.
    pub fn merged(&self) -> PathBuf {
        descriptor_path(&self.merged)
    }

    /// Returns a path at which this process sees what the run wrote: the whole cache, where it began with nothing.
    pub fn changes(&self) -> PathBuf {
        descriptor_path(&self.upper)
    }
}

impl OverlayAfter {
    /// Returns a path at which this process sees the workspace as the run left it.
    pub fn merged(&self) -> PathBuf {
        descriptor_path(&self.merged)
    }

    /// Returns the caches, in the order of the spec.
    pub fn caches(&self) -> &[CacheAfter] {
        &self.caches
    }

    /// Returns a path at which this process sees what the run changed: new files, and a character device 0:0 for what
    /// it removed.
    pub fn changes(&self) -> PathBuf {
        descriptor_path(&self.upper)
    }
}

fn descriptor_path(descriptor: &OwnedFd) -> PathBuf {
    // The dot makes it a directory for those who look at it without following links.
    PathBuf::from(format!("/proc/self/fd/{}/.", descriptor.as_raw_fd()))
}

/// The first bytes of one output stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Captured {
    /// What was kept.
    pub bytes: Vec<u8>,
    /// Whether more was written than was kept.
    pub truncated: bool,
}

/// A run that was started and has ended.
#[derive(Debug)]
pub struct Confined {
    /// How it ended.
    pub outcome: Outcome,
    /// What it used, the sandbox's own set-up included.
    pub usage: Usage,
    /// What truly held, layer by layer, in the order of `docs/design/confinement.md`.
    pub enforcement: Vec<Enforcement>,
    /// Standard output.
    pub stdout: Captured,
    /// Standard error.
    pub stderr: Captured,
    /// What lay over the workspace, where that was asked for.
    pub overlay: Option<OverlayAfter>,
}

/// Why a spec cannot be run on any machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// No argument at all.
    #[error("the argument vector is empty")]
    NoArguments,
    /// A NUL byte in an argument, the tool or a variable.
    #[error("{place} has a NUL byte")]
    Nul {
        /// Where.
        place: String,
    },
    /// A variable name that is empty or has `=`.
    #[error("`{name}` cannot name a variable")]
    VariableName {
        /// The name.
        name: String,
    },
    /// The tool is not absolute, not UTF-8, or has `..`.
    #[error("tool `{tool}` is not a plain absolute path")]
    Tool {
        /// The path.
        tool: PathBuf,
    },
    /// A secret's name is not of upper-case letters, digits and `_`.
    #[error("`{name}` cannot name a secret")]
    SecretName {
        /// The name.
        name: String,
    },
    /// A secret is longer than any that is handed over.
    #[error("secret `{name}` is longer than `{bytes_max}` bytes")]
    SecretTooLong {
        /// Its name.
        name: String,
        /// The bound.
        bytes_max: usize,
    },
    /// More caches than a run may have, two of one name, or a name that is none.
    #[error("caches are at most `{n_max}`, each of its own plain name")]
    Caches {
        /// The bound.
        n_max: usize,
    },
    /// More toolchains than a run may have, two of one name, or a name that is none.
    #[error("toolchains are at most `{n_max}`, each of its own plain name")]
    Toolchains {
        /// The bound.
        n_max: usize,
    },
    /// More secrets than a run may have, or two of one name.
    #[error("secrets are at most `{n_max}`, each of its own name")]
    Secrets {
        /// The bound.
        n_max: usize,
    },
    /// Arguments and variables together are too long.
    #[error("arguments and variables take `{bytes}` bytes, the most is `{bytes_max}`")]
    TooLong {
        /// What they take.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// A quota under which nothing can run.
    #[error("quota `{field}` is `{value}`, the least is `{least}`")]
    Quota {
        /// The field of `Quota`.
        field: &'static str,
        /// Its value.
        value: u64,
        /// The least that works.
        least: u64,
    },
}

impl SandboxSpec {
    /// Checks all that can be told without looking at the machine.
    ///
    /// # Errors
    ///
    /// [`SpecError`] names the first thing that is wrong.
    pub fn check(&self) -> Result<(), SpecError> {
        self.check_tool()?;
        self.check_strings()?;
        let mut names: Vec<&str> = self.secrets.iter().map(Secret::name).collect();
        names.sort_unstable();
        names.dedup();
        if names.len() != self.secrets.len() || names.len() > SECRETS_MAX {
            return Err(SpecError::Secrets { n_max: SECRETS_MAX });
        }
        self.check_caches()?;
        self.check_toolchains()?;
        let least = [
            ("memory_bytes", self.quota.memory_bytes, MEMORY_BYTES_MIN),
            ("wall_ms", self.quota.wall_ms, 1),
            ("processes", u64::from(self.quota.processes), 1),
            ("disk_bytes", self.quota.disk_bytes, 1),
        ];
        for (field, value, least) in least {
            if value < least {
                return Err(SpecError::Quota { field, value, least });
            }
        }
        Ok(())
    }

    fn check_tool(&self) -> Result<(), SpecError> {
        let has_dots = self.tool.components().any(|part| part == std::path::Component::ParentDir);
        match self.tool.to_str() {
            Some(text) if text.contains('\0') => {
                Err(SpecError::Nul { place: "the tool".to_owned() })
            }
            Some(text) if text.starts_with('/') && !text.ends_with('/') && !has_dots => Ok(()),
            _ => Err(SpecError::Tool { tool: self.tool.clone() }),
        }
    }

    fn check_caches(&self) -> Result<(), SpecError> {
        if are_plain(self.caches.iter().map(|it| it.name.as_str()), CACHES_MAX) {
            Ok(())
        } else {
            Err(SpecError::Caches { n_max: CACHES_MAX })
        }
    }

    fn check_toolchains(&self) -> Result<(), SpecError> {
        if are_plain(self.toolchains.iter().map(|it| it.name.as_str()), TOOLCHAINS_MAX) {
            Ok(())
        } else {
            Err(SpecError::Toolchains { n_max: TOOLCHAINS_MAX })
        }
    }

    fn check_strings(&self) -> Result<(), SpecError> {
        if self.argv.is_empty() {
            return Err(SpecError::NoArguments);
        }
        if let Some(arg_idx) = self.argv.iter().position(|argument| argument.contains('\0')) {
            return Err(SpecError::Nul { place: format!("argument {arg_idx}") });
        }
        for (name, value) in &self.env {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(SpecError::VariableName { name: name.clone() });
            }
            if value.contains('\0') {
                return Err(SpecError::Nul { place: format!("variable `{name}`") });
            }
        }
        let variables = self.env.iter().map(|(name, value)| name.len() + value.len() + 2);
        let bytes = self.argv.iter().map(|argument| argument.len() + 1).chain(variables).sum();
        let bytes_max = ARGUMENT_BYTES_MAX;
        if bytes > bytes_max { Err(SpecError::TooLong { bytes, bytes_max }) } else { Ok(()) }
    }
}

/// Tells whether each is a plain name of its own, and there are at most `n_max`.
fn are_plain<'n>(names: impl Iterator<Item = &'n str>, n_max: usize) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let mut names: Vec<&str> = names.collect();
    let n_names = names.len();
    names.sort_unstable();
    names.dedup();
    names.len() == n_names
        && n_names <= n_max
        && names
            .iter()
            .all(|name| (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut SandboxSpec)) -> Result<(), SpecError> {
        let quota = Quota {
            cpu_pct: 80,
            memory_bytes: 64 << 20,
            wall_ms: 1_000,
            processes: 8,
            disk_bytes: 1 << 20,
            output_bytes: 1 << 20,
            parallel: 1,
        };
        let mut spec = SandboxSpec {
            tool: "/usr/bin/true".into(),
            executable: None,
            argv: vec!["true".to_owned()],
            workspace: Workspace::Directory("/".into()),
            env: BTreeMap::new(),
            quota,
            inner_exe: File::open(std::env::current_exe().unwrap()).unwrap(),
            service_account: None,
            stdin: None,
            secrets: vec![],
            network: Network::default(),
            door: None,
            caches: vec![],
            toolchains: vec![],
            leftovers: vec![],
        };
        change(&mut spec);
        spec.check()
    }

    #[test]
    fn a_plain_spec_passes() {
        assert_eq!(check(|_| {}), Ok(()));
    }

    #[test]
    fn a_caches_name_is_no_path_and_stands_once() {
        let of = |names: &[&str]| {
            let mounts =
                names.iter().map(|name| CacheMount { name: (*name).to_owned(), lower: None });
            let mounts: Vec<CacheMount> = mounts.collect();
            check(|spec| spec.caches = mounts)
        };
        assert_eq!(of(&["cargo", "npm-1"]), Ok(()));
        for bad in [&[""][..], &["../x"], &["a/b"], &["a", "a"], &["A"], &["a".repeat(33).as_str()]]
        {
            assert_eq!(of(bad), Err(SpecError::Caches { n_max: CACHES_MAX }), "{bad:?}");
        }
    }

    #[test]
    fn a_toolchains_name_is_no_path_and_stands_once() {
        let of = |names: &[&str]| {
            let mount = |name: &&str| ToolchainMount {
                name: (*name).to_owned(),
                dir: "/opt/x".into(),
                is_relocatable: true,
            };
            let mounts: Vec<ToolchainMount> = names.iter().map(mount).collect();
            check(|spec| spec.toolchains = mounts)
        };
        assert_eq!(of(&["rust", "node"]), Ok(()));
        for bad in [&[""][..], &["../x"], &["a", "a"], &["a"; 17]] {
            let refused = Err(SpecError::Toolchains { n_max: TOOLCHAINS_MAX });
            assert_eq!(of(bad), refused, "{bad:?}");
        }
    }

    #[test]
    fn relative_and_climbing_tools_are_refused() {
        for bad in ["true", "", "/usr/../bin/true", "/usr/bin/", "./true"] {
            let refused = check(|spec| spec.tool = bad.into());
            assert_eq!(refused, Err(SpecError::Tool { tool: bad.into() }));
        }
    }

    #[test]
    fn nul_bytes_and_impossible_names_are_refused() {
        assert!(matches!(
            check(|spec| spec.argv[0] = "a\0b".to_owned()),
            Err(SpecError::Nul { .. })
        ));
        for bad in ["", "A=B", "A\0"] {
            let refused = check(|spec| drop(spec.env.insert(bad.to_owned(), String::new())));
            assert_eq!(refused, Err(SpecError::VariableName { name: bad.to_owned() }));
        }
        let refused = check(|spec| drop(spec.env.insert("A".to_owned(), "\0".to_owned())));
        assert!(matches!(refused, Err(SpecError::Nul { .. })));
    }

    #[test]
    fn an_argument_vector_past_the_bound_is_refused() {
        let refused = check(|spec| spec.argv.push("x".repeat(ARGUMENT_BYTES_MAX)));
        assert!(matches!(refused, Err(SpecError::TooLong { .. })));
        assert_eq!(check(|spec| spec.argv.clear()), Err(SpecError::NoArguments));
    }

    #[test]
    fn secrets_have_plain_names_a_bound_and_nothing_to_show() {
        let secret = |name: &str| Secret::new(name, Zeroizing::new(b"hidden".to_vec()));
        for bad in ["", "a", "1A", "_A", "A-B", "A B", "A=", &"A".repeat(65)] {
            assert!(secret(bad).is_err(), "{bad:?}");
        }
        let token = secret("NPM_TOKEN").unwrap();
        assert_eq!(token.variable(), "CARNET_SECRET_FD_NPM_TOKEN");
        assert!(!format!("{token:?}").contains("hidden"));
        assert!(Secret::new("A", Zeroizing::new(vec![0; SECRET_BYTES_MAX + 1])).is_err());
        let twice = check(|spec| spec.secrets = vec![secret("A").unwrap(), secret("A").unwrap()]);
        assert!(matches!(twice, Err(SpecError::Secrets { .. })));
    }

    #[test]
    fn a_quota_of_nothing_is_refused() {
        let refused = check(|spec| spec.quota.memory_bytes = 0);
        assert!(matches!(refused, Err(SpecError::Quota { field: "memory_bytes", .. })));
        assert!(check(|spec| spec.quota.processes = 0).is_err());
        assert!(check(|spec| spec.quota.wall_ms = 0).is_err());
    }
}
