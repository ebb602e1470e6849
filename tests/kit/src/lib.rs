//! Hermetic git, repository builders and runners for tests; knows no room of carnet.
//!
//! Everything happens below a temporary directory that goes when the test ends, with its own HOME, a pinned
//! identity and clock, no system configuration, and none of the `GIT_*` variables of whoever runs the
//! tests. Helpers panic with the whole output of what failed: they are for tests alone.
#![warn(missing_docs)]
#![expect(
    clippy::unwrap_used,
    reason = "a test helper that fails must stop the test where it stands"
)]

mod redact;
mod repo;
mod runner;
mod user;
mod vault_server;
mod venv;

pub use redact::{Redactions, redact};
pub use repo::{AUTHOR_EMAIL, AUTHOR_NAME, COMMIT_TIME, Format, TestRepo, hermetic};
pub use runner::{Ran, Runner, readable_copy};
pub use user::{ORDINARY_UID, give_to_ordinary_user, is_root};
pub use vault_server::{Decide, Front, Turn, VaultServer, ask_vault, vault_program};
pub use venv::python_venv;
