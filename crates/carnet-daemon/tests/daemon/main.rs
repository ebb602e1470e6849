//! The daemon as a process, on real repositories. Nothing here waits for a time: only for a condition.

mod follow;
mod home;
mod hostile;
mod lives;
mod once;
