//! The daemon as a process, on real repositories. Nothing here waits for a time: only for a condition.
#![expect(clippy::unwrap_used, reason = "a helper that fails must stop the test where it stands")]

mod follow;
mod home;
mod hostile;
mod lives;
mod once;
