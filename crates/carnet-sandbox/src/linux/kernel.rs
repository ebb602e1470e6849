//! What the running kernel offers, read from /proc and /sys without trying anything.

use std::fs;

use crate::{KernelRelease, UserNamespacesUnfit, Version};

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
}
