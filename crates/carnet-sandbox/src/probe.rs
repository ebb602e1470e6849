//! What the machine offers for confinement, as data, and what each absence costs.
//!
//! The looking is done in the platform module; here are only the findings and the judgement on them.

use std::{fmt, path::PathBuf};

use carnet_core::{Digest, EnforcementLevel};

/// The oldest bwrap that can forbid nested user namespaces (`--disable-userns`).
pub(crate) const BWRAP_VERSION_MIN: Version = Version { major: 0, minor: 8, patch: 0 };

/// The oldest Landlock ABI that is used.
pub(crate) const LANDLOCK_ABI_MIN: u32 = 2;
/// The oldest Landlock ABI that gives all that is asked for; what later ones add is not needed.
pub(crate) const LANDLOCK_ABI_FULL: u32 = 6;

/// A version in three numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// First.
    pub major: u32,
    /// Second.
    pub minor: u32,
    /// Third; 0 where the text has none.
    pub patch: u32,
}

impl Version {
    /// Reads the leading `major.minor[.patch]` of a text such as `6.1.0-23-amd64`.
    pub fn leading(text: &str) -> Option<Version> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let mut numbers = text[..end].split('.').filter(|part| !part.is_empty());
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        let patch = numbers.next().map_or(Some(0), |part| part.parse().ok())?;
        Some(Version { major, minor, patch })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// A bwrap that passed every check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bwrap {
    /// Where it is, without links.
    pub path: PathBuf,
    /// What it says it is.
    pub version: Version,
    /// SHA-256 of its bytes.
    pub digest: Digest,
}

/// Why the bwrap of this machine cannot be trusted, or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BwrapUnfit {
    /// None at the fixed places.
    #[error("no bwrap at `/usr/bin`, `/bin` or `/usr/local/bin`")]
    NotFound,
    /// It could not be looked at.
    #[error("`{path}` cannot be examined: {message}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        message: String,
    },
    /// Someone else than root can replace it at will.
    #[error("`{path}` belongs to user `{uid}`, not to root")]
    NotRootOwned {
        /// The file or its directory.
        path: PathBuf,
        /// To whom it belongs.
        uid: u32,
    },
    /// Group or everyone may write it.
    #[error("`{path}` is writable by others, mode `{mode:o}`")]
    Writable {
        /// The file or its directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Set-user-id or set-group-id: it would keep rights of its own.
    #[error("`{path}` is set-id, mode `{mode:o}`")]
    SetId {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It has file capabilities: the same in another dress.
    #[error("`{path}` has file capabilities")]
    FileCapabilities {
        /// The file.
        path: PathBuf,
    },
    /// No regular file, or not executable.
    #[error("`{path}` is not an executable file")]
    NotExecutable {
        /// The file.
        path: PathBuf,
    },
    /// It did not say its version.
    #[error("`{path}` does not say its version but `{said}`")]
    VersionUnknown {
        /// The file.
        path: PathBuf,
        /// What it said.
        said: String,
    },
    /// Too old to forbid nested user namespaces.
    #[error("`{path}` is version {version}, at least {BWRAP_VERSION_MIN} is needed")]
    TooOld {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: Version,
    },
}

/// Why ordinary users cannot make user namespaces here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserNamespacesUnfit {
    /// The kernel was built without them.
    #[error("this kernel has no user namespaces")]
    NotBuilt,
    /// `user.max_user_namespaces` is 0.
    #[error("sysctl `user.max_user_namespaces` is 0")]
    MaxIsZero,
    /// Debian's `kernel.unprivileged_userns_clone` is 0.
    #[error("sysctl `kernel.unprivileged_userns_clone` is 0")]
    UnprivilegedOff,
    /// The sysctl exists and says nothing readable.
    #[error("sysctl `{name}` says `{said}`")]
    Unreadable {
        /// The sysctl.
        name: &'static str,
        /// What it says.
        said: String,
    },
}

