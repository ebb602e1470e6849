//! What the running kernel offers, read from /proc and /sys without trying anything.

use std::fs;

use rustix::fs::{Access, access};

use crate::{CgroupMode, KernelRelease, UserNamespacesUnfit, Version};

/// The cgroup v1 controllers that limits could use.
const V1_CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// Returns a sysctl's text without its end of line; `None` where the kernel has no such sysctl.
pub(super) fn sysctl(name: &str) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/sys/{name}")).ok()?.trim_end().to_owned())
}

/// Tells whether ordinary users may make user namespaces.
pub(super) fn user_namespaces() -> Result<(), UserNamespacesUnfit> {
    if fs::symlink_metadata("/proc/self/ns/user").is_err() {
        return Err(UserNamespacesUnfit::NotBuilt);
    }
    judge_user_namespaces(
        sysctl("user/max_user_namespaces"),
        sysctl("kernel/unprivileged_userns_clone"),
    )
}

fn judge_user_namespaces(
    max: Option<String>,
    clone: Option<String>,
) -> Result<(), UserNamespacesUnfit> {
    let name = "user.max_user_namespaces";
    match max.as_deref().map(str::parse::<i64>) {
        Some(Ok(..=0)) => return Err(UserNamespacesUnfit::MaxIsZero),
        Some(Ok(_)) | None => {}
        Some(Err(_)) => {
            return Err(UserNamespacesUnfit::Unreadable { name, said: max.unwrap_or_default() });
        }
    }
    // Absent outside of Debian's kernels, and since 6.x on some of those.
    if clone.as_deref() == Some("0") { Err(UserNamespacesUnfit::UnprivilegedOff) } else { Ok(()) }
}

/// Returns the kernel's release.
pub(super) fn release() -> KernelRelease {
    let text = rustix::system::uname().release().to_string_lossy().into_owned();
    KernelRelease { version: Version::leading(&text), text }
}

/// Tells which cgroups this process could use. Never writes.
pub(super) fn cgroup_mode() -> CgroupMode {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let is_root = rustix::process::geteuid().is_root();
    judge_cgroups(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"), is_root, |directory| {
        let writable = access(directory, Access::WRITE_OK).is_ok();
        let controllers = read(&format!("{directory}/cgroup.controllers"));
        (writable, controllers)
    })
}

/// - `look`: of a cgroup directory, whether it is writable and what its `cgroup.controllers` says.
fn judge_cgroups(
    mounts: &str,
    membership: &str,
    is_root: bool,
    look: impl Fn(&str) -> (bool, String),
) -> CgroupMode {
    let mut v2_mount = None;
    let mut controllers = Vec::new();
    for line in mounts.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let Some(mount_point) = left.split(' ').nth(4) else { continue };
        let mut fields = right.split(' ');
        match fields.next() {
            Some("cgroup2") => v2_mount = Some(mount_point),
            Some("cgroup") => {
                let options = fields.nth(1).unwrap_or_default();
                let found = options.split(',').filter(|option| V1_CONTROLLERS.contains(option));
                let usable = found.filter(|name| {
                    look(&format!("{mount_point}{}", own_group(membership, name))).0
                });
                controllers.extend(usable.map(str::to_owned));
            }
            _ => {}
        }
    }
    controllers.sort_unstable();
    controllers.dedup();
    let v2 = v2_mount.map(|mount_point| {
        let own = own_group(membership, "");
        look(&format!("{mount_point}{}", if own == "/" { "" } else { own }))
    });
    match v2 {
        Some((true, offered)) if offered.contains("memory") && is_root => CgroupMode::V2Root,
        Some((true, offered)) if offered.contains("memory") => CgroupMode::V2Delegated,
        Some((false, offered)) if offered.contains("memory") => CgroupMode::V2ReadOnly,
        _ if !controllers.is_empty() => CgroupMode::V1 { controllers },
        Some(_) => CgroupMode::V2WithoutControllers,
        None => CgroupMode::None,
    }
}

/// Returns our group in the hierarchy of `controller` (v2: the empty name), from /proc/self/cgroup.
fn own_group<'a>(membership: &'a str, controller: &str) -> &'a str {
    let of_line = |line: &'a str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (names, group) = (fields.next()?, fields.next()?);
        names.split(',').any(|name| name == controller).then_some(group)
    };
    membership.lines().find_map(of_line).unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sysctls_that_forbid_user_namespaces_are_told_apart() {
        let check = |max: Option<&str>, clone: Option<&str>| {
            judge_user_namespaces(max.map(str::to_owned), clone.map(str::to_owned))
        };
        assert_eq!(check(Some("96365"), None), Ok(()));
        assert_eq!(check(Some("96365"), Some("1")), Ok(()));
        assert_eq!(check(Some("0"), Some("1")), Err(UserNamespacesUnfit::MaxIsZero));
        assert_eq!(check(Some("10"), Some("0")), Err(UserNamespacesUnfit::UnprivilegedOff));
        assert!(matches!(check(Some("many"), None), Err(UserNamespacesUnfit::Unreadable { .. })));
    }

    #[test]
    fn cgroup_modes_are_told_apart() {
        let v2 = "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let v1 = "40 1 0:30 / /cg/memory rw - cgroup cgroup rw,memory\n41 1 0:31 / /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n";
        let check = |mounts: &str, is_root, writable, offered: &str| {
            judge_cgroups(mounts, "3:memory:/a\n0::/user\n", is_root, |_| {
                (writable, offered.to_owned())
            })
        };
        assert_eq!(check(v2, false, true, "cpu memory pids"), CgroupMode::V2Delegated);
        assert_eq!(check(v2, true, true, "cpu memory pids"), CgroupMode::V2Root);
        assert_eq!(check(v2, false, false, "cpu memory pids"), CgroupMode::V2ReadOnly);
        assert_eq!(check(v2, true, true, ""), CgroupMode::V2WithoutControllers);
        let both = CgroupMode::V1 { controllers: vec!["cpu".to_owned(), "memory".to_owned()] };
        assert_eq!(check(&format!("{v1}{v2}"), true, true, ""), both);
        assert_eq!(check(v1, true, false, ""), CgroupMode::None);
        assert_eq!(check("", true, true, ""), CgroupMode::None);
    }

    #[test]
    fn our_group_is_found_per_controller() {
        let membership = "4:cpu,cpuacct:/b\n3:memory:/a\n0::/user\n";
        assert_eq!(own_group(membership, "cpu"), "/b");
        assert_eq!(own_group(membership, ""), "/user");
        assert_eq!(own_group(membership, "pids"), "/");
    }
}
