//! The sandbox against the real bwrap, as root and as an ordinary user: each test is one thing that must not
//! be possible, or one ending that must be told exactly.
//!
//! A machine that cannot confine fails these tests, unless `CARNET_ALLOW_NO_SANDBOX` is set; then each says
//! aloud that nothing was enforced.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may stop at whatever it did not expect, and says so"
)]

#[path = "confinement/attacks.rs"]
mod attacks;
#[path = "confinement/endings.rs"]
mod endings;
#[path = "confinement/executable.rs"]
mod executable;
#[path = "confinement/handed.rs"]
mod handed;
#[path = "confinement/kernels.rs"]
mod kernels;
#[path = "confinement/kit.rs"]
mod kit;
#[path = "confinement/leaks.rs"]
mod leaks;
#[path = "confinement/limits.rs"]
mod limits;
#[path = "confinement/network.rs"]
mod network;
#[path = "confinement/overlay.rs"]
mod overlay;
#[path = "confinement/refusals.rs"]
mod refusals;
#[path = "confinement/toolchains.rs"]
mod toolchains;
#[path = "confinement/tools.rs"]
mod tools;
#[path = "confinement/walls.rs"]
mod walls;