impl UserNamespacesUnfit {
    /// Returns what a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            UserNamespacesUnfit::NotBuilt => "Boot a kernel with CONFIG_USER_NS.",
            UserNamespacesUnfit::MaxIsZero => {
                "Allow them: `sysctl user.max_user_namespaces=10000`."
            }
            UserNamespacesUnfit::UnprivilegedOff => {
                "Allow them: `sysctl kernel.unprivileged_userns_clone=1`."
            }
            UserNamespacesUnfit::Unreadable { .. } => "Look at that sysctl as root.",
        }
    }
}

/// Which cgroups carnet could use here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CgroupMode {
    /// cgroup v2 and our own group can be written: delegated to this user.
    V2Delegated,
    /// cgroup v2 and we are root.
    V2Root,
    /// cgroup v2 whose controllers this user may not use.
    V2NotOurs,
    /// cgroup v2 without controllers: it counts, freezes and kills.
    V2WithoutControllers,
    /// Some of the controllers `cpu`, `memory`, `pids`, of v1, of v2, or of both.
    Mixed {
        /// Their names, sorted.
        controllers: Vec<String>,
    },
    /// No cgroup file system.
    None,
}

/// The running kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelRelease {
    /// As `uname -r` prints it.
    pub text: String,
    /// Its leading numbers, where it has them.
    pub version: Option<Version>,
}

/// What the machine offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The bwrap that runs would use.
    pub bwrap: Result<Bwrap, BwrapUnfit>,
    /// Whether ordinary users may make user namespaces, as far as sysctls tell.
    pub user_namespaces: Result<(), UserNamespacesUnfit>,
    /// Whether AppArmor restricts them to profiled programs (bwrap then needs a profile).
    pub apparmor_restricts_user_namespaces: bool,
    /// Landlock ABI; `None` where the kernel has none or it is off.
    pub landlock_abi: Option<u32>,
    /// Whether seccomp filters can be used, by this kernel and on this processor.
    pub seccomp: bool,
    /// Which cgroups could be used.
    pub cgroups: CgroupMode,
    /// The kernel.
    pub kernel: KernelRelease,
    /// Effective user id of the caller.
    pub uid: u32,
}

/// One line of `carnet doctor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeItem {
    /// The thing looked for.
    pub name: &'static str,
    /// Whether it is there.
    pub level: EnforcementLevel,
    /// What was found.
    pub found: String,
    /// What its absence costs.
    pub cost: &'static str,
}

impl Probe {
    /// Returns one item per thing looked for, in the order of the layers.
    pub fn items(&self) -> Vec<ProbeItem> {
        vec![
            self.bwrap_item(),
            self.user_namespace_item(),
            self.landlock_item(),
            ProbeItem {
                name: "seccomp",
                level: level(self.seccomp, false),
                found: if self.seccomp { "filters" } else { "none" }.to_owned(),
                cost: "commands may make any system call; runs that demand seccomp are refused",
            },
            self.cgroup_item(),
            ProbeItem {
                name: "kernel",
                level: level(self.has_kernel(5, 14), self.has_kernel(5, 9)),
                found: self.kernel.text.clone(),
                cost: "before 5.9 nothing runs; before 5.14 processes are counted by polling alone",
            },
            ProbeItem {
                name: "user id",
                level: if self.uid == 0 {
                    EnforcementLevel::Partial
                } else {
                    EnforcementLevel::Full
                },
                found: self.uid.to_string(),
                cost: "user id 0 runs nothing without a service account to become",
            },
        ]
    }

    /// Returns Landlock's ABI where it can be applied: ABI 1 would refuse every move between directories.
    pub(crate) fn usable_landlock_abi(&self) -> Option<u32> {
        self.landlock_abi.filter(|abi| *abi >= LANDLOCK_ABI_MIN)
    }

    /// Tells whether the kernel is at least `major.minor`; false where its release cannot be read.
    pub(crate) fn has_kernel(&self, major: u32, minor: u32) -> bool {
        self.kernel.version.is_some_and(|version| version >= Version { major, minor, patch: 0 })
    }

