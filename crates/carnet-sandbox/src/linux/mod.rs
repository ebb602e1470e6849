//! Confinement on Linux: bubblewrap outside, our own first process inside, a supervisor that sees both.
//!
//! Read in this order: `run` is the story, the other modules are its words.

mod run;

mod end;

mod bwrap;
mod kernel;

mod layers;

mod overlay;

mod launch;

mod executable;
mod handed;

mod wire;

mod rights;

mod control;

mod inner;

mod landlock;
mod seccomp;

mod receipt;

mod limits;

mod streams;

mod ownership;
mod procfs;
mod sys;

pub use executable::Executable;
pub use inner::inner_main;
pub use ownership::{OwnershipError, prepare_workspace_owner};
pub use run::{run, run_attended};

/// Returns a descriptor of sealed memory from which `secret` can be read.
pub(crate) fn sealed_secret(secret: &crate::Secret) -> std::io::Result<std::os::fd::OwnedFd> {
    handed::secret(secret, None)
}

/// Returns what this machine offers for confinement. Costs a fraction of a millisecond of processor time; a
/// whole one more where bwrap has to be started to say its version, once in a process.
pub fn probe() -> crate::Probe {
    crate::Probe { cgroups: limits::cgroup_mode(), ..probe_but_cgroups() }
}

/// Tells whether this machine can confine at all, at less cost than [`probe`].
///
/// # Errors
///
/// [`SandboxError::Bwrap`](crate::SandboxError::Bwrap) and
/// [`SandboxError::UserNamespaces`](crate::SandboxError::UserNamespaces).
pub fn can_confine() -> Result<(), crate::SandboxError> {
    bwrap::find()?;
    Ok(kernel::user_namespaces()?)
}

/// What a run needs to know beforehand: its groups are looked for where they are made.
fn probe_but_cgroups() -> crate::Probe {
    let apparmor = kernel::sysctl("kernel/apparmor_restrict_unprivileged_userns");
    crate::Probe {
        bwrap: bwrap::find(),
        user_namespaces: kernel::user_namespaces(),
        apparmor_restricts_user_namespaces: apparmor.as_deref() == Some("1"),
        landlock_abi: sys::landlock_abi(),
        seccomp: sys::confine::has_seccomp() && seccomp::is_known(),
        cgroups: crate::CgroupMode::None,
        kernel: kernel::release(),
        uid: rustix::process::geteuid().as_raw(),
    }
}
