//! Systems without a confinement backend yet: every call is refused, nothing runs unconfined.

use std::{path::Path, process::ExitCode, sync::atomic::AtomicBool};

use crate::{
    Attendance, BwrapUnfit, CgroupMode, Confined, KernelRelease, Probe, SandboxError, SandboxSpec,
    ServiceAccount, UserNamespacesUnfit,
};

/// A tree that could not be given to another user.
#[derive(Debug, thiserror::Error)]
#[error("service accounts are not supported on this system yet")]
pub struct OwnershipError;

/// A program, held and hashed; there are none here.
#[derive(Debug)]
pub enum Executable {}

impl Executable {
    /// Refuses.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn open(_path: &Path) -> std::io::Result<Executable> {
        Err(std::io::ErrorKind::Unsupported.into())
    }

    /// Returns the SHA-256 of what is executed.
    pub fn sha256(&self) -> carnet_core::Digest {
        match *self {}
    }
}

/// Refuses.
///
/// # Errors
///
/// Always [`SandboxError::Unsupported`].
pub fn can_confine() -> Result<(), SandboxError> {
    Err(SandboxError::Unsupported)
}

/// Returns a probe in which nothing was found.
pub fn probe() -> Probe {
    Probe {
        bwrap: Err(BwrapUnfit::NotFound),
        user_namespaces: Err(UserNamespacesUnfit::NotBuilt),
        apparmor_restricts_user_namespaces: false,
        landlock_abi: None,
        seccomp: false,
        cgroups: CgroupMode::None,
        kernel: KernelRelease { text: std::env::consts::OS.to_owned(), version: None },
        uid: u32::MAX,
    }
}

/// Refuses.
///
/// # Errors
///
/// Always [`SandboxError::Unsupported`].
pub fn run(_spec: &SandboxSpec, _interrupt: &AtomicBool) -> Result<Confined, SandboxError> {
    Err(SandboxError::Unsupported)
}

/// Refuses.
///
/// # Errors
///
/// Always [`SandboxError::Unsupported`].
pub fn run_attended(
    _spec: &SandboxSpec,
    _attendance: Attendance<'_>,
) -> Result<Confined, SandboxError> {
    Err(SandboxError::Unsupported)
}

/// Refuses: there is no inner stage here.
pub fn inner_main() -> ExitCode {
    ExitCode::from(carnet_core::ExitCode::Bug as u8)
}

/// Refuses.
///
/// # Errors
///
/// Always.
pub fn prepare_workspace_owner(
    _dir: &Path,
    _account: ServiceAccount,
) -> Result<(), OwnershipError> {
    Err(OwnershipError)
}

pub(crate) fn sealed_secret(_secret: &crate::Secret) -> std::io::Result<std::os::fd::OwnedFd> {
    Err(std::io::ErrorKind::Unsupported.into())
}