    fn bwrap_item(&self) -> ProbeItem {
        let found = match &self.bwrap {
            Ok(bwrap) => format!("{} at `{}`", bwrap.version, bwrap.path.display()),
            Err(unfit) => unfit.to_string(),
        };
        let level = level(self.bwrap.is_ok(), false);
        ProbeItem { name: "bubblewrap", level, found, cost: "no command can be run at all" }
    }

    fn user_namespace_item(&self) -> ProbeItem {
        let (level, found) = match &self.user_namespaces {
            Err(unfit) => (EnforcementLevel::None, unfit.to_string()),
            Ok(()) if self.apparmor_restricts_user_namespaces => (
                EnforcementLevel::Partial,
                "restricted by AppArmor to programs with a profile".to_owned(),
            ),
            Ok(()) => (EnforcementLevel::Full, "usable by ordinary users".to_owned()),
        };
        ProbeItem { name: "user namespaces", level, found, cost: "no command can be run at all" }
    }

    fn landlock_item(&self) -> ProbeItem {
        let found = self.landlock_abi.map_or("none".to_owned(), |abi| format!("ABI {abi}"));
        ProbeItem {
            name: "landlock",
            level: level(
                self.landlock_abi >= Some(LANDLOCK_ABI_FULL),
                self.usable_landlock_abi().is_some(),
            ),
            found,
            cost: "files are held by mounts alone; before ABI 2 it is not used, before 6 in part; runs that demand more are refused",
        }
    }

    fn cgroup_item(&self) -> ProbeItem {
        let (level, found) = match &self.cgroups {
            CgroupMode::V2Delegated => {
                (EnforcementLevel::Full, "v2, delegated to this user".to_owned())
            }
            CgroupMode::V2Root => (EnforcementLevel::Full, "v2, root".to_owned()),
            CgroupMode::V2NotOurs => {
                (EnforcementLevel::None, "v2, not delegated to this user".to_owned())
            }
            CgroupMode::V2WithoutControllers => {
                (EnforcementLevel::Partial, "v2 without controllers".to_owned())
            }
            CgroupMode::Mixed { controllers } => {
                let level = level(controllers.len() == 3, true);
                (level, format!("controllers {}", controllers.join(", ")))
            }
            CgroupMode::None => (EnforcementLevel::None, "none".to_owned()),
        };
        let cost = "what no controller holds is held by polling and rlimits; `systemd-run --user --scope -p Delegate=yes` may give more";
        ProbeItem { name: "cgroups", level, found, cost }
    }
}

fn level(is_full: bool, is_partial: bool) -> EnforcementLevel {
    match (is_full, is_partial) {
        (true, _) => EnforcementLevel::Full,
        (false, true) => EnforcementLevel::Partial,
        (false, false) => EnforcementLevel::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_front() {
        let check = |text: &str, expect: Option<&str>| {
            assert_eq!(
                Version::leading(text).map(|version| version.to_string()).as_deref(),
                expect,
                "{text}"
            );
        };
        check("6.1.0-23-amd64", Some("6.1.0"));
        check("0.8.0", Some("0.8.0"));
        check("0.11", Some("0.11.0"));
        check("6.18.44-fc-v669", Some("6.18.44"));
        check("", None);
        check("six", None);
        check("7", None);
        check("99999999999.1", None);
    }

    #[test]
    fn every_item_says_what_its_absence_costs() {
        let probe = Probe {
            bwrap: Err(BwrapUnfit::NotFound),
            user_namespaces: Err(UserNamespacesUnfit::MaxIsZero),
            apparmor_restricts_user_namespaces: false,
            landlock_abi: None,
            seccomp: false,
            cgroups: CgroupMode::None,
            kernel: KernelRelease {
                text: "5.10.0".to_owned(),
                version: Version::leading("5.10.0"),
            },
            uid: 0,
        };
        let items = probe.items();
        assert!(
            items.iter().all(|item| item.level < EnforcementLevel::Full && !item.cost.is_empty())
        );
        assert_eq!(items.len(), 7);
    }
}
