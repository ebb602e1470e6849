//! What a run demands of the kernel before it may be started. Nothing is demanded by default.

use carnet_core::{Enforcement, Required};

use crate::{Probe, SandboxError};

/// Checks every requirement against what the kernel offers and can be applied.
///
/// - `limits`: what each limit will be held by, as in the receipt.
///
/// # Errors
///
/// [`SandboxError::Requirement`] names the first that is not met.
#[cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "a system without a backend refuses before it looks at the floor")
)]
pub(crate) fn check(
    required: &[Required],
    probe: &Probe,
    limits: &[Enforcement],
) -> Result<(), SandboxError> {
    match required.iter().find_map(|it| Some((it, lack(it, probe, limits)?))) {
        None => Ok(()),
        Some((required, offered)) => {
            Err(SandboxError::Requirement { required: *required, offered })
        }
    }
}

/// Returns what there is instead, where the requirement is not met.
fn lack(required: &Required, probe: &Probe, limits: &[Enforcement]) -> Option<String> {
    match (required, probe.usable_landlock_abi()) {
        (Required::Landlock { abi_min }, Some(abi)) if abi >= *abi_min => None,
        (Required::Landlock { .. }, _) => Some(match probe.landlock_abi {
            Some(abi) => format!("ABI {abi}"),
            None => "no landlock".to_owned(),
        }),
        (Required::Seccomp, _) => (!probe.seccomp).then(|| "no seccomp filters".to_owned()),
        (Required::Limit { limit, level_min }, _) => {
            match limits.iter().find(|held| held.mechanism == limit.name()) {
                Some(held) if held.level >= *level_min => None,
                Some(held) => Some(format!("{}, {}", held.level.name(), held.detail)),
                None => Some("nothing that holds it".to_owned()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use carnet_core::{EnforcementLevel, LimitKind};

    use super::*;
    use crate::{BwrapUnfit, CgroupMode, KernelRelease};

    fn check(required: &[Required], landlock_abi: Option<u32>, seccomp: bool) -> Option<String> {
        let probe = Probe {
            bwrap: Err(BwrapUnfit::NotFound),
            user_namespaces: Ok(()),
            apparmor_restricts_user_namespaces: false,
            landlock_abi,
            seccomp,
            cgroups: CgroupMode::None,
            kernel: KernelRelease { text: String::new(), version: None },
            uid: 1000,
        };
        let held = |mechanism: &str, level| Enforcement {
            mechanism: mechanism.to_owned(),
            level,
            detail: "polling".to_owned(),
        };
        let limits =
            [held("memory", EnforcementLevel::Partial), held("output", EnforcementLevel::Full)];
        let error = super::check(required, &probe, &limits).err()?;
        assert!(error.hint().is_some());
        Some(error.to_string())
    }

    #[test]
    fn nothing_is_demanded_of_a_kernel_by_an_empty_floor() {
        assert_eq!(check(&[], None, false), None);
    }

    #[test]
    fn a_limit_that_is_held_less_than_demanded_is_named_with_what_holds_it() {
        let limit = |limit, level_min| Required::Limit { limit, level_min };
        let (full, partial) = (EnforcementLevel::Full, EnforcementLevel::Partial);
        let met = [limit(LimitKind::Memory, partial), limit(LimitKind::Output, full)];
        assert_eq!(check(&met, None, false), None);
        assert_eq!(
            check(&[limit(LimitKind::Memory, full)], None, false).as_deref(),
            Some("meet requirement `memory:full`: the kernel offers partial, polling")
        );
        assert_eq!(
            check(&[limit(LimitKind::Inodes, partial)], None, false).as_deref(),
            Some("meet requirement `inodes:partial`: the kernel offers nothing that holds it")
        );
    }

    #[test]
    fn a_floor_that_is_not_met_is_named_with_what_there_is() {
        let landlock = |abi_min| Required::Landlock { abi_min };
        assert_eq!(check(&[landlock(4), Required::Seccomp], Some(4), true), None);
        let refused = |required, abi, seccomp, expect: &str| {
            assert_eq!(check(&[required], abi, seccomp).as_deref(), Some(expect));
        };
        refused(
            landlock(4),
            Some(3),
            true,
            "meet requirement `landlock:4`: the kernel offers ABI 3",
        );
        refused(
            landlock(1),
            None,
            true,
            "meet requirement `landlock:1`: the kernel offers no landlock",
        );
        // It is offered, and not used: a floor of 1 is not met by what is not applied.
        refused(
            landlock(1),
            Some(1),
            true,
            "meet requirement `landlock:1`: the kernel offers ABI 1",
        );
        refused(
            Required::Seccomp,
            Some(7),
            false,
            "meet requirement `seccomp`: the kernel offers no seccomp filters",
        );
    }
}
