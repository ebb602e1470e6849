//! Starts a process under confinement and quotas, and says what was truly enforced.
//!
//! [`run`] builds the layers of `docs/design/confinement.md` in order with the real `bwrap`, re-executes the
//! caller's binary inside as the first process ([`inner_main`]), lets it verify what holds, and only then
//! starts the command. [`probe()`] says what the machine offers, and what each absence costs.
//!
//! What this crate refuses to do: decide what may run (that is `carnet-policy`), run anything when a layer is
//! missing, and claim a layer it did not see holding.
//!
//! Invariants
//! - `Err` means that no instruction of the command was executed; every ending of a command is an
//!   [`Outcome`](carnet_core::Outcome).
//! - When [`run`] returns, and also when its process is killed, no process of the run is left.
//! - The command has no descriptor, variable, capability or user id of the host but those the spec names.
//! - `unsafe` lives in `sys.rs` and `sys/` alone, and in the attacks that the tests try.
//! - Linux only so far: elsewhere every call is refused with [`SandboxError::Unsupported`].
#![warn(missing_docs)]

mod door;
mod error;
mod floor;
mod macos;
mod network;
mod probe;
#[cfg(target_os = "linux")]
mod proxy;
mod spec;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as platform;

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(not(target_os = "linux"))]
use elsewhere as platform;

pub use door::{Door, DoorAnswer, DoorReply, DoorRequest};
pub use error::SandboxError;
pub use macos::{MacosProfile, MacosProfileError, macos_profile};
pub use network::Network;
pub use platform::{
    Executable, OwnershipError, can_confine, inner_main, prepare_workspace_owner, probe, run,
    run_attended,
};
pub use probe::{
    Bwrap, BwrapUnfit, CgroupMode, KernelRelease, Probe, ProbeItem, UserNamespacesUnfit, Version,
};
pub use spec::{
    Attendance, BASE_ENVIRONMENT, CACHES, CacheAfter, CacheMount, Captured, Confined, HOSTNAME,
    INNER_ARGUMENT, INNER_ID, OutputStream, OverlayAfter, SandboxSpec, Secret, ServiceAccount,
    SpecError, TOOLCHAINS, ToolchainMount, UMASK, WORKSPACE, Workspace,
};
