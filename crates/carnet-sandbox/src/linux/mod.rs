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

/// Returns what this machine offers for confinement. Costs a fraction of a millisecond of processor time; a
/// whole one more where bwrap has to be started to say its version, once in a process.
pub fn probe() -> crate::Probe {
    let apparmor = kernel::sysctl("kernel/apparmor_restrict_unprivileged_userns");
    crate::Probe {
        bwrap: bwrap::find(),
        user_namespaces: kernel::user_namespaces(),
        apparmor_restricts_user_namespaces: apparmor.as_deref() == Some("1"),
        landlock_abi: sys::landlock_abi(),
        seccomp: sys::confine::has_seccomp() && seccomp::filter().is_some(),
        cgroups: limits::cgroup_mode(),
        kernel: kernel::release(),
        uid: rustix::process::geteuid().as_raw(),
    }
}
